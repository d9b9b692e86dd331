"""A linear codec with the VAE's interface: 4x8x8 pixel blocks projected on their principal components (PCA).

It is not the paper's VAE. It is fitted in closed form in seconds, and so serves small experiments: same strides, same
causality (latent frame 0 is video frame 0, latent frame i video frames 4i-3 to 4i), same layout of the latents.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Array, Float, UInt8

from neural_computer.errors import one_of

STRIDE = (4, 8, 8)
"""Video frames and pixels of a latent cell of Wan2.1's VAE"""
TEMPORAL_STRIDES = (1, 4)
CodecParams = dict[str, Array | np.ndarray]


@dataclass(frozen=True)
class LinearCodec:
    """Videos (b, t, h, w, 3) in [-1, 1], t = s k + 1, to latents (b, k + 1, h/8, w/8, channels) and back.

    s is `temporal_stride`: 4 as the VAE's, or 1, with which an action shows in the very next latent frame. `whiten` is the
    exponent by which the channels' variances are equalised. 1 makes them equal: an error in a fine stroke weighs as much as
    one in a whole surface. 0 leaves them proportional to those of the pixels. Their mean is always 1.
    """

    channels: int
    whiten: float = 1.0
    temporal_stride: int = STRIDE[0]

    def __post_init__(self) -> None:
        one_of("temporal_stride", self.temporal_stride, TEMPORAL_STRIDES)
        if not 0 <= self.whiten <= 1:
            raise ValueError(f"whiten={self.whiten}: must be between 0, pixels, and 1, unit variances")
        if not 1 <= self.channels <= self.block:
            raise ValueError(f"channels={self.channels}: must be between 1 and {self.block}, the numbers in a block")

    @property
    def stride(self) -> tuple[int, int, int]:
        """Video frames and pixels (t, h, w) of a latent cell."""
        return (self.temporal_stride, *STRIDE[1:])

    @property
    def block(self) -> int:
        """Numbers in a block."""
        return 3 * math.prod(self.stride)

    def init(self) -> CodecParams:
        """Parameters of the right shapes before `fit`: the template that a checkpoint is restored into."""
        return {
            "mean": np.zeros(self.block, np.float32),
            "basis": np.zeros((self.block, self.channels), np.float32),
            "scale": np.ones(self.channels, np.float32),
        }

    def fit(self, videos: Iterable[UInt8[np.ndarray, "t h w 3"]]) -> CodecParams:
        """Parameters from the principal components of the videos' blocks, in one pass over their second moments.

        Unit variances help with text, as in the VAE: the strokes that distinguish glyphs are in small components, and with
        one common scale noise drowned them (training reached exact lines half as fast). Raises ValueError for no videos.
        """
        count, total, moment = 0, np.zeros(self.block), np.zeros((self.block, self.block))
        for video in videos:
            blocks = np.asarray(self._blocks(video[None].astype(np.float64) / 127.5 - 1)).reshape(-1, self.block)
            count, total, moment = count + len(blocks), total + blocks.sum(0), moment + blocks.T @ blocks
        if count == 0:
            raise ValueError("videos: there are none to fit a codec to; give at least one")
        mean = total / count
        values, vectors = np.linalg.eigh(moment / count - np.outer(mean, mean))
        values, vectors = values[::-1][: self.channels], vectors[:, ::-1][:, : self.channels]
        # An eigenvector's sign is arbitrary and differs between machines: its largest entry becomes positive.
        vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(0), np.arange(self.channels)])
        # A component that no video uses has no variance to divide by.
        values = np.maximum(values, 1e-6 * values[0] + 1e-12)
        scale = values ** (self.whiten / 2) * np.sqrt((values ** (1 - self.whiten)).mean())
        return {
            "mean": mean.astype(np.float32),
            "basis": vectors.astype(np.float32),
            "scale": scale.astype(np.float32),
        }

    def encode(self, params: CodecParams, video: Float[Array, "b t h w 3"]) -> Float[Array, "b f i j c"]:
        """Latents of a video in [-1, 1]. Raises ValueError for sizes that do not fit the strides."""
        return self._project(params, self._blocks(video))

    def decode(self, params: CodecParams, z: Float[Array, "b f i j c"]) -> Float[Array, "b t h w 3"]:
        """Video from latents, clipped to [-1, 1]."""
        return self._frames(params, z)[:, self.temporal_stride - 1 :]

    def encode_chunk(
        self, params: CodecParams, carry: tuple[()] | None, frames: Float[Array, "b t h w 3"]
    ) -> tuple[tuple[()], Float[Array, "b f i j c"]]:
        """(carry, latents) of the next frames: s k + 1 where a video begins (carry None), then s k."""
        if carry is None:
            return (), self.encode(params, frames)
        return (), self._project(params, cells(frames, self.stride))

    def decode_chunk(
        self, params: CodecParams, carry: tuple[()] | None, z: Float[Array, "b f i j c"]
    ) -> tuple[tuple[()], Float[Array, "b t h w 3"]]:
        """(carry, frames in [-1, 1]) of the next latents; where a video begins (carry None) the first makes one frame."""
        return (), self.decode(params, z) if carry is None else self._frames(params, z)

    def _project(self, params: CodecParams, blocks: Float[Array, "b f i j n"]) -> Float[Array, "b f i j c"]:
        return (blocks - params["mean"]) @ params["basis"] / params["scale"]

    def _frames(self, params: CodecParams, z: Float[Array, "b f i j c"]) -> Float[Array, "b t h w 3"]:
        blocks = (z * params["scale"]) @ params["basis"].T + params["mean"]
        t, p, q = self.stride
        return jnp.clip(rearrange(blocks, "b f i j (t p q c) -> b (f t) (i p) (j q) c", t=t, p=p, q=q, c=3), -1, 1)

    def _blocks(self, video: Any) -> Any:
        """(b, t, h, w, 3) as (b, f, i, j, block): frame 0 s times, then groups of s frames."""
        latent_size(*video.shape[1:4], stride=self.stride)
        xp = np if isinstance(video, np.ndarray) else jnp
        return cells(xp.concatenate([video[:, :1]] * (self.temporal_stride - 1) + [video], axis=1), self.stride)


def latent_size(frames: int, height: int, width: int, *, stride: tuple[int, int, int] = STRIDE) -> tuple[int, int, int]:
    """(f, i, j) of a video's latents. Raises ValueError for sizes that do not fit the strides."""
    t, p, q = stride
    if frames < 1 or (frames - 1) % t:
        raise ValueError(f"frames={frames}: must be {t}k + 1; try {max(0, frames) // t * t + 1}")
    if height < p or width < q or height % p or width % q:
        raise ValueError(f"size={height}x{width}: must be multiples of {p}x{q}")
    return 1 + (frames - 1) // t, height // p, width // q


def cells(video: Any, stride: tuple[int, int, int]) -> Any:
    """Blocks (b, f, i, j, t p q c) of a video (b, f t, i p, j q, c)."""
    t, p, q = stride
    return rearrange(video, "b (f t) (i p) (j q) c -> b f i j (t p q c)", t=t, p=p, q=q)
