"""CLIP's ViT-H/14 (Radford et al. 2021; OpenCLIP's weights), the image encoder of Wan2.1, and its preprocessing.

Wan2.1 uses the output of the second-to-last block, without a final norm. The last block is not built.
"""

from functools import cache

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Array, Float

from neural_computer.models import layers
from neural_computer.models.attention import attend, merge_heads, split_heads

EPS = 1e-5
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def preprocess(frames: Float[Array, "b h w 3"], size: int = 224) -> Float[Array, "b {size} {size} 3"]:
    """Frames in [-1, 1] as CLIP's input: resized to a square, then (x - mean) / std of x in [0, 1].

    As Wan2.1 does: the whole frame, whatever its aspect ratio, without a crop, which would cut off a screen's sides; bicubic
    without antialiasing, overshoot not clipped.
    """
    height, width = frames.shape[1:3]
    rows, columns = bicubic(height, size), bicubic(width, size)
    frames = jnp.einsum("ih,jw,bhwc->bijc", rows, columns, frames.astype(jnp.float32), precision="highest")
    return (frames * 0.5 + 0.5 - np.asarray(MEAN, np.float32)) / np.asarray(STD, np.float32)


@cache
def bicubic(source: int, target: int) -> Float[np.ndarray, "{target} {source}"]:
    """Matrix that resizes `source` pixels to `target`: cubic convolution (Keys 1981) with a = -0.75, edges repeated.

    torch's kernel, which Wan2.1 was trained with; sharper than the usual a = -0.5. Computed in float64.
    """
    position = (np.arange(target) + 0.5) * source / target - 0.5
    base = np.floor(position).astype(int)
    matrix = np.zeros((target, source))
    for tap in range(-1, 3):
        pixel = np.clip(base + tap, 0, source - 1)
        np.add.at(matrix, (np.arange(target), pixel), _cubic(np.abs(position - (base + tap))))
    return matrix.astype(np.float32)


def _cubic(x: Float[np.ndarray, " t"], a: float = -0.75) -> Float[np.ndarray, " t"]:
    """Keys' kernel at distances x <= 2: 1 at 0, 0 at 1 and 2."""
    return np.where(x < 1, ((a + 2) * x - (a + 3)) * x**2 + 1, a * (((x - 5) * x + 8) * x - 4))


class CLIPAttention(nn.Module):
    """Self-attention over all tokens."""

    heads: int
    dtype: layers.Dtype

    @nn.compact
    def __call__(self, x: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
        width = x.shape[-1]
        q, k, v = (split_heads(layers.linear(width, self.dtype, name)(x), self.heads) for name in "qkv")
        return layers.linear(width, self.dtype, "o")(merge_heads(attend(q, k, v)))


class CLIPMlp(nn.Module):
    """Linear, GELU (exact form), Linear."""

    hidden: int
    dtype: layers.Dtype

    @nn.compact
    def __call__(self, x: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
        y = nn.gelu(layers.linear(self.hidden, self.dtype, "up")(x), approximate=False)
        return layers.linear(x.shape[-1], self.dtype, "down")(y)


class CLIPBlock(nn.Module):
    """Pre-norm attention and FFN: the body of the scan over depth."""

    ffn: int
    heads: int
    dtype: layers.Dtype

    @nn.compact
    def __call__(self, h: Float[Array, "b n d"], _: None):
        x = layers.layer_norm("norm1", affine=True, eps=EPS)(h)
        h = h + CLIPAttention(self.heads, self.dtype, name="attn")(x).astype(jnp.float32)
        x = layers.layer_norm("norm2", affine=True, eps=EPS)(h)
        return h + CLIPMlp(self.ffn, self.dtype, name="mlp")(x).astype(jnp.float32), None


class CLIPVision(nn.Module):
    """A CLIP vision transformer up to its second-to-last block; `depth` counts the blocks built, 31 of ViT-H's 32.

    The default sizes have 611 million parameters.
    """

    image: int = 224
    patch: int = 14
    width: int = 1280
    ffn: int = 5120
    heads: int = 16
    depth: int = 31
    dtype: layers.Dtype = jnp.float32

    @property
    def rows(self) -> int:
        """Features of an image: one of the class token and one a patch."""
        return 1 + (self.image // self.patch) ** 2

    @nn.compact
    def __call__(self, pixels: Float[Array, "b h w 3"]) -> Float[Array, "b n d"]:
        """Features of preprocessed images: the class token's, then one a patch. Raises ValueError for another size."""
        side = self.image // self.patch
        if pixels.shape[1:3] != (self.image, self.image):
            raise ValueError(
                f"image={self.image}: the pixels are {pixels.shape[1]}x{pixels.shape[2]}; use clip.preprocess"
            )
        x = rearrange(pixels, "b (i p) (j q) c -> b (i j) (p q c)", p=self.patch, q=self.patch)
        x = nn.Dense(self.width, use_bias=False, dtype=self.dtype, name="patch_embed")(x).astype(jnp.float32)
        small = nn.initializers.normal(self.width**-0.5)
        class_token = self.param("class", small, (self.width,))
        position = self.param("position", small, ((1 + side**2) * self.width,)).reshape(-1, self.width)
        x = jnp.concatenate([jnp.broadcast_to(class_token, (len(x), 1, self.width)), x], 1) + position
        blocks = nn.scan(
            CLIPBlock,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=nn.broadcast,
            length=self.depth,
        )(self.ffn, self.heads, self.dtype, name="blocks")
        h, _ = blocks(layers.layer_norm("norm_in", affine=True, eps=EPS)(x), None)
        return h
