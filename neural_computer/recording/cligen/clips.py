"""Cuts recordings into clips of fixed length, where something begins: a cleared screen, a prompt, the end of a pause."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from neural_computer.recording.terminal.replay import Replay, frame_at
from neural_computer.screens.terminal import Cells

CLEAR, PROMPT, PAUSE = 3.0, 2.0, 1.0
"""Score of a cut by its kind; a distance of one wanted length from the wanted place costs 1"""

AT_PROMPT = re.compile(r"(?:^|[\w\])}~/:@. -])(?:[$#%❯»➜λ]|>{1,3}) ?$")
"""Text left of the cursor at a prompt"""
ROWS = 3
"""Rows of text that a screen must have to count as cleared by the next one"""
REMAINING = 0.2
"""Share of these rows that the next screen may still have"""


@dataclass(frozen=True)
class Cutting:
    """Lengths of clips, in seconds. A clip's last frame is the next clip's first, so no change between them is lost."""

    frames: int = 81
    """Frames of every clip: a short one repeats its last frame, a long one is uniformly subsampled"""
    seconds: float = 5.0
    """Wanted length"""
    shortest: float = 2.0
    longest: float = 10.0
    pause: float = 1.0
    """A screen that does not change for this long may end a clip"""
    overlap: float = 0.0
    """A clip begins this long before the end of the last one"""
    stride: float | None = None
    """Interval at which clips of the wanted length begin; None cuts by the screens' content"""

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
    """Clips of a recording, and the number of those that were dropped because nothing changes in them."""

    clips: list[Replay]
    frozen: int


def cut(replay: Replay, cutting: Cutting = Cutting()) -> Cut:  # noqa: B008  # frozen
    """Clips of `cutting.frames` frames, in order."""
    clips = [clip(replay, first, last, cutting.frames) for first, last in spans(replay, cutting)]
    moving = [each for each in clips if len(each.screens.chars) > 1]
    return Cut(moving, len(clips) - len(moving))


def clip(replay: Replay, first: int, last: int, frames: int) -> Replay:
    """Frames `first` to `last`, both included, as a clip of `frames` frames, with its events and markers on its clock.

    An event is earlier than the frame that first shows its effect, also where frames are left out.
    """
    length, begin = last - first, first / replay.fps
    speed = max(1.0, length / (frames - 1))
    steps = np.arange(frames) * length // (frames - 1) if speed > 1 else np.minimum(np.arange(frames), length)

    def within(time: float) -> bool:
        return (first < (frame := frame_at(time, replay.fps)) or first == 0) and frame <= last

    return replace(
        replay.at(first + steps),
        events=tuple(e._replace(time=(e.time - begin) / speed) for e in replay.events if within(e.time)),
        markers=tuple(((time - begin) / speed, name) for time, name in replay.markers if within(time)),
        start=replay.start + begin,
        speed=speed,
    )


def spans(replay: Replay, cutting: Cutting) -> Iterator[tuple[int, int]]:
    """(first, last) frame of every clip."""
    end, fps = len(replay.index) - 1, replay.fps
    want, shortest, longest = (round(x * fps) for x in (cutting.seconds, cutting.shortest, cutting.longest))
    if cutting.stride is not None:
        for first in range(0, max(end, 1), max(1, round(cutting.stride * fps))):
            yield first, min(first + want, end)
        return
    scores = cuts(replay, cutting.pause)
    order = sorted(scores)
    first, overlap = 0, round(cutting.overlap * fps)
    while True:
        places = order[bisect_left(order, first + shortest) : bisect_right(order, first + longest)]
        candidates = {place: scores[place] for place in places if end - place >= shortest}
        if end - first <= longest:
            candidates[end] = 0.0
        last = max(candidates, key=lambda f: candidates[f] - abs(f - first - want) / want, default=first + want)
        yield first, last
        if last >= end:
            return
        first = max(last - overlap, first + 1)


def cuts(replay: Replay, pause: float = 1.0) -> Mapping[int, float]:
    """{frame at which a clip may end and the next one begin: its score}."""
    scores: dict[int, float] = {}
    starts = np.flatnonzero(np.diff(replay.index, prepend=-1))
    shown = replay.index[starts].tolist()
    pages = {screen: _page(Cells(*(x[screen] for x in replay.screens))) for screen in set(shown)}
    for (before, after), start, frames in zip(
        zip(shown, shown[1:], strict=False), starts[1:].tolist(), np.diff(starts).tolist(), strict=True
    ):
        if frames >= pause * replay.fps:
            scores[start - 1] = PAUSE
        if pages[after].prompts and not pages[before].prompts:
            scores[start] = PROMPT
        rows = pages[before].rows
        if len(rows) >= ROWS and len(rows & pages[after].rows) <= REMAINING * len(rows):
            scores[start] = CLEAR
    return scores


class _Page(NamedTuple):
    rows: frozenset[bytes]
    """Rows of the screen that are not empty"""
    prompts: bool
    """Whether the cursor is at a prompt"""


def _page(screen: Cells) -> _Page:
    row, col = screen.cursor.tolist()
    left = screen.chars[row, :col].astype("<u4").tobytes().decode("utf-32-le") if row >= 0 else ""
    full = screen.chars[(screen.chars != ord(" ")).any(1)]
    return _Page(frozenset(line.tobytes() for line in full), bool(AT_PROMPT.search(left)))
