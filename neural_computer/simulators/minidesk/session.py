"""The synthetic desktop as a `Desktop`."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from neural_computer.actions.schema import BUTTONS
from neural_computer.simulators.desktop import Target
from neural_computer.simulators.minidesk.apps import START
from neural_computer.simulators.minidesk.drawing import render
from neural_computer.simulators.minidesk.state import MAX_WINDOWS, Desk, start
from neural_computer.simulators.minidesk.step import schedule_open, step
from neural_computer.simulators.minidesk.truth import changes, targets, under
from neural_computer.types import Event


class MiniDesktop:
    """A desk that `inject` advances by a frame.

    `effects` are a frame's changes in words, by frame; `hits` the target under the pointer in frames with a press.
    """

    fps = 15.0

    def __init__(self, desk: Desk):
        self.desk = desk
        self.effects: dict[int, tuple[str, ...]] = {}
        self.hits: dict[int, Target] = {}

    @property
    def size(self) -> tuple[int, int]:
        return self.desk.size, self.desk.size

    @property
    def pointer(self) -> tuple[float, float]:
        return self.desk.x, self.desk.y

    def observe(self) -> UInt8[np.ndarray, "h w 3"]:
        return render(self.desk)

    def targets(self) -> Sequence[Target]:
        return targets(self.desk)

    def inject(self, events: Sequence[Event]) -> None:
        before, self.desk = self.desk, step(self.desk, events)
        pressed = any(event.kind == "press" and event.key in BUTTONS for event in events)
        if pressed and (target := under(before._replace(x=self.desk.x, y=self.desk.y))):
            self.hits[self.desk.frame] = target
        if texts := changes(before, self.desk):
            self.effects[self.desk.frame] = texts


def furnished(seed: int, size: int, most: int = 2) -> Desk:
    """A random desk: up to `most` apps are open, the pointer is anywhere."""
    rng = np.random.default_rng(seed)
    desk = start(size, (float(rng.uniform(0, size - 1)), float(rng.uniform(0, size - 1))))
    for app in rng.choice(list(START), rng.integers(0, min(most, MAX_WINDOWS) + 1), replace=False):
        desk = schedule_open(desk, str(app))
    while desk.due:
        desk = step(desk)
    return desk._replace(frame=0)
