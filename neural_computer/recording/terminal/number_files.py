"""Sessions of a real bash that print a file of numbers: what is printed does not follow from what is typed.

So captions matter: of the library's three tiers, semantic has neither the command nor a number, regular the command and the
first and last rows of the output, detailed all that is on the last screen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neural_computer.data import splits
from neural_computer.recording.cligen.captions import captions
from neural_computer.recording.terminal import lockstep
from neural_computer.recording.terminal.recorder import TerminalSession, record
from neural_computer.recording.terminal.replay import Replay
from neural_computer.screens.terminal import Atlas, Cells
from neural_computer.types import Episode, Event

ROWS, COLS, FRAMES, FPS = 6, 16, 9, 5
LINES, MOST = 4, 16**3
"""Numbers in a file: with the command above and the next prompt below they fill the screen"""


@dataclass(frozen=True)
class NumberFile:
    """A file's name and the numbers in it, a line each."""

    name: str
    numbers: tuple[int, ...]

    @property
    def keys(self) -> list[str]:
        """What is typed, a key a frame."""
        return [*f"cat {self.name}", "\r"]

    @property
    def split(self) -> str:
        """Split of this file, by its numbers."""
        return splits.of(",".join(map(str, self.numbers)))


def number_files(count: int, seed: int = 0) -> list[NumberFile]:
    """`count` files of different names and numbers, of one to three digits. Raises ValueError for more than there are names."""
    if count > MOST:
        raise ValueError(f"clips={count}: there are {MOST} names of three hexadecimal digits")
    rng = np.random.default_rng([seed, count])
    numbers: dict[tuple[int, ...], None] = {}
    while len(numbers) < count:
        numbers.setdefault(tuple(int(rng.integers(10 ** (n - 1), 10**n)) for n in rng.integers(1, 4, LINES)))
    return [NumberFile(f"{name:03x}", each) for name, each in zip(rng.permutation(MOST), numbers, strict=False)]


def play(file: NumberFile) -> Cells:
    """Screens of one session, one a key."""
    write = f"printf '%s\\n' {' '.join(map(str, file.numbers))} > {file.name}; PS1='$ ' exec bash --norc"
    session = TerminalSession(["bash", "-c", write], ROWS, COLS, {"HISTFILE": ""})
    return record(session, file.keys)


def record_all(files: Sequence[NumberFile], directory: Path, workers: int) -> list[Path]:
    """Files of all sessions, in order; records those that are not in `directory` yet."""
    return lockstep.record_all(files, play, directory, workers=workers, of="number files")


@dataclass(frozen=True)
class Sessions:
    """Recorded sessions as episodes, by split."""

    files: Sequence[NumberFile]
    recordings: Sequence[Path]

    @property
    def splits(self) -> list[str]:
        """Names of the splits."""
        return list(dict.fromkeys(file.split for file in self.files))

    def __call__(self, split: str) -> Iterator[Episode]:
        """The episodes of a split. Raises ValueError for a damaged file of recordings."""
        atlas = Atlas()
        for file, screens in lockstep.recordings(self.files, self.recordings):
            if file.split == split:
                yield episode(file, screens, atlas)


def episode(file: NumberFile, screens: Cells, atlas: Atlas) -> Episode:
    """One session as a video, one key a frame; the last screen is repeated to the end."""
    index = np.minimum(np.arange(FRAMES), len(screens.chars) - 1)
    names = ["Return" if key == "\r" else "space" if key == " " else key for key in file.keys]
    events = tuple(Event((i + 0.5) / FPS, "press", key=name) for i, name in enumerate(names))
    replay = Replay(screens, index, FPS, events)
    return Episode(
        id=f"files/{file.name}-{'-'.join(map(str, file.numbers))}",
        frames=atlas.draw(Cells(*(x[index] for x in screens))),
        fps=FPS,
        captions=captions(replay),
        cells=replay.texts,
        events=events,
        meta={"source": "recorded in bash", "licence": "CC0-1.0"},
    )
