"""The rolling window of a causal network: keys and values of the last chunks of latent frames, in a ring.

Keys are stored rotated by their place in height and width, and by that in their chunk; when they are read they are
rotated by their age in time. Nothing depends on how long a run has been going on: chunk 1,000,000 equals chunk 10 bit for bit.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from neural_computer.models import layers
from neural_computer.types import Cache, KeyValue


def read(ring: KeyValue, written: Int[Array, " b"]) -> KeyValue:
    """A block's window (b, w g, p, k, e), the newest entry first, keys rotated by age: an entry is 1, 2, ... chunks old."""
    rows, window, frames = ring.key.shape[:3]
    slots = (written[:, None] - 1 - jnp.arange(window)) % window
    rope = layers.rope_in_time(-frames * np.arange(1, window + 1), ring.key.shape[-1])[:, :, None, None]

    def newest_first(x: Array) -> Array:
        return jnp.take_along_axis(x, slots.reshape(rows, window, *[1] * (x.ndim - 2)), axis=1)

    def in_time(x: Array) -> Array:
        return x.reshape(rows, window * frames, *x.shape[3:])

    return KeyValue(in_time(layers.rotate(newest_first(ring.key), rope)), in_time(newest_first(ring.value)))


def lengths(written: Int[Array, " b"], window: int, tokens: int) -> Int[Array, " b"]:
    """Tokens that count of a row's keys [its own chunk, the window newest first], with `tokens` a chunk."""
    return (1 + jnp.minimum(written, window)) * tokens


def write(cache: Cache, new: KeyValue, enters: Bool[Array, " b"]) -> Cache:
    """The cache with a chunk's keys and values (groups, blocks, b, g, p, k, e) in place of the oldest, where it enters."""
    window = cache.ring.key.shape[3]
    slot = cache.written % window

    def row(ring: Array, new: Array, slot: Array, enters: Array) -> Array:
        """One row of the batch: ring (groups, blocks, w, g, p, k, e)."""
        old = jax.lax.dynamic_slice_in_dim(ring, slot, 1, axis=2)
        new = jnp.where(enters, new[:, :, None].astype(ring.dtype), old)
        return jax.lax.dynamic_update_slice_in_dim(ring, new, slot, axis=2)

    ring = jax.tree.map(lambda old, new: jax.vmap(row, (2, 2, 0, 0), 2)(old, new, slot, enters), cache.ring, new)
    return Cache(ring, cache.written + enters)
