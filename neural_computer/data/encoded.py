"""The encoded cache: windows after the frozen encoders, so that training reads latents and features instead of videos.

A folder of it holds `encoded_info.json`, the config and setup it was made with, and array_record files, each of which
stands alone. A record is one window as a safetensors message, in which every array has its name, dtype and shape:

    latents      (f, i, j, c)
    condition    (f, i, j, c), or (1, i, j, c) where all latent frames are alike
    image        (n, d); absent where no image encoder is used
    text/TIER    (l, d) features, or (l,) ids for a text encoder that is trained; one array a tier of captions
    mask         (f, i, j, 4); absent where it is that of a known first frame
    actions/...  raw (t, 182) as bytes, meta (9, t, s), texts, (u, d) features or (u, l) ids, mouse (t, 2); absent where no
                 action enters
    id, start    the episode's id in UTF-8 and the window's first frame

What follows from the rest is not stored: the condition's frame mask and a text's padding, both rebuilt here. Floats are
stored in float32, which changes nothing, or in bfloat16, at half of the disk: the loss of the tiny network changes by 3
in 10,000. Batches are float32 either way.
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

from neural_computer.actions.schema.frames import Meta
from neural_computer.formats import FORMAT, FormatError, check_format
from neural_computer.types import Actions, Encoded, TokenIds

INFO = "encoded_info.json"
MASK = 4
"""Channels of the frame mask, one a video frame of a latent frame."""
DTYPES = {
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F32": np.dtype("<f4"),
    "I32": np.dtype("<i4"),
    "I64": np.dtype("<i8"),
    "U8": np.dtype("u1"),
}
"""Of the arrays in a record, by safetensors' names."""


@dataclass(frozen=True)
class EncodedClip:
    """A window after the frozen encoders, as it is stored."""

    id: str
    start: int
    latents: Float[np.ndarray, "f i j c"]
    condition: Float[np.ndarray, "g i j c"]
    """Condition latents without their mask; g is f, or 1 where all frames are alike"""
    captions: Mapping[str, Shaped[np.ndarray, "l ..."]]
    """By tier, without padding"""
    image: Float[np.ndarray, "n d"] | None = None
    mask: Float[np.ndarray, "f i j 4"] | None = None
    actions: Actions | None = None

    def encoded(self, text: Shaped[np.ndarray, "l ..."], length: int) -> Encoded:
        """The clip as a batch has it, with one of its captions padded to `length`; no index and no batch axis yet."""
        padded = np.zeros((length, *text.shape[1:]), np.int32 if text.ndim == 1 else np.float32)
        padded[: len(text)] = text
        latents = self.latents.astype(np.float32)
        condition = np.broadcast_to(self.condition.astype(np.float32), latents.shape)
        known = mask(*latents.shape[:3]) if self.mask is None else self.mask.astype(np.float32)
        return Encoded(
            index=None,
            latents=latents,
            cond=np.concatenate([known, condition], axis=-1),
            text=TokenIds(padded) if text.ndim == 1 else padded,
            image=None if self.image is None else self.image.astype(np.float32),
            actions=self.actions,
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
            raw, meta, texts, mouse = self.actions
            texts = texts.ids if isinstance(texts, TokenIds) else texts
            own = {"raw": raw.astype(np.uint8), "meta": np.stack(meta), "texts": texts, "mouse": mouse}
            arrays |= {f"actions/{name}": part for name, part in own.items()}
        arrays |= {f"text/{tier}": text for tier, text in self.captions.items()}
        return save({name: np.ascontiguousarray(array) for name, array in arrays.items()})

    @classmethod
    def from_bytes(cls, data: bytes) -> "EncodedClip":
        """The clip of a record. Raises KeyError or ValueError for bytes that are none."""
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
    )


def mask(f: int, i: int, j: int) -> Float[np.ndarray, "f i j 4"]:
    """The frame mask of a condition that knows the first frame: ones on latent frame 0, else zeros."""
    known = np.zeros((f, i, j, MASK), np.float32)
    known[0] = 1
    return known


@dataclass(frozen=True)
class Info:
    """What a folder holds and how it was made: JSON values only."""

    videos: str
    """The folder of videos."""
    stamps: Mapping[str, str]
    """By split, a hash of its files' names and sizes."""
    splits: Mapping[str, int]
    """By split, its windows."""
    config: Mapping[str, Any]
    """What a config must agree with to be trained on this, by dotted path."""
    origin: Mapping[str, Any]
    """The rest that the values depend on: where the encoders came from and what they computed in."""
    dtype: str
    clips: int
    """In a file."""
    format: int = FORMAT

    def files(self, split: str) -> list[str]:
        """The names of a split's files, in order."""
        count = -(-self.splits[split] // self.clips)
        return [f"encoded-{split}-{number:05d}-of-{count:05d}.array_record" for number in range(count)]

    def save(self, directory: Path) -> None:
        """Writes it to a folder, whole or not at all."""
        temporary = directory / f".{INFO}.partial"
        temporary.write_text(json.dumps(dataclasses.asdict(self), indent=2) + "\n")
        temporary.replace(directory / INFO)


def holds(directory: str | Path) -> bool:
    """Is this a folder of encoded clips, finished or not?"""
    return (Path(directory) / INFO).exists()


def load_info(directory: str | Path) -> Info:
    """What a folder holds. Raises ValueError if it does not say."""
    path = Path(directory) / INFO
    try:
        values = json.loads(path.read_text())
        check_format(values.get("format"), path)
        return Info(**values)
    except FormatError:
        raise
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(
            f"{path}: does not tell what is encoded there ({error}); make it with neural-computer prepare_data "
            "--recipe=encode"
        ) from error


def videos(directory: str | Path) -> Path:
    """Where a folder's videos are: there, or where its clips were encoded from. Raises ValueError if those are gone."""
    if not holds(directory):
        return Path(directory)
    place = Path(load_info(directory).videos)
    if not place.exists():
        raise ValueError(
            f"{directory} holds encoded clips, a rollout needs videos, and those that they were made from are not in {place}; "
            "put them there"
        )
    return place


class EncodedSource:
    """The clips of a split: `len()` and `[i]`, as Grain wants. EncodedClip i is window i of the videos' `ClipSource`."""

    def __init__(self, directory: str | Path, split: str):
        """Raises ValueError, with the way out, where there is no such split or not all of it."""
        self.directory, self.split, self.info = Path(directory), split, load_info(directory)
        if split not in self.info.splits:
            raise ValueError(f"{directory}: has no split {split!r} encoded; it has {', '.join(self.info.splits)}")
        self.files = [self.directory / name for name in self.info.files(split)]
        missing = [path.name for path in self.files if not path.exists()]
        if missing:
            raise ValueError(
                f"{directory}: {len(missing)} of the {len(self.files)} files of split {split!r} are not there, such as "
                f"{missing[0]}; give the command that encodes it again, it goes on where it was"
            )
        self._readers: dict[int, Any] = {}

    def __len__(self) -> int:
        return self.info.splits[self.split]

    def __getitem__(self, index: int) -> EncodedClip:
        """EncodedClip `index`. Raises ValueError naming the file and record that cannot be read."""
        file, number = divmod(range(len(self))[index], self.info.clips)
        try:
            if file not in self._readers:
                self._readers[file] = _open(self.files[file])
            return EncodedClip.from_bytes(self._readers[file].read([number])[0])
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ValueError(
                f"{self.files[file]}: record {number} cannot be read ({reason}); the file is damaged or cut off: copy it "
                "again, or delete it and give the command that encodes it again"
            ) from error

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_readers": {}}

    def __repr__(self) -> str:
        # Grain compares sources by their text when it restores an iterator.
        return f"EncodedSource({str(self.directory)!r}, {self.split!r})"


def write(path: Path, clips: Iterable[EncodedClip]) -> None:
    """Writes a file of clips. It gets its name when it is whole: what a kill leaves is never read."""
    from array_record.python.array_record_module import ArrayRecordWriter

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
    # A full disk is not always told by the writer.
    if _open(partial).num_records() != count:
        raise ValueError(f"{partial}: does not hold the {count} clips written to it; is the disk full?")
    partial.replace(path)


def _open(path: Path) -> Any:
    from array_record.python.array_record_module import ArrayRecordReader

    return ArrayRecordReader(str(path), "readahead_buffer_size:0")
