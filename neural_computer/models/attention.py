"""One attention function; the kernel that computes it and its partition over a mesh are arguments.

Tokens are (b, n, k, d), or (b, f, p, k, d) with p patches a latent frame. Block-causal attention needs no mask: each
chunk's queries are one call, over the keys of the frames that it sees (`Causal`). Under a mesh (jax.set_mesh) with
context > 1, the patches of every frame are split over `context`: every device has a part of every frame, and so equal work.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from einops import rearrange
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float, Int

from neural_computer.errors import one_of
from neural_computer.models.ring_attention import NEVER, Ring, online
from neural_computer.sharding import BATCH

IMPLEMENTATIONS = ("xla", "blockwise", "cudnn", "splash")
CONTEXTS = ("gather", "ring", "all_to_all")
HALF = ("bfloat16", "float16")


@dataclass(frozen=True)
class Causal:
    """Which latent frames a frame attends to: those of its own chunk, and of the `window` chunks before it.

    Attributes:
      chunk: latent frames that are denoised together.
      window: chunks; None is all earlier ones.
      streams: 1, or 2 where the frames are [context; noisy], the noisy half one chunk later than the context. A context chunk
        then sees earlier context; a noisy chunk sees earlier context and itself alone (teacher forcing).
    """

    chunk: int = 1
    window: int | None = None
    streams: int = 1

    def spans(self, frames: int) -> list[tuple[slice, list[slice]]]:
        """(a chunk's frames, the frames that it attends to) of every chunk. Raises ValueError for a part of a chunk."""
        if frames % (self.chunk * self.streams):
            raise ValueError(f"chunk={self.chunk}: must divide the {frames // self.streams} latent frames of a stream")
        length = frames // self.streams
        return [self._span(first, length) for first in range(0, frames, self.chunk)]

    def _span(self, first: int, length: int) -> tuple[slice, list[slice]]:
        own = slice(first, first + self.chunk)
        noisy = first >= length
        end = first - length + self.chunk if noisy else first
        begin = 0 if self.window is None else max(0, end - self.window * self.chunk)
        return own, [own, slice(begin, end)] if noisy else [slice(begin, own.stop)]


def attend(
    query: Float[Array, "b *n k d"],
    key: Float[Array, "b *m k d"],
    value: Float[Array, "b *m k d"],
    implementation: str = "xla",
    *,
    causal: Causal | bool | None = None,
    lengths: Int[Array, " b"] | None = None,
    context: str = "gather",
) -> Float[Array, "b *n k d"]:
    """softmax(q k^T / sqrt(d)) v over heads k, the softmax in float32.

    Args:
      implementation: "xla" runs everywhere and stores n x m scores; "blockwise" runs everywhere and does not; "cudnn" is for
        NVIDIA GPUs and half precision, "splash" for TPUs.
      causal: for (b, f, p, k, d), which frames a frame attends to; True is itself and all earlier ones.
      lengths: of a row's keys, the first so many count, at least one. Not with `causal`.
      context: how keys (b, f, p, k, d) that are split over a mesh reach the queries. "gather" copies them to every device,
        "ring" passes them round (ring attention), "all_to_all" splits heads in place of patches meanwhile. Keys
        (b, n, k, d) are whole on every device.

    Raises ValueError, naming the value and the way out, for what cannot run on this machine.
    """
    check(implementation, query.dtype, query.shape[-1], context)
    frames = Causal() if causal is True else causal or None
    if frames is not None:
        _check_causal(query.shape, key.shape, lengths)
    mesh = jax.sharding.get_abstract_mesh()
    split = query.ndim == 5 and mesh.shape.get("context", 1) > 1
    if mesh.size <= 1 or (implementation == "xla" and not split):
        return _local(query, key, value, implementation, frames, lengths)
    return _across(mesh, query, key, value, implementation, frames, lengths, context if split and key.ndim == 5 else "")


def check(implementation: str, dtype: Any, head_dim: int, context: str = "gather") -> None:
    """Raises ValueError, naming the value and a way out, for attention that cannot run on this machine."""
    one_of("attention", implementation, IMPLEMENTATIONS)
    one_of("context", context, CONTEXTS)
    needs = {"cudnn": ("gpu", "an NVIDIA GPU"), "splash": ("tpu", "a TPU")}
    backend, dtype = jax.default_backend(), jnp.dtype(dtype).name
    if implementation in needs and backend != needs[implementation][0]:
        raise ValueError(
            f"attention={implementation!r}: needs {needs[implementation][1]}, jax runs on {backend}; "
            "use attention='xla' or 'blockwise'"
        )
    if implementation == "cudnn" and dtype not in HALF:
        raise ValueError(f"dtype={dtype!r}: attention='cudnn' needs {' or '.join(HALF)}; or use attention='blockwise'")
    if implementation == "cudnn" and head_dim % 8:
        raise ValueError(f"heads: attention='cudnn' needs a width a head that is a multiple of 8, this is {head_dim}")


def split_heads(x: Float[Array, "b *n d"], heads: int) -> Float[Array, "b *n k e"]:
    """(b, n, d) as (b, n, heads, d / heads)."""
    return x.reshape(*x.shape[:-1], heads, x.shape[-1] // heads)


def merge_heads(x: Float[Array, "b *n k e"]) -> Float[Array, "b *n d"]:
    """(b, n, heads, e) as (b, n, heads * e)."""
    return jnp.reshape(x, (*x.shape[:-2], -1))


# On one device


def _local(query, key, value, implementation, causal, lengths):
    """`attend` where all tokens are on this device."""
    kernel = KERNELS[implementation]
    if causal is None:
        return kernel(_flat(query), _flat(key), _flat(value), lengths).reshape(query.shape)
    chunks = []
    for own, spans in causal.spans(query.shape[1]):
        k, v = (jnp.concatenate([_flat(x[:, span]) for span in spans], axis=1) for x in (key, value))
        out = kernel(_flat(query[:, own]), k, v, None)
        chunks.append(out.reshape(query[:, own].shape))
    return jnp.concatenate(chunks, axis=1)


def _flat(x):
    """(b, f, p, k, d) or (b, n, k, d) as (b, n, k, d)."""
    return x.reshape(x.shape[0], -1, *x.shape[-2:])


def _xla(query, key, value, lengths):
    return _fused(query, key, value, lengths, "xla")


def _cudnn(query, key, value, lengths):
    """NVIDIA's kernel. jax differentiates it at even lengths alone: an odd one gets a masked row."""
    n, m = query.shape[1], key.shape[1]
    if m % 2 and lengths is None:
        lengths = jnp.full(len(key), m, jnp.int32)
    query, key, value = (_append(x, x.shape[1] % 2) for x in (query, key, value))
    return _fused(query, key, value, lengths, "cudnn")[:, :n]


def _fused(query, key, value, lengths, implementation):
    """jax.nn's attention; with lengths instead of a mask, which jax passes to cuDNN as a bias."""
    return jax.nn.dot_product_attention(query, key, value, key_value_seq_lengths=lengths, implementation=implementation)


def _append(x, rows):
    """x (b, n, k, d) with `rows` tokens of zeros appended."""
    return jnp.pad(x, ((0, 0), (0, rows), (0, 0), (0, 0)))


def _blockwise(query, key, value, lengths):
    n, m = query.shape[1], key.shape[1]
    last = jnp.zeros(n, jnp.int32)
    if lengths is None:
        return online(query, key, value, last, jnp.zeros(m, jnp.int32))

    def row(query, key, value, length):
        rank = (jnp.arange(m) >= length).astype(jnp.int32)
        return online(query[None], key[None], value[None], last, rank)[0]

    return jax.vmap(row)(query, key, value, lengths)


def _splash(query, key, value, lengths, interpret=False):
    """The TPU kernel: tokens are padded to whole blocks, and the padding is a segment of its own."""
    from jax.experimental.pallas.ops.tpu import splash_attention as splash

    n, m, heads = query.shape[1], key.shape[1], query.shape[2]
    (q, bq), (kv, bkv) = _cover(n), _cover(m)
    sizes = splash.BlockSizes(
        block_q=bq, block_kv=bkv, block_q_dkv=bq, block_kv_dkv=bkv, block_q_dq=bq, block_kv_dq=bkv
    )
    kernel = splash.make_splash_mha(
        splash.MultiHeadMask([splash.FullMask((q, kv))] * heads),
        block_sizes=sizes,
        head_shards=1,
        q_seq_shards=1,
        interpret=interpret,
    )
    lengths = jnp.full(len(key), m, jnp.int32) if lengths is None else lengths
    padding = (jnp.arange(kv) >= lengths[:, None]).astype(jnp.int32)
    segments = splash.SegmentIds(q=jnp.zeros((len(key), q), jnp.int32), kv=padding)
    query = query * query.shape[-1] ** -0.5
    query, key, value = (
        rearrange(_append(x, size - x.shape[1]), "b n k d -> b k n d")
        for x, size in ((query, q), (key, kv), (value, kv))
    )
    out = jax.vmap(kernel)(query, key, value, segments)
    return rearrange(out, "b k n d -> b n k d")[:, :n]


def _cover(size, largest=512, lanes=128):
    """(length, block): the fewest blocks of whole lanes that hold `size` tokens, and their total length."""
    count = -(-size // largest)
    block = -(-size // (count * lanes)) * lanes
    return count * block, block


KERNELS = {"xla": _xla, "blockwise": _blockwise, "cudnn": _cudnn, "splash": _splash}
"""(query, key, value, lengths) -> out, flat in tokens; of a row's keys the first lengths[row] count, all if it is None."""


def _check_causal(query, key, lengths):
    """Raises ValueError for shapes that do not fit."""
    if len(query) != 5 or query != key:
        raise ValueError(f"causal: needs queries and keys (b, f, p, k, d) of one shape; these are {query} and {key}")
    if lengths is not None:
        raise ValueError("lengths: not with causal attention, whose frames are all there; leave one of them out")


# Over a mesh


def shard_tokens(x: Float[Array, "b f p d"]) -> Float[Array, "b f p d"]:
    """x, constrained to be split by batch and patches over a mesh of more than one device.

    Without the constraint the partitioner may follow the parameters that fsdp splits, and gather the batch on every device.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or mesh.size == 1:
        return x
    return jax.lax.with_sharding_constraint(x, PartitionSpec(_rows(mesh, x.shape[0]), None, "context"))


def _rows(mesh, batch):
    """Mesh axes that split a batch; None for one that they do not divide (a single row, at initialisation)."""
    return None if batch % (mesh.shape["data"] * mesh.shape["fsdp"]) else BATCH[0]


def _across(mesh, query, key, value, implementation, causal, lengths, context):
    """`attend` with batch, heads and, for framed queries, patches split over the mesh; `context` is "" for whole keys."""
    ways, heads = mesh.shape["context"], query.shape[-2]
    if heads % mesh.shape["tensor"]:
        raise ValueError(f"heads={heads}: must be a multiple of mesh.tensor={mesh.shape['tensor']}")
    _check_context(context, implementation, heads // mesh.shape["tensor"], ways, causal, lengths)
    rows = _rows(mesh, query.shape[0])
    whole = {4: PartitionSpec(rows, None, "tensor"), 5: PartitionSpec(rows, None, None, "tensor")}
    parts = PartitionSpec(rows, None, "context", "tensor")
    framed, split_keys, patches = query.ndim == 5 and ways > 1, context in ("ring", "all_to_all"), query.shape[2]

    def local(query, key, value, *lengths):
        some = lengths[0] if lengths else None
        if context == "ring":
            return _ring(query, key, value, patches, ways, causal)
        if context == "all_to_all":
            return _all_to_all(query, key, value, patches, ways, implementation, causal, some)
        return _local(query, key, value, implementation, causal, some)

    traced = () if lengths is None else (lengths,)
    query_at = parts if framed else whole[query.ndim]
    key_at = parts if split_keys else whole[key.ndim]
    spread = jax.shard_map(
        local,
        in_specs=(query_at, key_at, key_at, *(PartitionSpec(rows) for _ in traced)),
        out_specs=query_at,
        check_vma=False,
    )
    query = _pad_patches(query, ways) if framed else query
    key, value = (_pad_patches(x, ways) if split_keys else x for x in (key, value))
    out = spread(query, key, value, *traced)
    return out[:, :, :patches] if framed else out


def _check_context(context, implementation, heads, ways, causal, lengths):
    if context == "ring" and (lengths is not None or causal not in (None, Causal())):
        raise ValueError("context='ring': has no window, chunks or cache; use context='gather' or 'all_to_all'")
    if context == "ring" and implementation not in ("xla", "blockwise"):
        raise ValueError(
            f"context='ring': works blockwise in XLA and cannot use attention={implementation!r}; "
            "use context='all_to_all' or 'gather', or attention='blockwise'"
        )
    if context == "all_to_all" and heads % ways:
        raise ValueError(
            f"context='all_to_all': a device has {heads} heads, they must be a multiple of mesh.context={ways}; "
            "use context='ring' or 'gather', or a smaller mesh.context or mesh.tensor"
        )


def _pad_patches(x, ways):
    """x with patches of zeros appended until they split evenly."""
    return jnp.pad(x, ((0, 0), (0, 0), (0, -x.shape[2] % ways), (0, 0), (0, 0)))


def _ring(query, key, value, patches, ways, causal):
    """This device's queries over the keys of all; a key's rank is its frame, and padding has rank NEVER."""
    frames, part = key.shape[1:3]
    padding = jax.lax.axis_index("context") * part + jnp.arange(part) >= patches
    rank = jnp.where(padding, NEVER, jnp.arange(frames)[:, None]).reshape(-1)
    last = jnp.arange(frames) if causal else jnp.full(query.shape[1], frames)
    out = online(_flat(query), _flat(key), _flat(value), jnp.repeat(last, part), rank, Ring("context", ways))
    return out.reshape(query.shape)


def _all_to_all(query, key, value, patches, ways, implementation, causal, lengths):
    """Attention with heads in place of patches split over the devices (Jacobs et al. 2023, DeepSpeed-Ulysses)."""
    query, key, value = (
        jax.lax.all_to_all(x, "context", split_axis=3, concat_axis=2, tiled=True)[:, :, :patches]
        for x in (query, key, value)
    )
    out = _pad_patches(_local(query, key, value, implementation, causal, lengths), ways)
    return jax.lax.all_to_all(out, "context", split_axis=2, concat_axis=3, tiled=True)
