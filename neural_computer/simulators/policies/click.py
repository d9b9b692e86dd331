"""Policy of split `clicks`: a short glide to a target and a click there, or none."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from neural_computer.simulators.desktop import Target
from neural_computer.simulators.policies.random import minimum_jerk
from neural_computer.types import Event

DISTANCE = (0.1, 0.25)
"""Range of a glide's length, in screen widths."""
STEPS = (3, 5)
"""Range of a glide's length, in frames."""


class Glide(NamedTuple):
    """A straight way of the pointer: from, to (x, y) in pixels, and its number of frames."""

    begin: Float[np.ndarray, " 2"]
    end: Float[np.ndarray, " 2"]
    steps: int


def sample_glide(target: Target, size: tuple[int, int], rng: np.random.Generator) -> Glide:
    """A glide into a target from a random direction, on a screen of `size` (width, height).

    The direction is uniform, so that the place where the pointer begins tells nothing about the target.
    """
    end = np.asarray([target.x, target.y]) + np.asarray([target.w, target.h]) * rng.uniform(0.3, 0.7, 2)
    while True:
        angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(*DISTANCE) * size[0]
        begin = end + distance * np.asarray([np.cos(angle), np.sin(angle)])
        if (begin >= 0).all() and (begin < np.asarray(size) - 1).all():
            return Glide(begin, end, int(rng.integers(*STEPS, endpoint=True)))


def plan(way: Glide, frames: int, click: bool) -> Iterator[list[Event]]:
    """The events of frames 1 to `frames` - 1: the glide, a press, a release, then nothing; without `click`, no press and
    no release."""
    count = 0
    for x, y in minimum_jerk(way.begin, way.end, way.steps):
        yield [Event(0.0, "move", x=float(x), y=float(y))]
        count += 1
    for kind in ("press", "release") if click else ():
        yield [Event(0.0, kind, key="left")]
        count += 1
    while count < frames - 1:
        yield []
        count += 1
