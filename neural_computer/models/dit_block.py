"""The blocks of the DiT, and what all of them share: sizes, and how they are computed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float, Int

from neural_computer.models import layers, window
from neural_computer.models.attention import Causal, attend, merge_heads, shard_tokens, split_heads
from neural_computer.models.injection import Injection
from neural_computer.models.window import KeyValue


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
    """How a DiT is computed: dtype of the matmuls, and the arguments of `attention.attend`; `lora` is a rank."""

    dtype: layers.Dtype = jnp.float32
    attention: str = "xla"
    context: str = "gather"
    causal: Causal | None = None
    lora: int = 0


class SelfAttention(nn.Module):
    """Attention over all tokens, or those that a causal network sees; RMSNorm of q and k over the whole width, then RoPE.

    With a block's window, over one chunk's tokens and the window; the chunk's keys and values are returned.
    """

    shape: DiTConfig
    injection: Injection
    compute: ComputeConfig

    @nn.compact
    def __call__(
        self, x: Float[Array, "b f q d"], rope: Float[Array, "2 f p half"], ring: KeyValue | None, written: Any
    ) -> tuple[Float[Array, "b f q d"], KeyValue | None]:
        heads, dtype, patches = self.shape.heads, self.compute.dtype, rope.shape[2]
        if extra := x.shape[2] - patches:
            # Tokens that are no patches of the video take the position of their frame's first patch.
            rope = jnp.concatenate([rope, jnp.repeat(rope[:, :, :1], extra, axis=2)], axis=2)
        q, k, v = (_linear(self, name)(x) for name in "qkv")
        q, k = layers.rms_norm("norm_q")(q), layers.rms_norm("norm_k")(k)
        v = split_heads(v, heads)
        q, k = (layers.rotate(split_heads(y, heads), rope).astype(dtype) for y in (q, k))
        options: dict[str, Any] = {"context": self.compute.context, "causal": self.compute.causal}
        own = None
        if ring is not None:
            own, past = KeyValue(k, v), window.read(ring, written)
            k, v = (jnp.concatenate([new, old.astype(dtype)], axis=1) for new, old in zip(own, past, strict=True))
            tokens = x.shape[1] * patches
            options |= {"causal": None, "lengths": window.lengths(written, ring.key.shape[1], tokens)}
        y = self.injection.attend(q, k, v, patches, self.compute.attention, **options)
        y = checkpoint_name(merge_heads(y), "attention")
        return _linear(self, "o")(y), own


def _linear(of: Any, name: str) -> Callable[[Array], Array]:
    """A projection to the network's width inside an attention."""
    return layers.linear(of.shape.width, of.compute.dtype, name, lora=of.compute.lora)


class CrossAttention(nn.Module):
    """Attention to the text plus attention to the image, the latter with keys, values and softmax of its own."""

    shape: DiTConfig
    compute: ComputeConfig

    @nn.compact
    def __call__(
        self, x: Float[Array, "b f p d"], text: Float[Array, "b l d"], image: Float[Array, "b m d"] | None
    ) -> Float[Array, "b f p d"]:
        heads, dtype = self.shape.heads, self.compute.dtype
        q = split_heads(layers.rms_norm("norm_q")(_linear(self, "q")(x)), heads).astype(dtype)

        def attend_to(context: Float[Array, "b m d"], suffix: str) -> Float[Array, "b f p k e"]:
            k = layers.rms_norm(f"norm_k{suffix}")(_linear(self, f"k{suffix}")(context))
            v = _linear(self, f"v{suffix}")(context)
            return attend(q, split_heads(k, heads).astype(dtype), split_heads(v, heads), self.compute.attention)

        y = attend_to(text, "")
        if image is not None:
            y = y + attend_to(image, "_img")
        return _linear(self, "o")(merge_heads(y))


class BlockInputs(NamedTuple):
    """Inputs shared by all blocks."""

    modulation: Float[Array, "b g 6 d"]
    """Of the timestep; g is 1, or one a latent frame"""
    text: Float[Array, "b l d"]
    image: Float[Array, "b m d"] | None
    rope: Float[Array, "2 f p half"]
    u: Float[Array, "b f n e"] | None
    """Action embeddings, for the injection points"""
    written: Int[Array, " b"] | None
    """Entries written to the window; None without one"""


class DiTBlock(nn.Module):
    """Self-attention, cross-attention, the injection point `in_block`, FFN; time modulates and gates the first and last
    (adaLN-6)."""

    shape: DiTConfig
    injection: Injection
    compute: ComputeConfig

    @nn.compact
    def __call__(
        self, h: Float[Array, "b f q d"], inputs: BlockInputs, ring: KeyValue | None, injects: bool
    ) -> tuple[Float[Array, "b f q d"], KeyValue | None]:
        width = self.shape.width
        m = self.param("modulation", nn.initializers.normal(width**-0.5), (1, 6, width)) + inputs.modulation
        shift1, scale1, gate1, shift2, scale2, gate2 = (m[:, :, None, i] for i in range(6))

        x = layers.layer_norm("norm1")(h) * (1 + scale1) + shift1
        attention = SelfAttention(self.shape, self.injection, self.compute, name="self_attn")
        x, own = attention(x, inputs.rope, ring, inputs.written)
        h = h + gate1 * x.astype(jnp.float32)
        x = layers.layer_norm("norm_cross", affine=True)(h)
        x = CrossAttention(self.shape, self.compute, name="cross_attn")(x, inputs.text, inputs.image)
        h = h + x.astype(jnp.float32)
        if injects:
            h = self.injection.in_block(h, inputs.u, self.shape.heads, self.compute.dtype)
        x = layers.layer_norm("norm2")(h) * (1 + scale2) + shift2
        x = layers.Mlp(self.shape.ffn, width, self.compute.dtype, lora=self.compute.lora, name="ffn")(x)
        return shard_tokens(h + gate2 * x.astype(jnp.float32)), own


class BlockGroup(nn.Module):
    """`injection.every` blocks, the last of which injects actions: the body of the scan over depth."""

    shape: DiTConfig
    injection: Injection
    compute: ComputeConfig

    @nn.compact
    def __call__(
        self, h: Float[Array, "b f q d"], inputs: BlockInputs, ring: KeyValue | None
    ) -> tuple[Float[Array, "b f q d"], KeyValue | None]:
        every, kept = self.injection.every, []
        for i in range(every):
            block = DiTBlock(self.shape, self.injection, self.compute, name=f"block_{i}")
            h, own = block(h, inputs, jax.tree.map(lambda x, i=i: x[i], ring), injects=i == every - 1)
            kept.append(own)
        h = self.injection.after_block(h, inputs.u, self.compute.dtype)
        return h, jax.tree.map(lambda *x: jnp.stack(x), *kept)
