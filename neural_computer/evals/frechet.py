"""How far apart two sets of videos are: the Frechet distance of Gaussians in their features, in float64. numpy only.

d^2 = |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))  (Dowson and Landau 1982; FVD: Unterthiner et al. 2018). With roots R
such that R' R = S, the last trace is the nuclear norm of R1 R2', and needs no root of a product that is not symmetric.
"""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Features = Float[np.ndarray, "n d"]

FEW = 256
"""Clips below which the distance says more of their number than of the videos: it falls by about tr(S)/n as n grows."""


class Gaussian(NamedTuple):
    """Mean, a root R of the covariance R' R (divided by n - 1), and from how many clips they come."""

    mean: Float[np.ndarray, " d"]
    root: Float[np.ndarray, "r d"]
    clips: int


@dataclass
class Moments:
    """Count, mean and scatter of features that come in parts: what is kept does not grow with them (Chan et al. 1979)."""

    count: int = 0
    mean: np.ndarray | float = 0.0
    scatter: np.ndarray | float = 0.0

    def add(self, features: Features) -> None:
        """Takes some more; none is allowed."""
        if not len(features):
            return
        features = features.astype(np.float64)
        count, mean = len(features), features.mean(0)
        apart, total = mean - self.mean, self.count + count
        centred = features - mean
        self.scatter = self.scatter + centred.T @ centred + np.outer(apart, apart) * self.count * count / total
        self.mean, self.count = self.mean + apart * count / total, total

    def gaussian(self) -> Gaussian:
        """The Gaussian of all that was added. Raises ValueError for fewer than two."""
        _check(self.count)
        values, vectors = np.linalg.eigh(self.scatter / (self.count - 1))
        return Gaussian(np.asarray(self.mean), np.sqrt(np.maximum(values, 0))[:, None] * vectors.T, self.count)


def streamed(parts: Iterable[np.ndarray]) -> Gaussian:
    """The Gaussian of features in parts."""
    moments = Moments()
    for part in parts:
        moments.add(part)
    return moments.gaussian()


def gaussian(features: Features) -> Gaussian:
    """The Gaussian of some features. Raises ValueError for fewer than two and for what is not finite."""
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
    """d^2, at least 0."""
    nuclear = np.linalg.svd(x.root @ y.root.T, compute_uv=False).sum()
    apart = np.square(x.mean - y.mean).sum() + np.square(x.root).sum() + np.square(y.root).sum() - 2 * nuclear
    return max(0.0, float(apart))


def frechet(made: Features, right: Features) -> float:
    """The distance of two sets of features; warns below `FEW` clips a set, since few clips lie far from any others."""
    fewest = min(len(made), len(right))
    if fewest < FEW:
        warnings.warn(
            f"Frechet distance from {fewest} clips: below {FEW} it is mostly their number; compare only equal numbers",
            stacklevel=2,
        )
    return distance(gaussian(made), gaussian(right))


def interval(
    made: Features, right: Features, resamples: int = 100, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Where the distance lies in `level` of the bootstrap: pairs of clips drawn with repetition.

    Repeated clips take from the covariances, so it lies above the distance itself: its width is what it tells. The sets
    are of one length, a pair a row.
    """
    rng = np.random.default_rng(seed)
    draws = (rng.integers(0, len(made), len(made)) for _ in range(resamples))
    found = [distance(gaussian(made[rows]), gaussian(right[rows])) for rows in draws]
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
