"""Attention over keys that arrive block by block: from this device's memory, or round a ring of devices.

The softmax is kept online (Milakov & Gimelshein 2018): a running maximum, the sum of exponentials and their weighted sum
of values, all float32. The backward pass makes the weights anew from the saved logsumexp (Dao et al. 2022), so neither
pass holds n x m scores. On a ring (Liu et al. 2023) every device keeps its queries and passes its keys on; in the backward
pass the keys' gradients travel with them and are home after one round.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Array, Float, Int

BLOCK = 256
"""Keys in a block at most."""
NEVER = np.iinfo(np.int32).max
"""The rank of a key that no query sees."""


class Ring(NamedTuple):
    """The mesh axis whose devices hold the keys in parts, and how many they are."""

    axis: str
    size: int

    def pass_on(self, tree: Any) -> Any:
        """The left neighbour's `tree`, while the right neighbour gets ours."""
        if self.size == 1:
            return tree
        return jax.lax.ppermute(tree, self.axis, [(i, (i + 1) % self.size) for i in range(self.size)])


ALONE = Ring("", 1)


class Softmax(NamedTuple):
    """What is known of a softmax after some of its keys: out = weighted / total, logsumexp = high + log(total)."""

    weighted: Float[Array, "b k n d"]
    total: Float[Array, "b k n"]
    high: Float[Array, "b k n"]


@partial(jax.custom_vjp, nondiff_argnums=(5,))
def online(
    query: Float[Array, "b n k d"],
    key: Float[Array, "b m k d"],
    value: Float[Array, "b m k d"],
    last: Int[Array, " n"],
    rank: Int[Array, " m"],
    ring: Ring = ALONE,
) -> Float[Array, "b n k d"]:
    """softmax(q k^T / sqrt(d)) v, where a query sees the keys with rank <= its `last`, one at least.

    With a `ring`, inside shard_map: over the keys of all its devices, each giving as many.
    """
    return _forward(query, key, value, last, rank, ring)[0]


def _forward(query, key, value, last, rank, ring):
    # Masks are known before the rest: without this, a scan over depth makes those of all blocks and heads ahead, n x m.
    query, last, rank = jax.lax.optimization_barrier((query, last, rank))
    b, n, k, d = query.shape
    state = Softmax(jnp.zeros((b, k, n, d)), jnp.zeros((b, k, n)), jnp.full((b, k, n), -jnp.inf))
    held = (key, value, rank)
    # Unrolled and sent before use: the next keys travel while these are worked on.
    for step in range(ring.size):
        coming = ring.pass_on(held) if step + 1 < ring.size else held
        state, _ = jax.lax.scan(lambda s, block: (_absorb(s, query, last, *block), None), state, _blocks(*held))
        held = coming
    out = rearrange(state.weighted / state.total[..., None], "b k n d -> b n k d").astype(query.dtype)
    return out, (query, key, value, last, rank, out, state.high + jnp.log(state.total))


def _absorb(state, query, last, key, value, rank):
    """The softmax after one more block of keys."""
    scores = _scores(query, key, last, rank)
    # Until a query has seen a key its maximum is -inf, and -inf - -inf is no number: 0 serves as well.
    high = jnp.maximum(state.high, scores.max(-1))
    origin = jnp.where(jnp.isfinite(high), high, 0)
    weights, fade = jnp.exp(scores - origin[..., None]), jnp.exp(state.high - origin)
    new = _einsum("bknm,bmkd->bknd", weights.astype(value.dtype), value)
    return Softmax(state.weighted * fade[..., None] + new, state.total * fade + weights.sum(-1), high)


def _backward(ring, saved, grad):
    query, key, value, last, rank, out, logsumexp = saved
    mean = _einsum("bnkd,bnkd->bkn", grad, out)
    held, dquery = (key, value, rank), jnp.zeros(query.shape)
    sums = (jnp.zeros(key.shape), jnp.zeros(value.shape))

    def body(dquery, block):
        key, value, rank = block
        weights = jnp.exp(_scores(query, key, last, rank) - logsumexp[..., None])
        dvalue = _einsum("bknm,bnkd->bmkd", weights.astype(grad.dtype), grad)
        dscores = weights * (_einsum("bnkd,bmkd->bknm", grad, value) - mean[..., None])
        dscores = (dscores * query.shape[-1] ** -0.5).astype(query.dtype)
        dkey = _einsum("bknm,bnkd->bmkd", dscores, query)
        return dquery + _einsum("bknm,bmkd->bnkd", dscores, key), (dkey, dvalue)

    for step in range(ring.size):
        coming = ring.pass_on(held) if step + 1 < ring.size else held
        dquery, parts = jax.lax.scan(body, dquery, _blocks(*held))
        parts = (rearrange(part, "c b m k d -> b (c m) k d")[:, : key.shape[1]] for part in parts)
        sums = ring.pass_on(tuple(a + b for a, b in zip(sums, parts, strict=True)))
        held = coming
    return dquery.astype(query.dtype), sums[0].astype(key.dtype), sums[1].astype(value.dtype), None, None


online.defvjp(_forward, _backward)


def _scores(query, key, last, rank):
    """q k^T / sqrt(d) in float32, -inf where the query does not see the key."""
    scores = _einsum("bnkd,bmkd->bknm", query, key) * query.shape[-1] ** -0.5
    return jnp.where(rank <= last[:, None], scores, -jnp.inf)


def _einsum(form, a, b):
    """Multiplied in the arrays' dtype, summed in float32."""
    return jnp.einsum(form, a, b, preferred_element_type=jnp.float32)


def _blocks(key, value, rank):
    """Keys, values and ranks with a leading axis of equal blocks, the last filled up with keys that nobody sees."""
    m = key.shape[1]
    count = -(-m // BLOCK)
    size = -(-m // count)
    fill = count * size - m
    key, value = (jnp.pad(x, ((0, 0), (0, fill), (0, 0), (0, 0))) for x in (key, value))
    key, value = (rearrange(x, "b (c m) k d -> c b m k d", c=count) for x in (key, value))
    return key, value, jnp.pad(rank, (0, fill), constant_values=NEVER).reshape(count, size)
