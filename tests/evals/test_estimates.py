"""Bootstrap intervals of means."""

import numpy as np
import pytest

from neural_computer.evals import estimates


@pytest.mark.parametrize("count", [20, 2000])
def test_the_interval_is_about_two_standard_errors_to_either_side(count):
    values = np.random.default_rng(0).normal(size=count)
    low, high = estimates.interval(values.tolist())
    error = values.std() / count**0.5
    assert (values.mean() - low) / error == pytest.approx(1.96, abs=0.15)
    assert (high - values.mean()) / error == pytest.approx(1.96, abs=0.15)


def test_a_fortieth_of_a_thousand_resampled_means_lies_on_either_side():
    values = np.random.default_rng(1).normal(size=50)
    means = values[np.random.default_rng(0).integers(0, 50, (1000, 50))].mean(1)
    low, high = estimates.interval(values.tolist())
    assert (means < low).sum() == (means > high).sum() == 25
    assert (low, high) == pytest.approx(np.quantile(means, [0.025, 0.975]), rel=1e-12)


def test_seeds_differ_and_repeat():
    values = np.random.default_rng(1).normal(size=50).tolist()
    assert estimates.interval(values) == estimates.interval(values) != estimates.interval(values, seed=1)


def test_an_estimate_has_value_interval_and_count():
    assert estimates.mean([3.0]) == (3, 3, 3, 1)
    estimate = estimates.mean([0.0, 1.0, 1.0])
    assert estimate.value == pytest.approx(2 / 3) and estimate.clips == 3 and estimate.low < 2 / 3 < estimate.high
