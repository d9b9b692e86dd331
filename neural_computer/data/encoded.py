"""The encoded cache: clips after the frozen encoders, so that training reads latents and features in place of videos.

A folder of it holds `encoded_info.json`, the config and setup of the encoders, and array_record files, each complete in
itself. A record is one clip as a safetensors message, in which every array has its name, dtype and shape:

    latents      (f, i, j, c)
    condition    (f, i, j, c), or (1, i, j, c) if all latent frames are equal; c is 0 where a chunk follows the one before
    image        (m, y) features; absent without an image encoder
    text/TIER    (l, d) features, or (l,) token ids for a text encoder that is trained; one array a tier of captions
    mask         (f, i, j, s) for s video frames a latent frame; absent if it is `first_frame_mask`
    actions/...  raw (t, 182) as bytes, meta (9, t, s), texts, (u, d) features or (u, l) token ids, mouse (t, 2); absent for
                 an experiment without actions and for a clip without a log
    id, start    the episode's id in UTF-8 and the clip's first frame

The first frame's mask and the padding of texts are rebuilt here. Floats are stored in float32, without loss, or in bfloat16,
in half the space: the loss of the tiny network changes by 3 in 10,000. Batches are float32 either way.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from jaxtyping import Float, Shaped

from neural_computer.data.inputs import ActionFeaturizer, empty
from neural_computer.data.records import Reader
from neural_computer.files import write_whole
from neural_computer.formats import FORMAT, FormatError, check_format
from neural_computer.types import Actions, Encoded, Meta, TokenIds

INFO = "encoded_info.json"
MASK = 4
"""Channels of `first_frame_mask`: video frames of a latent frame of Wan2.1's VAE."""
DTYPES = {
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F32": np.dtype("<f4"),
    "I32": np.dtype("<i4"),
    "I64": np.dtype("<i8"),
    "U8": np.dtype("u1"),
}
"""Dtypes of the arrays in a record, by safetensors' names."""


@dataclass(frozen=True)
class EncodedClip:
    """A clip after the frozen encoders, as it is stored."""

    id: str
    start: int
    latents: Float[np.ndarray, "f i j c"]
    condition: Float[np.ndarray, "g i j e"]
    """Condition latents without their mask, e of c channels or none; g is f, or 1 if all frames are equal"""
    captions: Mapping[str, Shaped[np.ndarray, "l ..."]]
    """By tier, without padding"""
    image: Float[np.ndarray, "m y"] | None = None
    mask: Float[np.ndarray, "f i j s"] | None = None
    actions: Actions | None = None

    def encoded(
        self, text: Shaped[np.ndarray, "l ..."], length: int, inputs: ActionFeaturizer | None = None
    ) -> Encoded:
        """The clip as a row of a batch, with one of its captions padded to `length`; without index and batch axis.

        With `inputs`, a clip without actions gets empty ones.
        """
        padded = np.zeros((length, *text.shape[1:]), np.int32 if text.ndim == 1 else np.float32)
        padded[: len(text)] = text
        latents = self.latents.astype(np.float32)
        shape = (*latents.shape[:3], self.condition.shape[-1])
        condition = np.broadcast_to(self.condition.astype(np.float32), shape)
        mask = first_frame_mask(*latents.shape[:3]) if self.mask is None else self.mask.astype(np.float32)
        actions = self.actions
        if actions is None and inputs is not None:
            # Typed texts go through the captions' text encoder: their features are as wide.
            blank = np.zeros((inputs.texts, inputs.tokenizer.length if text.ndim == 1 else text.shape[1]), padded.dtype)
            actions = empty(1 + (len(latents) - 1) * mask.shape[-1], TokenIds(blank) if text.ndim == 1 else blank)
        return Encoded(
            index=None,
            latents=latents,
            cond=np.concatenate([mask, condition], axis=-1),
            text=TokenIds(padded) if text.ndim == 1 else padded,
            image=None if self.image is None else self.image.astype(np.float32),
            actions=actions,
        )

    def to_bytes(self) -> bytes:
        """The clip as a record."""
        from safetensors.numpy import save

        arrays = {
            "latents": self.latents,
            "condition": self.condition,
            "id": np.frombuffer(self.id.encode(), np.uint8),
            "start": np.asarray([self.start], np.int64),
        }
        arrays |= {} if self.image is None else {"image": self.image}
        arrays |= {} if self.mask is None else {"mask": self.mask}
        if self.actions is not None:
            raw, meta, texts, mouse, _ = self.actions
            texts = texts.ids if isinstance(texts, TokenIds) else texts
            parts = {"raw": raw.astype(np.uint8), "meta": np.stack(meta), "texts": texts, "mouse": mouse}
            arrays |= {f"actions/{name}": part for name, part in parts.items()}
        arrays |= {f"text/{tier}": text for tier, text in self.captions.items()}
        return save({name: np.ascontiguousarray(array) for name, array in arrays.items()})

    @classmethod
    def from_bytes(cls, data: bytes) -> "EncodedClip":
        """The clip in a record. Raises KeyError or ValueError for other bytes."""
        from safetensors import deserialize

        arrays = {
            name: np.frombuffer(part["data"], DTYPES[part["dtype"]]).reshape(part["shape"])
            for name, part in deserialize(data)
        }
        return cls(
            id=arrays["id"].tobytes().decode(),
            start=int(arrays["start"][0]),
            latents=arrays["latents"],
            condition=arrays["condition"],
            captions={name.removeprefix("text/"): x for name, x in arrays.items() if name.startswith("text/")},
            image=arrays.get("image"),
            mask=arrays.get("mask"),
            actions=_actions(arrays) if "actions/raw" in arrays else None,
        )


def _actions(arrays: Mapping[str, np.ndarray]) -> Actions:
    texts = arrays["actions/texts"]
    return Actions(
        raw=arrays["actions/raw"].astype(np.float32),
        meta=Meta(*arrays["actions/meta"]),
        texts=TokenIds(texts) if texts.dtype == np.int32 else texts.astype(np.float32),
        mouse=arrays["actions/mouse"],
        valid=np.asarray(True),
    )


def first_frame_mask(f: int, i: int, j: int) -> Float[np.ndarray, "f i j 4"]:
    """Frame mask of a condition that shows the first frame alone: ones on latent frame 0, else zeros."""
    mask = np.zeros((f, i, j, MASK), np.float32)
    mask[0] = 1
    return mask


@dataclass(frozen=True)
class Info:
    """encoded_info.json: the contents of a folder and their origin, JSON values only."""

    videos: str
    """Folder of the videos"""
    stamps: Mapping[str, str]
    """Split -> hash of its files' names and sizes"""
    splits: Mapping[str, int]
    """Split -> number of clips"""
    config: Mapping[str, Any]
    """Dotted path -> value that a config must have to be trained on this"""
    origin: Mapping[str, Any]
    """Source and dtype of the encoders, on which the values depend too"""
    dtype: str
    clips: int
    """Clips in a file"""
    format: int = FORMAT

    def files(self, split: str) -> list[str]:
        """Names of a split's files, in order."""
        count = -(-self.splits[split] // self.clips)
        return [f"encoded-{split}-{number:05d}-of-{count:05d}.array_record" for number in range(count)]

    def save(self, directory: Path) -> None:
        """Writes it to a folder."""
        write_whole(directory / INFO, json.dumps(dataclasses.asdict(self), indent=2) + "\n")


def holds(directory: str | Path) -> bool:
    """Whether this is a folder of encoded clips, complete or not."""
    return (Path(directory) / INFO).exists()


def load_info(directory: str | Path) -> Info:
    """A folder's encoded_info.json. Raises ValueError if it cannot be read."""
    path = Path(directory) / INFO
    try:
        values = json.loads(path.read_text())
        check_format(values.get("format"), path)
        return Info(**values)
    except FormatError:
        raise
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(
            f"{path}: cannot be read ({error}); encode the videos with neural-computer prepare_data --recipe=encode"
        ) from error


def videos(directory: str | Path) -> Path:
    """The folder of a data set's videos: itself, or the one that its clips were encoded from.

    Raises ValueError if that one is gone.
    """
    if not holds(directory):
        return Path(directory)
    folder = Path(load_info(directory).videos)
    if not folder.exists():
        raise ValueError(
            f"{directory}: holds encoded clips, and a rollout needs their videos, which are not in {folder}; put them there"
        )
    return folder


class EncodedSource:
    """The encoded clips of a split: `len()` and `[i]`, as Grain reads. Clip i is clip i of the videos' `ClipSource`."""

    def __init__(self, directory: str | Path, split: str):
        """Raises ValueError, with the way out, for a split that is not there or incomplete."""
        self.directory, self.split, self.info = Path(directory), split, load_info(directory)
        if split not in self.info.splits:
            raise ValueError(f"{directory}: has no split {split!r} encoded; it has {', '.join(self.info.splits)}")
        files = [self.directory / name for name in self.info.files(split)]
        missing = [path.name for path in files if not path.exists()]
        if missing:
            raise ValueError(
                f"{directory}: {len(missing)} of the {len(files)} files of split {split!r} are not there, such as "
                f"{missing[0]}; give the command that encodes it again, it goes on where it was"
            )
        self._reader = Reader(files, "delete it and give the command that encodes it again")

    @property
    def files(self) -> list[Path]:
        return self._reader.files

    def __len__(self) -> int:
        return self.info.splits[self.split]

    def __getitem__(self, index: int) -> EncodedClip:
        """Clip `index`. Raises ValueError, naming the file and the record, if it cannot be read."""
        file, number = divmod(range(len(self))[index], self.info.clips)
        return self._reader.read(file, number, EncodedClip.from_bytes)

    def __repr__(self) -> str:
        # Grain compares sources by their repr when it restores an iterator.
        return f"EncodedSource({str(self.directory)!r}, {self.split!r})"


def write(path: Path, clips: Iterable[EncodedClip]) -> None:
    """Writes a file of clips, under another name until it is complete: readers never see half a file."""
    from array_record.python.array_record_module import ArrayRecordWriter

    # One name whatever the process: a killed run's half of a file, which may be large, is overwritten by the next run.
    partial, count = path.with_name(f".{path.name}.partial"), 0
    writer = ArrayRecordWriter(str(partial), "group_size:1,zstd:1")
    try:
        for count, clip in enumerate(clips, 1):  # noqa: B007
            writer.write(clip.to_bytes())
    except BaseException:
        writer.close()
        partial.unlink()
        raise
    writer.close()
    # The writer does not always report a full disk.
    if Reader([partial]).count(0) != count:
        raise ValueError(f"{partial}: does not hold the {count} clips written to it; is the disk full?")
    partial.replace(path)
