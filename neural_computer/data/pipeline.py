"""Batches by Grain. All randomness comes from (seed, position in the training order): a resume is an integer, and any
number of processes sees the same global batches."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from neural_computer.data.encoded import EncodedClip
from neural_computer.data.inputs import ActionFeaturizer, Tokenizer, stacked
from neural_computer.types import Actions, Batch, Clip, Encoded, TokenIds


class Sample(NamedTuple):
    """One video of a batch."""

    video: np.ndarray
    text: TokenIds
    actions: Actions | None


@dataclass(frozen=True)
class ToSample:
    """A window's video and one of its captions, drawn by tier, or none where there are no tiers, and its actions if there
    are `inputs`; a clip's latents and features in the same way."""

    tokenizer: Tokenizer
    captions: Mapping[str, float]
    inputs: ActionFeaturizer | None = None

    def __post_init__(self) -> None:
        if self.captions and (min(self.captions.values()) < 0 or not sum(self.captions.values()) > 0):
            raise ValueError(f"captions={dict(self.captions)}: give tiers with shares that are not negative")

    def __call__(self, window: Clip | EncodedClip, rng: np.random.Generator) -> Sample | Encoded:
        if not self.captions and isinstance(window, Clip):
            return self._sample(window, "")
        shares = np.asarray(list(self.captions.values()))
        tier = list(self.captions)[rng.choice(len(shares), p=shares / shares.sum())]
        told = caption(window, tier)
        if isinstance(window, EncodedClip):
            return window.encoded(told, self.tokenizer.length)
        return self._sample(window, told)

    def _sample(self, window: Clip, told: str) -> Sample:
        return Sample(window.frames, TokenIds(self.tokenizer([told])[0]), self.inputs(window) if self.inputs else None)


def caption(window: Clip | EncodedClip, tier: str) -> Any:
    """A window's caption of a tier, text or encoded. Raises ValueError, naming the tiers there are, if it has none."""
    if tier not in window.captions:
        raise ValueError(
            f"{window.id}: has no caption of tier {tier!r}, only {', '.join(window.captions) or 'none'}; set "
            "config.data.captions to tiers that all videos have"
        )
    return window.captions[tier]


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
) -> Iterator[Batch | Encoded]:
    """This process's share of the batches from number `start` on, for ever: of videos, or of clips from an `EncodedSource`.

    `batch_size` is the global one and must divide among the processes; batch k holds positions k * batch_size and on of
    an endless order, shuffled anew each time round.
    """
    import grain

    if batch_size % process_count:
        raise ValueError(f"batch_size={batch_size}: must be a multiple of the {process_count} processes")
    order = (
        grain.MapDataset.source(source).seed(seed).shuffle().repeat().random_map(ToSample(tokenizer, captions, inputs))
    )
    numbered = order.map_with_index(lambda position, sample: (position, sample))
    # Nothing is dropped of an endless order; only, Grain rounds the number of batches of one up, beyond any index.
    own = numbered[process_index::process_count].batch(
        batch_size // process_count, drop_remainder=True, batch_fn=_collate
    )
    options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)
    return iter(own[start:].to_iter_dataset(options))


def _collate(samples: Sequence[tuple[int, Any]]) -> Batch | Encoded:
    positions, parts = zip(*samples, strict=True)
    # int32, as jax has it: the numbering starts over after two billion videos.
    index = np.asarray(positions, np.int64).astype(np.int32) & np.int32(2**31 - 1)
    together: Any = stacked(parts)
    return together._replace(index=index) if isinstance(together, Encoded) else Batch(index, *together)
