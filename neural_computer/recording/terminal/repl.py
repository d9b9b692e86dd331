"""Python sessions that add two numbers: every operand pair once, recorded in a real interpreter, as episodes."""

import io
import json
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neural_computer.data import splits
from neural_computer.files import write_whole
from neural_computer.recording.terminal.recorder import RecordingError, TerminalSession, record
from neural_computer.recording.workers import make_all
from neural_computer.screens.prompts import PROMPT, caption
from neural_computer.screens.terminal import Atlas, Cells
from neural_computer.types import Episode, Event

ROWS, COLS, FRAMES, FPS = 3, 16, 9, 5
CHUNK = 40
"""Sessions of a file of recordings"""


@dataclass(frozen=True)
class Sum:
    """The sum of two whole numbers, and the keys that type it."""

    a: int
    b: int

    @property
    def expression(self) -> str:
        return f"{self.a}+{self.b}"

    @property
    def keys(self) -> list[str]:
        return [*self.expression, "\r"]

    @property
    def split(self) -> str:
        """Split of this operand pair, by the hash of its expression."""
        return splits.of(self.expression)


def sums(operands: int) -> list[Sum]:
    """Every pair of operands from 1 to `operands`. Raises ValueError for operands that do not fit FRAMES frames."""
    if not 2 <= operands <= 99:
        raise ValueError(f"operands={operands}: must be between 2 and 99; larger ones do not fit {FRAMES} frames")
    return [Sum(a, b) for a in range(1, operands + 1) for b in range(1, operands + 1)]


def interpreter() -> str:
    """Path of the Python whose sessions are recorded: this process's own, outside its virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable) or sys.executable)


def play(problem: Sum) -> Cells:
    """Screens of one session, one a key. Raises RecordingError if Python printed no number."""
    # Python 3.13's new prompt repaints in colours; the basic one is the same in all versions.
    session = TerminalSession([interpreter(), "-q", "-s"], ROWS, COLS, {"PYTHON_BASIC_REPL": "1", "PYTHONSTARTUP": ""})
    screens = record(session, problem.keys)
    answer = printed(Cells(*(f[-1] for f in screens)).text(), problem)
    if not answer.isdigit():
        raise RecordingError(f"{problem.expression}: Python printed {answer!r}, which is no number")
    return screens


def printed(screen: str, problem: Sum) -> str:
    """The line that Python printed under the expression. Raises RecordingError if the expression is not on the screen."""
    lines = [line.rstrip() for line in screen.split("\n")]
    typed = PROMPT + problem.expression
    if typed not in lines[:-1]:
        raise RecordingError(f"{problem.expression}: {typed!r} is not on the last screen {screen!r}")
    return lines[lines.index(typed) + 1]


# Recordings on disk


def record_all(problems: list[Sum], directory: Path, workers: int) -> list[Path]:
    """Files of all sessions, CHUNK of them each, in order; records those that are not in `directory` yet."""
    return make_all(problems, record_chunk, directory, workers=workers, chunk=CHUNK, of="repl", unit="session")


def record_chunk(chunk: Sequence[Sum], path: Path) -> None:
    """Records some sessions and writes their screens to `path`."""
    arrays: dict[str, Any] = {}
    for problem in chunk:
        arrays |= {f"{problem.expression}/{name}": x for name, x in play(problem)._asdict().items()}
    arrays["python"] = np.frombuffer(json.dumps(platform.python_version()).encode(), np.uint8)
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    write_whole(path, file.getvalue())


def load_recordings(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file of recordings, by name. Raises ValueError for a damaged file."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except Exception as error:
        raise ValueError(f"{path}: cannot be read ({error}); delete it and it is recorded again") from error


def episodes(directory: Path, split: str | None = None) -> Iterator[Episode]:
    """Recorded sessions as episodes, those of one split or all. Raises ValueError for a damaged file."""
    atlas = Atlas()
    for path in sorted(directory.glob("*.npz")):
        arrays = load_recordings(path)
        version = json.loads(arrays.pop("python").tobytes())
        for expression in dict.fromkeys(name.split("/")[0] for name in arrays):
            problem = Sum(*map(int, expression.split("+")))
            if split in (None, problem.split):
                screens = Cells(*(arrays[f"{expression}/{name}"] for name in Cells._fields))
                yield episode(problem, screens, atlas, version)


def episode(problem: Sum, screens: Cells, atlas: Atlas, version: str) -> Episode:
    """One session as a video of FRAMES frames, one key a frame; the last screen is repeated to the end.

    A key's event is half a frame earlier than the frame that first shows its effect.
    """
    order = np.minimum(np.arange(FRAMES), len(screens.chars) - 1)
    screens = Cells(*(x[order] for x in screens))
    texts = tuple(Cells(*(x[t] for x in screens)).text() for t in range(FRAMES))
    answer = printed(texts[-1], problem)
    names = ["Return" if key == "\r" else key for key in problem.keys]
    return Episode(
        id=f"repl/{problem.expression}",
        frames=atlas.draw(screens),
        fps=FPS,
        captions={"plain": caption(problem.expression), "answered": caption(problem.expression, answer)},
        cells=texts,
        events=tuple(Event((i + 0.5) / FPS, "press", key=name) for i, name in enumerate(names)),
        meta={
            "task": "arithmetic",
            "expression": problem.expression,
            "answer": answer,
            "source": f"recorded in Python {version}",
            "licence": "CC0-1.0",
        },
    )
