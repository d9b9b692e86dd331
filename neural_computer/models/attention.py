"""One attention function; which kernel computes it is a value."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

IMPLEMENTATIONS = ("xla", "cudnn")


def attend(
    query: Float[Array, "b n k d"],
    key: Float[Array, "b m k d"],
    value: Float[Array, "b m k d"],
    implementation: str = "xla",
) -> Float[Array, "b n k d"]:
    """softmax(q k^T / sqrt(d)) v over heads k, the softmax in float32.

    `xla` runs everywhere. `cudnn` needs an NVIDIA GPU and half precision.
    """
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(f"attention={implementation!r}: unknown; one of {', '.join(IMPLEMENTATIONS)}")
    kernel: Any = implementation
    return jax.nn.dot_product_attention(query, key, value, implementation=kernel)


def split_heads(x: Float[Array, "b n d"], heads: int) -> Float[Array, "b n k e"]:
    """(b, n, d) as (b, n, heads, d / heads)."""
    return x.reshape(*x.shape[:-1], heads, x.shape[-1] // heads)


def merge_heads(x: Float[Array, "b n k e"]) -> Float[Array, "b n d"]:
    """(b, n, heads, e) as (b, n, heads * e)."""
    return jnp.reshape(x, (*x.shape[:-2], -1))
