"""Which actions belong to which latent frame: one rule, for training and for running."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int


@dataclass(frozen=True)
class Alignment:
    """Causal action window with a lag. Latent frame t ends at video frame a_t = c t. It is conditioned on the p = c w video
    frames that end at a_t - lag:

        W[t, k] = r[a_t - (p - 1 + lag) + k],  k = 0 .. p - 1        (zeros outside the video; the paper, section 3)

    Attributes:
      stride: c, video frames of a latent frame.
      window: w, in latent frames; with 1 and no lag a latent frame is conditioned on its own video frames alone.
      lag: in video frames, the time from an action to its expected effect.
    """

    stride: int = 4
    window: int = 1
    lag: int = 0

    def __post_init__(self) -> None:
        for name, least in (("stride", 1), ("window", 1), ("lag", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least {least}")

    @property
    def width(self) -> int:
        """p: video frames in a window."""
        return self.stride * self.window

    def frames(self, video: int) -> Int[np.ndarray, "f p"]:
        """Index of every window's video frames; those below 0 and from `video` on are outside the video."""
        latents = (video - 1) // self.stride + 1
        return np.arange(latents)[:, None] * self.stride - (self.width - 1 + self.lag) + np.arange(self.width)

    def inside(self, video: int) -> Bool[np.ndarray, "f p"]:
        """Which frames of every window are inside a video of `video` frames."""
        return (self.frames(video) >= 0) & (self.frames(video) < video)

    def windows(self, r: Float[Array, "b t d"]) -> Float[Array, "b f p d"]:
        """W: values of video frames, window by window; zero outside the video."""
        video = r.shape[1]
        values = jnp.take(r, np.clip(self.frames(video), 0, video - 1), axis=1)
        return jnp.where(self.inside(video)[None, :, :, None], values, 0)
