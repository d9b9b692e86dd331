"""A live machine's speed: sessions in real time, without and with a browser.

XLA_FLAGS="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1" neural-computer bench --suite=live

One and eight sessions run the shipped terminal for a minute at its own rate, ten keys a second each; the peer of a rate is
that rate, so a ratio of 1 is real time. With playwright and chromium, the time from a key to its frame on the canvas is that
of a page.
"""

import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from neural_computer.launch.bench.case import Case, Figure
from neural_computer.simulators.tty.typists import TYPISTS, keys
from neural_computer.types import Event

SECONDS = 60.0
RATE = 10.0
"""Keys a second"""
CROWD = 8
P50, P95 = 90.0, 160.0
"""Milliseconds from a key to the canvas that are wanted"""


def cases() -> Iterator[Case | Figure]:
    """Yields all figures, as they are measured."""
    with serving() as (live, link):
        for sessions in (1, CROWD):
            rate = frames_a_second(live, sessions)
            yield Figure(f"{sessions} sessions: seconds a frame", "the machine's rate", "s", 1 / rate, 1 / live.fps)
        if (browser := shutil.which("chromium")) is None:
            return
        try:
            from playwright.sync_api import sync_playwright
        except ModuleNotFoundError:
            return
        with sync_playwright() as play:
            page = play.chromium.launch(executable_path=browser, args=["--no-sandbox"]).new_page()
            page.goto(link)
            page.wait_for_function("() => nc.header && nc.header.frame > 5", timeout=60_000)
            latencies, rate = typed_into(page)
        for name, share, wanted in (("p50", 50, P50), ("p95", 95, P95)):
            yield Figure(
                f"key to canvas, {name}", "what is wanted", "ms", float(np.percentile(latencies, share)), wanted
            )
        yield Figure("page: seconds a frame", "the machine's rate", "s", 1 / rate, 1 / live.fps)


@contextmanager
def serving() -> Iterator[tuple[Any, str]]:
    """(the live machine, its link)."""
    from neural_computer.machine import server, serving

    with tempfile.TemporaryDirectory() as folder, serving.listening(serving.LOOPBACK, 0) as listener:
        service = server.Service("bench", live=serving.load(serving.Options(out=Path(folder), sessions=CROWD)))
        live, http = service.live, serving.uvicorn_server(service)
        assert live is not None
        live.start()
        thread = threading.Thread(target=http.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield live, server.link(serving.LOOPBACK, listener.getsockname()[1], "bench")
        finally:
            http.should_exit = True
            thread.join()
            live.stop()


def frames_a_second(live: Any, sessions: int) -> float:
    """Frames a second of every one of some sessions, with keys."""
    from neural_computer.machine.live import Outbox
    from neural_computer.machine.protocol import Message

    seats = [
        live.ticker.call(lambda: live.in_join("", None, Outbox(lambda: None), False)[0]).result()
        for _ in range(sessions)
    ]
    streams = [keys(TYPISTS["bursts"], number) for number in range(sessions)]
    frame, begin, number = seats[0].session.moment.frame, time.monotonic(), 0
    while time.monotonic() - begin < SECONDS:
        for seat, stream in zip(seats, streams, strict=True):
            message = Message("events", number, {"events": [Event(0, "press", next(filter(None, stream)))]})
            live.ticker.call(partial(live.in_events, seat, message))
        number += 1
        time.sleep(1 / RATE)
    rate = (seats[0].session.moment.frame - frame) / (time.monotonic() - begin)
    for seat in seats:
        live.ticker.call(partial(live.in_leave, seat)).result()
    return rate


def typed_into(page: Any) -> tuple[list[float], float]:
    """(milliseconds from every key to its frame on the canvas, frames a second) of a page."""
    stream, begin = keys(TYPISTS["bursts"], 0), time.monotonic()
    page.evaluate("() => { nc.drawn.length = nc.latencies.length = 0; }")
    names = {"Return": "Enter", "BackSpace": "Backspace", "Up": "ArrowUp", "Down": "ArrowDown", " ": "Space"}
    while (now := time.monotonic() - begin) < SECONDS:
        key = next(filter(None, stream))
        page.keyboard.press(names.get(key, key))
        time.sleep(max(0.0, 1 / RATE - (time.monotonic() - begin - now)))
    latencies, drawn = page.evaluate("() => [nc.latencies, nc.drawn]")
    return latencies, 1e3 * (len(drawn) - 1) / (drawn[-1] - drawn[0])
