"""Videos of a real desktop with what was done in it: NAME.mp4 without loss, NAME.frames.jsonl, NAME.events.jsonl.

Two ways. `free`: pictures at absolute deadlines by a thread of its own, whatever else happens; what was done is put in order by
the clock. `lock_step`: all of a frame's events, acknowledged, then its picture; no event can be in flight. Every grab and every
event has CLOCK_MONOTONIC nanoseconds before and after it. `recording.guiworld.logs` reads what is written.
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

from neural_computer.recording.xfce.desktop import Rig, rgb
from neural_computer.recording.xfce.displays import RigError
from neural_computer.types import Event

PARTS = (".mp4", ".frames.jsonl", ".events.jsonl", ".tree.jsonl")
CHECKED = 15
"""Frames between two looks whether all of the desktop is alive"""


class Recorded:
    """A recording under way: frames and rows go in, the files come out whole or not at all."""

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
        """A frame and what is known of it."""
        import av

        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        self._container.mux(self._stream.encode(frame))
        self.rows.append({"i": len(self.rows), **row})

    def close(self, done: Sequence[dict[str, Any]]) -> None:
        """All is there: the video last, so that where it is, the rest is too."""
        self._container.mux(self._stream.encode())
        self._container.close()
        for suffix, rows in ((".frames.jsonl", self.rows), (".events.jsonl", done), (".tree.jsonl", self.trees)):
            if rows or suffix != ".tree.jsonl":
                _partial(self.path, suffix).write_text("".join(json.dumps(row) + "\n" for row in rows))
        for suffix in reversed(PARTS):
            if _partial(self.path, suffix).exists():
                _partial(self.path, suffix).replace(_whole(self.path, suffix))

    def abandon(self) -> None:
        """Nothing of it stays."""
        try:
            self._container.close()
        finally:
            for suffix in PARTS:
                _partial(self.path, suffix).unlink(missing_ok=True)


def _whole(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _partial(path: Path, suffix: str) -> Path:
    return path.with_name(f".{path.name}.partial{suffix}")


@contextmanager
def _recording(rig: Rig, path: Path) -> Iterator[Recorded]:
    """A recording that is finished at the end and abandoned on any error."""
    made = Recorded(path, rig.fps, rig.size)
    try:
        rig.done.clear()
        x, y = rig.pointer
        rig.act(Event(0.0, "move", x=x, y=y))  # where it is is known from the first frame on
        yield made
        rig.check()
        made.close(rig.done)
    except BaseException:
        made.abandon()
        raise


def lock_step(
    rig: Rig,
    policy: Iterable[Sequence[Event]],
    path: Path,
    trees: int = 0,
    judge: Callable[[], None] = lambda: None,
) -> int:
    """The frames of a policy's session on the rig, frame 0 as it is, written as `path` with suffixes.

    With `trees`, what AT-SPI tells is written down every so many frames: for people, never for a model. Raises RigError,
    and what `judge` raises, which is asked in the end whether it is to be kept.
    """
    with _recording(rig, path) as made:
        for t, planned in enumerate(_after_nothing(policy)):
            if t:
                rig.inject(planned)
            picture, row = _grabbed(rig)
            made.add(rgb(picture), {"slot": t, **row})
            if trees and t % trees == 0:
                made.trees.append({"frame": t, "targets": [tuple(target) for target in rig.targets()]})
            if t % CHECKED == 0:
                rig.check()
        judge()
        return len(made.rows)


def _after_nothing(policy: Iterable[Sequence[Event]]) -> Iterator[Sequence[Event]]:
    yield []
    yield from policy


def _grabbed(rig: Rig, deadline: int | None = None) -> tuple[np.ndarray, dict[str, Any]]:
    begin = time.monotonic_ns()
    picture = rig.grab()
    end = time.monotonic_ns()
    x, y = rig.pointer
    return picture, {
        "t": begin,
        "t_end": end,
        "dl": begin if deadline is None else deadline,
        "px": int(x),
        "py": int(y),
    }


def free(rig: Rig, plan: Sequence[Sequence[Event]], path: Path) -> int:
    """Slots missed, of a plan's session of len(plan) + 1 frames at the rig's rate. Raises RigError."""
    count, gap = len(plan) + 1, round(1e9 / rig.fps)
    with _recording(rig, path) as made, rig.second() as eye:
        frames: queue.Queue[tuple[np.ndarray, dict[str, Any]] | None] = queue.Queue()
        start, over, faults = time.monotonic_ns() + gap, threading.Event(), list[Exception]()
        slots = ((slot, start + slot * gap) for slot in range(count))
        grabber = threading.Thread(target=_noted, args=(faults, over, _grab, eye, slots, gap, over, frames))
        writer = threading.Thread(target=_noted, args=(faults, over, _write, made, frames))
        grabber.start()
        writer.start()
        try:
            _play(rig, plan, start, gap, over)
            grabber.join()
        finally:
            over.set()
            grabber.join()
            frames.put(None)
            writer.join()
        if faults:
            raise RigError(f"{path.name}: {faults[0]}") from faults[0]
        return count - len(made.rows)


def _play(rig: Rig, plan: Sequence[Sequence[Event]], start: int, gap: int, over: threading.Event) -> None:
    """A frame's events, spread over the time before it."""
    for t, planned in enumerate(plan, 1):
        for n, event in enumerate(planned):
            _until(start + round(gap * (t - 1 + (n + 1) / (len(planned) + 1))))
            rig.act(event)
        if t % CHECKED == 0:
            rig.check()
        if over.is_set():
            return


def _noted(faults: list[Exception], over: threading.Event, work: Callable[..., None], *given: Any) -> None:
    """Work in a thread: what it fails with is noted, and ends the recording."""
    try:
        work(*given)
    except Exception as error:
        faults.append(error)
        over.set()


def _grab(
    eye: Rig, slots: Iterable[tuple[int, int]], gap: int, over: threading.Event, frames: queue.Queue[Any]
) -> None:
    """A picture a slot, at its deadline; a slot that is over before its turn comes is missed."""
    for slot, deadline in slots:
        if over.is_set():
            return
        if time.monotonic_ns() <= deadline + gap:
            _until(deadline)
            picture, row = _grabbed(eye, deadline)
            frames.put((picture, {"slot": slot, **row}))


def _write(made: Recorded, frames: queue.Queue[Any]) -> None:
    """Encodes beside the grabbing: a slow disk delays nothing but itself."""
    while (item := frames.get()) is not None:
        picture, row = item
        made.add(rgb(picture), row)


def _until(moment: int) -> None:
    time.sleep(max(0.0, (moment - time.monotonic_ns()) / 1e9))
