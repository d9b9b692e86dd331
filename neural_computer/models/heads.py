"""Heads that training reads hidden states by; running has no use for them."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from neural_computer.models import layers


class Heads(nn.Module):
    """(video, told, foretold): what `train.objective` compares.

    From a video's features (b, f, d), a latent frame's tokens averaged, and its action embeddings u (b, f, n, e): unit vectors
    `video` (b, f, width) and `told` (b, f, n, width) in one space, and `foretold` (b, f, d), what the actions say that
    the features will be.
    """

    width: int

    @nn.compact
    def __call__(self, features: Float[Array, "b f d"], u: Float[Array, "b f n e"]) -> tuple[Any, Any, Any]:
        b, f, n, _ = u.shape
        video = layers.linear(self.width, jnp.float32, "video")(layers.layer_norm("norm")(features))
        told = [layers.linear(self.width, jnp.float32, f"told_{i}")(u[:, :, i]) for i in range(n)]
        foretold = layers.Mlp(2 * self.width, features.shape[-1], name="future")(u.reshape(b, f, -1))
        return _unit(video), _unit(jnp.stack(told, axis=2)), foretold


def _unit(x: Float[Array, "*s d"]) -> Float[Array, "*s d"]:
    return x * jnp.reciprocal(jnp.sqrt(jnp.square(x).sum(axis=-1, keepdims=True) + 1e-6))
