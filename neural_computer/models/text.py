"""A text encoder small enough to be trained with the network (text_encoder is UMT5 otherwise, `models.umt5`)."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from neural_computer.models import layers
from neural_computer.models.attention import attend, merge_heads, split_heads

PLACES, NUMBERS = 8, 4
"""Digit places and numbers of a text that have a vector of their own; what is beyond shares the last"""


class ByteTextEncoder(nn.Module):
    """Byte ids to text features: embedding, learned positions, pre-norm transformer layers. Id 0 is padding, attended to.

    With `digit_places`, every digit also has a learned vector of its place in its number, units first, and one of which
    number of the text it is in (McLeish et al. 2024, abacus embeddings).
    """

    width: int
    length: int
    heads: int = 2
    depth: int = 1
    dtype: layers.Dtype = jnp.float32
    digit_places: bool = False

    @nn.compact
    def __call__(self, ids: Int[Array, "b l"]) -> Float[Array, "b l d"]:
        if ids.shape[1] > self.length:
            raise ValueError(f"text.length={self.length}: the texts have {ids.shape[1]} ids; give it that many")
        table = self.param("embedding", nn.initializers.normal(1.0), (257, self.width))
        position = self.param("position", nn.initializers.normal(0.3), (self.length, self.width))
        x = table[ids] + position[: ids.shape[1]]
        if self.digit_places:
            x = x + self._digits(ids)
        for i in range(self.depth):
            x = x + self._attention(layers.layer_norm(f"norm1_{i}", affine=True)(x), i)
            x = x + layers.Mlp(4 * self.width, self.width, self.dtype, name=f"ffn_{i}")(
                layers.layer_norm(f"norm2_{i}", affine=True)(x)
            )
        return layers.layer_norm("norm_out", affine=True)(x)

    def _digits(self, ids: Int[Array, "b l"]) -> Float[Array, "b l d"]:
        """The vectors of every digit's place and number; zeros elsewhere."""
        place, number = digit_places(ids)
        init = nn.initializers.normal(1.0)
        of_place = self.param("digit_place", init, (PLACES, self.width))
        of_number = self.param("digit_number", init, (NUMBERS, self.width))
        return jnp.where((place > 0)[..., None], of_place[place - 1] + of_number[number - 1], 0.0)

    def _attention(self, x: Float[Array, "b l d"], i: int) -> Float[Array, "b l d"]:
        q, k, v = (split_heads(layers.linear(self.width, self.dtype, f"{n}_{i}")(x), self.heads) for n in "qkv")
        return layers.linear(self.width, self.dtype, f"o_{i}")(merge_heads(attend(q, k, v)))


def digit_places(ids: Int[Array, "b l"]) -> tuple[Int[Array, "b l"], Int[Array, "b l"]]:
    """Of every byte id that is a digit: its place in its number, 1 for units, and which number of the text that is, from 1.

    0 for all other ids; at most `PLACES` and `NUMBERS`.
    """
    length, position = ids.shape[1], jnp.arange(ids.shape[1])
    digit = (ids > ord("0")) & (ids <= ord("9") + 1)  # an id is its byte plus one
    end = jax.lax.cummin(jnp.where(digit, length, position), axis=1, reverse=True)
    begins = digit & ~jnp.pad(digit, ((0, 0), (1, 0)))[:, :-1]
    place, number = jnp.minimum(end - position, PLACES), jnp.minimum(jnp.cumsum(begins, axis=1), NUMBERS)
    return jnp.where(digit, place, 0), jnp.where(digit, number, 0)


def masked_mean_pool(encode: Callable[[Array], Array], ids: Int[Array, "b u l"]) -> Float[Array, "b u d"]:
    """Mean of each short text's features over the tokens that are not padding; zeros for the empty text."""
    b, u, length = ids.shape
    features = encode(ids.reshape(b * u, length))
    weight = (ids.reshape(b * u, length, 1) != 0).astype(features.dtype)
    mean = (features * weight).sum(axis=1) / jnp.maximum(weight.sum(axis=1), 1)
    return mean.reshape(b, u, -1)
