"""The clock of the sessions: a thread that ticks `fps` times a second and runs what the server asks for in between.

All that touches a session runs in this thread, one thing after another. A tick that comes late is counted and not made up for:
the clock stays on its grid.
"""

import math
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from absl import logging

from neural_computer.machine.engine import StepError
from neural_computer.machine.host import Host
from neural_computer.machine.session import Picture

T = TypeVar("T")


@dataclass
class Counts:
    """What the clock has seen; read by `GET /metrics` and by the page."""

    ticks: int = 0
    late: int = 0
    """Ticks left out, because the one before began more than a tick late"""
    failed: int = 0
    work: float = 0.0
    """Seconds of the newest tick"""


@dataclass
class Ticker:
    """Ticks a host. `on_tick(pictures)` is called with what a tick made, frame by frame as they fall due."""

    host: Host
    fps: float
    on_tick: Callable[[str, Picture], None]
    on_stop: Callable[[str, str], None] = lambda id, error: None
    """Is called with a session that stopped, and why"""
    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="ticker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after the tick that it is in."""
        self._calls.put(None)
        self._thread.join()

    def call(self, do: Callable[[], T]) -> "Future[T]":
        """Runs `do` in the ticker's thread, between two ticks."""
        future: Future[T] = Future()
        self._calls.put((do, future))
        return future

    def _run(self) -> None:
        period = self.host.engine.frames / self.fps
        due = time.perf_counter() + period
        while True:
            if not self._serve(due):
                return
            late = time.perf_counter() - due
            if late > period:
                missed = math.floor(late / period)
                self.counts.late += missed
                due += missed * period
            self._tick(due, period)
            due += period

    def _serve(self, due: float) -> bool:
        """Runs calls, and steps of paused sessions, until `due`; False to end."""
        while True:
            left = due - time.perf_counter()
            stepping = left > 0 and any(each.stepping for each in self.host.sessions.values())
            try:
                item = self._calls.get(timeout=0 if stepping else max(0.0, left))
            except queue.Empty:
                if not stepping:
                    return True
                self._publish(self._step(stepping=True))
                continue
            if item is None:
                return False
            do, future = item
            try:
                future.set_result(do())
            except BaseException as error:
                future.set_exception(error)

    def _tick(self, due: float, period: float) -> None:
        begin = time.perf_counter()
        made = self._step(stepping=False)
        if not made:
            return
        self.counts.ticks += 1
        self.counts.work = time.perf_counter() - begin
        frames = self.host.engine.frames
        for number in range(frames):
            if number:
                time.sleep(max(0.0, due + number * period / frames - time.perf_counter()))
            self._publish({id: pictures[number : number + 1] for id, pictures in made.items()})

    def _step(self, stepping: bool) -> dict[str, list[Picture]]:
        running = [each for each in self.host.sessions.values() if not each.error]
        try:
            return self.host.tick(stepping)
        except StepError as error:
            self.counts.failed += 1
            logging.error("%s", error)
            return {}
        finally:
            for each in running:
                if each.error:
                    self.on_stop(each.id, each.error)

    def _publish(self, made: dict[str, list[Picture]]) -> None:
        for id, pictures in made.items():
            for picture in pictures:
                self.on_tick(id, picture)
