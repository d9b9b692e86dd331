"""Windows to clips: what recipe encode does, without its flags."""

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
from neural_computer.types import Batch, Clip, PyTree, TokenIds
from neural_computer.workflows import checks
from neural_computer.workflows import workdir as workdirs


@dataclass(frozen=True)
class Plan:
    """What is to be encoded, checked."""

    experiment: Experiment
    sources: Mapping[str, windows.ClipSource]
    """By split."""
    info: encoded.Info


def plan(experiment: Experiment, videos: Path, splits: Sequence[str] | None, dtype: str, clips: int = 256) -> Plan:
    """What it takes to encode videos for an experiment, `clips` a file. Raises ValueError where they do not fit."""
    videos, data, config = windows.locate(videos), experiment.data, experiment.config
    splits = splits or [name for name, *_ in windows.splits(videos)]
    sources = {split: windows.ClipSource(videos, split, data.frames, data.stride) for split in splits}
    for source in sources.values():
        checks.check_videos(experiment, source[0])
    known = pretrained.networks(config.init) if config.init else {}
    info = encoded.Info(
        videos=str(videos.absolute()),
        stamps={split: _stamp(source.files) for split, source in sources.items()},
        splits={split: len(source) for split, source in sources.items()},
        config=checks.encoding(experiment),
        origin={
            "encoders": {name: known[name]["files"] for name in ("vae", "umt5", "clip") if name in known},
            "network.dtype": config.network.dtype,
            "codec.fit_videos": config.codec.fit_videos,
        },
        dtype=dtype,
        clips=clips,
    )
    return Plan(experiment, sources, info)


def _stamp(files: Sequence[Path]) -> str:
    """A hash of files' names and sizes."""
    return hashlib.sha256(json.dumps([(path.name, path.stat().st_size) for path in files]).encode()).hexdigest()[:16]


def tell(wanted: Plan, output: Path) -> None:
    """Prints what there is to encode and the disk that it takes."""
    parts, splits, free = cost(wanted), wanted.info.splits, shutil.disk_usage(output).free
    each, count = sum(parts.values()), sum(splits.values())
    print(f"{output}: {', '.join(f'{number} windows of {split}' for split, number in splits.items())}")
    print(f"a clip: {_amount(each)} ({', '.join(f'{name} {_amount(size)}' for name, size in parts.items())})")
    print(f"in all: {_amount(each * count)} before compression; {_amount(free)} are free", flush=True)


def cost(wanted: Plan) -> dict[str, int]:
    """Bytes of a clip by part, before compression; the captions' are the mean of some windows."""
    computer, size = wanted.experiment.computer, 2 if wanted.info.dtype == "bfloat16" else 4
    latents, vision = size * prod(computer.latent_shape), computer.conditioner.image_encoder
    videos = [video for source in wanted.sources.values() for video in evenly_spaced(source, 8)]
    ids = wanted.experiment.tokenizer([text for video in videos for text in video.captions.values()])
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


def begin(wanted: Plan, output: Path) -> None:
    """Writes the setup, in which the codec is, and what is being encoded. Raises ValueError where that was something else."""
    if encoded.holds(output):
        before, now = asdict(encoded.load_info(output)), asdict(wanted.info)
        if apart := [name for name in now if before[name] != now[name]]:
            raise ValueError(
                f"{output}: was begun with other settings ({', '.join(apart)}); give another --out or delete it"
            )
        return
    experiment, data = wanted.experiment, wanted.experiment.data
    videos = windows.ClipSource(wanted.info.videos, data.split, data.frames, data.stride)
    workdirs.save_setup(experiment, output, checks.fit_codec(experiment, videos), videos[0])
    wanted.info.save(output)


class Encoder:
    """Windows to clips: the frozen encoders, compiled once for `rows` windows, which a mesh's devices share."""

    def __init__(self, experiment: Experiment, frozen: PyTree, mesh: Mesh, rows: int, dtype: str):
        ways = mesh.shape["data"] * mesh.shape["fsdp"]
        if rows % ways:
            raise ValueError(f"--rows={rows}: must be a multiple of the {ways} devices that videos are split over")
        computer = experiment.computer
        self.computer, self.tokenizer, self.inputs = computer, experiment.tokenizer, experiment.inputs
        self.frozen, self.mesh, self.rows = frozen, mesh, rows
        self._known: dict[str, np.ndarray] = {}

        def video(frozen, batch):
            made = computer.encode(frozen, batch)
            typed = None if computer.conditioner.text_encoder is None or made.actions is None else made.actions.texts
            return jax.tree.map(lambda x: x.astype(dtype), (made.latents, made.cond, made.image, typed))

        self._video = jax.jit(video)
        self._read = jax.jit(
            lambda frozen, ids: jnp.asarray(computer.conditioner.encode_text(frozen, TokenIds(ids))).astype(dtype)
        )

    def __call__(self, videos: Sequence[Clip]) -> list[encoded.EncodedClip]:
        """A clip a window, of at most `rows` windows."""
        # Captions are read apart, each once; features pass the computer as they are, so none go with the videos.
        texts, none = self._captions(videos), np.zeros((self.rows, 1), np.float32)
        video = self._filled(np.stack([video.frames for video in videos]))
        done = [self.inputs(video) if self.inputs else None for video in videos]
        acts = jax.tree.map(self._filled, stacked(done))
        latents, cond, image, typed = self._run(
            self._video, Batch(np.arange(self.rows, dtype=np.int32), video, none, acts)
        )
        same = self.computer.conditioner.condition_layout == "repeat" and not self.computer.conditioner.cursor_reference
        known = encoded.mask(*latents.shape[1:4])
        if not self.computer.conditioner.cursor_reference and (cond[..., : encoded.MASK] != known).any():
            raise ValueError("the condition's mask is not that of a known first frame")
        return [
            encoded.EncodedClip(
                video.id,
                video.start,
                latents[row],
                cond[row, : 1 if same else None, ..., encoded.MASK :],
                {tier: texts[text] for tier, text in video.captions.items()},
                None if image is None else image[row],
                cond[row, ..., : encoded.MASK] if self.computer.conditioner.cursor_reference else None,
                acts if acts is None or typed is None else acts._replace(texts=typed[row]),
            )
            for row, (video, acts) in enumerate(zip(videos, done, strict=True))
        ]

    def _captions(self, videos: Sequence[Clip]) -> dict[str, np.ndarray]:
        """Every caption as ids or features without padding; what the videos before had too is not read again."""
        texts = list(dict.fromkeys(text for video in videos for text in video.captions.values()))
        new = [text for text in texts if text not in self._known]
        ids = self.tokenizer(new)
        made = list(ids) if self.computer.conditioner.text_encoder is None else self._features(ids)
        lengths = [np.flatnonzero(row).max(initial=-1) + 1 for row in ids]
        self._known |= {text: row[:length] for text, row, length in zip(new, made, lengths, strict=True)}
        self._known = {text: self._known[text] for text in texts}
        return self._known

    def _features(self, ids: np.ndarray) -> list[np.ndarray]:
        parts = [ids[start : start + self.rows] for start in range(0, len(ids), self.rows)]
        return [row for part in parts for row in self._run(self._read, self._filled(part))[: len(part)]]

    def _filled(self, part: np.ndarray) -> np.ndarray:
        """A short batch, filled up with rows that nobody asks for."""
        return part[np.arange(self.rows) % len(part)]

    def _run(self, jitted: Any, batch: Any) -> Any:
        return jax.tree.map(np.asarray, jitted(self.frozen, sharding.place_batch(batch, self.mesh)))


def loaded(wanted: Plan, output: Path, rows: int | None = None) -> Encoder:
    """The encoder that a plan needs, on this process's devices. Raises CheckpointError, ConfigError without its weights."""
    mesh = sharding.make_mesh(wanted.experiment.mesh, jax.local_devices())
    frozen = sharding.place(workdirs.encoders(wanted.experiment, output, mesh), mesh)
    rows = rows or mesh.shape["data"] * mesh.shape["fsdp"]
    return Encoder(wanted.experiment, frozen, mesh, rows, wanted.info.dtype)


def write(wanted: Plan, encoder: Encoder, output: Path) -> None:
    """Writes the files that are not there yet, their clips in the order of the windows."""
    info, total = wanted.info, sum(wanted.info.splits.values())
    files = [
        (output / name, source, number * info.clips, min((number + 1) * info.clips, len(source)))
        for split, source in wanted.sources.items()
        for number, name in enumerate(info.files(split))
    ]
    left = [file for file in files if not file[0].exists()]
    done = total - sum(stop - start for _, _, start, stop in left)
    with tqdm(total=total, initial=done, desc="encode", unit="clip", dynamic_ncols=True) as bar:

        def clips(source: windows.ClipSource, start: int, stop: int) -> Iterator[encoded.EncodedClip]:
            for videos in _batches(source, start, stop, encoder.rows):
                for clip in encoder(videos):
                    yield clip
                    bar.update()

        try:
            for path, source, start, stop in left:
                encoded.write(path, clips(source, start, stop))
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"stopped; the same command goes on with what is not in {output} yet") from None


def _batches(source: windows.ClipSource, start: int, stop: int, rows: int) -> Iterator[list[Clip]]:
    """Windows `start` to `stop`, `rows` at a time, read ahead while others are encoded."""
    ahead = grain.ReadOptions(num_threads=2, prefetch_buffer_size=2)
    return iter(grain.MapDataset.source(source)[start:stop].batch(rows, batch_fn=list).to_iter_dataset(ahead))
