import numpy as np
import pytest

from neural_computer.evals import frechet
from neural_computer.evals.frechet import Gaussian, Moments


def features(seed: int, count: int = 300, width: int = 12) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, width)) @ rng.normal(size=(width, width)) + rng.normal(size=width)


def test_shifted_gaussians_are_at_the_square_of_the_shift():
    x = features(0)
    np.testing.assert_allclose(frechet.frechet(x + 3.0, x), 9 * x.shape[1], rtol=1e-10)


def test_gaussians_with_a_common_basis_are_at_their_formula():
    """|m1 - m2|^2 + sum (s1 - s2)^2 of commuting covariances."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    s, t, m, n = rng.uniform(0.1, 2, (4, 6))
    x, y = Gaussian(m, s[:, None] * basis, 9), Gaussian(n, t[:, None] * basis, 9)
    np.testing.assert_allclose(frechet.distance(x, y), np.sum((m - n) ** 2 + (s - t) ** 2), rtol=1e-10)


def test_a_set_is_at_zero_from_itself_and_the_distance_has_no_direction():
    x, y = features(0), features(1)
    assert frechet.frechet(x, x) < 1e-9 * np.square(x).sum(1).mean()
    np.testing.assert_allclose(frechet.frechet(x, y), frechet.frechet(y, x), rtol=1e-10)


@pytest.mark.parametrize("count", [5, 300])
def test_moments_in_parts_are_those_of_the_whole(count):
    """For fewer features than their width too, where the covariance is singular."""
    x, y = features(0, count), features(1, count)
    parts = frechet.streamed([x[:1], x[1:1], x[1:4], x[4:]])
    whole = frechet.gaussian(x)
    np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(parts.root.T @ parts.root, np.cov(x.T), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(whole.root.T @ whole.root, np.cov(x.T), rtol=1e-9, atol=1e-9)
    other = frechet.gaussian(y)
    np.testing.assert_allclose(frechet.distance(parts, other), frechet.distance(whole, other), rtol=1e-6)


def test_float32_features_far_from_zero_lose_nothing():
    """Sums of squares of 1e4 +- 1e-2 have no digit of the variance left in float32."""
    x = (1e4 + 1e-2 * np.random.default_rng(0).normal(size=(500, 2))).astype(np.float32)
    moments = Moments()
    for part in np.split(x, 5):
        moments.add(part)
    np.testing.assert_allclose(moments.scatter / 499, np.cov(x.astype(np.float64).T), rtol=1e-6, atol=1e-12)


def test_few_clips_are_warned_about():
    x, y = features(0, 10), features(1, 10)
    with pytest.warns(UserWarning, match="from 10 clips: below 256"):
        frechet.frechet(x, y)


def test_what_has_no_distance_is_told():
    with pytest.raises(ValueError, match="features of 1 clips: a covariance needs at least 2"):
        frechet.gaussian(features(0, 1))
    bad = features(0, 5)
    bad[3, 0] = np.nan
    with pytest.raises(ValueError, match=r"features: rows \[3\] are not finite"):
        frechet.gaussian(bad)


def test_the_bootstrap_is_narrower_for_more_clips_and_repeats_itself():
    widths = []
    for count in (30, 300):
        x = features(0, count, 4)
        low, high = frechet.interval(x + np.random.default_rng(1).normal(size=x.shape), x)
        assert low < high
        widths.append(high - low)
    assert widths[1] < widths[0]
    x, y = features(0, 20), features(1, 20)
    assert frechet.interval(x, y, seed=3) == frechet.interval(x, y, seed=3) != frechet.interval(x, y, seed=4)
