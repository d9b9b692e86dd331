"""The simulators' speed: a desktop's frame lived and drawn, by kind of use; the cursor stamped on videos; the terminal.

neural-computer bench --suite=gui
"""

from collections.abc import Callable

import numpy as np

from neural_computer.actions import cursor
from neural_computer.launch.bench import tty
from neural_computer.launch.bench.case import Case
from neural_computer.simulators.desktop import record
from neural_computer.simulators.minidesk import drawing
from neural_computer.simulators.minidesk.session import MiniDesktop, furnished
from neural_computer.simulators.minidesk.step import step
from neural_computer.simulators.policies.goal import Task
from neural_computer.simulators.policies.random import plan
from neural_computer.types import Event

FRAMES = 600


def cases() -> list[Case]:
    """All cases, with their inputs."""
    return [*(living(split) for split in ("random_slow", "random_fast", "goal")), stamping(), *tty.cases()]


def living(split: str) -> Case:
    """FRAMES frames of a desk of 128 pixels lived and drawn, nothing of it drawn before, against drawing every layer of
    every frame anew."""
    begin = furnished(0, 128)
    frames = _frames(split)

    def ours() -> None:
        forget()
        desk = begin
        for events in frames:
            desk = step(desk, events)
            drawing.render(desk)

    def peer() -> None:
        desk = begin
        for events in frames:
            desk = step(desk, events)
            forget()
            drawing.render(desk)

    return Case(f"{split} at 128 px", "layers drawn anew", "frames/s", len(frames), ours, peer)


def forget() -> None:
    """Nothing that was drawn is kept."""
    drawing.compose.cache_clear()
    drawing.draw_layer.cache_clear()


def _frames(split: str) -> list[list[Event]]:
    """The events of FRAMES frames of a split."""
    desktop = MiniDesktop(furnished(0, 128))
    if split != "goal":
        return plan(split, 0, FRAMES + 1, desktop.size, desktop.pointer)
    events = record(desktop, Task(desktop, "compute", 0, 0.3), watch=False).events
    out: list[list[Event]] = [[] for _ in range(FRAMES)]
    for event in events:
        if (t := int(event.time * desktop.fps)) < FRAMES:
            out[t].append(event)
    return out


def stamping() -> Case:
    """References of 81 frames of 832x480, all at once, against a Pillow paste of the arrow a frame (whole pixels only)."""
    from PIL import Image

    arrow, rng = cursor.template(), np.random.default_rng(0)
    places = rng.uniform(0, [832, 480], (81, 2)).astype(np.float32)
    sprite = Image.fromarray(np.round((arrow.pixels * 0.5 + 0.5) * 255).astype(np.uint8), "RGBA")

    def peer() -> None:
        for x, y in places:
            image = Image.new("RGB", (832, 480), (127, 127, 127))
            image.paste(sprite, (int(x), int(y)), sprite)
            np.asarray(image, np.float32)

    ours: Callable[[], object] = lambda: cursor.stamp(arrow, places, 480, 832)  # noqa: E731
    why = "float32 and between pixels; the same function runs on the device"
    return Case("cursor references 832x480", "Pillow paste", "frames/s", 81, ours, peer, why)
