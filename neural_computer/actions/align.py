"""Which actions belong to which latent frame: one rule, for training and for running."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


@dataclass(frozen=True)
class Alignment:
    """Causal action window with a lag. Latent frame t ends at video frame a_t = c t. It is conditioned on the p = c w video
    frames that end at a_t - lag:

        W[t, k] = r[a_t - (p - 1 + lag) + k],  k = 0 .. p - 1        (zeros before the video; the paper, section 3)

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
        """Index of every window's video frames; those below 0 are before the video, and none is after it."""
        latents = (video - 1) // self.stride + 1
        return np.arange(latents)[:, None] * self.stride - (self.width - 1 + self.lag) + np.arange(self.width)

    def windows(self, r: Float[Array, "b t d"]) -> Float[Array, "b f p d"]:
        """W: values of video frames, window by window; zero before the video."""
        frames = self.frames(r.shape[1])
        values = jnp.take(r, np.maximum(frames, 0), axis=1)
        return jnp.where((frames >= 0)[None, :, :, None], values, 0)
