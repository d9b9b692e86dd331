"""Which action belongs to which latent frame: one rule, for training and for running."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int


@dataclass(frozen=True)
class Alignment:
    """Lag-aware windows: latent frame t, whose newest video frame is a_t = t c, is told of p = c w video frames, the last
    of which is a_t - lag.

        W[t, k] = r[a_t - (p - 1 + lag) + k],  k = 0 .. p - 1        (zeros outside the video; the paper, section 3)

    `stride` is c, video frames a latent frame; `window` is w, in latent frames; `lag`, in video frames, is how long after an
    action its effect is expected. With w = 1 and no lag a latent frame is told of just the video frames that it holds.
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
        """The video frame at every place of every window; negative ones, and those from `video` on, are outside."""
        latents = (video - 1) // self.stride + 1
        return np.arange(latents)[:, None] * self.stride - (self.width - 1 + self.lag) + np.arange(self.width)

    def inside(self, video: int) -> Bool[np.ndarray, "f p"]:
        """Which places of the windows are inside the video."""
        return (self.frames(video) >= 0) & (self.frames(video) < video)

    def windows(self, r: Float[Array, "b t d"]) -> Float[Array, "b f p d"]:
        """W: what is known of video frames, by latent frame."""
        video = r.shape[1]
        known = jnp.take(r, np.clip(self.frames(video), 0, video - 1), axis=1)
        return jnp.where(self.inside(video)[None, :, :, None], known, 0)
