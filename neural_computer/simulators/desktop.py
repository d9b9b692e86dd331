"""The protocol of a desktop, synthetic or real, as a policy uses it; and `record`, which runs a policy on one."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from neural_computer.types import Event


class Target(NamedTuple):
    """A widget on the screen: its app (or "desk"), role and text, its box in pixels, and `clear`, whether its middle is on
    the screen and not covered."""

    app: str
    role: str
    text: str
    x: int
    y: int
    w: int
    h: int
    clear: bool

    @property
    def middle(self) -> tuple[float, float]:
        """(x, y) in pixels."""
        return self.x + self.w // 2, self.y + self.h // 2


@runtime_checkable
class Desktop(Protocol):
    """A screen with a mouse and a keyboard that advances frame by frame."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""

    @property
    def fps(self) -> float:
        """Frames a second."""

    @property
    def pointer(self) -> tuple[float, float]:
        """(x, y) of the mouse pointer in pixels."""

    def observe(self) -> UInt8[np.ndarray, "h w 3"]:
        """The screen of this frame, with the pointer."""

    def targets(self) -> Sequence[Target]:
        """The widgets on the screen, from the lowest to the topmost."""

    def inject(self, events: Sequence[Event]) -> None:
        """Advances one frame, in which these events happen."""


@dataclass
class Recording:
    """A session on a desktop: its screens (h, w, 3), the pointer (x, y) in every frame, and the events.

    `frames` is empty if no screens were taken.
    """

    frames: list[np.ndarray]
    cursor: list[tuple[float, float]]
    events: list[Event]


def record(desktop: Desktop, policy: Iterable[Sequence[Event]], watch: bool = True) -> Recording:
    """A policy's session: frame 0 is the desktop as it is, then a frame for each step of the policy.

    The events of frame t are spread over the time before it, from (t - 1) / fps to t / fps; places are rounded to 1 / 64
    of a pixel, which float32 represents exactly. Without `watch`, no screens are taken.
    """
    recording = Recording([desktop.observe()] if watch else [], [desktop.pointer], [])
    for t, step in enumerate(policy, 1):
        events = [
            e._replace(time=(t - 1 + (n + 1) / (len(step) + 1)) / desktop.fps, x=round64(e.x), y=round64(e.y))
            for n, e in enumerate(step)
        ]
        desktop.inject(events)
        recording.events += events
        recording.cursor.append(desktop.pointer)
        if watch:
            recording.frames.append(desktop.observe())
    return recording


def round64(x: float) -> float:
    """`x` rounded to 1 / 64; infinities and NaN as they are."""
    return math.floor(x * 64 + 0.5) / 64 if math.isfinite(x) else x
