"""Which action belongs to which latent frame: one rule, for training and for running."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int


@dataclass(frozen=True)
class Alignment:
    """Lag-aware windows: latent frame t, whose newest film frame is a_t = t c, is told of p = c w film frames, the last
    of which is a_t - lag.

        W[t, k] = r[a_t - (p - 1 + lag) + k],  k = 0 .. p - 1        (zeros outside the film; the paper, section 3)

    `stride` is c, film frames a latent frame; `window` is w, in latent frames; `lag`, in film frames, is how long after an
    action its effect is expected. With w = 1 and no lag a latent frame is told of just the film frames that it holds.
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
        """p: film frames in a window."""
        return self.stride * self.window

    def frames(self, film: int) -> Int[np.ndarray, "f p"]:
        """The film frame at every place of every window; negative ones, and those from `film` on, are outside."""
        latents = (film - 1) // self.stride + 1
        return np.arange(latents)[:, None] * self.stride - (self.width - 1 + self.lag) + np.arange(self.width)

    def inside(self, film: int) -> Bool[np.ndarray, "f p"]:
        """Which places of the windows are inside the film."""
        return (self.frames(film) >= 0) & (self.frames(film) < film)

    def windows(self, r: Float[Array, "b t d"]) -> Float[Array, "b f p d"]:
        """W: what is known of film frames, by latent frame."""
        film = r.shape[1]
        known = jnp.take(r, np.clip(self.frames(film), 0, film - 1), axis=1)
        return jnp.where(self.inside(film)[None, :, :, None], known, 0)
