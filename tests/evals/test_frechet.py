import warnings

import numpy as np
import pytest

from neural_computer.evals import frechet
from neural_computer.evals.frechet import Gaussian, Moments


def features(seed: int, count: int = 300, width: int = 12) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, width)) @ rng.normal(size=(width, width)) + rng.normal(size=width)


def test_a_hand_computed_distance():
    """Means 0 and (1, 0); covariances diag(2, 2) and diag(8, 0.5): 1 + (sqrt 2 - sqrt 8)^2 + (sqrt 2 - sqrt .5)^2 = 3.5."""
    corners = np.asarray([[1.0, 1], [1, -1], [-1, 1], [-1, -1]]) * np.sqrt(1.5)  # covariance diag(2, 2)
    x, y = corners, corners * [2, 0.5] + [1, 0]
    np.testing.assert_allclose(np.cov(x.T), np.diag([2, 2]), atol=1e-12)
    np.testing.assert_allclose(frechet.distance(frechet.fit(x), frechet.fit(y)), 3.5, rtol=1e-10)


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


def test_a_set_is_at_zero_from_itself_and_never_below():
    sets = [features(seed, count) for seed in range(6) for count in (5, 300)]
    distances = [frechet.distance(frechet.fit(x), frechet.fit(x)) for x in sets]
    assert all(0 <= d < 1e-9 * np.square(x).sum(1).mean() for d, x in zip(distances, sets, strict=True))


def test_the_distance_is_symmetric():
    x, y = features(0), features(1)
    np.testing.assert_allclose(frechet.frechet(x, y), frechet.frechet(y, x), rtol=1e-10)


@pytest.mark.parametrize("count", [5, 12, 13, 300])
def test_moments_in_parts_are_those_of_the_whole(count):
    """For fewer rows than columns too, where the covariance is singular."""
    x, y = features(0, count), features(1, count)
    parts = frechet.fit_parts([x[:1], x[1:1], x[1:4], x[4:]])
    whole = frechet.fit(x)
    assert parts.clips == whole.clips == count and len(whole.root) == min(count, 12)
    np.testing.assert_allclose(parts.mean, x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(whole.mean, x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(parts.root.T @ parts.root, np.cov(x.T), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(whole.root.T @ whole.root, np.cov(x.T), rtol=1e-9, atol=1e-9)
    other = frechet.fit(y)
    np.testing.assert_allclose(frechet.distance(parts, other), frechet.distance(whole, other), rtol=1e-6)


def test_float32_features_far_from_zero_lose_nothing():
    """Sums of squares of 1e4 +- 1e-2 have no digit of the variance left in float32."""
    x = (1e4 + 1e-2 * np.random.default_rng(0).normal(size=(500, 2))).astype(np.float32)
    moments = Moments()
    for part in np.split(x, 5):
        moments.add(part)
    expected = np.cov(x.astype(np.float64).T)
    np.testing.assert_allclose(moments.scatter / 499, expected, rtol=1e-6, atol=1e-12)
    root = frechet.fit(x).root
    np.testing.assert_allclose(root.T @ root, expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(("x", "y", "warned"), [(255, 256, True), (256, 255, True), (256, 256, False)])
def test_few_clips_are_warned_about(x, y, warned):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        frechet.frechet(features(0, x, 2), features(1, y, 2))
    assert [("from 255 clips: below 256" in str(w.message)) for w in caught] == [True] * warned


def test_features_without_a_distance_are_an_error():
    assert frechet.fit(features(0, 2)).clips == 2
    with pytest.raises(ValueError, match="features of 1 clips: a covariance needs at least 2"):
        frechet.fit(features(0, 1))
    with pytest.raises(ValueError, match="features of 1 clips: a covariance needs at least 2"):
        frechet.fit_parts([features(0, 1)])
    bad = features(0, 9)
    bad[3, 0], bad[7, 1] = np.nan, np.inf
    with pytest.raises(ValueError, match=r"features: rows \[3, 7\] are not finite"):
        frechet.fit(bad)


def test_the_interval_is_of_the_quantiles_of_resampled_pairs():
    """Draws 0 to 99 of pairs with repetition: 2.5 of them below the interval, 2.5 above, between two of them each."""
    x, y = features(0, 40, 3), features(1, 40, 3)
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, 40, 40) for _ in range(100)]
    distances = np.asarray([frechet.distance(frechet.fit(x[rows]), frechet.fit(y[rows])) for rows in draws])
    low, high = frechet.interval(x, y)
    assert (distances < low).sum() == (distances > high).sum() == 3
    assert (low, high) == pytest.approx(np.quantile(distances, [0.025, 0.975]), rel=1e-12)
    narrow = frechet.interval(x, y, level=0.5)
    assert ((distances < narrow[0]).sum(), (distances > narrow[1]).sum()) == (25, 25)


def test_the_bootstrap_is_narrower_for_more_clips_and_repeatable():
    widths = []
    for count in (30, 300):
        x = features(0, count, 4)
        low, high = frechet.interval(x + np.random.default_rng(1).normal(size=x.shape), x)
        assert low < high
        widths.append(high - low)
    assert widths[1] < widths[0]
    x, y = features(0, 20), features(1, 20)
    assert frechet.interval(x, y, seed=3) == frechet.interval(x, y, seed=3) != frechet.interval(x, y, seed=4)
