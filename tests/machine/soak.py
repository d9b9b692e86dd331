"""Soak of a live machine: two clients type as fast as it goes, a third session runs by the clock.

    python -m tests.machine.soak SECONDS FOLDER

Prints a line of JSON every five minutes and at the end: steps of each client, keys sent, keys that were lost or came twice or in
another order, kB that the process grew by in the second half, seconds that the clock is off its grid, and failed ticks.
"""

import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import neural_computer as nc
from neural_computer.machine.live import Outbox
from neural_computer.machine.protocol import Message
from neural_computer.simulators.tty.typists import TYPISTS
from neural_computer.simulators.tty.typists import keys as typed
from neural_computer.types import Event
from tests.machine.test_server import serving_here

KEY = Event(0, "press", "a")
CHECK = 200
"""Steps after which receipts are checked, and kept no longer"""
SAY = 300.0
"""Seconds between two lines"""


def soak(seconds: float, folder: Path) -> dict[str, float]:
    """What the soak found."""
    with serving_here(folder) as (live, link):

        def clock() -> tuple[float, int]:
            # Ticks, those left out counted, are as many as fit into the time.
            return time.perf_counter(), live.ticker.counts.ticks + live.ticker.counts.late

        idle, *_ = live.ticker.call(lambda: live.in_join("", None, Outbox(lambda: None), False)).result()
        begun = live.ticker.call(clock).result()
        with nc.connect(link) as one, nc.connect(link) as two:
            clients = one, two
            streams = [iter(typed(TYPISTS["mash"], n, 2, 10)) for n in (1, 2)]
            sent: list[list[int]] = [[], []]
            steps, keys, lost, sizes = 0, 0, 0, []
            end, said = time.monotonic() + seconds, time.monotonic()

            def found() -> dict[str, float]:
                now, ticks = np.subtract(live.ticker.call(clock).result(), begun)
                return {
                    "seconds": round(float(now)),
                    "steps": steps,
                    "keys": keys,
                    "lost": lost,
                    "growth_kB": sizes[-1] - sizes[len(sizes) // 2],
                    "clock_off": round(float(ticks / live.fps - now), 3),
                    "failed": live.ticker.counts.failed,
                }

            while time.monotonic() < end:
                if not steps % 1000:  # without keys it would fall asleep
                    live.ticker.call(partial(live.in_events, idle, Message("events", steps, {"events": [KEY]})))
                for number, (client, stream) in enumerate(zip(clients, streams, strict=True)):
                    pressed = [key for key in (next(stream) for _ in range(8)) if key]
                    sent[number] += client.send([Event(0, "press", key) for key in pressed])
                    keys += len(pressed)
                    client.step()
                steps += 1
                if not steps % CHECK:
                    lost += sum(map(wrong, clients, sent))
                sizes.append(resident())
                if time.monotonic() - said > SAY:
                    said = time.monotonic()
                    print(json.dumps(found()), flush=True)
            lost += sum(map(wrong, clients, sent))
            result = found()
        live.ticker.call(lambda: live.in_leave(idle)).result()
        return result


def wrong(client: Any, sent: list[int]) -> int:
    """Keys that were not applied once and in order, a frame each; what was looked at is forgotten."""
    client.step()
    frames = list(client.applied.values())
    count = len(set(sent) ^ set(client.applied)) + (list(client.applied) != sent)
    count += list(np.diff(frames) >= 1).count(False)
    client.applied.clear()
    sent.clear()
    return count


def resident() -> int:
    """kB of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


if __name__ == "__main__":
    print(json.dumps(soak(float(sys.argv[1]), Path(sys.argv[2]))))
