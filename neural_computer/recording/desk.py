"""A data set of sessions on the synthetic desktop, for a computer that runs frame by frame."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from neural_computer.recording import streams
from neural_computer.simulators.minidesk import kinds, sessions
from neural_computer.simulators.policies.brisk import USERS
from neural_computer.types import Episode


@dataclass(frozen=True)
class Part:
    """The sessions of a split: their user's name, how many, the most frames of a clip, the first one's number; the frames of
    each, the screen's side in pixels, the seed."""

    user: str
    count: int
    window: int
    first: int
    frames: int
    size: int
    seed: int


def build(splits: Mapping[str, Part], output: Path) -> dict[str, Any]:
    """Writes the splits that are not there yet and returns the counts, those of frames by kind among them."""
    wanted = {
        name: streams.Split(part.count, part.window, asdict(part), kinds.KINDS, partial(simulated, part))
        for name, part in splits.items()
    }
    return streams.build(wanted, output, max(part.frames for part in splits.values()) / sessions.FPS)


def simulated(part: Part) -> Iterator[Episode]:
    """The sessions of a split."""
    for number in range(part.first, part.first + part.count):
        id, seed = f"desk/{part.seed}/{number}", (part.seed, number)
        yield sessions.simulated(USERS[part.user], seed, id, part.frames, part.size)
