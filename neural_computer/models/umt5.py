"""UMT5's encoder (Chung et al. 2023), the text encoder of Wan2.1: token ids to text features. Defaults are UMT5-XXL's.

The residual stream, norms and softmax are float32; matmuls run in `dtype`. Use float32 or bfloat16: FFN activations of T5
overflow float16.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from neural_computer.models import layers
from neural_computer.models.attention import merge_heads, split_heads


def position_buckets(length: int, buckets: int, max_distance: int) -> Int[np.ndarray, "l l"]:
    """Bucket of every (query, key) pair by relative position (Raffel et al. 2020).

    Half of the buckets are for keys to the right. In each half, half of the buckets hold one distance each, the others
    distances in geometric steps up to `max_distance`; larger ones share the last bucket.
    """
    half = buckets // 2
    exact = half // 2
    position = np.arange(length)
    offset = position[None, :] - position[:, None]
    distance = np.abs(offset)
    steps = np.log(np.maximum(distance, exact) / exact) / math.log(max_distance / exact) * (half - exact)
    # Powers of two fall on the edge of a bucket: 1e-6 puts them into the farther one, whatever the logarithm rounds to.
    far = np.minimum(exact + (steps + 1e-6).astype(int), half - 1)
    return half * (offset > 0) + np.where(distance < exact, distance, far)


def unbiased(features: int, dtype: layers.Dtype, name: str) -> nn.Dense:
    """A Dense layer without bias."""
    return nn.Dense(features, use_bias=False, dtype=dtype, name=name)


class T5Attention(nn.Module):
    """softmax(q k^T + bias) v over the keys that are not padding. Scores are not scaled: T5's weights account for it."""

    heads: int
    head_dim: int
    dtype: layers.Dtype

    @nn.compact
    def __call__(
        self, x: Float[Array, "b l d"], bias: Float[Array, "1 k l l"], valid: Bool[Array, "b l"]
    ) -> Float[Array, "b l d"]:
        inner = self.heads * self.head_dim
        q, k, v = (split_heads(unbiased(inner, self.dtype, name)(x), self.heads) for name in "qkv")
        y = jax.nn.dot_product_attention(q, k, v, bias, valid[:, None, None], scale=1.0, implementation="xla")
        return unbiased(x.shape[-1], self.dtype, "o")(merge_heads(y))


class T5Mlp(nn.Module):
    """Gated GELU (tanh form): Linear * GELU(Linear), then Linear; no biases."""

    hidden: int
    dtype: layers.Dtype

    @nn.compact
    def __call__(self, x: Float[Array, "b l d"]) -> Float[Array, "b l d"]:
        gate = nn.gelu(unbiased(self.hidden, self.dtype, "gate")(x), approximate=True)
        return unbiased(x.shape[-1], self.dtype, "down")(gate * unbiased(self.hidden, self.dtype, "up")(x))


class T5Block(nn.Module):
    """Attention with its own table of relative positions, then FFN: the body of the scan over depth."""

    ffn: int
    heads: int
    head_dim: int
    buckets: int
    dtype: layers.Dtype

    @nn.compact
    def __call__(self, h: Float[Array, "b l d"], bucket: Int[Array, "l l"], valid: Bool[Array, "b l"]):
        table = self.param("position", nn.initializers.normal(0.1), (self.buckets, self.heads))
        bias = jnp.moveaxis(table.astype(jnp.float32)[bucket], -1, 0)[None]
        attention = T5Attention(self.heads, self.head_dim, self.dtype, name="attn")
        h = h + attention(layers.rms_norm("norm1")(h), bias, valid).astype(jnp.float32)
        h = h + T5Mlp(self.ffn, self.dtype, name="mlp")(layers.rms_norm("norm2")(h)).astype(jnp.float32)
        return h, None


class UMT5(nn.Module):
    """UMT5's encoder; the default sizes have 5.68 billion parameters."""

    vocab: int = 256384
    width: int = 4096
    ffn: int = 10240
    heads: int = 64
    head_dim: int = 64
    depth: int = 24
    buckets: int = 32
    max_distance: int = 128
    dtype: layers.Dtype = jnp.float32

    @nn.compact
    def __call__(self, ids: Int[Array, "b l"]) -> Float[Array, "b l d"]:
        """Features of token ids. Id 0 is padding: it is not attended to, and its features are zero, as in Wan2.1."""
        table = self.param("embedding", nn.initializers.normal(1.0), (self.vocab, self.width))
        valid = ids != 0
        bucket = jnp.asarray(position_buckets(ids.shape[1], self.buckets, self.max_distance))
        blocks = nn.scan(
            T5Block,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=nn.broadcast,
            length=self.depth,
        )(self.ffn, self.heads, self.head_dim, self.buckets, self.dtype, name="blocks")
        h, _ = blocks(table[ids].astype(jnp.float32), bucket, valid)
        return jnp.where(valid[..., None], layers.rms_norm("norm")(h), 0)
