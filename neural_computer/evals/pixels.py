"""PSNR and SSIM of videos, on the device; over all pixels or some, so that a background does not decide."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Shaped

REACH, SIGMA = 5, 1.5
"""Pixels that a window reaches to either side of its middle, and its Gaussian's width"""

Videos = Shaped[Array | np.ndarray, "b t h w 3"]
Mask = Bool[Array | np.ndarray, "b t h w"]


def psnr(x: Videos, y: Videos, where: Mask | None = None) -> Float[Array, " b"]:
    """Peak signal-to-noise ratio in dB of every uint8 video, over all its pixels, or those of a mask; equal videos have 100,
    an empty mask NaN."""
    error = jnp.square(_unit(x) - _unit(y))
    mask = None if where is None else jnp.asarray(where)[..., None]
    return -10 * jnp.log10(jnp.maximum(jnp.mean(error, axis=(1, 2, 3, 4), where=mask), 1e-10))


def ssim(x: Videos, y: Videos, where: Mask | None = None) -> Float[Array, " b"]:
    """Structural similarity of every uint8 video, averaged over frames, channels and places, as torchmetrics 1.9 defines it
    (Wang et al. 2004: a Gaussian of 11 pixels, sigma 1.5, constants .01 and .03; frames are mirrored at their borders).

    With a mask: over its places; NaN for none. Frames must have 6 pixels a side.
    """
    b, t, h, w, _ = x.shape
    if min(h, w) <= REACH:
        raise ValueError(f"frames of {h}x{w}: SSIM needs {REACH + 1} pixels a side")
    frames = [_unit(video).reshape(b * t, h, w, 3) for video in (x, y)]
    # A frame at a time: its maps stay in the cache.
    if where is None:
        return jax.lax.map(lambda pair: _similarity(*pair).mean(), tuple(frames)).reshape(b, t).mean(1)
    masks = jnp.asarray(where).reshape(b * t, h, w).repeat(3, axis=-1)
    sums = jax.lax.map(lambda each: jnp.sum(_similarity(*each[:2]), where=each[2]), (*frames, masks))
    return sums.reshape(b, t).sum(1) / masks.reshape(b, -1).sum(1)


def _similarity(x: Float[Array, "h w 3"], y: Float[Array, "h w 3"]) -> Float[Array, "h ww"]:
    """The index at every place of one frame; columns are pixels times three channels.

    Written by the difference d = x - y: its factors are 1 - mean(d)^2 / (mean(x)^2 + mean(y)^2 + c1) and
    1 - var(d) / (var(x) + var(y) + c2). In the usual form a float32's rounding of the moments, 3e-8 of a white screen, is
    divided by c2 = 9e-4.
    """
    a, b, d = x - 0.5, y - 0.5, x - y
    mean_a, mean_b, squares, apart = _blur(jnp.stack([a, b, a * a + b * b, d * d]))
    gap = jnp.square(mean_a - mean_b)
    levels = jnp.square(mean_a + 0.5) + jnp.square(mean_b + 0.5)
    variances = squares - mean_a**2 - mean_b**2
    c1, c2 = 0.01**2, 0.03**2
    return (1 - gap / (levels + c1)) * (1 - (apart - gap) / (variances + c2))


def _unit(x: Array | np.ndarray) -> Array:
    if x.dtype != jnp.uint8:
        raise ValueError(f"videos: dtype {x.dtype}; they are compared as uint8, what a screen can show")
    return jnp.asarray(x).astype(jnp.float32) / 255


def _blur(x: Float[Array, "n h w 3"]) -> Float[Array, "n h ww"]:
    """The Gaussian over height and width of mirrored pictures; a pixel's neighbour in a row is three columns away."""
    at = np.arange(2 * REACH + 1) - REACH
    weights = np.exp(-(at**2) / (2 * SIGMA**2))
    kernel = jnp.asarray(weights / weights.sum(), jnp.float32)
    x = jnp.pad(x, ((0, 0), (REACH, REACH), (REACH, REACH), (0, 0)), mode="reflect")
    x = x.reshape(len(x), 1, x.shape[1], -1)
    for shape, step in (((1, 1, len(at), 1), (1, 1)), ((1, 1, 1, len(at)), (1, 3))):
        x = jax.lax.conv_general_dilated(
            x, kernel.reshape(shape), (1, 1), "VALID", rhs_dilation=step, precision=jax.lax.Precision.HIGHEST
        )
    return x[:, 0]


def cursor_patch(
    cursor: Float[np.ndarray, "t 2"], height: int, width: int, radius: int = 16
) -> Bool[np.ndarray, "t {height} {width}"]:
    """The pixels at most `radius` from the mouse, (x, y) in pixels, in both directions; none where it is NaN."""
    x, y = cursor[:, :1, None], cursor[:, 1:, None]
    near_y = np.abs(np.arange(height)[None, :, None] - y) <= radius
    near_x = np.abs(np.arange(width)[None, None, :] - x) <= radius
    return near_y & near_x
