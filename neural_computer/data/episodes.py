"""Writing episodes: how anybody's videos become training data.

with EpisodeWriter("data") as writer:
    writer.write(Episode("first", frames, fps=5, captions={"plain": "python 1+1"}))
"""

from pathlib import Path
from types import TracebackType
from typing import Any

from neural_computer.data import records, tfds_files
from neural_computer.data.windows import INFO, splits
from neural_computer.types import Episode

NAME = "episodes"
SHARD_BYTES = 256 * 2**20


class EpisodeWriter:
    """Writes one split of a dataset of episodes: array_record shards that `ClipSource` and tfds read.

    From videos of more than about 160 frames, clips of up to `window` frames can be read, at first frames that are multiples
    of `stride`. The split appears, complete, when the writer is closed, and replaces one of the same name. A writer that is
    killed, or left by an exception, leaves no split.
    """

    def __init__(self, directory: str | Path, split: str = "train", window: int = 81, stride: int = 1):
        if not 1 <= stride <= window:
            raise ValueError(f"stride={stride}: must be between 1 and window={window}")
        self.directory, self.split, self.window, self.stride = Path(directory), split, window, stride
        self.directory.mkdir(parents=True, exist_ok=True)
        self._ids: set[str] = set()
        self._lengths: list[int] = []
        self._bytes = 0
        self._shard: Any = None
        self._shard_bytes = 0
        for stale in self.directory.glob(f".{split}-*.partial"):
            stale.unlink()

    def write(self, episode: Episode) -> None:
        """Adds an episode. Raises ValueError, and writes nothing of it, if its parts do not fit or its id was written before."""
        if episode.id in self._ids:
            raise ValueError(f"episode {episode.id!r}: written twice; ids must be unique in a split")
        parts = [records.to_bytes(r) for r in records.records(episode, self.window, self.stride)]
        self._ids.add(episode.id)
        for data in parts:
            if self._shard is None or self._shard_bytes >= SHARD_BYTES:
                self._next_shard()
            self._shard.write(data)
            self._shard_bytes += len(data)
            self._bytes += len(data)
            self._lengths[-1] += 1

    def close(self) -> None:
        """Makes the split appear. Raises ValueError for a split without episodes."""
        if not self._lengths:
            raise ValueError(f"{self.directory}: no episode was written to split {self.split!r}")
        self._shard.close()
        for stale in self.directory.glob(f"{NAME}-{self.split}.array_record-*"):
            stale.unlink()
        for number in range(len(self._lengths)):
            final = f"{NAME}-{self.split}.array_record-{number:05d}-of-{len(self._lengths):05d}"
            self._partial(number).replace(self.directory / final)
        _describe(self.directory, self.split, self._lengths, self._bytes)

    def _partial(self, number: int) -> Path:
        return self.directory / f".{self.split}-{number:05d}.partial"

    def _next_shard(self) -> None:
        from array_record.python.array_record_module import ArrayRecordWriter

        if self._shard is not None:
            self._shard.close()
        self._shard = ArrayRecordWriter(str(self._partial(len(self._lengths))), "group_size:1")
        self._shard_bytes = 0
        self._lengths.append(0)

    def __enter__(self) -> "EpisodeWriter":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self.close()
            return
        if self._shard is not None:
            self._shard.close()
        for number in range(len(self._lengths)):
            self._partial(number).unlink(missing_ok=True)


def _describe(directory: Path, split: str, lengths: list[int], size: int) -> None:
    """Writes tfds' metadata of a dataset: its features, and the number of records in every shard of each split."""
    infos = {name: (counts, size) for name, counts, size in splits(directory)} if (directory / INFO).exists() else {}
    tfds_files.write(directory, NAME, {**infos, split: (lengths, size)})
