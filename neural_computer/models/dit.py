"""Wan2.1's diffusion transformer (DiT), one network for every size, text-to-video and image-to-video: the denoiser.

It predicts the velocity, or x0, from noisy latents and a timestep. Tokens are (b, f, p, d), p patches a latent frame, so
that one timestep a latent frame modulates them without a copy a token, and a mesh splits every frame alike. Positions are
rotary position embeddings (RoPE). A causal network can run chunk by chunk, with the last chunks' keys and values in a KV
cache (`models.window`). The residual stream, modulation and norms are float32; matmuls run in `dtype`.
"""

from dataclasses import replace
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array, Float

from neural_computer.errors import one_of
from neural_computer.models import attention, layers
from neural_computer.models.attention import Causal, shard_tokens
from neural_computer.models.dit_block import BlockGroup, BlockInputs, ComputeConfig, DiTConfig
from neural_computer.models.injection import Contextual, Injection
from neural_computer.models.window import Cache, KeyValue

REMAT = {
    "full": None,
    "dots": jax.checkpoint_policies.checkpoint_dots_with_no_batch_dims,
    "attention": jax.checkpoint_policies.save_only_these_names("attention"),
}
"""What the forward pass saves for the backward pass, by name (activation checkpointing): nothing, the matmuls, or the
attention outputs. "none" saves everything."""


UNROLLED = 4
"""Scans over depth up to so long are unrolled: a shallow network's backward pass then takes a sixth less time on a CPU.
Not where it recomputes: without a loop around it, XLA would compute everything again at once, and keep it."""


class DiTOutput(NamedTuple):
    """What a DiT returns."""

    prediction: Float[Array, "b f i j o"]
    """Velocity or x0, as it was trained"""
    features: Float[Array, "b f d"]
    """Mean over every latent frame's tokens after the last block"""
    own: KeyValue | None = None
    """Keys and values of the frames, where a cache was passed: what `window.write` takes"""


class DiT(nn.Module):
    """Wan2.1's diffusion transformer.

    Attributes:
      injection: where actions enter (`models.injection`).
      dtype, attention: of the matmuls, and the kernel (`attention.IMPLEMENTATIONS`).
      remat: what the backward pass recomputes, "none" or a name in `REMAT`.
      context: how a mesh exchanges keys and values in self-attention (`attention.CONTEXTS`).
      causal: which latent frames a frame attends to, its own chunk and earlier ones; None is all, as in Wan2.1.
      lora: rank of the LoRA beside every projection of attention and FFN; 0 builds none.
    """

    shape: DiTConfig
    injection: Injection = Injection()
    dtype: layers.Dtype = jnp.float32
    attention: str = "xla"
    remat: str = "none"
    context: str = "gather"
    causal: Causal | None = None
    lora: int = 0

    def check(self) -> None:
        """Raises ValueError, naming the field, for values that cannot be built or cannot run on this machine."""
        if self.shape.layers % self.injection.every:
            raise ValueError(
                f"injection.every={self.injection.every}: must divide layers={self.shape.layers}, "
                "since depth is scanned in groups of `every` blocks"
            )
        one_of("remat", self.remat, ("none", *REMAT))
        if self.causal is not None and isinstance(self.injection, Contextual):
            raise ValueError(
                "injection.mode='contextual': its action tokens look ahead, so the video cannot be causal; use another mode"
            )
        if self.causal is not None and self.causal.window is not None and self.shape.positions[0]:
            raise ValueError(
                f"positions={self.shape.positions}: a window rolls on for ever, a table of positions in time ends; "
                f"use positions=(0, {self.shape.positions[1]}, {self.shape.positions[2]})"
            )
        attention.check(self.attention, self.dtype, self.shape.head_dim, self.context)

    def empty_cache(self, rows: int, patches: int) -> Cache | None:
        """The empty window of a causal network, for latent frames of `patches` tokens, in `dtype`; None for a window of 0.

        Raises ValueError for a network that cannot run chunk by chunk.
        """
        if self.causal is None or self.causal.window is None:
            raise ValueError(
                "window: only a causal network with a window has a cache; set causal and window, and train it so"
            )
        if not self.injection.streams:
            raise ValueError(
                f"injection: {type(self.injection).__name__} looks at the whole video; use internal or residual"
            )
        if not self.causal.window:
            return None
        every, heads = self.injection.every, self.shape.heads
        size = (self.shape.layers // every, every, rows, self.causal.window, self.causal.chunk, patches, heads)
        empty = jnp.zeros((*size, self.shape.head_dim), self.dtype)
        return Cache(KeyValue(empty, empty), jnp.zeros(rows, jnp.int32))

    @nn.compact
    def __call__(
        self,
        z: Float[Array, "b f i j c"],
        t: Float[Array, "b g"],
        text: Float[Array, "b l e"],
        image: Float[Array, "b m y"] | None = None,
        u: Float[Array, "b f n v"] | None = None,
        cache: Cache | None = None,
        streams: int = 1,
    ) -> DiTOutput:
        """Prediction (b, f, i, j, out_channels) and features of every latent frame.

        Args:
          z: noisy latents and condition channels, together `in_channels`.
          t: timesteps in [0, 1000]; g is 1, or f for one a latent frame.
          text: features; every row is attended to, padding too, as in Wan2.1.
          image: features, exactly when the network has an image branch.
          u: action embeddings.
          cache: of a causal network, the chunks before z, which is one chunk then.
          streams: 2 for z = [context; noisy] of a causal network (`attention.Causal`); what is returned is of the noisy half.
        """
        self.check()
        shape, d = self.shape, self.shape.width
        grid = self._grid(z, streams)
        z = self.injection.on_latents(z, u, shape.patch)
        h = shard_tokens(self._patchify(z) + self._positions(grid))
        e = self._embed_time(t)
        modulation = layers.linear(6 * d, jnp.float32, "time_proj")(nn.silu(e)).reshape(*t.shape, 6, d)
        small = nn.initializers.normal(0.02)
        text = layers.Mlp(d, d, self.dtype, small, name="text_embed")(text)
        ring, written = (None, None) if cache is None else cache
        inputs = BlockInputs(modulation, text, self._embed_image(image), self._rope(grid, streams), u, written)

        h = self.injection.on_sequence(h, u)
        group = BlockGroup
        if self.remat != "none":
            group = nn.remat(BlockGroup, policy=REMAT[self.remat], prevent_cse=False)
        causal = None if self.causal is None else replace(self.causal, streams=streams)
        compute = ComputeConfig(self.dtype, self.attention, self.context, causal, self.lora)
        groups = shape.layers // self.injection.every
        blocks = nn.scan(
            group,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=(nn.broadcast, 0),
            length=groups,
            unroll=groups if groups <= UNROLLED and self.remat == "none" else 1,
        )(shape, self.injection, compute, name="blocks")
        h, own = blocks(h, inputs, ring)
        f = grid[0] // streams
        h = h[:, -f:, : grid[1] * grid[2]]
        return DiTOutput(self._head(h, e[:, -f:], grid), h.mean(axis=2), own)

    def _rope(self, grid: tuple[int, int, int], streams: int) -> Float[Array, "2 f p half"]:
        """RoPE of z's tokens; the noisy stream is one chunk later than the context."""
        if self.causal is None or streams == 1:
            return jnp.asarray(layers.rope(grid, self.shape.head_dim))
        frames, chunk = grid[0] // streams, self.causal.chunk
        rope = layers.rope((chunk + frames, *grid[1:]), self.shape.head_dim)
        return jnp.concatenate([rope[:, :frames], rope[:, chunk:]], axis=1)

    def _grid(self, z: Float[Array, "b f i j c"], streams: int) -> tuple[int, int, int]:
        """Size of the video in tokens (f, h, w). Raises ValueError for latents that do not fit the network."""
        f, height, width = z.shape[1:4]
        if streams > 1 and (self.causal is None or f % streams):
            raise ValueError(f"streams={streams}: {f} latent frames, in a causal network alone; set causal=True")
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

    def _positions(self, grid: tuple[int, int, int]) -> Float[Array, "1 g p d"] | float:
        """Learned factorised positions, one table an axis that has a size, summed."""
        sizes, init, d = self.shape.positions, nn.initializers.normal(0.3), self.shape.width
        total: Array | float = 0.0
        for axis, (name, size, n) in enumerate(zip("thw", sizes, grid, strict=True)):
            if 0 < size < n:
                raise ValueError(f"positions={sizes}: the video has {grid} tokens (f, h, w); enlarge positions")
            if size:
                table = self.param(f"position_{name}", init, (size, d))[:n]
                total = total + jnp.expand_dims(table, [other for other in range(3) if other != axis])
        return total if isinstance(total, float) else rearrange(total, "f h w d -> 1 f (h w) d")

    def _embed_time(self, t: Float[Array, "b g"]) -> Float[Array, "b g d"]:
        small = nn.initializers.normal(0.02)
        e = layers.linear(self.shape.width, jnp.float32, "time_in", small)(layers.sinusoid(t, self.shape.time_width))
        return layers.linear(self.shape.width, jnp.float32, "time_out", small)(nn.silu(e))

    def _embed_image(self, image: Float[Array, "b m i"] | None) -> Float[Array, "b m d"] | None:
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
    """Image features as context for cross-attention: norm, Linear, GELU (exact form), Linear, norm; eps 1e-5 as in Wan2.1."""

    width: int
    dtype: layers.Dtype

    @nn.compact
    def __call__(self, x: Float[Array, "b m i"]) -> Float[Array, "b m d"]:
        x = layers.layer_norm("norm_in", affine=True, eps=1e-5)(x)
        x = nn.gelu(layers.linear(x.shape[-1], self.dtype, "in")(x), approximate=False)
        return layers.layer_norm("norm_out", affine=True, eps=1e-5)(layers.linear(self.width, self.dtype, "out")(x))
