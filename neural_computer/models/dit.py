"""The diffusion transformer of Wan2.1: one network for every size, text-to-video and image-to-video alike.

Tokens are kept as (b, f, p, d), p patches a latent frame, so that a time per latent frame modulates them without a
copy a token. The residual stream, modulation and norms are float32; matmuls run in `dtype`.
"""

from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from einops import rearrange
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from neural_computer.models import layers
from neural_computer.models.attention import attend, merge_heads, split_heads
from neural_computer.models.injection import Injection

REMAT = {
    "full": None,
    "dots": jax.checkpoint_policies.checkpoint_dots_with_no_batch_dims,
    "attention": jax.checkpoint_policies.save_only_these_names("attention"),
}
"""What the backward pass finds saved, by name: nothing, the matmuls, or the attention outputs. "none" saves all."""


@dataclass(frozen=True)
class Shape:
    """The sizes of a DiT. `in_channels` counts noisy latents, mask and condition latents together.

    Raises ValueError, naming the field, for sizes that cannot be built.
    """

    width: int
    ffn: int
    heads: int
    layers: int
    in_channels: int
    out_channels: int
    text_width: int
    patch: tuple[int, int, int] = (1, 2, 2)
    time_width: int = 256
    image_width: int = 0
    """Width of the image encoder's features; 0 builds no image branch."""
    positions: tuple[int, int, int] = (0, 0, 0)
    """Largest (f, h, w) in tokens of a learned position added beside RoPE; zeros build none (as Wan)."""

    def __post_init__(self) -> None:
        for name in ("width", "ffn", "heads", "layers", "in_channels", "out_channels", "text_width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least 1")
        if self.width % self.heads or self.width // self.heads % 2 or self.width // self.heads < 6:
            raise ValueError(
                f"heads={self.heads}: width={self.width} must split into heads of an even size of at least 6; "
                f"try heads={max(1, self.width // 64)}"
            )
        if self.patch[0] != 1 or min(self.patch) < 1:
            raise ValueError(f"patch={self.patch}: must be (1, h, w) with h, w >= 1; a token never spans latent frames")
        if self.time_width % 2:
            raise ValueError(f"time_width={self.time_width}: must be even (cosines and sines)")

    @property
    def head_dim(self) -> int:
        return self.width // self.heads


class SelfAttention(nn.Module):
    """Full attention over all tokens; RMSNorm of q and k over the whole width, then RoPE."""

    shape: Shape
    dtype: layers.Dtype
    attention: str

    @nn.compact
    def __call__(self, h: Float[Array, "b f p d"], table: Float[Array, "2 n half"]) -> Float[Array, "b f p d"]:
        width, heads = self.shape.width, self.shape.heads
        x = rearrange(h, "b f p d -> b (f p) d")
        q = layers.rms_norm("norm_q")(layers.linear(width, self.dtype, "q")(x))
        k = layers.rms_norm("norm_k")(layers.linear(width, self.dtype, "k")(x))
        v = layers.linear(width, self.dtype, "v")(x)
        q, k = (layers.rotate(split_heads(y, heads), table).astype(self.dtype) for y in (q, k))
        y = merge_heads(attend(q, k, split_heads(v, heads), self.attention))
        y = layers.linear(width, self.dtype, "o")(checkpoint_name(y, "attention"))
        return y.reshape(h.shape)


class CrossAttention(nn.Module):
    """Attention to the text and, in a second softmax with keys and values of its own, to the image; the two summed."""

    shape: Shape
    dtype: layers.Dtype
    attention: str

    @nn.compact
    def __call__(
        self, h: Float[Array, "b f p d"], text: Float[Array, "b l d"], image: Float[Array, "b m d"] | None
    ) -> Float[Array, "b f p d"]:
        width, heads = self.shape.width, self.shape.heads
        x = rearrange(h, "b f p d -> b (f p) d")
        q = layers.rms_norm("norm_q")(layers.linear(width, self.dtype, "q")(x))
        q = split_heads(q, heads).astype(self.dtype)

        def read(context: Float[Array, "b m d"], suffix: str) -> Float[Array, "b n k e"]:
            k = layers.rms_norm(f"norm_k{suffix}")(layers.linear(width, self.dtype, f"k{suffix}")(context))
            v = layers.linear(width, self.dtype, f"v{suffix}")(context)
            return attend(q, split_heads(k, heads).astype(self.dtype), split_heads(v, heads), self.attention)

        y = read(text, "")
        if image is not None:
            y = y + read(image, "_img")
        return layers.linear(width, self.dtype, "o")(merge_heads(y)).reshape(h.shape)


class Block(nn.Module):
    """Self-attention, cross-attention, the action door, FFN; the first and last gated and modulated by time (adaLN-6)."""

    shape: Shape
    injection: Injection
    dtype: layers.Dtype
    attention: str

    @nn.compact
    def __call__(
        self,
        h: Float[Array, "b f p d"],
        e: Float[Array, "b g 6 d"],
        context: tuple[Float[Array, "b l d"], Float[Array, "b m d"] | None],
        table: Float[Array, "2 n half"],
        u: Any,
        acts: bool,
    ) -> Float[Array, "b f p d"]:
        width = self.shape.width
        m = self.param("modulation", nn.initializers.normal(width**-0.5), (1, 6, width)) + e
        shift1, scale1, gate1, shift2, scale2, gate2 = (m[:, :, None, i] for i in range(6))
        kind = (self.shape, self.dtype, self.attention)

        x = layers.layer_norm("norm1")(h) * (1 + scale1) + shift1
        h = h + gate1 * SelfAttention(*kind, name="self_attn")(x, table).astype(jnp.float32)
        x = layers.layer_norm("norm_cross", affine=True)(h)
        h = h + CrossAttention(*kind, name="cross_attn")(x, *context).astype(jnp.float32)
        if acts:
            h = self.injection.in_block(h, u)
        x = layers.layer_norm("norm2")(h) * (1 + scale2) + shift2
        return h + gate2 * layers.Mlp(self.shape.ffn, width, self.dtype, name="ffn")(x).astype(jnp.float32)


class Group(nn.Module):
    """`injection.every` blocks, the last of which opens the action doors: the body of the scan over depth."""

    shape: Shape
    injection: Injection
    dtype: layers.Dtype
    attention: str

    @nn.compact
    def __call__(self, h, e, context, table, u):
        every = self.injection.every
        for i in range(every):
            block = Block(self.shape, self.injection, self.dtype, self.attention, name=f"block_{i}")
            h = block(h, e, context, table, u, acts=i == every - 1)
        return self.injection.after_block(h, u), None


class DiT(nn.Module):
    """Wan2.1's diffusion transformer."""

    shape: Shape
    injection: Injection = Injection()
    dtype: layers.Dtype = jnp.float32
    attention: str = "xla"
    remat: str = "none"

    def check(self) -> None:
        """Raises ValueError, naming the field, for values that cannot be built."""
        if self.shape.layers % self.injection.every:
            raise ValueError(
                f"injection.every={self.injection.every}: must divide layers={self.shape.layers}, "
                "since depth is scanned in groups of `every` blocks"
            )
        if self.remat != "none" and self.remat not in REMAT:
            raise ValueError(f"remat={self.remat!r}: unknown; one of none, {', '.join(REMAT)}")

    @nn.compact
    def __call__(
        self,
        z: Float[Array, "b f i j c"],
        t: Float[Array, "b g"],
        text: Float[Array, "b l e"],
        image: Float[Array, "b m y"] | None = None,
        u: Any = None,
    ) -> Float[Array, "b f i j o"]:
        """The network's answer for latents `z` (with condition channels) at timesteps `t` in [0, 1000].

        `t` is (b, 1), or (b, f) for a time per latent frame. `text` (b, l, text_width): every row is attended to, as in
        Wan2.1. `image` (b, m, image_width) is needed exactly when the shape has an image branch.
        """
        self.check()
        shape, d = self.shape, self.shape.width
        z = self.injection.on_latents(z, u)
        grid = self._grid(z)
        h = self._patchify(z) + self._positions(grid)
        e = self._time(t)
        modulation = nn.silu(e)
        modulation = layers.linear(6 * d, jnp.float32, "time_proj")(modulation).reshape(*t.shape, 6, d)
        small = nn.initializers.normal(0.02)
        text = layers.Mlp(d, d, self.dtype, small, name="text_embed")(text)
        context = (text, self._image(image))
        table = jnp.asarray(layers.rope(grid, shape.head_dim))

        h = self.injection.on_sequence(h, u)
        group = Group
        if self.remat != "none":
            group = nn.remat(Group, policy=REMAT[self.remat], prevent_cse=False)
        blocks = nn.scan(
            group,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=nn.broadcast,
            length=shape.layers // self.injection.every,
        )(shape, self.injection, self.dtype, self.attention, name="blocks")
        h, _ = blocks(h, modulation, context, table, u)
        return self._head(h, e, grid)

    def _grid(self, z: Float[Array, "b f i j c"]) -> tuple[int, int, int]:
        """The film in tokens (f, h, w)."""
        f, height, width = z.shape[1:4]
        _, ph, pw = self.shape.patch
        if height % ph or width % pw:
            raise ValueError(f"patch={self.shape.patch}: must divide the latent size {height}x{width}")
        if z.shape[-1] != self.shape.in_channels:
            raise ValueError(f"in_channels={self.shape.in_channels}: latents and condition have {z.shape[-1]}")
        return f, height // ph, width // pw

    def _patchify(self, z: Float[Array, "b f i j c"]) -> Float[Array, "b f p d"]:
        """The patch embedding, a convolution with kernel = stride, as one matmul (rows in h, w, c order)."""
        _, p, q = self.shape.patch
        tokens = rearrange(z, "b f (h p) (w q) c -> b f (h w) (p q c)", p=p, q=q)
        return layers.linear(self.shape.width, self.dtype, "patch_embed")(tokens).astype(jnp.float32)

    def _positions(self, grid: tuple[int, int, int]) -> Float[Array, "1 f p d"] | float:
        """Learned factorised positions, one table an axis, summed."""
        sizes = self.shape.positions
        if not any(sizes):
            return 0.0
        if any(n > size for n, size in zip(grid, sizes, strict=True)):
            raise ValueError(f"positions={sizes}: the film has {grid} tokens (f, h, w); enlarge positions")
        init, d = nn.initializers.normal(0.3), self.shape.width
        t, h, w = (self.param(f"position_{a}", init, (s, d))[:n] for a, s, n in zip("thw", sizes, grid, strict=True))
        return rearrange(t[:, None, None] + h[:, None] + w, "f h w d -> 1 f (h w) d")

    def _time(self, t: Float[Array, "b g"]) -> Float[Array, "b g d"]:
        small = nn.initializers.normal(0.02)
        e = layers.linear(self.shape.width, jnp.float32, "time_in", small)(layers.sinusoid(t, self.shape.time_width))
        return layers.linear(self.shape.width, jnp.float32, "time_out", small)(nn.silu(e))

    def _image(self, image: Float[Array, "b m i"] | None) -> Float[Array, "b m d"] | None:
        if (image is None) != (self.shape.image_width == 0):
            raise ValueError(
                f"image_width={self.shape.image_width}: image features are {'missing' if image is None else 'given'}; "
                "give them exactly when the network has an image branch"
            )
        if image is None:
            return None
        return ImageEmbed(self.shape.width, self.dtype, name="image_embed")(image)

    def _head(
        self, h: Float[Array, "b f p d"], e: Float[Array, "b g d"], grid: tuple[int, int, int]
    ) -> Float[Array, "b f i j o"]:
        """Modulated norm, zero-initialised projection in float32, patches back to latents (channel fastest)."""
        _, p, q = self.shape.patch
        m = self.param("head_modulation", nn.initializers.normal(self.shape.width**-0.5), (1, 2, self.shape.width))
        m = m + e[:, :, None]
        x = layers.layer_norm("head_norm")(h) * (1 + m[:, :, None, 1]) + m[:, :, None, 0]
        x = layers.linear(p * q * self.shape.out_channels, jnp.float32, "head", nn.initializers.zeros)(x)
        return rearrange(x, "b f (h w) (p q c) -> b f (h p) (w q) c", h=grid[1], w=grid[2], p=p, q=q)


class ImageEmbed(nn.Module):
    """Image features to context rows: norm, Linear, GELU (exact form), Linear, norm; eps 1e-5 as in the original."""

    width: int
    dtype: layers.Dtype

    @nn.compact
    def __call__(self, x: Float[Array, "b m i"]) -> Float[Array, "b m d"]:
        x = layers.layer_norm("norm_in", affine=True, eps=1e-5)(x)
        x = nn.gelu(layers.linear(x.shape[-1], self.dtype, "in")(x), approximate=False)
        return layers.layer_norm("norm_out", affine=True, eps=1e-5)(layers.linear(self.width, self.dtype, "out")(x))
