"""Where actions enter the network.

The DiT opens four doors, once each, in every mode; a mode is a frozen dataclass that answers at one of them and leaves
the others as they are. It is called inside the DiT's compact context, so the modules it makes stand beside the base's,
whose parameters are a subset of every mode's.

Actions come as u (b, f, n, e): n embeddings (of the action, of the mouse) a latent frame, as `actions.align` gives them.
With the video's tokens fixed, no door lets a latent frame see the actions of a later one.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array, Float

from neural_computer.models import layers
from neural_computer.models.attention import attend, merge_heads, split_heads

Embedding = Any
"""Action embeddings (b, f, n, e), or None: then every mode leaves the video as it is."""
ZERO = nn.initializers.zeros


@dataclass(frozen=True)
class Injection:
    """No injection: every door closed. `every` blocks form a group; a mode acts once a group."""

    every: int = 1
    streams: ClassVar[bool] = True
    """Whether a video can be made in chunks that keep earlier ones in a cache."""
    rules: ClassVar[tuple[tuple[str, tuple[str | None, ...]], ...]] = ()
    """Sharding rules of the parameters that a mode adds, where `sharding.RULES` has none that match."""

    def on_latents(
        self, z: Float[Array, "b f i j c"], u: Embedding, patch: tuple[int, int, int]
    ) -> Float[Array, "b f i j c"]:
        """The latents before they become tokens, which a patch of them does."""
        return z

    def on_sequence(self, h: Float[Array, "b f p d"], u: Embedding) -> Float[Array, "b f q d"]:
        """The token sequence before the blocks; tokens that it is longer by are taken off after them."""
        return h

    def in_block(self, h: Float[Array, "b f p d"], u: Embedding, heads: int, dtype: Any) -> Float[Array, "b f p d"]:
        """Inside a block, after the text cross-attention and before the FFN."""
        return h

    def after_block(self, h: Float[Array, "b f p d"], u: Embedding, dtype: Any) -> Float[Array, "b f p d"]:
        """After a block."""
        return h

    def attend(self, query: Array, key: Array, value: Array, patches: int, implementation: str, **how: Any) -> Array:
        """Self-attention among (b, f, q, k, e), the first `patches` tokens of a frame the video's."""
        return attend(query, key, value, implementation, **how)


@dataclass(frozen=True)
class External(Injection):
    """z' = z + dz(u): what attention over time and to the actions makes of the latents; the DiT itself knows of nothing."""

    width: int = 128
    heads: int = 4
    streams: ClassVar[bool] = False

    def on_latents(self, z, u, patch):
        return z if u is None else z + LatentBranch(self.width, self.heads, patch, name="external")(z, u)


@dataclass(frozen=True)
class Contextual(Injection):
    """One action token a latent frame joins the sequence, [V; A], under a structured mask. With i, j frames:

        V to V  |i - j| <= window          V to A  i - lag <= j <= i
        A to V  j >= i + lag               A to A  i = j                  (the paper, section 3)

    `window` 0 lets every frame of the video see every other. Both are in latent frames.
    """

    window: int = 0
    lag: int = 0
    streams: ClassVar[bool] = False

    def on_sequence(self, h, u):
        if u is None:
            return h
        token = layers.linear(h.shape[-1], jnp.float32, "action_token")(u.reshape(*u.shape[:2], -1))
        return jnp.concatenate([h, token[:, :, None].astype(h.dtype)], axis=2)

    def sees(self, i: int, frames: int) -> tuple[range, range, range]:
        """Of frame i: the frames that its video tokens see video tokens of, and action tokens of; and the frames that its
        action token sees video tokens of."""
        near = range(frames) if not self.window else range(max(0, i - self.window), min(frames, i + self.window + 1))
        return near, range(max(0, i - self.lag), i + 1), range(min(i + self.lag, frames), frames)

    def attend(self, query, key, value, patches, implementation, **how):
        if query.shape[2] == patches:
            return attend(query, key, value, implementation, **how)
        frames, out = query.shape[1], []

        def read(query: Array, video: range, acts: range) -> Array:
            """Attention to the video's tokens of some frames and to the action tokens of others."""
            spans = ((video, slice(patches)), (acts, slice(patches, None)))
            k, v = (jnp.concatenate([_rows(x, *span) for span in spans], axis=1) for x in (key, value))
            return attend(query, k, v, implementation)

        for i in range(frames):
            near, before, after = self.sees(i, frames)
            video = read(query[:, i : i + 1, :patches], near, before)
            told = read(query[:, i, patches:], after, range(i, i + 1))
            out.append(jnp.concatenate([video, told[:, None]], axis=2))
        return jnp.concatenate(out, axis=1)


def _rows(x: Float[Array, "b f q k e"], frames: range, tokens: slice) -> Float[Array, "b n k e"]:
    """Some tokens of successive frames, in one row."""
    return x[:, frames.start : frames.stop, tokens].reshape(x.shape[0], -1, *x.shape[-2:])


@dataclass(frozen=True)
class Residual(Injection):
    """h' = h + dh(h, u) after a group: a branch beside the blocks, which are as they were (as ControlNet's)."""

    width: int = 256

    def after_block(self, h, u, dtype):
        return h if u is None else h + Branch(self.width, dtype, name="action_branch")(h, u)


@dataclass(frozen=True)
class Internal(Injection):
    """Cross-attention to the actions, after that to the text and before the FFN."""

    def in_block(self, h, u, heads, dtype):
        return h if u is None else h + ActionAttention(heads, dtype, name="action_attn")(h, u)


MODES = {
    "none": Injection,
    "external": External,
    "contextual": Contextual,
    "residual": Residual,
    "internal": Internal,
}


# What the modes are made of; all of it zero at start


class ActionAttention(nn.Module):
    """Attention of a frame's tokens to that frame's action embeddings."""

    heads: int
    dtype: Any
    start: Any = ZERO
    """How the last projection begins"""

    @nn.compact
    def __call__(self, h: Float[Array, "b f p d"], u: Float[Array, "b f n e"]) -> Float[Array, "b f p d"]:
        b, f, p, d = h.shape

        def project(x: Array, name: str) -> Float[Array, "m q k e"]:
            return split_heads(layers.linear(d, self.dtype, name)(x), self.heads).reshape(
                b * f, -1, self.heads, d // self.heads
            )

        x = layers.layer_norm("norm")(h)
        q = layers.rms_norm("norm_q")(project(x, "q")).astype(self.dtype)
        k = layers.rms_norm("norm_k")(project(u, "k")).astype(self.dtype)
        y = merge_heads(attend(q, k, project(u, "v").astype(self.dtype))).reshape(b, f, p, d)
        return layers.linear(d, self.dtype, "o", self.start)(y).astype(jnp.float32)


class Branch(nn.Module):
    """dh(h, u): a hidden layer of the normed tokens and of the frame's actions."""

    width: int
    dtype: Any

    @nn.compact
    def __call__(self, h: Float[Array, "b f p d"], u: Float[Array, "b f n e"]) -> Float[Array, "b f p d"]:
        x = layers.linear(self.width, self.dtype, "in")(layers.layer_norm("norm")(h))
        acts = layers.linear(self.width, self.dtype, "actions")(u.reshape(*u.shape[:2], 1, -1))
        x = nn.gelu(layers.linear(self.width, self.dtype, "mix")(nn.silu(x) * (1 + acts) + acts), approximate=True)
        return layers.linear(h.shape[-1], self.dtype, "out", ZERO)(x).astype(jnp.float32)


class LatentBranch(nn.Module):
    """dz(u): every patch of the latents looks back at its own past, then at the frame's actions."""

    width: int
    heads: int
    patch: tuple[int, int, int]

    @nn.compact
    def __call__(self, z: Float[Array, "b f i j c"], u: Float[Array, "b f n e"]) -> Float[Array, "b f i j c"]:
        (b, _, height, _, c), (_, p, q) = z.shape, self.patch
        x = rearrange(z, "b f (h p) (w q) c -> b f (h w) (p q c)", p=p, q=q)
        x = layers.linear(self.width, jnp.float32, "in")(x)
        past = rearrange(layers.layer_norm("norm_time")(x), "b f n d -> (b n) f 1 d")
        query, key, value = (
            split_heads(layers.linear(self.width, jnp.float32, name)(past), self.heads) for name in "qkv"
        )
        y = merge_heads(attend(query, key, value, causal=True))
        x = x + layers.linear(self.width, jnp.float32, "o")(rearrange(y, "(b n) f 1 d -> b f n d", b=b))
        lively = nn.initializers.xavier_uniform()
        x = x + ActionAttention(self.heads, jnp.float32, lively, name="action_attn")(x, u)
        x = layers.Mlp(2 * self.width, self.width, name="mlp")(layers.layer_norm("norm")(x))
        x = layers.linear(p * q * c, jnp.float32, "out", ZERO)(x)
        return rearrange(x, "b f (h w) (p q c) -> b f (h p) (w q) c", h=height // p, p=p, q=q)
