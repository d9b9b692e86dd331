"""Checks on inputs made at random, for so many seconds."""

import time
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

BATCH = 50
SLOWEST = 20_000
"""Milliseconds that one input may take on a busy machine"""


def fuzz(inputs: SearchStrategy, check: Callable[[Any], None], seconds: float) -> int:
    """Checks new inputs until the time is up; returns how many. What fails is made small by hypothesis."""
    count = 0

    @settings(max_examples=BATCH, deadline=SLOWEST, database=None, suppress_health_check=list(HealthCheck))
    @given(inputs)
    def run(value: Any) -> None:
        nonlocal count
        count += 1
        check(value)

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        run()
    return count
