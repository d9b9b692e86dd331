"""Simulated users of a desktop: `random` plans everything before it begins, `goal` looks at the screen and does a task.

A policy yields the events of one frame after the other. It knows a desktop by the protocol `simulators.desktop.Desktop` alone,
so a policy written for the synthetic desktop also drives a real one. Distances in pixels are of a screen scaled to 1024x768.
"""

from typing import NamedTuple


class Budget(NamedTuple):
    """The paper's figures of a split: cursor speed in pixels a frame, actions a second."""

    speed: float
    rate: float


BUDGETS = {"random_slow": Budget(1.51, 1.58), "random_fast": Budget(195.15, 4.18), "goal": Budget(3.79, 0.10)}
SPLITS = tuple(BUDGETS)
"""The paper's splits."""
CLICKS = "clicks"
"""A split of ours beside the paper's: pairs of clips with and without a click. The synthetic desktop alone has it."""
SCREEN = (1024, 768)
"""Width and height in pixels of the paper's screens."""
