"""What a policy sees of a desktop, synthetic or real: `Desktop`; and the synthetic one behind it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from neural_computer.types import Event


class Target(NamedTuple):
    """Something on the screen: of which app (or "desk"), what it is and says, its box in pixels, and whether its middle
    can be seen and clicked."""

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
        return self.x + self.w // 2, self.y + self.h // 2


@runtime_checkable
class Desktop(Protocol):
    """A screen with a mouse and a keyboard that lives frame by frame."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""

    @property
    def fps(self) -> float: ...

    @property
    def pointer(self) -> tuple[float, float]: ...

    def observe(self) -> UInt8[np.ndarray, "h w 3"]:
        """The picture of this frame."""

    def targets(self) -> Sequence[Target]:
        """What can be seen and clicked, from the lowest to the topmost."""

    def inject(self, events: Sequence[Event]) -> None:
        """Does these things; the next frame shows what they did."""


@dataclass
class Recording:
    """What happened on a desktop: its pictures, if they were looked at, the pointer in every frame, and the events."""

    frames: list[np.ndarray]
    cursor: list[tuple[float, float]]
    events: list[Event]


def record(desktop: Desktop, policy: Iterable[Sequence[Event]], watch: bool = True) -> Recording:
    """A policy's session: frame 0 as it is, then one frame for each step of the policy.

    The events of frame t are spread over the time before it, from (t - 1) / fps to t / fps; places are rounded to 1 / 64
    of a pixel, which float32 holds exactly.
    """
    done = Recording([desktop.observe()] if watch else [], [desktop.pointer], [])
    for t, planned in enumerate(policy, 1):
        events = [
            e._replace(time=(t - 1 + (n + 1) / (len(planned) + 1)) / desktop.fps, x=round64(e.x), y=round64(e.y))
            for n, e in enumerate(planned)
        ]
        desktop.inject(events)
        done.events += events
        done.cursor.append(desktop.pointer)
        if watch:
            done.frames.append(desktop.observe())
    return done


def round64(x: float) -> float:
    return math.floor(x * 64 + 0.5) / 64 if math.isfinite(x) else x
