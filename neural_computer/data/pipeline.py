"""Batches by Grain. All randomness comes from (seed, position in the training order): a resume is an integer, and any
number of processes sees the same global batches."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from neural_computer.data.encoded import EncodedClip
from neural_computer.data.inputs import ActionFeaturizer, Tokenizer, stacked
from neural_computer.data.regions import RegionMasks
from neural_computer.data.stages import StagedSource
from neural_computer.types import Actions, Batch, Clip, Encoded, TokenIds


class Sample(NamedTuple):
    """One row of a batch; the fields are those of `Batch` after its index."""

    video: UInt8[np.ndarray, "t h w 3"]
    text: TokenIds
    actions: Actions | None
    regions: Float[np.ndarray, "r f i j"] | None


@dataclass(frozen=True)
class ToSample:
    """Grain transform: Clip -> Sample, or EncodedClip -> Encoded, without a batch axis.

    Draws one caption tier with a probability proportional to its share in `captions`; no tiers give an empty caption. With
    `inputs`, every sample has actions: empty ones where the clip has none. With `regions`, it has their masks.
    """

    tokenizer: Tokenizer
    captions: Mapping[str, float]
    inputs: ActionFeaturizer | None = None
    regions: RegionMasks | None = None

    def __post_init__(self) -> None:
        if self.captions and (min(self.captions.values()) < 0 or not sum(self.captions.values()) > 0):
            raise ValueError(f"captions={dict(self.captions)}: give tiers with shares that are not negative")

    def __call__(self, clip: Clip | EncodedClip, rng: np.random.Generator) -> Sample | Encoded:
        if not self.captions and isinstance(clip, Clip):
            return self._sample(clip, "")
        shares = np.asarray(list(self.captions.values()))
        tier = list(self.captions)[rng.choice(len(shares), p=shares / shares.sum())]
        if isinstance(clip, EncodedClip):
            return clip.encoded(caption(clip, tier), self.tokenizer.length, self.inputs)
        return self._sample(clip, caption(clip, tier))

    def _sample(self, clip: Clip, text: str) -> Sample:
        ids = TokenIds(self.tokenizer([text])[0])
        inputs = self.inputs(clip) if self.inputs else None
        return Sample(clip.frames, ids, inputs, self.regions(clip) if self.regions else None)


def caption(clip: Clip | EncodedClip, tier: str) -> Any:
    """A clip's caption of a tier, text or encoded. Raises ValueError, naming the tiers that it has, without that one."""
    if tier not in clip.captions:
        raise ValueError(
            f"{clip.id}: has no caption of tier {tier!r}, only {', '.join(clip.captions) or 'none'}; set "
            "config.data.captions to tiers that all videos have"
        )
    return clip.captions[tier]


def batches(
    source: Any,
    *,
    tokenizer: Tokenizer,
    captions: Mapping[str, float],
    batch_size: int,
    seed: int,
    start: int = 0,
    process_index: int = 0,
    process_count: int = 1,
    inputs: ActionFeaturizer | None = None,
    regions: RegionMasks | None = None,
) -> Iterator[Batch | Encoded]:
    """This process's rows of the global batches from number `start` on, without end.

    Args:
      source: `len()` and `[i]` of Clips or EncodedClips.
      captions: shares of the caption tiers.
      batch_size: of the global batch, a multiple of `process_count`. Batch k is positions [k B, (k + 1) B) of an endless
        stream that is reshuffled every epoch.
      inputs: gives actions to clips; None for an experiment without.
      regions: gives masks of the loss's regions to clips; None for a loss without.
    """
    if batch_size % process_count:
        raise ValueError(f"batch_size={batch_size}: must be a multiple of the {process_count} processes")
    to_sample, place = ToSample(tokenizer, captions, inputs, regions), (process_index, process_count)
    if not isinstance(source, StagedSource):
        return _stream(source, to_sample, batch_size, seed, start, place)
    return _in_stages(source, lambda part, first: _stream(part, to_sample, batch_size, seed, first, place), start)


def _in_stages(
    source: StagedSource, stream_of: Callable[[Any, int], Iterator[Batch | Encoded]], start: int
) -> Iterator[Batch | Encoded]:
    """The batches from number `start` on, each from the stream of its stage's source."""
    for stage in source.after(start):
        stream = stream_of(stage.source, stage.begin)
        try:
            yield from islice(stream, None if stage.end is None else stage.end - stage.begin)
        finally:
            if hasattr(stream, "close"):
                stream.close()


def _stream(
    source: Any, to_sample: ToSample, batch_size: int, seed: int, start: int, place: tuple[int, int]
) -> Iterator[Batch | Encoded]:
    """Rows of process place[0] of place[1] of one source's batches from number `start` on."""
    import grain

    process_index, process_count = place
    stream = _order(source, seed).random_map(to_sample)
    numbered = stream.map_with_index(lambda position, sample: (position, sample))
    # An endless stream has no remainder; but without drop_remainder Grain rounds its length up beyond any index.
    local = numbered[process_index::process_count].batch(
        batch_size // process_count, drop_remainder=True, batch_fn=_collate
    )
    options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)
    return iter(local[start:].to_iter_dataset(options))


def clip_ids(source: Any, *, batch_size: int, seed: int, batch: int) -> list[str]:
    """Ids of the clips of global batch number `batch`, in its order; what cannot be read has its number in the source."""
    if isinstance(source, StagedSource):
        source = next(source.after(batch)).source
    order = _order(range(len(source)), seed)
    return [_id(source, order[position]) for position in range(batch * batch_size, (batch + 1) * batch_size)]


def _id(source: Any, number: int) -> str:
    try:
        return str(source[number].id)
    except (ValueError, OSError):
        return f"number {number}"


def _order(source: Any, seed: int) -> Any:
    """The endless stream of a source's items, shuffled anew every epoch."""
    import grain

    return grain.MapDataset.source(source).seed(seed).shuffle().repeat()


def _collate(samples: Sequence[tuple[int, Any]]) -> Batch | Encoded:
    positions, rows = zip(*samples, strict=True)
    # int32, as jax has it: the numbering starts over after two billion videos.
    index = np.asarray(positions, np.int64).astype(np.int32) & np.int32(2**31 - 1)
    batch: Any = stacked(rows)
    return batch._replace(index=index) if isinstance(batch, Encoded) else Batch(index, *batch)
