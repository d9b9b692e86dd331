"""Clips of fixed length out of recordings, cut where something begins: a cleared screen, a prompt, the end of a pause."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from neural_computer.recording.terminal.replay import Replay
from neural_computer.screens.terminal import Cells

CLEAR, PROMPT, PAUSE = 3.0, 2.0, 1.0
"""How much better than none a cut is, in units of the wanted length that it may be away"""

ASKS = re.compile(r"(?:^|[\w\])}~/:@. -])(?:[$#%❯»➜λ]|>{1,3}) ?$")
"""What stands left of a cursor that waits for a command"""
ROWS = 3
"""Rows that must have been on a screen before it can be called cleared"""
KEPT = 0.2
"""The share of them that may still be there"""


@dataclass(frozen=True)
class Cutting:
    """Lengths in seconds. A clip's last frame is the next one's first, so that nothing between them is lost."""

    frames: int = 81
    """Of every clip: short ones repeat their last, long ones are uniformly subsampled"""
    seconds: float = 5.0
    """The wanted length"""
    shortest: float = 2.0
    longest: float = 10.0
    pause: float = 1.0
    """A screen that stands so long may end a clip"""
    overlap: float = 0.0
    """Clips begin so long before the end of the last one"""
    stride: float | None = None
    """Clips of the wanted length begin every so often, whatever the screen shows"""

    def __post_init__(self) -> None:
        if self.frames < 5 or self.frames % 4 != 1:
            raise ValueError(f"frames={self.frames}: must be 4k + 1, such as 81")
        if not 0 < self.shortest <= self.seconds <= self.longest:
            lengths = f"{self.shortest}, {self.seconds}, {self.longest}"
            raise ValueError(f"shortest, seconds, longest={lengths}: must be positive and rise")
        if not 0 <= self.overlap < self.shortest:
            raise ValueError(f"overlap={self.overlap}: must be at least 0 and less than shortest={self.shortest}")
        if self.stride is not None and self.stride <= 0:
            raise ValueError(f"stride={self.stride}: must be positive, or None for cuts by content")


class Cut(NamedTuple):
    """The clips of a recording, and how many were dropped because nothing changes in them."""

    clips: list[Replay]
    frozen: int


def cut(replay: Replay, cutting: Cutting = Cutting()) -> Cut:  # noqa: B008  # frozen
    """Clips of `cutting.frames` frames, in order."""
    made = [clip(replay, first, last, cutting.frames) for first, last in spans(replay, cutting)]
    moving = [each for each in made if len(each.screens.chars) > 1]
    return Cut(moving, len(made) - len(moving))


def clip(replay: Replay, first: int, last: int, frames: int) -> Replay:
    """Frames `first` to `last`, both in it, as a clip of so many frames; its events and markers keep its frames' clock.

    An event stands before the frame that first shows what it did, also where frames are left out.
    """
    length, begin = last - first, first / replay.fps
    speed = max(1.0, length / (frames - 1))
    steps = np.arange(frames) * length // (frames - 1) if speed > 1 else np.minimum(np.arange(frames), length)

    def within(time: float) -> bool:
        return (begin < time or first == 0) and time <= last / replay.fps

    return replace(
        replay.at(first + steps),
        events=tuple(e._replace(time=(e.time - begin) / speed) for e in replay.events if within(e.time)),
        markers=tuple(((time - begin) / speed, name) for time, name in replay.markers if within(time)),
        start=replay.start + begin,
        speed=speed,
    )


def spans(replay: Replay, cutting: Cutting) -> Iterator[tuple[int, int]]:
    """First and last frame of every clip."""
    end, fps = len(replay.index) - 1, replay.fps
    want, shortest, longest = (round(x * fps) for x in (cutting.seconds, cutting.shortest, cutting.longest))
    if cutting.stride is not None:
        for first in range(0, max(end, 1), max(1, round(cutting.stride * fps))):
            yield first, min(first + want, end)
        return
    found = cuts(replay, cutting.pause)
    order = sorted(found)
    first, overlap = 0, round(cutting.overlap * fps)
    while True:
        places = order[bisect_left(order, first + shortest) : bisect_right(order, first + longest)]
        strength = {place: found[place] for place in places if end - place >= shortest}
        if end - first <= longest:
            strength[end] = 0.0
        last = max(strength, key=lambda f: strength[f] - abs(f - first - want) / want, default=first + want)
        yield first, last
        if last >= end:
            return
        first = max(last - overlap, first + 1)


def cuts(replay: Replay, pause: float = 1.0) -> Mapping[int, float]:
    """Frames at which a clip may end and the next one begin, and how good each is."""
    found: dict[int, float] = {}
    starts = np.flatnonzero(np.diff(replay.index, prepend=-1))
    shown = replay.index[starts].tolist()
    pages = {screen: _page(Cells(*(x[screen] for x in replay.screens))) for screen in set(shown)}
    for (before, after), start, held in zip(
        zip(shown, shown[1:], strict=False), starts[1:].tolist(), np.diff(starts).tolist(), strict=True
    ):
        if held >= pause * replay.fps:
            found[start - 1] = PAUSE
        if pages[after].asks and not pages[before].asks:
            found[start] = PROMPT
        rows = pages[before].rows
        if len(rows) >= ROWS and len(rows & pages[after].rows) <= KEPT * len(rows):
            found[start] = CLEAR
    return found


class _Page(NamedTuple):
    rows: frozenset[bytes]
    """What stands on the screen, empty rows left out"""
    asks: bool


def _page(screen: Cells) -> _Page:
    row, col = screen.cursor.tolist()
    left = screen.chars[row, :col].astype("<u4").tobytes().decode("utf-32-le") if row >= 0 else ""
    full = screen.chars[(screen.chars != ord(" ")).any(1)]
    return _Page(frozenset(line.tobytes() for line in full), bool(ASKS.search(left)))
