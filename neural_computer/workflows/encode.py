"""Encodes clips with the frozen encoders, so that training reads latents and features (recipe encode)."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

import grain
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from tqdm import tqdm

from neural_computer import sharding
from neural_computer.convert import pretrained
from neural_computer.data import encoded, windows
from neural_computer.data.inputs import stacked
from neural_computer.evals.evaluate import evenly_spaced
from neural_computer.experiment import Experiment
from neural_computer.types import Actions, Batch, Clip, FrozenParams, TokenIds
from neural_computer.workflows import checks
from neural_computer.workflows import workdir as workdirs


@dataclass(frozen=True)
class EncodingPlan:
    """Clips to encode, checked."""

    experiment: Experiment
    sources: Mapping[str, windows.ClipSource]
    """Split -> clips"""
    info: encoded.Info


def plan(
    experiment: Experiment, videos: Path, splits: Sequence[str] | None, dtype: str, clips: int = 256
) -> EncodingPlan:
    """Plans to encode a data set for an experiment, `clips` a file. Raises ValueError for videos that do not fit it."""
    videos, data, config = windows.locate(videos), experiment.data, experiment.config
    splits = splits or [name for name, *_ in windows.splits(videos)]
    sources = {split: windows.ClipSource(videos, split, data.frames, data.stride) for split in splits}
    for source in sources.values():
        checks.check_videos(experiment, source[0])
    networks = pretrained.networks(config.init) if config.init else {}
    info = encoded.Info(
        videos=str(videos.absolute()),
        stamps={split: _stamp(source.files) for split, source in sources.items()},
        splits={split: len(source) for split, source in sources.items()},
        config=checks.encoding(experiment),
        origin={
            "encoders": {name: networks[name]["files"] for name in ("vae", "umt5", "clip") if name in networks},
            "network.dtype": config.network.dtype,
            "codec.fit_videos": config.codec.fit_videos,
        },
        dtype=dtype,
        clips=clips,
    )
    return EncodingPlan(experiment, sources, info)


def _stamp(files: Sequence[Path]) -> str:
    """A hash of files' names and sizes."""
    return hashlib.sha256(json.dumps([(path.name, path.stat().st_size) for path in files]).encode()).hexdigest()[:16]


def print_plan(plan: EncodingPlan, output: Path) -> None:
    """Prints the numbers of clips and the disk space that they take."""
    parts, splits, free = cost(plan), plan.info.splits, shutil.disk_usage(output).free
    each, count = sum(parts.values()), sum(splits.values())
    print(f"{output}: {', '.join(f'{number} clips of {split}' for split, number in splits.items())}")
    print(f"a clip: {_amount(each)} ({', '.join(f'{name} {_amount(size)}' for name, size in parts.items())})")
    print(f"in all: {_amount(each * count)} before compression; {_amount(free)} are free", flush=True)


def cost(plan: EncodingPlan) -> dict[str, int]:
    """Bytes of a clip by part, before compression; of captions the mean of some clips."""
    computer, size = plan.experiment.computer, 2 if plan.info.dtype == "bfloat16" else 4
    latents, vision = size * prod(computer.latent_shape), computer.conditioner.image_encoder
    videos = [video for source in plan.sources.values() for video in evenly_spaced(source, 8)]
    ids = plan.experiment.tokenizer([text for video in videos for text in video.captions.values()])
    token = 4 if computer.conditioner.text_encoder is None else size * computer.conditioner.text_encoder.width
    return {
        "latents": latents,
        "condition": latents
        // (
            computer.latent_shape[0]
            if computer.conditioner.condition_layout == "repeat" and not computer.conditioner.cursor_reference
            else 1
        ),
        "captions": int(np.count_nonzero(ids)) * token // len(videos),
        "image": 0 if vision is None else size * vision.rows * vision.width,
    }


def _amount(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def begin(plan: EncodingPlan, output: Path) -> None:
    """Writes the setup with the codec, and the plan's info. Raises ValueError if the folder was begun with another plan."""
    if encoded.holds(output):
        before, now = asdict(encoded.load_info(output)), asdict(plan.info)
        if changed := [name for name in now if before[name] != now[name]]:
            raise ValueError(
                f"{output}: was begun with other settings ({', '.join(changed)}); give another --out or delete it"
            )
        return
    experiment, data = plan.experiment, plan.experiment.data
    videos = windows.ClipSource(plan.info.videos, data.split, data.frames, data.stride)
    workdirs.save_setup(experiment, output, checks.fit_codec(experiment, videos), videos[0])
    plan.info.save(output)


class ClipEncoder:
    """Clips to EncodedClips: the frozen encoders, compiled once for `rows` clips, which are split over a mesh."""

    def __init__(self, experiment: Experiment, frozen: FrozenParams, mesh: Mesh, rows: int, dtype: str):
        ways = mesh.shape["data"] * mesh.shape["fsdp"]
        if rows % ways:
            raise ValueError(f"--rows={rows}: must be a multiple of the {ways} devices that clips are split over")
        computer = experiment.computer
        self.computer, self.tokenizer, self.inputs = computer, experiment.tokenizer, experiment.inputs
        self.frozen, self.mesh, self.rows = frozen, mesh, rows
        self._captions: dict[str, np.ndarray] = {}

        def encode(frozen: FrozenParams, batch: Batch) -> tuple[Any, ...]:
            """(latents, condition, image features, features of typed texts), None for parts that are stored as they are."""
            _, latents, cond, _, image, actions, _ = computer.encode(frozen, batch)
            texts = None if actions is None or computer.conditioner.text_encoder is None else actions.texts
            return jax.tree.map(lambda x: x.astype(dtype), (latents, cond, image, texts))

        def encode_text(frozen: FrozenParams, ids: TokenIds) -> jax.Array:
            return jnp.asarray(computer.conditioner.encode_text(frozen, ids)).astype(dtype)

        self._encode, self._encode_text = jax.jit(encode), jax.jit(encode_text)

    def __call__(self, clips: Sequence[Clip]) -> list[encoded.EncodedClip]:
        """EncodedClips of at most `rows` clips."""
        # Each distinct caption is encoded once, apart from the videos, whose batch has empty features.
        captions, no_text = self._encode_captions(clips), np.zeros((self.rows, 1, 1), np.float32)
        video = self._padded(np.stack([clip.frames for clip in clips]))
        actions = [self.inputs(clip) if self.inputs else None for clip in clips]
        batch = Batch(
            np.arange(self.rows, dtype=np.int32), video, no_text, jax.tree.map(self._padded, stacked(actions))
        )
        latents, cond, image, texts = self._run(self._encode, batch)
        conditioner = self.computer.conditioner
        channels = conditioner.mask_channels
        mask = np.broadcast_to(encoded.first_frame_mask(*latents.shape[1:4]), (*latents.shape[:4], encoded.MASK))
        kept = not np.array_equal(cond[..., :channels], mask)
        repeated = conditioner.condition_layout == "repeat" and not conditioner.cursor_reference
        return [
            encoded.EncodedClip(
                id=clip.id,
                start=clip.start,
                latents=latents[row],
                condition=cond[row, : 1 if repeated else None, ..., channels:],
                captions={tier: captions[text] for tier, text in clip.captions.items()},
                image=None if image is None else image[row],
                mask=cond[row, ..., :channels] if kept else None,
                actions=_stored(own, None if texts is None else texts[row]),
            )
            for row, (clip, own) in enumerate(zip(clips, actions, strict=True))
        ]

    def _encode_captions(self, clips: Sequence[Clip]) -> dict[str, np.ndarray]:
        """Every caption -> ids or features without padding; those of the call before are not encoded again."""
        texts = list(dict.fromkeys(text for clip in clips for text in clip.captions.values()))
        new = [text for text in texts if text not in self._captions]
        ids = self.tokenizer(new)
        rows = list(ids) if self.computer.conditioner.text_encoder is None else self._features(ids)
        lengths = [np.flatnonzero(row).max(initial=-1) + 1 for row in ids]
        self._captions |= {text: row[:length] for text, row, length in zip(new, rows, lengths, strict=True)}
        self._captions = {text: self._captions[text] for text in texts}
        return self._captions

    def _features(self, ids: np.ndarray) -> list[np.ndarray]:
        parts = [ids[start : start + self.rows] for start in range(0, len(ids), self.rows)]
        return [
            row for part in parts for row in self._run(self._encode_text, TokenIds(self._padded(part)))[: len(part)]
        ]

    def _padded(self, part: np.ndarray) -> np.ndarray:
        """A short batch, padded to `rows` by repeating its rows."""
        return part[np.arange(self.rows) % len(part)]

    def _run(self, jitted: Any, batch: Any) -> Any:
        return jax.tree.map(np.asarray, jitted(self.frozen, sharding.place_batch(batch, self.mesh)))


def _stored(actions: Actions | None, texts: np.ndarray | None) -> Actions | None:
    """Actions as an EncodedClip has them: None for a clip without a log; texts as features, if they were encoded."""
    if actions is None or not actions.valid:
        return None
    return actions if texts is None else actions._replace(texts=texts)


def load_encoder(plan: EncodingPlan, output: Path, rows: int | None = None) -> ClipEncoder:
    """The encoder of a plan, on this process's devices. Raises CheckpointError, ConfigError without its weights."""
    mesh = sharding.make_mesh(plan.experiment.mesh, jax.local_devices())
    frozen = sharding.place(workdirs.encoders(plan.experiment, output, mesh), mesh)
    rows = rows or mesh.shape["data"] * mesh.shape["fsdp"]
    return ClipEncoder(plan.experiment, frozen, mesh, rows, plan.info.dtype)


def write(plan: EncodingPlan, encoder: ClipEncoder, output: Path) -> None:
    """Writes the files that are not there yet, their clips in the order of the videos'."""
    info, total = plan.info, sum(plan.info.splits.values())
    files = [
        (output / name, source, number * info.clips, min((number + 1) * info.clips, len(source)))
        for split, source in plan.sources.items()
        for number, name in enumerate(info.files(split))
    ]
    missing = [file for file in files if not file[0].exists()]
    done = total - sum(stop - start for _, _, start, stop in missing)
    with tqdm(total=total, initial=done, desc="encode", unit="clip", dynamic_ncols=True) as bar:

        def clips(source: windows.ClipSource, start: int, stop: int) -> Iterator[encoded.EncodedClip]:
            for batch in _batches(source, start, stop, encoder.rows):
                for clip in encoder(batch):
                    yield clip
                    bar.update()

        try:
            for path, source, start, stop in missing:
                encoded.write(path, clips(source, start, stop))
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"stopped; the same command goes on with what is not in {output} yet") from None


def _batches(source: windows.ClipSource, start: int, stop: int, rows: int) -> Iterator[list[Clip]]:
    """Clips `start` to `stop`, `rows` at a time, read ahead while others are encoded."""
    ahead = grain.ReadOptions(num_threads=2, prefetch_buffer_size=2)
    return iter(grain.MapDataset.source(source)[start:stop].batch(rows, batch_fn=list).to_iter_dataset(ahead))
