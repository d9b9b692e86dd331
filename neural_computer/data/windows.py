"""Reading windows: random access to every legal stretch of every video of a split."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from neural_computer.data.records import Record
from neural_computer.formats import check_format
from neural_computer.types import Clip

INFO = "dataset_info.json"


class ClipSource:
    """Windows of `length` frames that begin at every `stride`-th frame of an episode: `len()` and `[i]`, as Grain wants.

    `directory` is written by `EpisodeWriter` or a tfds builder (then the folder above name/version will do). Which
    window is in which record is worked out at the first reading and kept beside the records.
    """

    def __init__(self, directory: str | Path, split: str, length: int, stride: int = 1):
        """Raises ValueError, with the way out, where there is no such split or no window in it."""
        if length < 1 or stride < 1:
            raise ValueError(f"length={length}, stride={stride}: both must be at least 1")
        self.directory, self.split, self.length, self.stride = locate(Path(directory)), split, length, stride
        self.files = _shards(self.directory, split)
        self._readers: dict[int, Any] = {}
        table = self._table()
        self._file, self._number, self._start = _legal(table, length, stride, self.directory)

    def __len__(self) -> int:
        return len(self._start)

    def __getitem__(self, index: int) -> Clip:
        """Clip `index`. Raises ValueError naming the file and record that cannot be read."""
        file, number = int(self._file[index]), int(self._number[index])
        return self._record(file, number).window(int(self._start[index]), self.length)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_readers": {}}

    def __repr__(self) -> str:
        # Grain compares sources by their text when it restores an iterator.
        return f"ClipSource({str(self.directory)!r}, {self.split!r}, {self.length}, {self.stride})"

    def _record(self, file: int, number: int) -> Record:
        path = self.files[file]
        try:
            if file not in self._readers:
                self._readers[file] = _open(path)
            return Record(self._readers[file].read([number])[0])
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ValueError(
                f"{path}: record {number} cannot be read ({reason}); the file is damaged or cut off: copy it again, or "
                "write the dataset anew"
            ) from error

    def _table(self) -> np.ndarray:
        """int64 (records, 5): file, record in file, first frame, frames, owned starts; from the sidecar if it fits."""
        stamp = hashlib.sha256(
            json.dumps([(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in self.files]).encode()
        ).hexdigest()[:16]
        sidecar = self.directory / f".windows-{self.split}-{stamp}.npy"
        if sidecar.exists():
            try:
                return np.load(sidecar, allow_pickle=False)
            except (ValueError, EOFError, OSError):
                pass  # Cut off by a kill: it is made again.
        table = np.asarray(list(self._scan()), np.int64)
        try:
            temporary = sidecar.with_suffix(".partial.npy")
            np.save(temporary, table, allow_pickle=False)
            temporary.replace(sidecar)
        except OSError:
            pass  # Read-only data: it is worked out anew next time.
        return table

    def _scan(self) -> Iterator[tuple[int, int, int, int, int]]:
        from tqdm import tqdm

        promised = dict((name, counts) for name, counts, _ in splits(self.directory))[self.split]
        for file, path in enumerate(tqdm(self.files, desc=f"index {self.split}", unit="file", leave=False)):
            count = self._count(path)
            if len(promised) != len(self.files) or count != promised[file]:
                raise ValueError(
                    f"{path}: holds {count} records, {INFO} promises {sum(promised)} in {len(promised)} files; it is "
                    "damaged or cut off: copy it again, or write the dataset anew"
                )
            for number in range(count):
                record = self._record(file, number)
                yield file, number, record.start, record.frames, record.owned

    def _count(self, path: Path) -> int:
        try:
            return _open(path).num_records()
        except Exception as error:
            raise ValueError(f"{path}: cannot be opened ({error}); it is damaged or cut off: copy it again") from error


def _legal(table: np.ndarray, length: int, stride: int, place: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(file, record, first frame) of every window: on the stride's grid, owned by its record, and whole."""
    file, number, start, frames, owned = table.T
    first = -(-start // stride) * stride
    counts, whole = (np.maximum(0, -(-(end - first) // stride)) for end in (start + owned, start + frames - length + 1))
    # Only an episode's last record may end before a window does: there the video ends too.
    cut = (whole < counts) & (owned < frames)
    if cut.any():
        longest = int((start + frames - first - (counts - 1) * stride)[cut].min())
        raise ValueError(
            f"{place}: its records hold windows of up to {longest} frames, length={length} was asked for; write it again "
            f"with EpisodeWriter(window={length})"
        )
    counts = np.minimum(counts, whole)
    if not counts.sum():
        raise ValueError(
            f"{place}: no video is {length} frames long (the longest record has {int(frames.max(initial=0))}); ask for "
            "shorter windows"
        )
    rows = np.repeat(np.arange(len(table)), counts)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    return file[rows], number[rows], first[rows] + within * stride


def splits(directory: Path) -> list[tuple[str, list[int], int]]:
    """(name, records a shard, bytes) of every split of a dataset's folder."""
    info = json.loads((directory / INFO).read_text())
    # tfds' version of a data set; its major number is our format.
    check_format(int(info.get("version", "0").split(".")[0]) or None, directory / INFO)
    return [(s["name"], [int(n) for n in s["shardLengths"]], int(s.get("numBytes", 0))) for s in info["splits"]]


def locate(directory: Path) -> Path:
    """The folder with the dataset's records: `directory`, or the one name/version below it. Raises ValueError."""
    if (directory / INFO).exists():
        return directory
    below = sorted(p.parent for p in directory.glob(f"*/*/{INFO}") if "incomplete" not in p.parent.name)
    if len(below) != 1:
        found = (
            "holds no dataset" if not below else f"holds {len(below)} datasets, name one: {', '.join(map(str, below))}"
        )
        raise ValueError(f"{directory}: {found}; make one with neural-computer prepare_data or EpisodeWriter")
    return below[0]


def _shards(directory: Path, split: str) -> list[Path]:
    files = sorted(directory.glob(f"*-{split}.array_record*"))
    if not files:
        there = sorted({p.name.split(".")[0].split("-", 1)[1] for p in directory.glob("*-*.array_record*")})
        raise ValueError(
            f"{directory}: has no split {split!r}; it has {', '.join(there) or 'none'}: ask for one of these, or prepare "
            "the data with videos to spare for it"
        )
    return files


def _open(path: Path) -> Any:
    from array_record.python.array_record_module import ArrayRecordReader

    return ArrayRecordReader(str(path), "readahead_buffer_size:0")
