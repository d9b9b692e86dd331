"""A short glide to a target and a click there, or none: what a click does, apart from where the mouse goes."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from neural_computer.simulators.desktop import Target
from neural_computer.simulators.policies.random import glide
from neural_computer.types import Event

WAY = (0.1, 0.25)
"""How far the glide goes, of the screen's width"""
STEPS = (3, 5)
"""Frames that it takes"""


class Glide(NamedTuple):
    """From where to where, in pixels, and in how many frames."""

    begin: Float[np.ndarray, " 2"]
    end: Float[np.ndarray, " 2"]
    steps: int


def towards(target: Target, size: tuple[int, int], rng: np.random.Generator) -> Glide:
    """A way to the inside of a target from anywhere near it: where the pointer begins tells of no target."""
    end = np.asarray([target.x, target.y]) + np.asarray([target.w, target.h]) * rng.uniform(0.3, 0.7, 2)
    while True:
        angle, way = rng.uniform(0, 2 * np.pi), rng.uniform(*WAY) * size[0]
        begin = end + way * np.asarray([np.cos(angle), np.sin(angle)])
        if (begin >= 0).all() and (begin < np.asarray(size) - 1).all():
            return Glide(begin, end, int(rng.integers(*STEPS, endpoint=True)))


def plan(way: Glide, frames: int, click: bool) -> Iterator[list[Event]]:
    """What to inject before each of the frames 1 to `frames` - 1; with no click, nothing where it would be."""
    done = 0
    for x, y in glide(way.begin, way.end, way.steps):
        yield [Event(0.0, "move", x=float(x), y=float(y))]
        done += 1
    for kind in ("press", "release") if click else ():
        yield [Event(0.0, kind, key="left")]
        done += 1
    while done < frames - 1:
        yield []
        done += 1
