"""Training the codec itself: a causal VAE as the model, and its reconstruction loss."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Array, Float, Int, Key, UInt8

from neural_computer import flow, sharding
from neural_computer.conditioning import normalize_pixels
from neural_computer.flow import fold_in_name
from neural_computer.models import weights
from neural_computer.models.lpips import LPIPS
from neural_computer.models.vae import WanVAE
from neural_computer.types import Batch, FrozenParams, Metrics, PyTree


class CodecBatch(NamedTuple):
    """A batch as a codec is trained on it."""

    index: Int[Array, " b"]  # type: ignore[assignment]  # shadows tuple.index, which nobody asks a batch
    video: Float[Array, "b t h w 3"]
    """In [-1, 1]"""
    lpips: PyTree = None
    """Frozen parameters of LPIPS, which sees the reconstruction; None where the loss has no LPIPS term"""


@dataclass(frozen=True)
class Autoencoder:
    """A VAE as a `Trainable`: its network is {"codec": {encoder, decoder}}. `lpips` is None without an LPIPS term."""

    codec: WanVAE
    lpips: LPIPS | None = None

    @property
    def rules(self) -> sharding.Rules:
        return sharding.RULES

    def init(self, key: Key[Array, ""]) -> PyTree:
        """Freshly initialised network parameters."""
        return {"codec": weights.NETWORKS["vae"].init(self.codec, key)}

    def encode(self, frozen: FrozenParams, batch: Batch) -> CodecBatch:
        """A batch as the objective takes it."""
        return CodecBatch(batch.index, normalize_pixels(batch.video), frozen.lpips)

    def params(self, network: PyTree) -> PyTree:
        """The codec's parameters while its latents are not measured: they stay as they are."""
        channels = self.codec.channels
        return network["codec"] | {"mean": np.zeros(channels, np.float32), "std": np.ones(channels, np.float32)}

    def statistics(self, codec: PyTree, videos: Iterable[UInt8[np.ndarray, "t h w 3"]]) -> dict[str, np.ndarray]:
        """{mean, std} of the latents' channels over some videos, by which a codec normalises them."""
        means = jax.jit(lambda codec, video: self.codec.posterior(codec, normalize_pixels(video)[None])[0])
        count, total, squares = 0, np.zeros(self.codec.channels), np.zeros(self.codec.channels)
        for video in videos:
            z = np.asarray(means(codec, video), np.float64).reshape(-1, self.codec.channels)
            count, total, squares = count + len(z), total + z.sum(0), squares + np.square(z).sum(0)
        if count == 0:
            raise ValueError("videos: there are none to measure latents of; give at least one")
        mean = total / count
        variance = squares / count - np.square(mean)
        # A channel the videos never use has no variance to divide by.
        std = np.sqrt(np.maximum(variance, 1e-6 * variance.max() + 1e-12))
        return {"mean": mean.astype(np.float32), "std": std.astype(np.float32)}


@dataclass(frozen=True)
class Reconstruction:
    """L1 + `lpips` LPIPS + `kl` KL(posterior || N(0, 1)) of videos through a sample of their posterior.

    Each term is a mean: over pixels, over videos and over the latents' numbers. The defaults are in the proportion that
    Wan2.1's report gives (3, 3, 3e-6). LPIPS sees `frames` frames of a video, drawn anew for every sample: it costs more
    than a small VAE, and neighbouring frames are much the same. Every sample's randomness comes from the key and its own
    index.
    """

    lpips: float = 1.0
    kl: float = 1e-6
    network: str = "vgg16"
    frames: int = 2

    def __post_init__(self) -> None:
        for name in ("lpips", "kl"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)}: must be a weight, 0 for none")
        if self.frames < 1:
            raise ValueError(f"frames={self.frames}: must be at least 1; lpips=0 turns LPIPS off")

    @property
    def lpips_network(self) -> LPIPS | None:
        return LPIPS(self.network) if self.lpips else None

    def __call__(
        self, coder: Autoencoder, network: PyTree, batch: CodecBatch, key: Key[Array, ""]
    ) -> tuple[Float[Array, ""], Metrics]:
        """The loss of a batch and its terms."""
        mean, logvar = coder.codec.posterior(network["codec"], batch.video)
        z = mean + jnp.exp(logvar / 2) * flow.noise(fold_in_name(key, "noise"), batch.index, mean.shape[1:])
        reconstruction = coder.codec.reconstruct(network["codec"], z)
        loss_l1, loss_kl = jnp.abs(reconstruction - batch.video).mean(), divergence(mean, logvar).mean()
        loss, metrics = loss_l1 + self.kl * loss_kl, {"loss_l1": loss_l1, "loss_kl": loss_kl}
        if coder.lpips is not None:
            draw = fold_in_name(key, "frames")
            pair = (some(video, self.frames, draw, batch.index) for video in (reconstruction, batch.video))
            metrics["loss_lpips"] = coder.lpips(batch.lpips, *pair).mean()
            loss = loss + self.lpips * metrics["loss_lpips"]
        return loss, {"loss": loss, **metrics}


def divergence(mean: Float[Array, " *s"], logvar: Float[Array, " *s"]) -> Float[Array, " *s"]:
    """KL(N(mean, exp(logvar)) || N(0, 1)) of every number, in nats (Kingma and Welling 2014, appendix B)."""
    return (jnp.square(mean) + jnp.exp(logvar) - 1 - logvar) / 2


def some(
    video: Float[Array, "b t h w 3"], count: int, key: Key[Array, ""], index: Int[Array, " b"]
) -> Float[Array, "n h w 3"]:
    """`count` frames of every video, or all if it has fewer, drawn without repetition."""
    order = jnp.argsort(flow.noise(key, index, video.shape[1:2]), axis=1)[:, :count]
    frames = jnp.take_along_axis(video, order[:, :, None, None, None], axis=1)
    return rearrange(frames, "b t h w c -> (b t) h w c")
