"""Records a real desktop: NAME.mp4 without loss, NAME.frames.jsonl, NAME.events.jsonl, and perhaps NAME.tree.jsonl.

Two ways. `free_running`: a thread takes pictures at absolute deadlines while events are injected at their own times; the clock
puts both in order. `lock_step`: all events of a frame are injected and acknowledged, then its picture is taken; no event can be
in flight. Every grab and every event has CLOCK_MONOTONIC nanoseconds before and after it. `guiworld.logs` reads the files.
"""

import json
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from neural_computer.recording.xfce.desktop import XfceDesktop
from neural_computer.recording.xfce.errors import DesktopError
from neural_computer.recording.xfce.x11 import XClient, rgb
from neural_computer.types import Event

SUFFIXES = (".mp4", ".frames.jsonl", ".events.jsonl", ".tree.jsonl")
CHECK_EVERY = 15
"""Frames between two checks that every part of the desktop is alive."""


class RecordingWriter:
    """Writes the files of a recording; they appear when it is closed, the video last, or not at all.

    `path` is theirs without a suffix, `size` (width, height) in pixels. `rows` and `trees` become frames.jsonl and tree.jsonl.
    """

    def __init__(self, path: Path, fps: float, size: tuple[int, int]):
        import av

        self.path, self.rows, self.trees = path, list[dict[str, Any]](), list[dict[str, Any]]()
        self._container = av.open(str(_partial(path, ".mp4")), "w", format="mp4")
        stream = self._container.add_stream(
            "libx264rgb", rate=Fraction(fps).limit_denominator(1001), options={"crf": "0", "preset": "ultrafast"}
        )
        stream.width, stream.height, stream.pix_fmt = *size, "rgb24"
        self._stream = stream

    def add(self, picture: np.ndarray, row: dict[str, Any]) -> None:
        """Adds a frame, uint8 (h, w, 3), and its row."""
        import av

        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        self._container.mux(self._stream.encode(frame))
        self.rows.append({"i": len(self.rows), **row})

    def close(self, events: Sequence[dict[str, Any]]) -> None:
        """Writes the files, `events` as events.jsonl. The video comes last: where it is, the rest is too."""
        self._container.mux(self._stream.encode())
        self._container.close()
        for suffix, rows in ((".frames.jsonl", self.rows), (".events.jsonl", events), (".tree.jsonl", self.trees)):
            if rows or suffix != ".tree.jsonl":
                _partial(self.path, suffix).write_text("".join(json.dumps(row) + "\n" for row in rows))
        for suffix in reversed(SUFFIXES):
            if _partial(self.path, suffix).exists():
                _partial(self.path, suffix).replace(self.path.with_name(self.path.name + suffix))

    def abandon(self) -> None:
        """Removes everything written so far."""
        try:
            self._container.close()
        finally:
            for suffix in SUFFIXES:
                _partial(self.path, suffix).unlink(missing_ok=True)


def _partial(path: Path, suffix: str) -> Path:
    return path.with_name(f".{path.name}.partial{suffix}")


@contextmanager
def _recording(desktop: XfceDesktop, path: Path) -> Iterator[RecordingWriter]:
    """A recording that is closed at the end of the block and abandoned on any error."""
    writer = RecordingWriter(path, desktop.fps, desktop.size)
    try:
        desktop.client.log.clear()
        x, y = desktop.pointer
        desktop.client.inject(Event(0.0, "move", x=x, y=y))  # the log has the pointer's place from the first frame on
        yield writer
        desktop.check()
        writer.close(desktop.client.log)
    except BaseException:
        writer.abandon()
        raise


def lock_step(
    desktop: XfceDesktop,
    policy: Iterable[Sequence[Event]],
    path: Path,
    tree_every: int = 0,
    check_success: Callable[[], None] = lambda: None,
) -> int:
    """Records a policy's session as `path` with suffixes; returns its number of frames, frame 0 being the first screen.

    With `tree_every`, the widgets are written every so many frames, for people and never for a model. Raises DesktopError,
    and what `check_success` raises at the end; then nothing is kept.
    """
    with _recording(desktop, path) as writer:
        for t, events in enumerate(_with_first_frame(policy)):
            if t:
                desktop.inject(events)
            picture, row = _grab(desktop.client)
            writer.add(rgb(picture), {"slot": t, **row})
            if tree_every and t % tree_every == 0:
                writer.trees.append({"frame": t, "targets": [tuple(target) for target in desktop.targets()]})
            if t % CHECK_EVERY == 0:
                desktop.check()
        check_success()
        return len(writer.rows)


def _with_first_frame(policy: Iterable[Sequence[Event]]) -> Iterator[Sequence[Event]]:
    """The policy's events, frame by frame, after a frame without any. The policy starts after that frame's picture."""
    yield []
    yield from policy


def _grab(client: XClient, deadline: int | None = None) -> tuple[np.ndarray, dict[str, Any]]:
    """(picture, row of frames.jsonl): times in nanoseconds before (t) and after (t_end), the deadline, the pointer."""
    begin = time.monotonic_ns()
    picture = client.grab()
    end = time.monotonic_ns()
    x, y = client.pointer
    return picture, {
        "t": begin,
        "t_end": end,
        "dl": begin if deadline is None else deadline,
        "px": int(x),
        "py": int(y),
    }


def free_running(desktop: XfceDesktop, plan: Sequence[Sequence[Event]], path: Path) -> int:
    """Records a plan of len(plan) + 1 frames at the desktop's rate; returns the number of missed frames. Raises DesktopError."""
    count, gap = len(plan) + 1, round(1e9 / desktop.fps)
    with _recording(desktop, path) as writer, XClient(desktop.display) as viewer:
        frames: queue.Queue[tuple[np.ndarray, dict[str, Any]] | None] = queue.Queue()
        start, stop, errors = time.monotonic_ns() + gap, threading.Event(), list[Exception]()
        slots = ((slot, start + slot * gap) for slot in range(count))
        grabber = threading.Thread(target=_run, args=(errors, stop, _grab_slots, viewer, slots, gap, stop, frames))
        encoder = threading.Thread(target=_run, args=(errors, stop, _encode, writer, frames))
        grabber.start()
        encoder.start()
        try:
            _play(desktop, plan, start, gap, stop)
            grabber.join()
        finally:
            stop.set()
            grabber.join()
            frames.put(None)
            encoder.join()
        if errors:
            raise DesktopError(f"{path.name}: {errors[0]}") from errors[0]
        return count - len(writer.rows)


def _play(desktop: XfceDesktop, plan: Sequence[Sequence[Event]], start: int, gap: int, stop: threading.Event) -> None:
    """Injects the events of each frame, spread over the `gap` nanoseconds before it."""
    for t, events in enumerate(plan, 1):
        for n, event in enumerate(events):
            _sleep_until(start + round(gap * (t - 1 + (n + 1) / (len(events) + 1))))
            desktop.client.inject(event)
        if t % CHECK_EVERY == 0:
            desktop.check()
        if stop.is_set():
            return


def _run(errors: list[Exception], stop: threading.Event, work: Callable[..., None], *arguments: Any) -> None:
    """The body of a thread: an error is kept for the caller and ends the recording."""
    try:
        work(*arguments)
    except Exception as error:
        errors.append(error)
        stop.set()


def _grab_slots(
    viewer: XClient, slots: Iterable[tuple[int, int]], gap: int, stop: threading.Event, frames: queue.Queue[Any]
) -> None:
    """Grabs a picture for each (slot, deadline); a slot that is over when its turn comes is missed."""
    for slot, deadline in slots:
        if stop.is_set():
            return
        if time.monotonic_ns() <= deadline + gap:
            _sleep_until(deadline)
            picture, row = _grab(viewer, deadline)
            frames.put((picture, {"slot": slot, **row}))


def _encode(writer: RecordingWriter, frames: queue.Queue[Any]) -> None:
    """Encodes in a thread of its own: a slow disk delays no grab."""
    while (item := frames.get()) is not None:
        picture, row = item
        writer.add(rgb(picture), row)


def _sleep_until(moment: int) -> None:
    """Sleeps until `moment` of CLOCK_MONOTONIC, in nanoseconds."""
    time.sleep(max(0.0, (moment - time.monotonic_ns()) / 1e9))
