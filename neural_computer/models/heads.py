"""Projection heads of the contrastive and the future-prediction loss; training alone uses them."""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from neural_computer.models import layers


class HeadOutputs(NamedTuple):
    """What the losses compare: embeddings of video and actions, and features with their prediction from the actions."""

    video_embedding: Float[Array, "b f w"]
    """Of length 1"""
    action_embedding: Float[Array, "b f n w"]
    """Of length 1, in the same space: n = 0 the action, n = 1 the mouse"""
    predicted_features: Float[Array, "b f d"]
    """Prediction of `features` from the action embeddings u"""
    features: Float[Array, "b f d"]
    """The DiT's, as they came"""


class Heads(nn.Module):
    """Projections of the DiT's features (b, f, d) and of action embeddings u (b, f, n, e) to `width` numbers."""

    width: int

    @nn.compact
    def __call__(self, features: Float[Array, "b f d"], u: Float[Array, "b f n e"]) -> HeadOutputs:
        b, f, n, _ = u.shape
        video = layers.linear(self.width, jnp.float32, "video")(layers.layer_norm("norm")(features))
        actions = [layers.linear(self.width, jnp.float32, f"action_{i}")(u[:, :, i]) for i in range(n)]
        predicted = layers.Mlp(2 * self.width, features.shape[-1], name="future")(u.reshape(b, f, -1))
        return HeadOutputs(_unit(video), _unit(jnp.stack(actions, axis=2)), predicted, features)


def _unit(x: Float[Array, "*s d"]) -> Float[Array, "*s d"]:
    """x / |x| over the last axis; near zero the gradient stays finite."""
    return x * jnp.reciprocal(jnp.sqrt(jnp.square(x).sum(axis=-1, keepdims=True) + 1e-6))
