"""Many short sessions recorded in lock-step, a screen a key, kept in files: what is there is not recorded again."""

import io
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from neural_computer.files import write_whole
from neural_computer.recording.workers import make_all
from neural_computer.screens.terminal import Cells

CHUNK = 40
"""Sessions of a file of recordings"""


def record_all(
    items: Sequence[Any], play: Callable[[Any], Cells], directory: Path, *, workers: int, of: str
) -> list[Path]:
    """Files of the sessions of all items, CHUNK of them each, in order; `play` records those that are not there yet.

    An item's text names its session; `of` are the settings that the recordings depend on beside the items.
    """
    make = partial(_record, play=play)
    return make_all(items, make, directory, workers=workers, chunk=CHUNK, of=of, unit="session")


def _record(chunk: Sequence[Any], path: Path, play: Callable[[Any], Cells]) -> None:
    arrays: dict[str, Any] = {}
    for number, item in enumerate(chunk):
        arrays |= {f"{number}/{field}": x for field, x in play(item)._asdict().items()}
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    write_whole(path, file.getvalue())


def recordings(items: Sequence[Any], paths: Sequence[Path]) -> Iterator[tuple[Any, Cells]]:
    """The items and their screens, from the files that `record_all` returned for them. Raises ValueError for a damaged one."""
    for number, path in enumerate(paths):
        chunk = items[number * CHUNK : (number + 1) * CHUNK]
        arrays = load_recordings(path)
        for i, item in enumerate(chunk):
            yield item, Cells(*(arrays[f"{i}/{field}"] for field in Cells._fields))


def load_recordings(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file of recordings, by name. Raises ValueError for a damaged file."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except Exception as error:
        raise ValueError(f"{path}: cannot be read ({error}); delete it and it is recorded again") from error
