"""The diffusion transformer of Wan2.1: one network for every size, text-to-video and image-to-video alike.

Tokens are kept as (b, f, p, d), p patches a latent frame, so that a time per latent frame modulates them without a
copy a token, and a mesh splits every frame alike. The residual stream, modulation and norms are float32; matmuls run
in `dtype`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from einops import rearrange
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float, Int

from neural_computer.models import attention, layers
from neural_computer.models.attention import attend, merge_heads, shard_tokens, split_heads
from neural_computer.models.injection import Contextual, Injection

REMAT = {
    "full": None,
    "dots": jax.checkpoint_policies.checkpoint_dots_with_no_batch_dims,
    "attention": jax.checkpoint_policies.save_only_these_names("attention"),
}
"""What the backward pass finds saved, by name: nothing, the matmuls, or the attention outputs. "none" saves all."""


@dataclass(frozen=True)
class DiTConfig:
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


class ComputeConfig(NamedTuple):
    """ComputeConfig a DiT is computed; see `attention.attend`."""

    dtype: layers.Dtype = jnp.float32
    attention: str = "xla"
    context: str = "gather"
    causal: bool = False
    lora: int = 0


class Cache(NamedTuple):
    """Keys and values of earlier latent frames, of every group of blocks and block: (g, every, b, f, p, k, e) each."""

    key: Any
    value: Any


class SelfAttention(nn.Module):
    """Attention over all tokens, or those of a frame and earlier ones; RMSNorm of q and k over the whole width, RoPE.

    With a cache of one block, (b, F, p, k, e), writes the own frames into it at `start` and attends to it up to there.
    """

    shape: DiTConfig
    injection: Injection
    how: ComputeConfig

    @nn.compact
    def __call__(
        self, x: Float[Array, "b f q d"], table: Float[Array, "2 f p half"], cache: Cache | None, start: Any
    ) -> tuple[Float[Array, "b f q d"], Cache | None]:
        heads, dtype, patches = self.shape.heads, self.how.dtype, table.shape[2]
        if beside := x.shape[2] - patches:
            # Tokens that are none of the video's stand where the first of their frame stands.
            table = jnp.concatenate([table, jnp.repeat(table[:, :, :1], beside, axis=2)], axis=2)
        q, k, v = (_linear(self, name)(x) for name in "qkv")
        q, k = layers.rms_norm("norm_q")(q), layers.rms_norm("norm_k")(k)
        v = split_heads(v, heads)
        q, k = (layers.rotate(split_heads(y, heads), table).astype(dtype) for y in (q, k))
        if cache is not None:
            cache = Cache(*(_write(held, new, start) for held, new in zip(cache, (k, v), strict=True)))
            k, v = (held.astype(dtype) for held in cache)
        how = {"causal": self.how.causal, "start": start, "context": self.how.context}
        y = self.injection.attend(q, k, v, patches, self.how.attention, **how)
        y = checkpoint_name(merge_heads(y), "attention")
        return _linear(self, "o")(y), cache


def _linear(of: Any, name: str) -> Callable[[Array], Array]:
    """A projection to the network's width inside an attention."""
    return layers.linear(of.shape.width, of.how.dtype, name, lora=of.how.lora)


def _write(held: Float[Array, "b m p k e"], new: Float[Array, "b f p k e"], start: Any) -> Float[Array, "b m p k e"]:
    return jax.lax.dynamic_update_slice_in_dim(held, new.astype(held.dtype), start, axis=1)


class CrossAttention(nn.Module):
    """Attention to the text and, in a second softmax with keys and values of its own, to the image; the two summed."""

    shape: DiTConfig
    how: ComputeConfig

    @nn.compact
    def __call__(
        self, x: Float[Array, "b f p d"], text: Float[Array, "b l d"], image: Float[Array, "b m d"] | None
    ) -> Float[Array, "b f p d"]:
        heads, dtype = self.shape.heads, self.how.dtype
        q = split_heads(layers.rms_norm("norm_q")(_linear(self, "q")(x)), heads).astype(dtype)

        def read(context: Float[Array, "b m d"], suffix: str) -> Float[Array, "b f p k e"]:
            k = layers.rms_norm(f"norm_k{suffix}")(_linear(self, f"k{suffix}")(context))
            v = _linear(self, f"v{suffix}")(context)
            return attend(q, split_heads(k, heads).astype(dtype), split_heads(v, heads), self.how.attention)

        y = read(text, "")
        if image is not None:
            y = y + read(image, "_img")
        return _linear(self, "o")(merge_heads(y))


class BlockInputs(NamedTuple):
    """What every block is told alike."""

    modulation: Any
    """(b, g, 6, d), g one or a latent frame each"""
    text: Any
    """(b, l, d)"""
    image: Any
    """(b, m, d) or None"""
    table: Any
    """(2, f, p, half): RoPE"""
    u: Any
    """Action embeddings, for the doors"""
    start: Any
    """The first latent frame's place in the cache; None without one"""


class Block(nn.Module):
    """Self-attention, cross-attention, the action door, FFN; the first and last gated and modulated by time (adaLN-6)."""

    shape: DiTConfig
    injection: Injection
    how: ComputeConfig

    @nn.compact
    def __call__(
        self, h: Float[Array, "b f p d"], told: BlockInputs, cache: Cache | None, acts: bool
    ) -> tuple[Float[Array, "b f p d"], Cache | None]:
        width = self.shape.width
        m = self.param("modulation", nn.initializers.normal(width**-0.5), (1, 6, width)) + told.modulation
        shift1, scale1, gate1, shift2, scale2, gate2 = (m[:, :, None, i] for i in range(6))

        x = layers.layer_norm("norm1")(h) * (1 + scale1) + shift1
        x, cache = SelfAttention(self.shape, self.injection, self.how, name="self_attn")(
            x, told.table, cache, told.start
        )
        h = h + gate1 * x.astype(jnp.float32)
        x = layers.layer_norm("norm_cross", affine=True)(h)
        x = CrossAttention(self.shape, self.how, name="cross_attn")(x, told.text, told.image)
        h = h + x.astype(jnp.float32)
        if acts:
            h = self.injection.in_block(h, told.u, self.shape.heads, self.how.dtype)
        x = layers.layer_norm("norm2")(h) * (1 + scale2) + shift2
        x = layers.Mlp(self.shape.ffn, width, self.how.dtype, lora=self.how.lora, name="ffn")(x)
        return shard_tokens(h + gate2 * x.astype(jnp.float32)), cache


class Group(nn.Module):
    """`injection.every` blocks, the last of which opens the action doors: the body of the scan over depth."""

    shape: DiTConfig
    injection: Injection
    how: ComputeConfig

    @nn.compact
    def __call__(self, h, told: BlockInputs, cache: Cache | None):
        every, caches = self.injection.every, []
        for i in range(every):
            own = jax.tree.map(lambda x, i=i: x[i], cache)
            h, own = Block(self.shape, self.injection, self.how, name=f"block_{i}")(h, told, own, acts=i == every - 1)
            caches.append(own)
        h = self.injection.after_block(h, told.u, self.how.dtype)
        return h, jax.tree.map(lambda *x: jnp.stack(x), *caches)


class DiT(nn.Module):
    """Wan2.1's diffusion transformer."""

    shape: DiTConfig
    injection: Injection = Injection()
    dtype: layers.Dtype = jnp.float32
    attention: str = "xla"
    remat: str = "none"
    context: str = "gather"
    """ComputeConfig tokens that a mesh splits meet in self-attention: `attention.CONTEXTS`."""
    causal: bool = False
    """Whether a latent frame sees itself and earlier ones only; Wan2.1 lets every frame see all."""
    lora: int = 0
    """Rank of the LoRA beside every projection of attention and FFN; 0 builds none."""

    def check(self) -> None:
        """Raises ValueError, naming the field, for values that cannot be built or cannot run on this machine."""
        if self.shape.layers % self.injection.every:
            raise ValueError(
                f"injection.every={self.injection.every}: must divide layers={self.shape.layers}, "
                "since depth is scanned in groups of `every` blocks"
            )
        if self.remat != "none" and self.remat not in REMAT:
            raise ValueError(f"remat={self.remat!r}: unknown; one of none, {', '.join(REMAT)}")
        if self.causal and isinstance(self.injection, Contextual):
            raise ValueError(
                "injection.mode='contextual': its action tokens look ahead, so the video cannot be causal; use another mode"
            )
        attention.check(self.attention, self.dtype, self.shape.head_dim, self.context)

    @property
    def _how(self) -> ComputeConfig:
        return ComputeConfig(self.dtype, self.attention, self.context, self.causal, self.lora)

    def empty_cache(self, rows: int, frames: int, patches: int) -> Cache:
        """Room for the keys and values of `frames` latent frames of `patches` tokens, in `dtype`."""
        every, heads = self.injection.every, self.shape.heads
        size = (self.shape.layers // every, every, rows, frames, patches, heads, self.shape.head_dim)
        return Cache(jnp.zeros(size, self.dtype), jnp.zeros(size, self.dtype))

    @nn.compact
    def __call__(
        self,
        z: Float[Array, "b f i j c"],
        t: Float[Array, "b g"],
        text: Float[Array, "b l e"],
        image: Float[Array, "b m y"] | None = None,
        u: Any = None,
        cache: Cache | None = None,
        start: int | Int[Array, ""] | None = None,
        features: bool = False,
    ) -> Any:
        """The network's answer (b, f, i, j, o) for latents `z` (with condition channels) at timesteps `t` in [0, 1000].

        `t` is (b, 1), or (b, f) for a time per latent frame. `text` (b, l, text_width): every row is attended to, as in
        Wan2.1. `image` (b, m, image_width) is needed exactly when the shape has an image branch. With a `cache`, for a
        causal network, `z` is what follows the `start` latent frames in it, and the answer is (out, cache with z in it);
        with `features`, it is (out, the mean of every frame's tokens after the blocks (b, f, width)).
        """
        self.check()
        shape, d = self.shape, self.shape.width
        if (cache is None) != (start is None) or (cache is not None and not self.causal):
            raise ValueError("cache: goes with start, in a causal network; set causal=True, or leave both out")
        if cache is not None and not self.injection.streams:
            raise ValueError(f"cache: {type(self.injection).__name__} keeps nothing in it; run whole chunks instead")
        grid = self._grid(z)
        z = self.injection.on_latents(z, u, shape.patch)
        h = shard_tokens(self._patchify(z) + self._positions(grid, start))
        e = self._time(t)
        modulation = layers.linear(6 * d, jnp.float32, "time_proj")(nn.silu(e)).reshape(*t.shape, 6, d)
        small = nn.initializers.normal(0.02)
        text = layers.Mlp(d, d, self.dtype, small, name="text_embed")(text)
        told = BlockInputs(modulation, text, self._image(image), self._rope(grid, cache, start), u, start)

        h = self.injection.on_sequence(h, u)
        group = Group
        if self.remat != "none":
            group = nn.remat(Group, policy=REMAT[self.remat], prevent_cse=False)
        blocks = nn.scan(
            group,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=(nn.broadcast, 0),
            length=shape.layers // self.injection.every,
        )(shape, self.injection, self._how, name="blocks")
        h, cache = blocks(h, told, cache)
        h = h[:, :, : grid[1] * grid[2]]
        out = self._head(h, e, grid)
        if features:
            return out, h.mean(axis=2)
        return out if cache is None else (out, cache)

    def _rope(self, grid: tuple[int, int, int], cache: Cache | None, start: Any) -> Float[Array, "2 f p half"]:
        """The rotations of z's tokens, whose first frame is frame `start` of the video."""
        f, h, w = grid
        if cache is None:
            return jnp.asarray(layers.rope(grid, self.shape.head_dim))
        table = jnp.asarray(layers.rope((cache.key.shape[3], h, w), self.shape.head_dim))
        return jax.lax.dynamic_slice_in_dim(table, start, f, axis=1)

    def _grid(self, z: Float[Array, "b f i j c"]) -> tuple[int, int, int]:
        """The video in tokens (f, h, w)."""
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

    def _positions(self, grid: tuple[int, int, int], start: Any) -> Float[Array, "1 f p d"] | float:
        """Learned factorised positions, one table an axis, summed."""
        sizes = self.shape.positions
        if not any(sizes):
            return 0.0
        if any(n > size for n, size in zip(grid, sizes, strict=True)):
            raise ValueError(f"positions={sizes}: the video has {grid} tokens (f, h, w); enlarge positions")
        init, d = nn.initializers.normal(0.3), self.shape.width
        t, h, w = (self.param(f"position_{axis}", init, (size, d)) for axis, size in zip("thw", sizes, strict=True))
        t = jax.lax.dynamic_slice_in_dim(t, 0 if start is None else start, grid[0])
        return rearrange(t[:, None, None] + h[: grid[1], None] + w[: grid[2]], "f h w d -> 1 f (h w) d")

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
