"""Layers in Wan2.1's conventions: norms, time embedding and RoPE in float32, matmuls in the module's `dtype`."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

Dtype = Any
EPS = 1e-6


def linear(
    features: int, dtype: Dtype, name: str, init: nn.initializers.Initializer | None = None, lora: int = 0
) -> Callable[[Array], Array]:
    """A Dense layer: Xavier weights unless `init` is given, zero bias; float32 parameters, multiplied in `dtype`.

    `lora` adds a low-rank branch of that rank, NAME_lora_a and NAME_lora_b, zero at start (Hu et al. 2021, alpha = rank).
    """
    dense = nn.Dense(features, dtype=dtype, kernel_init=init or nn.initializers.xavier_uniform(), name=name)
    if not lora:
        return dense
    down = nn.Dense(lora, use_bias=False, dtype=dtype, name=f"{name}_lora_a")
    up = nn.Dense(features, use_bias=False, dtype=dtype, kernel_init=nn.initializers.zeros, name=f"{name}_lora_b")
    return lambda x: dense(x) + up(down(x))


def layer_norm(name: str, affine: bool = False, eps: float = EPS) -> nn.LayerNorm:
    """LayerNorm over the last axis in float32."""
    return nn.LayerNorm(epsilon=eps, use_scale=affine, use_bias=affine, dtype=jnp.float32, name=name)


def rms_norm(name: str) -> nn.RMSNorm:
    """RMSNorm over the last axis in float32."""
    return nn.RMSNorm(epsilon=EPS, dtype=jnp.float32, name=name)


class Mlp(nn.Module):
    """Linear, GELU (tanh form), Linear: the FFN of the blocks and the text embedding."""

    hidden: int
    out: int
    dtype: Dtype = jnp.float32
    kernel_init: nn.initializers.Initializer | None = None
    lora: int = 0

    @nn.compact
    def __call__(self, x: Float[Array, "*n i"]) -> Float[Array, "*n o"]:
        x = nn.gelu(linear(self.hidden, self.dtype, "in", self.kernel_init, self.lora)(x), approximate=True)
        return linear(self.out, self.dtype, "out", self.kernel_init, self.lora)(x)


def sinusoid(t: Float[Array, "*b"], width: int) -> Float[Array, "*b {width}"]:
    """Sinusoidal embedding of timesteps: cos, then sin, of t * 10000^(-i / (width/2)); float32, frequencies in float64."""
    half = width // 2
    frequency = (10000.0 ** (-np.arange(half) / half)).astype(np.float32)
    angle = t.astype(jnp.float32)[..., None] * frequency
    return jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], -1)


def rope_dims(head_dim: int) -> tuple[int, int, int]:
    """Dimensions of a head that RoPE rotates by time, height and width: 44, 42, 42 of 128 in Wan2.1."""
    side = 2 * (head_dim // 6)
    return head_dim - 2 * side, side, side


def rope(grid: tuple[int, int, int], head_dim: int) -> Float[np.ndarray, "2 f p half"]:
    """Rotary position embedding (RoPE): cosine and sine of every token's angles, for a grid (f, h, w), p = h w.

    Computed in float64, returned in float32 (Su et al. 2021, in three dimensions as Wan2.1).
    """
    f, h, w = grid
    positions = np.meshgrid(np.arange(f), np.arange(h), np.arange(w), indexing="ij")
    angles = []
    for position, dim in zip(positions, rope_dims(head_dim), strict=True):
        frequency = 10000.0 ** (-np.arange(0, dim, 2) / dim)
        angles.append(position.reshape(f, h * w, 1) * frequency)
    angle = np.concatenate(angles, -1)
    return np.stack([np.cos(angle), np.sin(angle)]).astype(np.float32)


def rope_in_time(frames: Int[np.ndarray, " f"], head_dim: int) -> Float[np.ndarray, "2 f half"]:
    """Cosine and sine that move a token by so many latent frames, its place in height and width kept; for `rotate`."""
    time, height, width = (dim // 2 for dim in rope_dims(head_dim))
    frequency = 10000.0 ** (-np.arange(time) / time)
    angle = np.pad(frames[:, None] * frequency, ((0, 0), (0, height + width)))
    return np.stack([np.cos(angle), np.sin(angle)]).astype(np.float32)


def rotate(x: Float[Array, "b *n k d"], rope: Float[Array | np.ndarray, "2 *#n half"]) -> Float[Array, "b *n k d"]:
    """x with each (even, odd) pair of dimensions rotated by the token's angle (RoPE); float32 inside, x's dtype out."""
    cos, sin = (jnp.asarray(part)[..., None, :] for part in rope)
    pairs = x.astype(jnp.float32).reshape(*x.shape[:-1], -1, 2)
    even, odd = pairs[..., 0], pairs[..., 1]
    rotated = jnp.stack([even * cos - odd * sin, even * sin + odd * cos], -1)
    return jax.lax.reshape(rotated, x.shape).astype(x.dtype)
