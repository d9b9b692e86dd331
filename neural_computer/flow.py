"""Flow matching as pure functions: shifted times, the straight path, what the network is asked for, Euler steps.

The path is z_t = (1 - t) z_0 + t eps with t = 0 the film and t = 1 noise, as in Wan2.1; its velocity is eps - z_0.
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


def sampling_times(steps: int, shift: float) -> Float[np.ndarray, " n"]:
    """Times from 1 (noise) to 0 (film), evenly spaced before the shift."""
    t = np.linspace(1.0, 0.0, steps + 1)
    return (shift * t / (1 + (shift - 1) * t)).astype(np.float32)


def per_sample(values: Shaped[Array, " b"], like: Shaped[Array, " b *s"]) -> Shaped[Array, "b ..."]:
    """`values` with trailing axes, to meet a (b, ...) array."""
    return values.reshape(values.shape + (1,) * (like.ndim - values.ndim))


def interpolate(z0: Float[Array, " b *s"], eps: Float[Array, " b *s"], t: Float[Array, " b"]) -> Float[Array, " b *s"]:
    """The path: z_t = (1 - t) z_0 + t eps."""
    t = per_sample(t, z0)
    return (1 - t) * z0 + t * eps


def noise(key: Key[Array, ""], index: Int[Array, " b"], shape: tuple[int, ...]) -> Float[Array, "b ..."]:
    """Standard normal (b, *shape) float32; each sample's noise depends on its own index only, never on its batch."""
    return jax.vmap(lambda i: jax.random.normal(jax.random.fold_in(key, i), shape))(index)


def uniform(key: Key[Array, ""], index: Int[Array, " b"]) -> Float[Array, " b"]:
    """Uniform in [0, 1), one a sample, from its own index only."""
    return jax.vmap(lambda i: jax.random.uniform(jax.random.fold_in(key, i)))(index)


class Target(NamedTuple):
    """What the network is asked for, and how a velocity is read from its answer."""

    of: Callable
    """(z0, eps) -> the regression target"""
    velocity: Callable
    """(answer, z_t, t per sample) -> velocity"""


TARGETS = {
    "v": Target(of=lambda z0, eps: eps - z0, velocity=lambda out, zt, t: out),
    "x": Target(of=lambda z0, eps: z0, velocity=lambda out, zt, t: (zt - out) / per_sample(t, zt)),
}
"""v is the paper's and Wan's. x (the film itself) learns far faster when a patch has as many numbers as the network is
wide, since the network need not carry the noise through."""


def euler(z: Float[Array, " *s"], velocity: Float[Array, " *s"], t: Any, s: Any) -> Float[Array, " *s"]:
    """z at time s from z at time t: one Euler step along the velocity."""
    return z + (s - t) * velocity
