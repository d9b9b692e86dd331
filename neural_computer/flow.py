"""Flow matching as pure functions: shifted timesteps, the straight path, prediction types, samplers.

The path is z_t = (1 - t) z_0 + t eps with t = 0 the video and t = 1 noise, as in Wan2.1; its velocity is eps - z_0.
Times are floats in [0, 1]; the network's time embedding takes `TIME_SCALE` times as much.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int, Key, Shaped

from neural_computer.errors import one_of

TIME_SCALE = 1000.0
"""The time embedding of Wan2.1 counts from 0 to 1000."""


def fold_in_name(key: Key[Array, ""], name: str) -> Key[Array, ""]:
    """The key of a named stream of randomness: another stream beside it changes nothing."""
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


def shift_time(t: Float[Array, " *s"], shift: float) -> Float[Array, " *s"]:
    """Timesteps pushed towards noise: shift t / (1 + (shift - 1) t) (Esser et al. 2024, eq. 23)."""
    return shift * t / (1 + (shift - 1) * t)


def expand_like(values: Shaped[Array, " b *f"], like: Shaped[Array, " b *s"]) -> Shaped[Array, "b ..."]:
    """`values` with trailing axes, to meet an array that has the same leading ones."""
    return values.reshape(values.shape + (1,) * (like.ndim - values.ndim))


def interpolate(
    z0: Float[Array, " b *s"], eps: Float[Array, " b *s"], t: Float[Array, " b *f"]
) -> Float[Array, " b *s"]:
    """The path: z_t = (1 - t) z_0 + t eps, t one a sample or one a latent frame."""
    t = expand_like(t, z0)
    return (1 - t) * z0 + t * eps


def noise(key: Key[Array, ""], index: Int[Array, " b"], shape: tuple[int, ...]) -> Float[Array, "b ..."]:
    """Standard normal (b, *shape) float32; each sample's noise depends on its own index only, never on its batch."""
    return jax.vmap(lambda i: jax.random.normal(jax.random.fold_in(key, i), shape))(index)


def uniform(key: Key[Array, ""], index: Int[Array, " b"], shape: tuple[int, ...] = ()) -> Float[Array, "b ..."]:
    """Uniform in [0, 1), (b, *shape), a sample's from its own index only."""
    return jax.vmap(lambda i: jax.random.uniform(jax.random.fold_in(key, i), shape))(index)


class PredictionType(NamedTuple):
    """A prediction type: its regression target (z0, eps) -> y, and its inverse (y, z_t, t) -> z0."""

    target: Callable[[Array, Array], Array]
    to_x0: Callable[[Array, Array, Array], Array]


PREDICTION_TYPES = {
    "v": PredictionType(target=lambda z0, eps: eps - z0, to_x0=lambda v, zt, t: zt - expand_like(t, zt) * v),
    "x0": PredictionType(target=lambda z0, eps: z0, to_x0=lambda x0, zt, t: x0),
}
"""The velocity v is the paper's and Wan's. x0, the clean latents, is learned far faster when a patch has as many numbers as
the network is wide, since the network need not carry the noise through."""


# Samplers. All timesteps are known beforehand, so a step is linear, with coefficients computed here in float64.


class SamplerSchedule(NamedTuple):
    """A sampler's steps: times, timesteps for the network, and every step's coefficients."""

    times: Float[np.ndarray, " n"]
    """From noise towards the video, whose time, 0, is left out"""
    timesteps: Float[np.ndarray, " n"]
    """In [0, 1000], for the time embedding"""
    correct: Float[np.ndarray, "n 5"]
    """z <- of (z, z before the last step, x0 now, x0 one step ago, x0 two steps ago)"""
    predict: Float[np.ndarray, "n 3"]
    """next z <- of (z, x0 now, x0 one step ago)"""


def euler(steps: int, shift: float) -> SamplerSchedule:
    """Euler steps along the velocity, (z - x0) / t, at times evenly spaced from 1 to 0 before the shift."""
    t = _shifted(np.linspace(1, 0, steps + 1), shift)
    now, then = t[:-1], t[1:]
    predict = np.stack([then / now, 1 - then / now, 0 * now], axis=1)
    return _schedule(now, now * TIME_SCALE, np.eye(1, 5).repeat(steps, axis=0), predict)


def unipc(steps: int, shift: float) -> SamplerSchedule:
    """Wan2.1's sampler: UniPC of order 2 with B(h) = e^h - 1, predicting x0 (Zhao et al. 2023, algorithms 5, 6).

    Times begin at .999; timesteps are whole thousandths, as in the release. The first and last steps are of order 1.
    """
    t = _shifted(np.linspace(0.999, 0, steps + 1)[:-1], shift)
    order = [min(2, i + 1, steps - i) for i in range(steps)]
    correct = [np.eye(1, 5)[0]] + [_correct(t[: i + 1], order[i - 1]) for i in range(1, steps)]
    predict = [_predict(t[: i + 1], [*t[1:], 0.0][i], order[i]) for i in range(steps)]
    return _schedule(t, np.floor(t * TIME_SCALE), np.stack(correct), np.stack(predict))


SAMPLERS = {"euler": euler, "unipc": unipc}


PredictX0 = Callable[[Array, Array, Array], Array]
"""(z, time in [0, 1], timestep in [0, 1000] for the network) -> x0 as the network predicts it"""


@dataclass(frozen=True)
class Sampler:
    """How latents are sampled: `num_steps` denoising steps of a `solver` at times shifted by `shift`.

    `guidance` is the scale w of classifier-free guidance, out = uncond + w (cond - uncond); 1 turns it off (Ho and Salimans
    2022). `action_guidance` is that of the actions, away from none (`Denoiser.guided_prediction`).
    """

    solver: str = "euler"
    num_steps: int = 40
    shift: float = 3.0
    guidance: float = 1.0
    action_guidance: float = 1.0

    def __post_init__(self) -> None:
        one_of("solver", self.solver, SAMPLERS)
        if self.num_steps < 1:
            raise ValueError(f"num_steps={self.num_steps}: sampling needs at least 1 step")
        if self.shift <= 0:
            raise ValueError(f"shift={self.shift}: must be positive; 1 leaves the times as they are")

    def with_steps(self, num_steps: int) -> "Sampler":
        """The same sampler in another number of steps."""
        return replace(self, num_steps=num_steps)

    def sample(self, z: Float[Array, " b *s"], predict_x0: PredictX0) -> Float[Array, " b *s"]:
        """Denoised latents z0 from noise z."""
        return sample(SAMPLERS[self.solver](self.num_steps, self.shift), z, predict_x0)


def sample(schedule: SamplerSchedule, z: Float[Array, " b *s"], predict_x0: PredictX0) -> Float[Array, " b *s"]:
    """z at time 0 from z at the schedule's first time, in one scan over its steps."""

    def step(carry, row):
        z, before, last, previous = carry
        time, timestep, correct, predict = row
        now = predict_x0(z, time, timestep)
        z = _sum(correct, (z, before, now, last, previous))
        return (_sum(predict, (z, now, last)), z, now, last), None

    first: Any = (z, z, z, z)
    (z, *_), _ = jax.lax.scan(step, first, schedule)
    return z


def _sum(coefficients, terms):
    return sum(coefficients[i] * term for i, term in enumerate(terms))


def _shifted(t: np.ndarray, shift: float) -> np.ndarray:
    return shift * t / (1 + (shift - 1) * t)


def _schedule(*parts: np.ndarray) -> SamplerSchedule:
    return SamplerSchedule(*(part.astype(np.float32) for part in parts))


def _lambda(t: float) -> float:
    """Half the logarithm of the signal-to-noise ratio."""
    return np.log1p(-t) - np.log(t)


def _predict(t: np.ndarray, then: float, order: int) -> np.ndarray:
    """Coefficients (z, x0 now, x0 one step ago) of the step from t[-1] to `then`."""
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
    """Coefficients (z, z before the step, x0 now, one step ago, two steps ago) that redo the step from t[-2] to t[-1]."""
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
