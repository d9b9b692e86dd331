"""What a benchmark case is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """`ours` and `peer` do the same work, `amount` units of it a call."""

    name: str
    against: str
    unit: str
    amount: float
    ours: Callable[[], Any]
    peer: Callable[[], Any]
