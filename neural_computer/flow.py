"""Flow matching as pure functions: shifted times, the straight path, what the network is asked for, solvers.

The path is z_t = (1 - t) z_0 + t eps with t = 0 the video and t = 1 noise, as in Wan2.1; its velocity is eps - z_0.
Times are floats in [0, 1]; the network is given `TIME_SCALE` times as much.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int, Key, Shaped

TIME_SCALE = 1000.0
"""The time embedding of Wan2.1 counts from 0 to 1000."""


def shift_time(t: Float[Array, " *s"], shift: float) -> Float[Array, " *s"]:
    """`t` pushed towards noise: shift t / (1 + (shift - 1) t) (Esser et al. 2024, eq. 23)."""
    return shift * t / (1 + (shift - 1) * t)


def expand_like(values: Shaped[Array, " b"], like: Shaped[Array, " b *s"]) -> Shaped[Array, "b ..."]:
    """`values` with trailing axes, to meet a (b, ...) array."""
    return values.reshape(values.shape + (1,) * (like.ndim - values.ndim))


def interpolate(z0: Float[Array, " b *s"], eps: Float[Array, " b *s"], t: Float[Array, " b"]) -> Float[Array, " b *s"]:
    """The path: z_t = (1 - t) z_0 + t eps."""
    t = expand_like(t, z0)
    return (1 - t) * z0 + t * eps


def noise(key: Key[Array, ""], index: Int[Array, " b"], shape: tuple[int, ...]) -> Float[Array, "b ..."]:
    """Standard normal (b, *shape) float32; each sample's noise depends on its own index only, never on its batch."""
    return jax.vmap(lambda i: jax.random.normal(jax.random.fold_in(key, i), shape))(index)


def uniform(key: Key[Array, ""], index: Int[Array, " b"]) -> Float[Array, " b"]:
    """Uniform in [0, 1), one a sample, from its own index only."""
    return jax.vmap(lambda i: jax.random.uniform(jax.random.fold_in(key, i)))(index)


class PredictionType(NamedTuple):
    """What the network is asked for, and how the video is read from its answer."""

    of: Callable
    """(z0, eps) -> the regression target"""
    video: Callable
    """(answer, z_t, t per sample) -> z0 as the answer has it"""


PREDICTION_TYPES = {
    "v": PredictionType(of=lambda z0, eps: eps - z0, video=lambda out, zt, t: zt - expand_like(t, zt) * out),
    "x": PredictionType(of=lambda z0, eps: z0, video=lambda out, zt, t: out),
}
"""v is the paper's and Wan's. x (the video itself) learns far faster when a patch has as many numbers as the network is
wide, since the network need not carry the noise through."""


# Solvers. All times are known beforehand, so a step is linear, with coefficients worked out here in float64.


class SamplerSchedule(NamedTuple):
    """A solver's steps: times, what the network is told of them, and every step's coefficients."""

    times: Float[np.ndarray, " n"]
    """from noise towards the video, whose time, 0, is left out"""
    told: Float[np.ndarray, " n"]
    """in [0, 1000], for the time embedding"""
    correct: Float[np.ndarray, "n 5"]
    """z <- of (z, z before the last step, video now, video one step ago, video two steps ago)"""
    predict: Float[np.ndarray, "n 3"]
    """next z <- of (z, video now, video one step ago)"""


def euler(steps: int, shift: float) -> SamplerSchedule:
    """Euler steps along the velocity, (z - video) / t, at times evenly spaced from 1 to 0 before the shift."""
    t = _shifted(np.linspace(1, 0, steps + 1), shift)
    now, then = t[:-1], t[1:]
    predict = np.stack([then / now, 1 - then / now, 0 * now], axis=1)
    return _plan(now, now * TIME_SCALE, np.eye(1, 5).repeat(steps, axis=0), predict)


def unipc(steps: int, shift: float) -> SamplerSchedule:
    """Wan2.1's sampler: UniPC of order 2 with B(h) = e^h - 1, predicting the video (Zhao et al. 2023, algorithms 5, 6).

    Times begin at .999; the network is told whole thousandths, as in the release. The first and last steps are of order 1.
    """
    t = _shifted(np.linspace(0.999, 0, steps + 1)[:-1], shift)
    order = [min(2, i + 1, steps - i) for i in range(steps)]
    correct = [np.eye(1, 5)[0]] + [_correct(t[: i + 1], order[i - 1]) for i in range(1, steps)]
    predict = [_predict(t[: i + 1], [*t[1:], 0.0][i], order[i]) for i in range(steps)]
    return _plan(t, np.floor(t * TIME_SCALE), np.stack(correct), np.stack(predict))


SAMPLERS = {"euler": euler, "unipc": unipc}


def sample(plan: SamplerSchedule, z: Float[Array, " b *s"], video: Callable) -> Float[Array, " b *s"]:
    """z at time 0 from z at the plan's first time; `video(z, time, told)` is z0 as the network sees it there. One scan."""

    def step(carry, row):
        z, before, last, previous = carry
        time, told, correct, predict = row
        now = video(z, time, told)
        z = _sum(correct, (z, before, now, last, previous))
        return (_sum(predict, (z, now, last)), z, now, last), None

    first: Any = (z, z, z, z)
    (z, *_), _ = jax.lax.scan(step, first, plan)
    return z


def _sum(coefficients, terms):
    return sum(coefficients[i] * term for i, term in enumerate(terms))


def _shifted(t: np.ndarray, shift: float) -> np.ndarray:
    return shift * t / (1 + (shift - 1) * t)


def _plan(*parts: np.ndarray) -> SamplerSchedule:
    return SamplerSchedule(*(part.astype(np.float32) for part in parts))


def _lambda(t: float) -> float:
    """Half the logarithm of the signal-to-noise ratio."""
    return np.log1p(-t) - np.log(t)


def _predict(t: np.ndarray, then: float, order: int) -> np.ndarray:
    """Coefficients (z, video now, video one step ago) of the step from t[-1] to `then`."""
    now = t[-1]
    if then == 0:
        return np.asarray([0.0, 1.0, 0.0])
    h = _lambda(then) - _lambda(now)
    base = (1 - then) * np.expm1(-h)
    if order == 1:
        return np.asarray([then / now, -base, 0.0])
    slope = -base / 2 / ((_lambda(t[-2]) - _lambda(now)) / h)
    return np.asarray([then / now, -base - slope, slope])


def _correct(t: np.ndarray, order: int) -> np.ndarray:
    """Coefficients (z, z before the step, video now, one step ago, two steps ago) that redo the step from t[-2] to t[-1]."""
    last, now = t[-2:]
    h = _lambda(now) - _lambda(last)
    base = (1 - now) * np.expm1(-h)
    if order == 1:
        return np.asarray([0.0, now / last, -base / 2, -base / 2, 0.0])
    ratio = (_lambda(t[-3]) - _lambda(last)) / h
    phi = np.expm1(-h) / -h - 1
    right = np.asarray([phi, 2 * (phi / -h - 1 / 2)]) / np.expm1(-h)
    back, new = np.linalg.solve(np.asarray([[1, 1], [ratio, 1]]), right)
    slope = -base * back / ratio
    return np.asarray([0.0, now / last, -base * new, -base + base * new - slope, slope])
