"""PSNR and SSIM of films, on the device."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

WINDOW, SIGMA = 11, 1.5


def psnr(x: Shaped[Array | np.ndarray, "b t h w 3"], y: Shaped[Array | np.ndarray, "b t h w 3"]) -> Float[Array, " b"]:
    """Peak signal-to-noise ratio in dB of every uint8 film, over all its pixels; equal films have 100."""
    error = jnp.mean(jnp.square(_unit(x) - _unit(y)), axis=(1, 2, 3, 4))
    return -10 * jnp.log10(jnp.maximum(error, 1e-10))


def ssim(x: Shaped[Array | np.ndarray, "b t h w 3"], y: Shaped[Array | np.ndarray, "b t h w 3"]) -> Float[Array, " b"]:
    """Structural similarity of every uint8 film, averaged over frames, channels and places (Wang et al. 2004: a Gaussian
    of 11 pixels, sigma 1.5, constants .01 and .03, whole windows only). Frames must have 11 pixels a side."""
    if min(x.shape[2:4]) < WINDOW:
        raise ValueError(f"frames of {x.shape[2]}x{x.shape[3]}: SSIM needs {WINDOW} pixels a side")
    a, b = _unit(x), _unit(y)
    mean_a, mean_b = _blur(a), _blur(b)
    var_a, var_b = _blur(a * a) - mean_a**2, _blur(b * b) - mean_b**2
    both = _blur(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    value = (2 * mean_a * mean_b + c1) * (2 * both + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    return value.mean(axis=(1, 2, 3, 4))


def _unit(x: Array | np.ndarray) -> Array:
    if x.dtype != jnp.uint8:
        raise ValueError(f"films: dtype {x.dtype}; they are compared as uint8, what a screen can show")
    return jnp.asarray(x).astype(jnp.float32) / 255


def _blur(x: Array) -> Array:
    """The Gaussian over height and width, without padding."""
    at = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-(at**2) / (2 * SIGMA**2))
    weights /= weights.sum()
    for axis in (2, 3):
        size = x.shape[axis] - WINDOW + 1
        parts = (w * jax.lax.slice_in_dim(x, i, i + size, axis=axis) for i, w in enumerate(weights.tolist()))
        x = sum(parts, start=jnp.zeros(()))
    return x
