"""Frechet distance of two sets of features, in float64. numpy only.

d^2 = |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))  (Dowson and Landau 1982; FVD: Unterthiner et al. 2018). With roots R
such that R' R = S, the last trace is the nuclear norm of R1 R2', which needs no root of an asymmetric product.
"""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Features = Float[np.ndarray, "n d"]

FEW = 256
"""Clips below which the distance depends mostly on their number: it falls by about tr(S)/n as n grows."""
RESAMPLES = 100
"""Of the bootstrap over clips: every one needs a decomposition"""


class Gaussian(NamedTuple):
    """Mean and covariance of features: a root R of the covariance R' R (divided by n - 1), and the number of clips n."""

    mean: Float[np.ndarray, " d"]
    root: Float[np.ndarray, "r d"]
    clips: int


@dataclass
class Moments:
    """Running count, mean and scatter of features that arrive in parts, in memory of a fixed size (Chan et al. 1979)."""

    count: int = 0
    mean: np.ndarray | float = 0.0
    scatter: np.ndarray | float = 0.0

    def add(self, features: Features) -> None:
        """Adds rows of features; a part may be empty."""
        if not len(features):
            return
        features = features.astype(np.float64)
        count, mean = len(features), features.mean(0)
        shift, total = mean - self.mean, self.count + count
        centred = features - mean
        self.scatter = self.scatter + centred.T @ centred + np.outer(shift, shift) * self.count * count / total
        self.mean, self.count = self.mean + shift * count / total, total

    def gaussian(self) -> Gaussian:
        """The Gaussian of all rows that were added. Raises ValueError for fewer than two."""
        _check(self.count)
        values, vectors = np.linalg.eigh(self.scatter / (self.count - 1))
        return Gaussian(np.asarray(self.mean), np.sqrt(np.maximum(values, 0))[:, None] * vectors.T, self.count)


def fit_parts(parts: Iterable[np.ndarray]) -> Gaussian:
    """The Gaussian of features in parts, without holding all of them."""
    moments = Moments()
    for part in parts:
        moments.add(part)
    return moments.gaussian()


def fit(features: Features) -> Gaussian:
    """The Gaussian of features. Raises ValueError for fewer than two rows and for rows that are not finite."""
    _check(len(features))
    if not np.isfinite(features).all():
        bad = np.flatnonzero(~np.isfinite(features).all(1))
        raise ValueError(f"features: rows {bad[:5].tolist()} are not finite; leave those videos out")
    features = features.astype(np.float64)
    mean, (count, width) = features.mean(0), features.shape
    root = (features - mean) / np.sqrt(count - 1)
    # Of more clips than features a smaller root of the same covariance.
    if count > width:
        root = np.asarray(np.linalg.qr(root, mode="r"))
    return Gaussian(mean, root, count)


def _check(count: int) -> None:
    if count < 2:
        raise ValueError(f"features of {count} clips: a covariance needs at least 2")


def distance(x: Gaussian, y: Gaussian) -> float:
    """d^2 of two Gaussians, at least 0."""
    nuclear = np.linalg.svd(x.root @ y.root.T, compute_uv=False).sum()
    squared = np.square(x.mean - y.mean).sum() + np.square(x.root).sum() + np.square(y.root).sum() - 2 * nuclear
    return max(0.0, float(squared))


def frechet(generated: Float[np.ndarray, "n d"], reference: Float[np.ndarray, "m d"]) -> float:
    """d^2 of two sets of features. Warns below `FEW` clips a set, where the distance is biased upwards."""
    fewest = min(len(generated), len(reference))
    if fewest < FEW:
        warnings.warn(
            f"Frechet distance from {fewest} clips: below {FEW} it is mostly their number; compare only equal numbers",
            stacklevel=2,
        )
    return distance(fit(generated), fit(reference))


def interval(
    generated: Features, reference: Features, resamples: int = RESAMPLES, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Central `level` interval of the distance under a bootstrap over pairs of clips; the sets have a pair per row.

    Repeated clips shrink the covariances, so the interval lies above the distance itself: only its width is meaningful.
    """
    rng = np.random.default_rng(seed)
    draws = (rng.integers(0, len(generated), len(generated)) for _ in range(resamples))
    distances = [distance(fit(generated[rows]), fit(reference[rows])) for rows in draws]
    low, high = np.quantile(distances, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
