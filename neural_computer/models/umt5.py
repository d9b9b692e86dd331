"""UMT5's encoder (Chung et al. 2023), the text encoder of Wan2.1: token ids to features. Its defaults are UMT5-XXL's sizes.

The residual stream, norms and softmax are float32; matmuls run in `dtype`. Use float32 or bfloat16: T5's weights make
FFN activations beyond what float16 can hold.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from neural_computer.models import layers
from neural_computer.models.attention import merge_heads, split_heads


def buckets_of(length: int, buckets: int, max_distance: int) -> Int[np.ndarray, "l l"]:
    """The bucket of every (query, key) pair by the key's signed distance (Raffel et al. 2020).

    Half of the buckets are for keys to the right. Of each half, half hold one distance each and the rest distances in
    geometric steps up to `max_distance`; all that lies beyond shares the last.
    """
    half = buckets // 2
    exact = half // 2
    place = np.arange(length)
    offset = place[None, :] - place[:, None]
    distance = np.abs(offset)
    steps = np.log(np.maximum(distance, exact) / exact) / math.log(max_distance / exact) * (half - exact)
    # The powers of two fall on the edge of a bucket: they belong to the farther one, whatever the logarithm's last digit.
    far = np.minimum(exact + (steps + 1e-6).astype(int), half - 1)
    return half * (offset > 0) + np.where(distance < exact, distance, far)


def bare(features: int, dtype: layers.Dtype, name: str) -> nn.Dense:
    """A Dense layer without bias."""
    return nn.Dense(features, use_bias=False, dtype=dtype, name=name)


class Attention(nn.Module):
    """softmax(q k^T + bias) v over the keys that are no padding. The scores are not scaled: T5 leaves that to the weights."""

    heads: int
    head_dim: int
    dtype: layers.Dtype

    @nn.compact
    def __call__(
        self, x: Float[Array, "b l d"], bias: Float[Array, "1 k l l"], real: Bool[Array, "b l"]
    ) -> Float[Array, "b l d"]:
        inner = self.heads * self.head_dim
        q, k, v = (split_heads(bare(inner, self.dtype, name)(x), self.heads) for name in "qkv")
        y = jax.nn.dot_product_attention(q, k, v, bias, real[:, None, None], scale=1.0, implementation="xla")
        return bare(x.shape[-1], self.dtype, "o")(merge_heads(y))


class Mlp(nn.Module):
    """Linear times GELU (tanh form) of a second Linear, then Linear back; no biases."""

    hidden: int
    dtype: layers.Dtype

    @nn.compact
    def __call__(self, x: Float[Array, "b l d"]) -> Float[Array, "b l d"]:
        gate = nn.gelu(bare(self.hidden, self.dtype, "gate")(x), approximate=True)
        return bare(x.shape[-1], self.dtype, "down")(gate * bare(self.hidden, self.dtype, "up")(x))


class Block(nn.Module):
    """Attention with relative positions of its own, then FFN: the body of the scan over depth."""

    ffn: int
    heads: int
    head_dim: int
    buckets: int
    dtype: layers.Dtype

    @nn.compact
    def __call__(self, h: Float[Array, "b l d"], bucket: Int[Array, "l l"], real: Bool[Array, "b l"]):
        table = self.param("position", nn.initializers.normal(0.1), (self.buckets, self.heads))
        bias = jnp.moveaxis(table.astype(jnp.float32)[bucket], -1, 0)[None]
        attention = Attention(self.heads, self.head_dim, self.dtype, name="attn")
        h = h + attention(layers.rms_norm("norm1")(h), bias, real).astype(jnp.float32)
        h = h + Mlp(self.ffn, self.dtype, name="mlp")(layers.rms_norm("norm2")(h)).astype(jnp.float32)
        return h, None


class UMT5(nn.Module):
    """The encoder half of UMT5; 5.68 billion parameters as it stands."""

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
        """Features of token ids. Id 0 is padding: it is not attended to and its rows come out zero, as Wan2.1 wants them."""
        table = self.param("embedding", nn.initializers.normal(1.0), (self.vocab, self.width))
        real = ids != 0
        bucket = jnp.asarray(buckets_of(ids.shape[1], self.buckets, self.max_distance))
        blocks = nn.scan(
            Block,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=nn.broadcast,
            length=self.depth,
        )(self.ffn, self.heads, self.head_dim, self.buckets, self.dtype, name="blocks")
        h, _ = blocks(table[ids].astype(jnp.float32), bucket, real)
        return jnp.where(real[..., None], layers.rms_norm("norm")(h), 0)
