"""Random access to the clips of a data set's split: every part of fixed length of every video."""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from neural_computer.data.kinds import of_meta
from neural_computer.data.records import Reader, Record
from neural_computer.files import replacing
from neural_computer.formats import check_format
from neural_computer.types import Clip

INFO = "dataset_info.json"
NO_KINDS = "leave config.data.shares empty, or prepare data that have kinds (--recipe=tty)"


class ClipSource:
    """Clips of `length` frames that begin at every `stride`-th frame of an episode: `len()` and `[i]`, as Grain reads.

    `directory` is written by `EpisodeWriter` or a tfds builder (then the folder above name/version will do). An index of the
    records is computed at the first reading and stored beside them.
    """

    def __init__(self, directory: str | Path, split: str, length: int, stride: int = 1):
        """Raises ValueError, with the way out, for a split that is not there or has no clip."""
        if length < 1 or stride < 1:
            raise ValueError(f"length={length}, stride={stride}: both must be at least 1")
        self.directory, self.split, self.length, self.stride = locate(Path(directory)), split, length, stride
        self._reader = Reader(_shards(self.directory, split))
        self._file, self._number, self._start = clips_of(self._index(), length, stride, self.directory)

    @property
    def files(self) -> list[Path]:
        return self._reader.files

    def __len__(self) -> int:
        return len(self._start)

    def __getitem__(self, index: int) -> Clip:
        """Clip `index`. Raises ValueError, naming the file and the record, if it cannot be read."""
        record = self._reader.read(int(self._file[index]), int(self._number[index]), Record)
        return record.clip(int(self._start[index]), self.length)

    def kinds(self) -> tuple[tuple[str, ...], UInt8[np.ndarray, " n"]]:
        """Names of the kinds of transitions, and of every clip the one that its last frame shows; read once.

        Raises ValueError, naming the record, for episodes that do not say or say it in other names (see `data.kinds`).
        """
        return self._kinds

    @cached_property
    def _kinds(self) -> tuple[tuple[str, ...], UInt8[np.ndarray, " n"]]:
        names: tuple[str, ...] = ()
        out = np.empty(len(self), np.uint8)
        place = np.stack([self._file, self._number])
        records = np.flatnonzero((np.diff(place, prepend=-1) != 0).any(0))
        for begin, end in zip(records, [*records[1:], len(self)], strict=True):
            file, number = place[:, begin].tolist()
            try:
                new, every = of_meta(self._reader.read(file, number, Record).meta)
            except ValueError as error:
                raise ValueError(f"{self.files[file]}: record {number} {error}; {NO_KINDS}") from error
            if names and new != names:
                raise ValueError(f"{self.files[file]}: record {number} has kinds {', '.join(new)}; {NO_KINDS}")
            names, out[begin:end] = new, every[self._start[begin:end] + self.length - 1]
        return names, out

    def __repr__(self) -> str:
        # Grain compares sources by their repr when it restores an iterator.
        return f"ClipSource({str(self.directory)!r}, {self.split!r}, {self.length}, {self.stride})"

    def _index(self) -> np.ndarray:
        """int64 (records, 5): file, record in file, first frame, frames, owned starts; from the stored index if it is current."""
        stamp = hashlib.sha256(
            json.dumps([(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in self.files]).encode()
        ).hexdigest()[:16]
        path = self.directory / f".windows-{self.split}-{stamp}.npy"
        if path.exists():
            with contextlib.suppress(ValueError, EOFError, OSError):  # A damaged one is computed again.
                return np.load(path, allow_pickle=False)
        index = np.asarray(list(self._scan()), np.int64)
        with contextlib.suppress(OSError), replacing(path) as partial:  # Read-only data: it is computed every time.
            np.save(partial, index, allow_pickle=False)
        return index

    def _scan(self) -> Iterator[tuple[int, int, int, int, int]]:
        """Yields the rows of the index. Raises ValueError for files that differ from dataset_info.json."""
        from tqdm import tqdm

        expected = {name: counts for name, counts, _ in splits(self.directory)}[self.split]
        for file, path in enumerate(tqdm(self.files, desc=f"index {self.split}", unit="file", leave=False)):
            count = self._reader.count(file)
            if len(expected) != len(self.files) or count != expected[file]:
                raise ValueError(
                    f"{path}: holds {count} records, {INFO} lists {sum(expected)} in {len(expected)} files; it is damaged or "
                    "cut off: copy it again, or write the dataset anew"
                )
            for number in range(count):
                record = self._reader.read(file, number, Record)
                yield file, number, record.start, record.frames, record.owned


def clips_of(
    index: Int[np.ndarray, "r 5"], length: int, stride: int, directory: Path
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """(file, record, first frame) of every clip: its first frame is a multiple of `stride` that the record owns.

    Raises ValueError, naming the directory, for records too short for such clips and for videos too short for any.
    """
    file, number, start, frames, owned = index.T
    first = -(-start // stride) * stride
    counts, complete = (
        np.maximum(0, -(-(end - first) // stride)) for end in (start + owned, start + frames - length + 1)
    )
    # Only an episode's last record, which owns all its frames, may end before a clip does: there the video ends too.
    cut = (complete < counts) & (owned < frames)
    if cut.any():
        longest = int((start + frames - first - (counts - 1) * stride)[cut].min())
        raise ValueError(
            f"{directory}: its records hold clips of up to {longest} frames, length={length}; write it again with "
            f"EpisodeWriter(window={length})"
        )
    counts = np.minimum(counts, complete)
    if not counts.sum():
        raise ValueError(
            f"{directory}: no video is {length} frames long (the longest record has {int(frames.max(initial=0))}); ask for "
            "shorter windows"
        )
    rows = np.repeat(np.arange(len(index)), counts)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    return file[rows], number[rows], first[rows] + within * stride


def splits(directory: Path) -> list[tuple[str, list[int], int]]:
    """(name, records of each shard, bytes) of every split of a dataset's folder."""
    info = json.loads((directory / INFO).read_text())
    # tfds' version of a data set; its major number is our format.
    check_format(int(info.get("version", "0").split(".")[0]) or None, directory / INFO)
    return [(s["name"], [int(n) for n in s["shardLengths"]], int(s.get("numBytes", 0))) for s in info["splits"]]


def locate(directory: Path) -> Path:
    """The folder of a dataset's records: `directory`, or the one name/version below it.

    Raises ValueError for no dataset or several.
    """
    if (directory / INFO).exists():
        return directory
    below = sorted(p.parent for p in directory.glob(f"*/*/{INFO}") if "incomplete" not in p.parent.name)
    if len(below) != 1:
        many = f"holds {len(below)} datasets, name one: {', '.join(map(str, below))}"
        raise ValueError(
            f"{directory}: {many if below else 'holds no dataset'}; make one with neural-computer prepare_data or "
            "EpisodeWriter"
        )
    return below[0]


def _shards(directory: Path, split: str) -> list[Path]:
    files = sorted(directory.glob(f"*-{split}.array_record*"))
    if not files:
        others = sorted({p.name.split(".")[0].split("-", 1)[1] for p in directory.glob("*-*.array_record*")})
        raise ValueError(
            f"{directory}: has no split {split!r}; it has {', '.join(others) or 'none'}: ask for one of these, or prepare "
            "the data with videos to spare for it"
        )
    return files
