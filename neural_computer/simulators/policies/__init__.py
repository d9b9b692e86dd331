"""Who uses a desktop: `random` plans everything before it begins, `goal` looks at the screen and gets something done.

A policy yields, frame by frame, what to inject. It knows a desktop by `desktop.Desktop` alone, so that the one written
for the synthetic desk drives a real one. Numbers of pixels are those of a screen scaled to 1024x768.
"""

from typing import NamedTuple


class Budget(NamedTuple):
    """The paper's figures of a split: cursor speed in pixels a frame, actions a second."""

    speed: float
    rate: float


BUDGETS = {"random_slow": Budget(1.51, 1.58), "random_fast": Budget(195.15, 4.18), "goal": Budget(3.79, 0.10)}
SCREEN = (1024, 768)
