"""Replays recordings: the screen and the keys at every frame."""

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
"""Bytes of a cell in `Cells`"""


@dataclass(frozen=True)
class Replay:
    """A recording at `fps` frames a second: its n distinct screens and, for every frame, the index of its screen."""

    screens: Cells
    """(n, r, c); successive screens differ"""
    index: Int[np.ndarray, " t"]
    fps: float
    events: tuple[Event, ...] = ()
    """Key presses and typed texts; times in seconds since the first frame"""
    markers: tuple[tuple[float, str], ...] = ()
    """(time, name)"""
    start: float = 0.0
    """Time of the first frame in the whole replay, in seconds"""
    speed: float = 1.0
    """Seconds of the recording per second of this replay: above 1 where frames were left out"""

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """Text of the screen, one string a frame."""
        texts = [Cells(*(field[i] for field in self.screens)).text() for i in range(len(self.screens.chars))]
        return tuple(texts[i] for i in self.index)

    def at(self, frames: Int[np.ndarray, " n"]) -> "Replay":
        """Replay of some frames, in their order, without events."""
        index = self.index[frames]
        # Two screens that differed may be equal where the frames between them are left out.
        steps = [i for i in range(1, len(index)) if index[i] != index[i - 1]]
        starts = [0, *(i for i in steps if any((x[index[i]] != x[index[i - 1]]).any() for x in self.screens))]
        screens = Cells(*(field[index[starts]] for field in self.screens))
        return Replay(screens, np.repeat(np.arange(len(starts)), np.diff([*starts, len(index)])), self.fps)

    def video(self, atlas: Atlas, size: tuple[int, int] | None = None) -> UInt8[np.ndarray, "t h w 3"]:
        """Frames as pictures, letterboxed to `size` (height, width) if that is given."""
        pictures = atlas.draw(self.screens)
        return (pictures if size is None else media.letterbox(pictures, *size))[self.index]


@dataclass(frozen=True)
class Playing:
    """Settings of a replay."""

    fps: float = 15.0
    idle: float = 2.0
    """Longest pause in seconds; longer ones are cut to it, or to the recording's own idle_time_limit if that is lower"""
    theme: Theme | None = None
    """None takes the recording's own"""
    max_bytes: int = 2**27
    """Size of a part's screens at most; a longer recording is replayed in parts"""
    max_frames: int = 50_000
    """Frames of a part at most, about"""


def replay(cast: Cast, playing: Playing = Playing()) -> Replay:  # noqa: B008  # frozen
    """Replay of a whole recording. Raises ValueError for one of several parts, or that the emulator cannot show."""
    first, *more = parts(cast, playing)
    if more:
        raise ValueError(f"its screens take more than {playing.max_bytes} bytes; it must be played in parts")
    return first


def parts(cast: Cast, playing: Playing = Playing()) -> Iterator[Replay]:  # noqa: B008  # frozen
    """Replay of a recording in parts, nearly always one. Each has its own clock and begins with the screen before it.

    All screens have the largest size that the recording had; a smaller screen is in the top left.
    """
    theme = playing.theme or (Theme.of(cast.meta["theme"]) if "theme" in cast.meta else DEFAULT)
    sizes = [(cast.cols, cast.rows), *(size_of(e.data) for e in cast.entries if e.code == "r")]
    cols, rows = (max(side) for side in zip(*sizes, strict=True))
    screen, empty = Screen(cast.rows, cast.cols, theme), blank(rows, cols, theme)
    part = _Part(playing, 0, empty)
    for frame, entries in groupby(_timed(cast, playing.idle), lambda entry: frame_at(entry.time, playing.fps)):
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


def frame_at(time: float, fps: float) -> int:
    """First frame that shows what happened at `time`."""
    return int(np.ceil(time * fps - 1e-6))


def _timed(cast: Cast, idle: float) -> Iterator[Entry]:
    """Entries at the times of the replay, where long pauses are cut.

    Where the recording has its keys by name, they come as code "k" in place of the characters that were sent.
    """
    keys_by_name = cast.meta.get("keys")
    entries = list(cast.entries)
    if keys_by_name is not None:
        entries = [e for e in entries if e.code != "i"] + [Entry(float(time), "k", name) for time, name in keys_by_name]
        entries.sort(key=lambda entry: entry.time)
    limit = cast.meta.get("idle_time_limit")
    if isinstance(limit, int | float) and 0 < limit < idle:
        idle = limit
    now, last = 0.0, 0.0
    for entry in entries:
        now, last = now + min(entry.time - last, idle), entry.time
        yield entry._replace(time=now)


class _Part:
    """Collects the screens of a part, and the frame of the whole replay at which each begins."""

    def __init__(self, playing: Playing, begin: int, empty: Cells):
        self.playing, self.begin, self.last, self.empty = playing, begin, begin, empty
        self.screens: list[Cells] = []
        self.starts: list[int] = []
        self.events: list[Event] = []
        self.markers: list[tuple[float, str]] = []

    def full(self, frame: int) -> bool:
        """Whether another screen would exceed the limits of a part."""
        size = self.empty.chars.size * CELL
        return bool(self.screens) and (
            (len(self.screens) + 1) * size > self.playing.max_bytes or frame - self.begin >= self.playing.max_frames
        )

    def note(self, entry: Entry) -> None:
        """Takes the entry if it is a key or a marker."""
        time = entry.time - self.begin / self.playing.fps
        if entry.code == "k":
            self.events.append(Event(time, "press", key=entry.data))
        elif entry.code == "i":
            self.events.extend(keys.events(time, entry.data))
        elif entry.code == "m":
            self.markers.append((time, entry.data))

    def show(self, frame: int, cells: Cells) -> None:
        """Takes the screen that begins at this frame."""
        if not self.screens and frame > self.begin:
            self.show(self.begin, self.empty)
        if cells.chars.shape != self.empty.chars.shape:
            cells = _placed(cells, self.empty)
        self.last = frame
        if not self.screens or any((a != b).any() for a, b in zip(cells, self.screens[-1], strict=True)):
            self.screens.append(cells)
            self.starts.append(frame)

    def ended(self, stop: int | None) -> Replay:
        """Replay of the part up to frame `stop`, without it; None ends after the last screen's first frame."""
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
    """A screen in the top left of a larger, empty one."""
    out = Cells(*(x.copy() for x in empty))
    rows, cols = cells.chars.shape
    for to, part in zip(out[:4], cells[:4], strict=True):
        to[:rows, :cols] = part
    out.cursor[:] = cells.cursor
    return out
