"""Action injection: the modes in which actions enter the network.

The DiT calls four injection points, once each, in every mode. A mode is a frozen dataclass that overrides one of them; the
others return their input. It is called inside the DiT's compact context, so the modules that it creates stand beside the
base's, whose parameters are a subset of every mode's.

Action embeddings are u (b, f, n, e): n of them (of the action, of the mouse) a latent frame, as `actions.align` gives
them. With the video's tokens fixed, no injection point lets a latent frame see a later one's actions.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array, Float

from neural_computer.models import layers
from neural_computer.models.attention import attend, merge_heads, split_heads

Embedding = Float[Array, "b f n e"] | None
"""Action embeddings; None leaves the video as it is, in every mode."""
ZERO = nn.initializers.zeros


@dataclass(frozen=True)
class Injection:
    """No injection: every injection point returns its input. `every` blocks form a group; a mode acts once a group."""

    every: int = 1
    streams: ClassVar[bool] = True
    """Whether a causal network can continue a video from its KV cache."""
    rules: ClassVar[tuple[tuple[str, tuple[str | None, ...]], ...]] = ()
    """Sharding rules of the parameters that a mode adds, where `sharding.RULES` has none that match."""

    def on_latents(
        self, z: Float[Array, "b f i j c"], u: Embedding, patch: tuple[int, int, int]
    ) -> Float[Array, "b f i j c"]:
        """Latents before they become tokens, one a `patch`."""
        return z

    def on_sequence(self, h: Float[Array, "b f p d"], u: Embedding) -> Float[Array, "b f q d"]:
        """Token sequence before the blocks; tokens appended to a frame are dropped after the last block."""
        return h

    def in_block(self, h: Float[Array, "b f p d"], u: Embedding, heads: int, dtype: Any) -> Float[Array, "b f p d"]:
        """Hidden states inside a block, after the text cross-attention and before the FFN."""
        return h

    def after_block(self, h: Float[Array, "b f p d"], u: Embedding, dtype: Any) -> Float[Array, "b f p d"]:
        """Hidden states after a group of blocks."""
        return h

    def attend(
        self, query: Array, key: Array, value: Array, patches: int, implementation: str, **options: Any
    ) -> Float[Array, "b f q k e"]:
        """Self-attention among tokens (b, f, q, k, e); the first `patches` of a frame are the video's."""
        return attend(query, key, value, implementation, **options)


@dataclass(frozen=True)
class External(Injection):
    """z' = z + dz(z, u): a branch with attention over time and to the actions edits the latents; the DiT stays as it is."""

    width: int = 128
    heads: int = 4
    streams: ClassVar[bool] = False

    def on_latents(self, z, u, patch):
        return z if u is None else z + LatentBranch(self.width, self.heads, patch, name="external")(z, u)


@dataclass(frozen=True)
class Contextual(Injection):
    """One action token a latent frame joins the sequence, [V; A], under a structured mask. With frames i, j:

        V to V  |i - j| <= window          V to A  i - lag <= j <= i
        A to V  j >= i + lag               A to A  i = j                  (the paper, section 3)

    `window` 0 lets every frame of the video attend to every other. Both are in latent frames.
    """

    window: int = 0
    lag: int = 0
    streams: ClassVar[bool] = False

    def on_sequence(self, h, u):
        if u is None:
            return h
        token = layers.linear(h.shape[-1], jnp.float32, "action_token")(u.reshape(*u.shape[:2], -1))
        return jnp.concatenate([h, token[:, :, None].astype(h.dtype)], axis=2)

    def mask(self, i: int, frames: int) -> tuple[range, range, range]:
        """(V to V, V to A, A to V) of frame i: the frames j that its video tokens and its action token attend to."""
        near = range(frames) if not self.window else range(max(0, i - self.window), min(frames, i + self.window + 1))
        return near, range(max(0, i - self.lag), i + 1), range(min(i + self.lag, frames), frames)

    def attend(self, query, key, value, patches, implementation, **options):
        if query.shape[2] == patches:
            return attend(query, key, value, implementation, **options)
        frames, out = query.shape[1], []

        def attend_to(query: Array, video: range, actions: range) -> Array:
            """Attention to the video tokens of some frames and to the action tokens of others."""
            spans = ((video, slice(patches)), (actions, slice(patches, None)))
            k, v = (jnp.concatenate([_tokens(x, *span) for span in spans], axis=1) for x in (key, value))
            return attend(query, k, v, implementation)

        for i in range(frames):
            near, before, after = self.mask(i, frames)
            video = attend_to(query[:, i : i + 1, :patches], near, before)
            action = attend_to(query[:, i, patches:], after, range(i, i + 1))
            out.append(jnp.concatenate([video, action[:, None]], axis=2))
        return jnp.concatenate(out, axis=1)


def _tokens(x: Float[Array, "b f q k e"], frames: range, tokens: slice) -> Float[Array, "b n k e"]:
    """Some tokens of successive frames, one after the other."""
    return x[:, frames.start : frames.stop, tokens].reshape(x.shape[0], -1, *x.shape[-2:])


@dataclass(frozen=True)
class Residual(Injection):
    """h' = h + dh(h, u) after a group: a branch beside unchanged blocks, as ControlNet's."""

    width: int = 256

    def after_block(self, h, u, dtype):
        return h if u is None else h + ActionBranch(self.width, dtype, name="action_branch")(h, u)


@dataclass(frozen=True)
class Internal(Injection):
    """h' = h + attention(h, u) in a block: cross-attention to the actions, after that to the text and before the FFN."""

    def in_block(self, h, u, heads, dtype):
        return h if u is None else h + ActionAttention(heads, dtype, name="action_attn")(h, u)


MODES = {
    "none": Injection,
    "external": External,
    "contextual": Contextual,
    "residual": Residual,
    "internal": Internal,
}


# The modules of the modes; each adds zero at initialisation


class ActionAttention(nn.Module):
    """Attention of a frame's tokens to that frame's action embeddings."""

    heads: int
    dtype: Any
    out_init: Any = ZERO
    """Initialiser of the output projection"""

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
        return layers.linear(d, self.dtype, "o", self.out_init)(y).astype(jnp.float32)


class ActionBranch(nn.Module):
    """dh(h, u): an MLP on the normed tokens, scaled and shifted by the frame's actions."""

    width: int
    dtype: Any

    @nn.compact
    def __call__(self, h: Float[Array, "b f p d"], u: Float[Array, "b f n e"]) -> Float[Array, "b f p d"]:
        x = layers.linear(self.width, self.dtype, "in")(layers.layer_norm("norm")(h))
        actions = layers.linear(self.width, self.dtype, "actions")(u.reshape(*u.shape[:2], 1, -1))
        x = nn.gelu(
            layers.linear(self.width, self.dtype, "mix")(nn.silu(x) * (1 + actions) + actions), approximate=True
        )
        return layers.linear(h.shape[-1], self.dtype, "out", ZERO)(x).astype(jnp.float32)


class LatentBranch(nn.Module):
    """dz(z, u): every patch of the latents attends to its own past, then to the frame's actions."""

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
        # Not zero at start: the output projection below is.
        xavier = nn.initializers.xavier_uniform()
        x = x + ActionAttention(self.heads, jnp.float32, xavier, name="action_attn")(x, u)
        x = layers.Mlp(2 * self.width, self.width, name="mlp")(layers.layer_norm("norm")(x))
        x = layers.linear(p * q * c, jnp.float32, "out", ZERO)(x)
        return rearrange(x, "b f (h w) (p q c) -> b f (h p) (w q) c", h=height // p, p=p, q=q)
