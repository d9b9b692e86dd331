"""PSNR and SSIM of videos, computed on the device, over all pixels or those of a mask.

A mask keeps a large background from deciding the value.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Shaped

RADIUS, SIGMA = 5, 1.5
"""Of SSIM's Gaussian window, in pixels: half its width, and its standard deviation"""
K1, K2 = 0.01, 0.03
"""SSIM's constants; pixels are in [0, 1], so c = K^2"""
ERROR_FLOOR = 1e-10
"""The smallest mean squared error that PSNR tells from none: 100 dB"""


def psnr(
    x: Shaped[Array | np.ndarray, "b t h w 3"],
    y: Shaped[Array | np.ndarray, "b t h w 3"],
    where: Bool[Array | np.ndarray, "b t h w"] | None = None,
) -> Float[Array, " b"]:
    """Peak signal-to-noise ratio of every video in dB: -10 log10 of the mean squared error of pixels in [0, 1].

    With a mask, the mean is over its pixels. Equal videos have 100, an empty mask NaN. Raises ValueError unless videos
    are uint8.
    """
    error = jnp.square(_unit(x) - _unit(y))
    mask = None if where is None else jnp.asarray(where)[..., None]
    return -10 * jnp.log10(jnp.maximum(jnp.mean(error, axis=(1, 2, 3, 4), where=mask), ERROR_FLOOR))


def ssim(
    x: Shaped[Array | np.ndarray, "b t h w 3"],
    y: Shaped[Array | np.ndarray, "b t h w 3"],
    where: Bool[Array | np.ndarray, "b t h w"] | None = None,
) -> Float[Array, " b"]:
    """Structural similarity of every video, averaged over frames, channels and pixels.

    SSIM = (2 mx my + c1)(2 cov + c2) / ((mx^2 + my^2 + c1)(vx + vy + c2)) with moments in a Gaussian window of 11x11
    pixels, sigma 1.5, borders reflected (Wang et al. 2004, as torchmetrics 1.9 computes it). With a mask, the average
    is over its pixels; NaN for an empty one. Raises ValueError for frames of fewer than 6 pixels a side, and unless
    videos are uint8.
    """
    b, t, h, w, _ = x.shape
    if min(h, w) <= RADIUS:
        raise ValueError(f"frames of {h}x{w}: SSIM needs {RADIUS + 1} pixels a side")
    frames = [_unit(video).reshape(b * t, h, w, 3) for video in (x, y)]
    # A frame at a time: its maps stay in the cache.
    if where is None:
        return jax.lax.map(lambda pair: _similarity(*pair).mean(), tuple(frames)).reshape(b, t).mean(1)
    masks = jnp.asarray(where).reshape(b * t, h, w).repeat(3, axis=-1)
    sums = jax.lax.map(lambda each: jnp.sum(_similarity(*each[:2]), where=each[2]), (*frames, masks))
    return sums.reshape(b, t).sum(1) / masks.reshape(b, -1).sum(1)


def _similarity(x: Float[Array, "h w 3"], y: Float[Array, "h w 3"]) -> Float[Array, "h ww"]:
    """SSIM at every pixel of one frame; columns are pixels times three channels.

    Written by the difference d = x - y, the factors are 1 - mean(d)^2 / (mean(x)^2 + mean(y)^2 + c1) and
    1 - var(d) / (var(x) + var(y) + c2). In the usual form float32 rounding of the moments, 3e-8 on a white screen, is
    divided by c2 = 9e-4.
    """
    a, b, d = x - 0.5, y - 0.5, x - y
    mean_a, mean_b, squares, difference = _blur(jnp.stack([a, b, a * a + b * b, d * d]))
    gap = jnp.square(mean_a - mean_b)
    levels = jnp.square(mean_a + 0.5) + jnp.square(mean_b + 0.5)
    variances = squares - mean_a**2 - mean_b**2
    return (1 - gap / (levels + K1**2)) * (1 - (difference - gap) / (variances + K2**2))


def _unit(x: Array | np.ndarray) -> Array:
    if x.dtype != jnp.uint8:
        raise ValueError(f"videos: dtype {x.dtype}; they are compared as uint8, what a screen can show")
    return jnp.asarray(x).astype(jnp.float32) / 255


def _blur(x: Float[Array, "n h w 3"]) -> Float[Array, "n h ww"]:
    """Gaussian mean over height and width, borders reflected; a pixel's neighbour in a row is three columns away."""
    offsets = np.arange(2 * RADIUS + 1) - RADIUS
    weights = np.exp(-(offsets**2) / (2 * SIGMA**2))
    kernel = jnp.asarray(weights / weights.sum(), jnp.float32)
    x = jnp.pad(x, ((0, 0), (RADIUS, RADIUS), (RADIUS, RADIUS), (0, 0)), mode="reflect")
    x = x.reshape(len(x), 1, x.shape[1], -1)
    for shape, dilation in (((1, 1, len(offsets), 1), (1, 1)), ((1, 1, 1, len(offsets)), (1, 3))):
        x = jax.lax.conv_general_dilated(
            x, kernel.reshape(shape), (1, 1), "VALID", rhs_dilation=dilation, precision=jax.lax.Precision.HIGHEST
        )
    return x[:, 0]


def cursor_patch(
    cursor: Float[np.ndarray, "t 2"], height: int, width: int, radius: int = 16
) -> Bool[np.ndarray, "t {height} {width}"]:
    """Mask of the square around the cursor (x, y): pixels at most `radius` away in each direction; empty where it is NaN."""
    x, y = cursor[:, :1, None], cursor[:, 1:, None]
    near_y = np.abs(np.arange(height)[None, :, None] - y) <= radius
    near_x = np.abs(np.arange(width)[None, None, :] - x) <= radius
    return near_y & near_x
