"""Python sessions that compute one expression: recorded in a real interpreter, or drawn cell for cell as it draws them."""

import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from neural_computer.data.kinds import labels
from neural_computer.recording.problems import SIGNS, Problem
from neural_computer.recording.terminal import lockstep
from neural_computer.recording.terminal.recorder import RecordingError, TerminalSession, record
from neural_computer.screens.prompts import PROMPT, caption
from neural_computer.screens.terminal import Atlas, Cells, blank, stack
from neural_computer.types import Episode, Event

ROWS, COLS, FPS = 3, 16, 5
LARGER = "larger"
"""Split of problems with larger operands than any in the others"""


@dataclass(frozen=True)
class Typing:
    """How an expression is entered: a key a frame, or `pasted` whole in one; and the frames of the video."""

    pasted: bool = False

    @property
    def frames(self) -> int:
        return 5 if self.pasted else 9

    def keys(self, problem: Problem) -> list[str]:
        """What is sent to the terminal, one a frame. Raises ValueError for a problem that does not fit."""
        keys = [*([problem.expression] if self.pasted else problem.expression), "\r"]
        widest = max(len(PROMPT + problem.expression), len(problem.answer))
        if len(keys) >= self.frames or widest >= COLS:
            raise ValueError(
                f"{problem.expression}: does not fit {self.frames} frames of {COLS} columns; give smaller operands, or paste it"
            )
        return keys


KEYS, PASTED = Typing(), Typing(pasted=True)


def interpreter() -> str:
    """Path of the Python whose sessions are recorded: this process's own, outside its virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable) or sys.executable)


def play(problem: Problem, typing: Typing = KEYS) -> Cells:
    """Screens of one session, one a key. Raises RecordingError if Python printed another answer."""
    # Python 3.13's new prompt repaints in colours; the basic one is the same in all versions.
    session = TerminalSession([interpreter(), "-q", "-s"], ROWS, COLS, {"PYTHON_BASIC_REPL": "1", "PYTHONSTARTUP": ""})
    screens = record(session, typing.keys(problem))
    answer = printed(Cells(*(f[-1] for f in screens)).text(), problem)
    if answer != problem.answer:
        raise RecordingError(f"{problem.expression}: Python printed {answer!r}, not {problem.answer!r}")
    return screens


def draw(problem: Problem, typing: Typing = KEYS, answer: str | None = None) -> Cells:
    """The same screens without a Python, or with another answer than the right one."""
    screens: list[Cells] = []
    typed = ""
    for key in ["", *typing.keys(problem)]:
        screen = blank(ROWS, COLS)
        if key == "\r":
            lines = [PROMPT + typed, problem.answer if answer is None else answer, PROMPT]
        else:
            typed += key
            lines = [PROMPT + typed]
        for row, line in zip(screen.chars, lines, strict=False):
            row[: len(line)] = [ord(char) for char in line]
        screen.cursor[:] = len(lines) - 1, len(lines[-1])
        screens.append(screen)
    return stack(screens)


def printed(screen: str, problem: Problem) -> str:
    """The line that Python printed under the expression. Raises RecordingError if the expression is not on the screen."""
    lines = [line.rstrip() for line in screen.split("\n")]
    typed = PROMPT + problem.expression
    if typed not in lines[:-1]:
        raise RecordingError(f"{problem.expression}: {typed!r} is not on the last screen {screen!r}")
    return lines[lines.index(typed) + 1]


# Sessions as episodes


def record_all(problems: Sequence[Problem], directory: Path, workers: int, typing: Typing = KEYS) -> list[Path]:
    """Files of all sessions, in order; records those that are not in `directory` yet."""
    of = f"repl {platform.python_version()}" + (" pasted" if typing.pasted else "")
    return lockstep.record_all(problems, partial(play, typing=typing), directory, workers=workers, of=of)


@dataclass(frozen=True)
class Sessions:
    """Sessions of some problems as episodes: those of some files of `recordings`, or drawn where there are none.

    `answers` are printed in place of the right ones, by drawn sessions alone. A problem with an operand above `most`, if that
    is given, is of split "larger" whatever its pair.
    """

    problems: Sequence[Problem]
    recordings: Sequence[Path] = ()
    typing: Typing = KEYS
    answers: Mapping[Problem, str] = field(default_factory=dict)
    most: int | None = None

    @property
    def splits(self) -> list[str]:
        """Names of the splits, in the order of their first problems."""
        return list(dict.fromkeys(self.split(problem) for problem in self.problems))

    def split(self, problem: Problem) -> str:
        return LARGER if self.most is not None and problem.pair[1] > self.most else problem.split

    def __call__(self, split: str) -> Iterator[Episode]:
        """The episodes of a split. Raises ValueError for a damaged file."""
        atlas = Atlas()
        for problem, screens, source in self._recorded() if self.recordings else self._drawn(split):
            if self.split(problem) == split:
                yield episode(problem, screens, atlas, source, self.typing)

    def _drawn(self, split: str) -> Iterator[tuple[Problem, Cells, str]]:
        for problem in self.problems:
            if self.split(problem) == split:
                yield problem, draw(problem, self.typing, self.answers.get(problem)), "drawn as Python draws it"

    def _recorded(self) -> Iterator[tuple[Problem, Cells, str]]:
        for problem, screens in lockstep.recordings(self.problems, self.recordings):
            yield problem, screens, f"recorded in Python {platform.python_version()}"


def episode(problem: Problem, screens: Cells, atlas: Atlas, source: str, typing: Typing = KEYS) -> Episode:
    """One session as a video, one key a frame; the last screen is repeated to the end.

    A key's event is half a frame earlier than the frame that first shows its effect. The kind of every frame is the operation.
    """
    order = np.minimum(np.arange(typing.frames), len(screens.chars) - 1)
    screens = Cells(*(x[order] for x in screens))
    texts = tuple(Cells(*(x[t] for x in screens)).text() for t in range(typing.frames))
    answer, kinds = printed(texts[-1], problem), list(SIGNS)
    return Episode(
        id=f"repl/{problem.expression}",
        frames=atlas.draw(screens),
        fps=FPS,
        captions={"plain": caption(problem.expression), "answered": caption(problem.expression, answer)},
        cells=texts,
        events=tuple(_event((i + 0.5) / FPS, key) for i, key in enumerate(typing.keys(problem))),
        meta={
            "task": "arithmetic",
            "expression": problem.expression,
            "answer": answer,
            "source": source,
            "licence": "CC0-1.0",
            **labels(np.full(typing.frames, kinds.index(problem.kind), np.uint8), kinds),
        },
    )


def _event(time: float, key: str) -> Event:
    if key == "\r":
        return Event(time, "press", key="Return")
    return Event(time, "press", key=key) if len(key) == 1 else Event(time, "text", text=key)
