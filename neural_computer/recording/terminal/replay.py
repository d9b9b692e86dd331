"""Recordings played back: what stood on the screen at every frame."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import numpy as np
from jaxtyping import Int, UInt8

from neural_computer import media
from neural_computer.recording.terminal import keys
from neural_computer.recording.terminal.cast import Cast, Entry, size_of
from neural_computer.screens.terminal import Atlas, Cells, Screen, blank, stack
from neural_computer.screens.themes import DEFAULT, Theme
from neural_computer.types import Event

CELL = 11
"""Bytes of a cell, in `Cells`"""


@dataclass(frozen=True)
class Replay:
    """A recording at `fps` frames a second: its different screens and, for every frame, which of them it shows."""

    screens: Cells
    """(n, r, c): screens that follow one another are never the same"""
    index: Int[np.ndarray, " t"]
    fps: float
    events: tuple[Event, ...] = ()
    """Key presses and typed texts, on the frames' clock"""
    markers: tuple[tuple[float, str], ...] = ()
    """Times and names"""
    start: float = 0.0
    """When it begins, in seconds of the whole recording as played"""
    speed: float = 1.0
    """How much faster than the recording it runs, frames having been left out"""

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """The screen's text, one string a frame."""
        texts = [Cells(*(field[i] for field in self.screens)).text() for i in range(len(self.screens.chars))]
        return tuple(texts[i] for i in self.index)

    def at(self, frames: Int[np.ndarray, " n"]) -> "Replay":
        """Some of its frames, in their order, and no events."""
        shown = self.index[frames]
        # What comes back after frames that were left out is no new screen.
        steps = [i for i in range(1, len(shown)) if shown[i] != shown[i - 1]]
        kept = [0, *(i for i in steps if any((x[shown[i]] != x[shown[i - 1]]).any() for x in self.screens))]
        screens = Cells(*(field[shown[kept]] for field in self.screens))
        return Replay(screens, np.repeat(np.arange(len(kept)), np.diff([*kept, len(shown)])), self.fps)

    def video(self, atlas: Atlas, size: tuple[int, int] | None = None) -> UInt8[np.ndarray, "t h w 3"]:
        """Its frames, letterboxed where a `size` (height, width) is given."""
        drawn = atlas.draw(self.screens)
        return (drawn if size is None else media.letterbox(drawn, *size))[self.index]


@dataclass(frozen=True)
class Playing:
    """How recordings are played."""

    fps: float = 15.0
    idle: float = 2.0
    """Seconds that nothing may happen; the recording's own limit, if it is lower, goes before"""
    theme: Theme | None = None
    """The recording's own if None"""
    most: int = 2**27
    """Bytes of screens at most; longer recordings are played in parts"""
    frames: int = 50_000
    """Frames of a part at most, about"""


def replay(cast: Cast, playing: Playing = Playing()) -> Replay:  # noqa: B008  # frozen
    """A recording as played. Raises ValueError for one too long to be held whole, or that the emulator cannot show."""
    first, *more = parts(cast, playing)
    if more:
        raise ValueError(f"its screens take more than {playing.most} bytes; it must be played in parts")
    return first


def parts(cast: Cast, playing: Playing = Playing()) -> Iterator[Replay]:  # noqa: B008  # frozen
    """A recording as played, nearly always one part. Each has its own clock and shows what stood on the screen before it.

    The grid is the largest that the recording had; a smaller screen stands in its top left.
    """
    theme = playing.theme or (Theme.of(cast.meta["theme"]) if "theme" in cast.meta else DEFAULT)
    sizes = [(cast.cols, cast.rows), *(size_of(e.data) for e in cast.entries if e.code == "r")]
    cols, rows = (max(side) for side in zip(*sizes, strict=True))
    screen, empty = Screen(cast.rows, cast.cols, theme), blank(rows, cols, theme)
    part = _Part(playing, 0, empty)
    for frame, entries in groupby(_timed(cast, playing.idle), lambda entry: _frame(entry.time, playing.fps)):
        for entry in entries:
            if entry.code == "o":
                screen.feed(entry.data)
            elif entry.code == "r":
                screen.resize(*size_of(entry.data)[::-1])
            part.note(entry)
        cells = screen.cells()
        if part.full(frame):
            yield part.ended(frame)
            part = _Part(playing, frame, empty)
        part.show(frame, cells)
    yield part.ended(None)


def _frame(time: float, fps: float) -> int:
    """The first frame that shows what happened then."""
    return int(np.ceil(time * fps - 1e-6))


def _timed(cast: Cast, idle: float) -> Iterator[Entry]:
    """The entries at the times they are played at: pauses are cut. Keys known by name come in place of those sent."""
    named = cast.meta.get("keys")
    entries = list(cast.entries)
    if named is not None:
        entries = [e for e in entries if e.code != "i"] + [Entry(float(time), "k", name) for time, name in named]
        entries.sort(key=lambda entry: entry.time)
    limit = cast.meta.get("idle_time_limit")
    if isinstance(limit, int | float) and 0 < limit < idle:
        idle = limit
    now, last = 0.0, 0.0
    for entry in entries:
        now, last = now + min(entry.time - last, idle), entry.time
        yield entry._replace(time=now)


class _Part:
    """A part in the making: its screens, and the frames of the whole at which each appears."""

    def __init__(self, playing: Playing, begin: int, empty: Cells):
        self.playing, self.begin, self.last, self.empty = playing, begin, begin, empty
        self.screens: list[Cells] = []
        self.starts: list[int] = []
        self.events: list[Event] = []
        self.markers: list[tuple[float, str]] = []

    def full(self, frame: int) -> bool:
        """Would another screen be too much?"""
        size = self.empty.chars.size * CELL
        return bool(self.screens) and (
            (len(self.screens) + 1) * size > self.playing.most or frame - self.begin >= self.playing.frames
        )

    def note(self, entry: Entry) -> None:
        """Takes keys and markers."""
        time = entry.time - self.begin / self.playing.fps
        if entry.code == "k":
            self.events.append(Event(time, "press", key=entry.data))
        elif entry.code == "i":
            self.events.extend(keys.events(time, entry.data))
        elif entry.code == "m":
            self.markers.append((time, entry.data))

    def show(self, frame: int, cells: Cells) -> None:
        """Takes what stands on the screen from this frame on."""
        if not self.screens and frame > self.begin:
            self.show(self.begin, self.empty)
        if cells.chars.shape != self.empty.chars.shape:
            cells = _placed(cells, self.empty)
        self.last = frame
        if not self.screens or any((a != b).any() for a, b in zip(cells, self.screens[-1], strict=True)):
            self.screens.append(cells)
            self.starts.append(frame)

    def ended(self, stop: int | None) -> Replay:
        """The part, up to the frame `stop` or with the last one that was shown."""
        if not self.screens:
            self.show(self.begin, self.empty)
        ends = np.diff([*self.starts, self.last + 1 if stop is None else stop])
        return Replay(
            stack(self.screens),
            np.repeat(np.arange(len(self.screens)), ends),
            self.playing.fps,
            tuple(self.events),
            tuple(self.markers),
            self.begin / self.playing.fps,
        )


def _placed(cells: Cells, empty: Cells) -> Cells:
    """A screen in the top left of a larger one."""
    out = Cells(*(x.copy() for x in empty))
    rows, cols = cells.chars.shape
    for to, part in zip(out[:4], cells[:4], strict=True):
        to[:rows, :cols] = part
    out.cursor[:] = cells.cursor
    return out
