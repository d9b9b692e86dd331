"""Estimates over clips: a value with a bootstrap interval."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES, LEVEL = 1000, 0.95
"""Bootstrap resamples of the clips, and the share of them that an interval holds"""


class Estimate(NamedTuple):
    """A metric over clips: its value, its central `LEVEL` interval under the bootstrap over clips, the number of clips."""

    value: float
    low: float
    high: float
    clips: int


def interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """Central `LEVEL` interval of the mean under the bootstrap."""
    rows = np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.quantile(np.asarray(values)[rows].mean(1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def mean(values: Sequence[float]) -> Estimate:
    """The mean of some values, at least one, with its interval."""
    return Estimate(float(np.mean(values)), *interval(values), len(values))
