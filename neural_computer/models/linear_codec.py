"""A linear codec with the VAE's interface: 4x8x8 pixel blocks projected on their principal components (PCA).

It is not the paper's VAE. It is fitted in closed form in seconds, and so serves small experiments: same strides, same
causality (latent frame 0 is video frame 0, latent frame i video frames 4i-3 to 4i), same layout of the latents.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Array, Float, UInt8

STRIDE = (4, 8, 8)
BLOCK = STRIDE[0] * STRIDE[1] * STRIDE[2] * 3
CodecParams = dict[str, Array | np.ndarray]


@dataclass(frozen=True)
class LinearCodec:
    """Videos (b, t, h, w, 3) in [-1, 1], t = 4k + 1, to latents (b, k + 1, h/8, w/8, channels) and back.

    `whiten` is the exponent by which the channels' variances are equalised. 1 makes them equal: an error in a fine stroke
    weighs as much as one in a whole surface. 0 leaves them proportional to those of the pixels. Their mean is always 1.
    """

    channels: int
    whiten: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.whiten <= 1:
            raise ValueError(f"whiten={self.whiten}: must be between 0, pixels, and 1, unit variances")
        if not 1 <= self.channels <= BLOCK:
            raise ValueError(f"channels={self.channels}: must be between 1 and {BLOCK}, the numbers in a block")

    def init(self) -> CodecParams:
        """Parameters of the right shapes before `fit`: the template that a checkpoint is restored into."""
        return {
            "mean": np.zeros(BLOCK, np.float32),
            "basis": np.zeros((BLOCK, self.channels), np.float32),
            "scale": np.ones(self.channels, np.float32),
        }

    def fit(self, videos: Iterable[UInt8[np.ndarray, "t h w 3"]]) -> CodecParams:
        """Parameters from the principal components of the videos' blocks, in one pass over their second moments.

        Unit variances help with text, as in the VAE: the strokes that distinguish glyphs are in small components, and with
        one common scale noise drowned them (training reached exact lines half as fast). Raises ValueError for no videos.
        """
        count, total, moment = 0, np.zeros(BLOCK), np.zeros((BLOCK, BLOCK))
        for video in videos:
            blocks = np.asarray(_blocks(video[None].astype(np.float64) / 127.5 - 1)).reshape(-1, BLOCK)
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
        return (_blocks(video) - params["mean"]) @ params["basis"] / params["scale"]

    def decode(self, params: CodecParams, z: Float[Array, "b f i j c"]) -> Float[Array, "b t h w 3"]:
        """Video from latents, clipped to [-1, 1]."""
        blocks = (z * params["scale"]) @ params["basis"].T + params["mean"]
        t, p, q = STRIDE
        video = rearrange(blocks, "b f i j (t p q c) -> b (f t) (i p) (j q) c", t=t, p=p, q=q, c=3)
        return jnp.clip(video[:, t - 1 :], -1, 1)


def latent_size(frames: int, height: int, width: int) -> tuple[int, int, int]:
    """(f, i, j) of a video's latents. Raises ValueError for sizes that do not fit the strides."""
    t, p, q = STRIDE
    if frames < 1 or frames % t != 1:
        raise ValueError(f"frames={frames}: must be {t}k + 1; try {max(0, frames) // t * t + 1}")
    if height < p or width < q or height % p or width % q:
        raise ValueError(f"size={height}x{width}: must be multiples of {p}x{q}")
    return 1 + frames // t, height // p, width // q


def _blocks(video: Any) -> Any:
    """(b, t, h, w, 3) as (b, f, i, j, 768): frame 0 four times, then groups of four frames."""
    t, p, q = STRIDE
    latent_size(*video.shape[1:4])
    xp = np if isinstance(video, np.ndarray) else jnp
    video = xp.concatenate([video[:, :1]] * (t - 1) + [video], axis=1)
    return rearrange(video, "b (f t) (i p) (j q) c -> b f i j (t p q c)", t=t, p=p, q=q)
