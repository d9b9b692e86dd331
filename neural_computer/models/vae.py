"""Wan2.1's causal video VAE: videos in [-1, 1] to normalised latents and back, strides 4x8x8.

Latent frame 0 is video frame 0; latent frame i adds video frames 4i-3 to 4i and depends on no later one. Encoding in chunks
with a carry equals encoding at once, and so does decoding (`models.vae_layers`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jax import lax
from jaxtyping import Array, Float, Key

from neural_computer.flow import fold_in_name
from neural_computer.models.layers import Dtype
from neural_computer.models.linear_codec import STRIDE, latent_size
from neural_computer.models.vae_layers import VAEDecoder, VAEEncoder, WanVAEConfig
from neural_computer.types import PyTree

LATENT_MEAN = (
    *(-0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508),
    *(0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921),
)
LATENT_STD = (
    *(2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743),
    *(3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160),
)
"""Of the published VAE's sixteen latent channels, over its training videos."""


@dataclass(frozen=True)
class WanVAE:
    """Videos (b, t, h, w, 3) in [-1, 1], t = 4k + 1, to latents (b, k + 1, h/8, w/8, channels) and back.

    Attributes:
      chunk: latent frames that pass the networks at a time, in a scan with the carry: memory and compile time then do not
        grow with the video. 0 makes the video one graph: 81 frames of 480x832 take 46 GiB in float32 (on CPUs 82), with
        chunk=1 only 7 (8).
      tile: side of square tiles in pixels, which overlap by a quarter and are computed one after the other. Memory is bound
        in space, but the result is no longer exact; 0 is off. On several devices split the height over the mesh's
        "context" axis instead: GSPMD exchanges the rows at the borders, and the result is exact.
    """

    shape: WanVAEConfig = WanVAEConfig()
    dtype: Dtype = jnp.float32
    chunk: int = 0
    tile: int = 0

    def __post_init__(self) -> None:
        if self.chunk < 0:
            raise ValueError(f"chunk={self.chunk}: must be latent frames a chunk, or 0 for the video in one graph")
        step = 4 * STRIDE[1]
        if self.tile < 0 or self.tile % step:
            raise ValueError(f"tile={self.tile}: must be a multiple of {step} pixels, or 0 for no tiles")

    @property
    def channels(self) -> int:
        return self.shape.channels

    @property
    def stride(self) -> tuple[int, int, int]:
        """Video frames and pixels (t, h, w) of a latent cell."""
        return STRIDE

    def init(self, key: Key[Array, ""]) -> dict[str, PyTree]:
        """Fresh parameters: {encoder, decoder, mean, std}; encoding reads no decoder, decoding no encoder."""
        t, h, w = STRIDE
        video, z = jnp.zeros((1, 1 + t, h, w, 3)), jnp.zeros((1, 2, 1, 1, self.channels))
        return {
            "encoder": self._encoder.init(fold_in_name(key, "encoder"), video)["params"],
            "decoder": self._decoder.init(fold_in_name(key, "decoder"), z)["params"],
            **statistics(self.channels),
        }

    # The interface of a codec

    def encode(self, params: PyTree, video: Float[Array, "b t h w 3"]) -> Float[Array, "b f i j c"]:
        """Normalised mean of the latents' posterior, never a sample. Raises ValueError for sizes that do not fit the strides."""
        return _normalise(params, self.posterior(params, video)[0])

    def decode(self, params: PyTree, z: Float[Array, "b f i j c"]) -> Float[Array, "b t h w 3"]:
        """Video from normalised latents, clipped to [-1, 1]."""
        return jnp.clip(self.reconstruct(params, _denormalise(params, z)), -1, 1)

    # For training

    def posterior(
        self, params: PyTree, video: Float[Array, "b t h w 3"]
    ) -> tuple[Float[Array, "b f i j c"], Float[Array, "b f i j c"]]:
        """Mean and log variance (within [-30, 20]) of the latents of a video, not normalised."""
        _, i, j = latent_size(*video.shape[1:4])
        return _moments(self._run(self._encoder, params["encoder"], video, (i, j), STRIDE[0]))

    def reconstruct(self, params: PyTree, z: Float[Array, "b f i j c"]) -> Float[Array, "b t h w 3"]:
        """Video, not clipped, from latents that are not normalised."""
        return self._run(self._decoder, params["decoder"], z, z.shape[2:4], 1)

    # Chunk by chunk

    def encode_chunk(
        self, params: PyTree, carry: PyTree, frames: Float[Array, "b t h w 3"]
    ) -> tuple[PyTree, Float[Array, "b f i j c"]]:
        """(carry, normalised latents) of the next frames: 4k + 1 where a video begins (carry None), then 4k."""
        t = frames.shape[1]
        if carry is not None and t % STRIDE[0]:
            raise ValueError(f"frames={t}: after a video's first chunk they come in multiples of {STRIDE[0]}")
        latent_size(t + (carry is not None), *frames.shape[2:4])
        carry, moments = _advance(self._encoder, params["encoder"], carry, frames)
        return carry, _normalise(params, _moments(moments)[0])

    def decode_chunk(
        self, params: PyTree, carry: PyTree, z: Float[Array, "b f i j c"]
    ) -> tuple[PyTree, Float[Array, "b t h w 3"]]:
        """(carry, frames in [-1, 1]) of the next latents; where a video begins (carry None) the first makes one frame.

        The published sizes' carry is 3.5 GiB a video of 480x832 in float32 (encoding: 2.1), half in bfloat16.
        """
        carry, video = _advance(self._decoder, params["decoder"], carry, _denormalise(params, z))
        return carry, jnp.clip(video, -1, 1)

    # Internal

    @property
    def _encoder(self) -> VAEEncoder:
        return VAEEncoder(self.shape, self.dtype)

    @property
    def _decoder(self) -> VAEDecoder:
        return VAEDecoder(self.shape, self.dtype)

    def _run(self, network: nn.Module, params: PyTree, x: Array, cells: tuple[int, ...], frames: int) -> Array:
        """`network` applied to x, whole, in chunks or tiles; x has `frames` frames a latent frame and `cells` latent cells."""

        def video(x: Array) -> Array:
            if not self.chunk:
                return jnp.asarray(network.apply({"params": params}, x))
            return stream(lambda carry, x: _advance(network, params, carry, x), x, self.chunk * frames)

        return tiled(video, x, cells, self.tile // STRIDE[1]) if self.tile else video(x)


def statistics(channels: int) -> dict[str, np.ndarray]:
    """{mean, std} that `encode` normalises latents by: the published VAE's for its 16 channels, else 0 and 1."""
    if channels == len(LATENT_MEAN):
        return {"mean": np.asarray(LATENT_MEAN, np.float32), "std": np.asarray(LATENT_STD, np.float32)}
    return {"mean": np.zeros(channels, np.float32), "std": np.ones(channels, np.float32)}


def _normalise(params: PyTree, z: Array) -> Array:
    return (z - params["mean"]) / params["std"]


def _denormalise(params: PyTree, z: Array) -> Array:
    return z * params["std"] + params["mean"]


def _moments(x: Float[Array, "b f i j m"]) -> tuple[Float[Array, "b f i j c"], Float[Array, "b f i j c"]]:
    mean, logvar = jnp.split(x, 2, axis=-1)
    return mean, jnp.clip(logvar, -30, 20)


def _advance(network: nn.Module, params: PyTree, carry: PyTree, x: Array) -> tuple[PyTree, Array]:
    """(carry, output) for the frames that follow those of `carry`, which is None where a video begins."""
    variables = {"params": params} if carry is None else {"params": params, "carry": carry}
    y, state = network.apply(variables, x, mutable=["carry"])
    return state["carry"], jnp.asarray(y)


def stream(step: Callable[[Any, Array], tuple[Any, Array]], x: Array, size: int) -> Array:
    """`step` over frame 0 of x (carry None), then over chunks of `size` frames in a scan, then over the remaining frames."""
    carry, first = step(None, x[:, :1])
    chunks = (x.shape[1] - 1) // size
    remaining = x[:, 1 + chunks * size :]
    parts = [first]
    if chunks:
        whole = rearrange(x[:, 1 : 1 + chunks * size], "b (n t) ... -> n b t ...", n=chunks)
        carry, y = lax.scan(step, carry, whole)
        parts.append(rearrange(y, "n b t ... -> b (n t) ..."))
    if remaining.shape[1]:
        parts.append(step(carry, remaining)[1])
    return jnp.concatenate(parts, axis=1)


def tiled(
    network: Callable[[Array], Array], x: Float[Array, "b t h w c"], cells: tuple[int, ...], size: int
) -> Float[Array, "b s p q d"]:
    """`network` applied to square tiles of `size` latent cells, blended linearly where they overlap, by a quarter or more.

    x (b, t, h, w, c) covers `cells` (i, j). Exact wherever the output depends on nothing outside its tile.
    """
    extent = [min(side, size) for side in cells]
    corners = np.asarray(list(product(*(_starts(side, size) for side in cells))))
    scale = x.shape[2] // cells[0]
    cut = (*x.shape[:2], *(scale * side for side in extent), x.shape[-1])
    tile = jax.eval_shape(network, jax.ShapeDtypeStruct(cut, x.dtype))
    grow = tile.shape[2] // extent[0]
    ramps = [_ramp(grow * side, grow * (size // 4)) for side in extent]
    window = (ramps[0][:, None] * ramps[1])[..., None]

    h, w = (grow * side for side in cells)
    weight = np.zeros((h, w, 1), np.float32)
    for i, j in corners * grow:
        weight[i : i + window.shape[0], j : j + window.shape[1]] += window

    def add(total: Array, corner: Array) -> tuple[Array, None]:
        i, j = corner
        y = network(lax.dynamic_slice(x, (0, 0, i * scale, j * scale, 0), cut)) * window
        start = (0, 0, i * grow, j * grow, 0)
        y = y + lax.dynamic_slice(total, start, y.shape)
        return lax.dynamic_update_slice(total, y, start), None

    blank = jnp.zeros((*tile.shape[:2], h, w, tile.shape[-1]), tile.dtype)
    total, _ = lax.scan(add, blank, jnp.asarray(corners))
    return total / weight


def _starts(length: int, size: int) -> list[int]:
    """First cells of tiles of `size` that cover `length`; the last tile ends with it."""
    last = max(0, length - size)
    return [*range(0, last, size - size // 4), last]


def _ramp(length: int, overlap: int) -> np.ndarray:
    """Weights of a tile along one side, rising over `overlap`, then 1, then falling; two that overlap so add up to 1."""
    place = np.arange(1, length + 1)
    return np.minimum(1, np.minimum(place, place[::-1]) / (overlap + 1)).astype(np.float32)
