"""A row of a benchmark."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """`ours` and `peer` do the same work, `amount` units of it a call; no `peer` where there is none."""

    name: str
    against: str
    unit: str
    amount: float
    ours: Callable[[], Any]
    peer: Callable[[], Any] | None
    why: str = ""
    """What makes ours slower, printed where it is"""
    apart: float | None = None
    """Largest difference of the two results, relative to the largest magnitude"""
    flops: float = 0.0
    """Operations of a call, where the share of the accelerator's peak is printed."""


@dataclass(frozen=True)
class Figure:
    """What is not timed in turns: seconds, bytes; the less the better."""

    name: str
    against: str
    unit: str
    ours: float
    peer: float
    why: str = ""
