"""Blockwise and ring attention: keys arrive block by block, from this device's memory or round a ring of devices.

The softmax is online (Milakov & Gimelshein 2018): a running maximum, the sum of exponentials and their weighted sum of
values, all float32. The backward pass recomputes the weights from the saved logsumexp (Dao et al. 2022), so neither pass
stores n x m scores. On a ring (Liu et al. 2023) every device keeps its queries and passes its keys on; in the backward
pass the keys' gradients travel with them and return after one round.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Array, Float, Int

BLOCK = 256
"""Most keys in a block."""
NEVER = np.iinfo(np.int32).max
"""Rank of a key that is masked for every query."""


class Ring(NamedTuple):
    """The mesh axis that keys are split over, and its number of devices."""

    axis: str
    size: int

    def pass_on(self, tree: Any) -> Any:
        """The left neighbour's `tree`; the right neighbour receives ours."""
        if self.size == 1:
            return tree
        return jax.lax.ppermute(tree, self.axis, [(i, (i + 1) % self.size) for i in range(self.size)])


ALONE = Ring("", 1)


class Softmax(NamedTuple):
    """Online softmax after some of its keys: out = weighted / total, logsumexp = high + log(total)."""

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
    """softmax(q k^T / sqrt(d)) v, where a query attends to the keys with rank <= its `last`, at least one.

    With a `ring`, inside shard_map: over the keys of all its devices, equally many each.
    """
    return _forward(query, key, value, last, rank, ring)[0]


def _forward(query, key, value, last, rank, ring):
    # Masks depend on no activations: without this, a scan over depth computes those of all blocks ahead, n x m each.
    query, last, rank = jax.lax.optimization_barrier((query, last, rank))
    b, n, k, d = query.shape
    state = Softmax(jnp.zeros((b, k, n, d)), jnp.zeros((b, k, n)), jnp.full((b, k, n), -jnp.inf))
    keys = (key, value, rank)
    # Unrolled, and sent before use: the next keys travel while these are computed with.
    for step in range(ring.size):
        coming = ring.pass_on(keys) if step + 1 < ring.size else keys
        state, _ = jax.lax.scan(lambda s, block: (_update(s, query, last, *block), None), state, _blocks(*keys))
        keys = coming
    out = rearrange(state.weighted / state.total[..., None], "b k n d -> b n k d").astype(query.dtype)
    return out, (query, key, value, last, rank, out, state.high + jnp.log(state.total))


def _update(state, query, last, key, value, rank):
    """The softmax after one more block of keys."""
    scores = _scores(query, key, last, rank)
    # Before its first key a query's maximum is -inf, and -inf - -inf is not a number: 0 serves as well.
    high = jnp.maximum(state.high, scores.max(-1))
    origin = jnp.where(jnp.isfinite(high), high, 0)
    weights, fade = jnp.exp(scores - origin[..., None]), jnp.exp(state.high - origin)
    new = _einsum("bknm,bmkd->bknd", weights.astype(value.dtype), value)
    return Softmax(state.weighted * fade[..., None] + new, state.total * fade + weights.sum(-1), high)


def _backward(ring, saved, grad):
    query, key, value, last, rank, out, logsumexp = saved
    mean = _einsum("bnkd,bnkd->bkn", grad, out)
    keys, dquery = (key, value, rank), jnp.zeros(query.shape)
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
        coming = ring.pass_on(keys) if step + 1 < ring.size else keys
        dquery, parts = jax.lax.scan(body, dquery, _blocks(*keys))
        parts = (rearrange(part, "c b m k d -> b (c m) k d")[:, : key.shape[1]] for part in parts)
        sums = ring.pass_on(tuple(a + b for a, b in zip(sums, parts, strict=True)))
        keys = coming
    return dquery.astype(query.dtype), sums[0].astype(key.dtype), sums[1].astype(value.dtype), None, None


online.defvjp(_forward, _backward)


def _scores(query, key, last, rank):
    """q k^T / sqrt(d) in float32, -inf where the key is masked."""
    scores = _einsum("bnkd,bmkd->bknm", query, key) * query.shape[-1] ** -0.5
    return jnp.where(rank <= last[:, None], scores, -jnp.inf)


def _einsum(form, a, b):
    """Multiplies in the arrays' dtype, sums in float32."""
    return jnp.einsum(form, a, b, preferred_element_type=jnp.float32)


def _blocks(key, value, rank):
    """Keys, values and ranks with a leading axis of equal blocks, the last padded with masked keys."""
    m = key.shape[1]
    count = -(-m // BLOCK)
    size = -(-m // count)
    padding = count * size - m
    key, value = (jnp.pad(x, ((0, 0), (0, padding), (0, 0), (0, 0))) for x in (key, value))
    key, value = (rearrange(x, "b (c m) k d -> c b m k d", c=count) for x in (key, value))
    return key, value, jnp.pad(rank, (0, padding), constant_values=NEVER).reshape(count, size)
