"""A data set of sessions typed into the simulated terminal, or into a real one."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from neural_computer.recording import streams
from neural_computer.recording.streams import MOST, TEST, TRAIN
from neural_computer.recording.terminal import bash_sessions
from neural_computer.simulators.tty import kinds, sessions
from neural_computer.simulators.tty.typists import TYPISTS
from neural_computer.types import Episode

__all__ = ["MOST", "SHELL", "SIMULATED", "TEST", "TRAIN", "Making", "Part", "build"]

SIMULATED, SHELL = "simulated", "shell"
"""What is typed into: the simulated terminal, or a real bash in a sandbox"""


@dataclass(frozen=True)
class Part:
    """The sessions of a split: their typist's name, how many, the most frames of a clip, the first one's number."""

    typist: str
    count: int
    window: int
    first: int = 0


@dataclass(frozen=True)
class Making:
    """What all splits share: frames of a session, rows and columns of the screen, the seed, and what is typed into."""

    frames: int
    rows: int
    cols: int
    seed: int
    source: str = SIMULATED


def build(splits: Mapping[str, Part], output: Path, making: Making, workers: int = 1) -> dict[str, Any]:
    """Writes the splits that are not there yet and returns the counts, those of frames by kind among them.

    `workers` processes record, where something is recorded.
    """
    make = partial(recorded, output=output, workers=workers) if making.source == SHELL else simulated
    wanted = {
        name: streams.Split(
            part.count, part.window, {**asdict(making), **asdict(part)}, kinds.KINDS, partial(make, part, making)
        )
        for name, part in splits.items()
    }
    return streams.build(wanted, output, making.frames / sessions.FPS)


def simulated(part: Part, making: Making) -> Iterator[Episode]:
    """The sessions of a split in the simulated terminal."""
    for number in range(part.first, part.first + part.count):
        id, seed = f"tty/{making.seed}/{number}", (making.seed, number)
        yield sessions.simulated(TYPISTS[part.typist], seed, id, making.frames, making.rows, making.cols)


def recorded(part: Part, making: Making, output: Path, workers: int) -> Iterator[Episode]:
    """The same in a real bash; those that are in output/recordings already are not recorded again."""
    jobs = [
        bash_sessions.BashSession(part.typist, (making.seed, number), making.frames, making.rows, making.cols)
        for number in range(part.first, part.first + part.count)
    ]
    yield from bash_sessions.episodes(jobs, bash_sessions.record_all(jobs, output / "recordings", workers))
