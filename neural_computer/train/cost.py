"""What an update costs, from shapes alone: bytes on a device, and operations.

Parameters, moments and batch are known from their shapes and the rule table. Activations and operations are read off the
traced gradient, so that attention, rematerialisation, encoders and what is trained count as they are computed.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict
from jax.extend.core import Jaxpr, JaxprEqn, Literal
from jax.sharding import AbstractMesh, Mesh

from neural_computer import sharding
from neural_computer.models import weights
from neural_computer.models.linear_codec import LinearCodec
from neural_computer.train.update import Trainer
from neural_computer.types import Batch, Encoded, FrozenParams, PyTree

BytesOf = Callable[[Any], int]
"""Bytes on one device of an array with a shape and a dtype."""


class Cost(NamedTuple):
    """Of one update."""

    memory: Mapping[str, int]
    """Bytes on a device at the fullest moment, by what holds them"""
    encoders: float
    """Operations of the frozen encoders, on all devices together"""
    network: float
    """Operations of the network, forward and backward"""


def cost(trainer: Trainer, frozen: FrozenParams, batch: Batch | Encoded, mesh: Mesh | AbstractMesh) -> Cost:
    """The cost of an update on a mesh, which need not exist; `frozen` and the global `batch` may be shapes.

    Operations are those of matmuls and convolutions as JAX will run them: recomputation counts, and a held parameter's
    gradient, which nobody asks for, does not. Raises ValueError for a mesh that does not divide parameters or batch.
    """
    ways = mesh.shape["data"] * mesh.shape["fsdp"]
    if batch.index.shape[0] % ways:
        raise ValueError(f"batch_size={batch.index.shape[0]}: must be a multiple of data * fsdp = {ways}")
    part = jax.tree.map(lambda x: jax.ShapeDtypeStruct((x.shape[0] // ways, *x.shape[1:]), x.dtype), batch)
    state = jax.eval_shape(lambda: trainer.init(0))
    gradient = jax.make_jaxpr(lambda network, frozen, part: trainer.gradients(network, frozen, part, 0)[0])
    program = gradient(state.network, frozen, part).jaxpr
    encoding = operations(jax.make_jaxpr(trainer.encode)(frozen, part).jaxpr)
    size = partial(bytes_per_device, mesh=mesh, rules=trainer.rules)
    gradients = size(state.network)
    memory = {
        "trained parameters": gradients,
        "moving average": size(state.ema),
        "moments": size(state.optimizer),
        "held parameters": size(FrozenParams(network_held=frozen.network_held)),
        "frozen encoders": size(frozen._replace(network_held=None)),
        "batch": sum(prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(part)),
        "gradients": gradients,
        "activations": peak(program, on_device(trainer, mesh)) - gradients,
    }
    return Cost(memory, ways * encoding, ways * (operations(program) - encoding))


def frozen_shapes(trainer: Trainer, dtypes: Mapping[str, Any]) -> FrozenParams:
    """Shapes of all parameters that an update reads and leaves as they are.

    `dtypes` gives those of dit, vae, umt5 and clip; what it does not name is float32.
    """
    conditioner = trainer.model.conditioner

    def shapes(name: str, init: Callable[[jax.Array], PyTree]) -> PyTree:
        dtype = jnp.dtype(dtypes.get(name, "float32"))
        like = jax.eval_shape(lambda: init(jax.random.key(0)))
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, dtype), like)

    def encoder(name: str, module: Any) -> PyTree:
        return None if module is None else shapes(name, partial(weights.NETWORKS[name].init, module))

    codec = conditioner.codec
    return FrozenParams(
        codec=shapes("vae", lambda key: codec.init() if isinstance(codec, LinearCodec) else codec.init(key)),
        text_encoder=encoder("umt5", conditioner.text_encoder),
        image_encoder=encoder("clip", conditioner.image_encoder),
        network_held=shapes("dit", lambda key: trainer.optimizer.split(trainer.network(0))[1]) or None,
    )


def bytes_per_device(tree: PyTree, mesh: Mesh | AbstractMesh, rules: sharding.Rules = sharding.RULES) -> int:
    """Bytes of a sharded tree on one device."""
    at = sharding.shardings(tree, mesh, rules)

    def size(leaf, place):
        return int(np.prod(place.shard_shape(np.shape(leaf)), dtype=np.int64)) * leaf.dtype.itemsize

    return sum(jax.tree.leaves(jax.tree.map(size, tree, at)))


def on_device(trainer: Trainer, mesh: Mesh | AbstractMesh) -> BytesOf:
    """How much of an array of a traced gradient, whose batch is a device's own, is on a device.

    Parameters and their gradients are split by the rule table; inside the scan over depth a block's are gathered, and
    `tensor` alone splits them. `context` splits whatever has an axis of tokens, `tensor` what has one of heads or of the
    FFN's hidden width; the rest counts whole.
    """
    computer, shape = trainer.model, trainer.model.network.dit.shape
    f, i, j, _ = computer.latent_shape
    patches = i * j // prod(shape.patch)
    tokens, ways = {patches, f * patches}, dict(mesh.shape)
    parts: dict[tuple[int, ...], int] = {}
    for path, leaf in flatten_dict(jax.eval_shape(lambda: trainer.network(0)), sep="/").items():
        axes = [axis for axis in sharding.spec(path, leaf.shape, mesh, trainer.rules) if axis]
        ways_of = {leaf.shape: prod(ways[axis] for axis in axes)}
        if "/blocks/" in path:
            ways_of[leaf.shape[1:]] = ways["tensor"] if "tensor" in axes else 1
        # Of two parameters that look alike, the one that takes more room.
        parts |= {sizes: min(split, parts.get(sizes, split)) for sizes, split in ways_of.items()}

    def size(array: Any) -> int:
        sizes = getattr(array, "shape", None)
        if sizes is None:  # a token orders effects and holds nothing
            return 0
        share = parts.get(sizes)
        if share is None:
            share = ways["context"] if tokens & set(sizes[1:]) else 1
            share *= ways["tensor"] if shape.heads in sizes[-3:-1] or shape.ffn in sizes[-1:] else 1
        return prod(sizes) * array.dtype.itemsize // share

    return size


# Reading a traced program


def operations(program: Jaxpr) -> float:
    """Operations (two a multiply-add) of a program's matmuls and convolutions; those in a loop, once a round."""
    total = 0.0
    for eqn in program.eqns:
        if eqn.primitive.name == "dot_general":
            (contracted, _), _ = eqn.params["dimension_numbers"]
            total += 2.0 * prod(_shape(eqn.outvars[0])) * prod(_shape(eqn.invars[0])[i] for i in contracted)
        elif eqn.primitive.name == "conv_general_dilated":
            kernel, outputs = _shape(eqn.invars[1]), eqn.params["dimension_numbers"].rhs_spec[0]
            total += 2.0 * prod(_shape(eqn.outvars[0])) * prod(kernel) / kernel[outputs]
        else:
            total += eqn.params.get("length", 1) * sum(operations(part) for part in _within(eqn))
    return total


def peak(program: Jaxpr, size: BytesOf) -> int:
    """Bytes beside its arguments that a program needs at its fullest moment, its results included.

    It is run in its own order, as XLA would: an array is in memory from the operation that makes it to the last that
    reads it. Kernels read from memory and write to it, reductions only write. Elementwise results are fused into what reads
    them, so that their sources live on instead, unless those take twice the room. XLA's own copies, in another layout or
    for a collective, are not counted.
    """
    run = _Run(size)
    for result in run.through(program, [run.elsewhere()] * len(program.invars)):
        run.store(result)
    return run.peak()


VIEWS = {
    *("reshape", "squeeze", "expand_dims", "transpose", "copy"),
    *("name", "stop_gradient", "sharding_constraint", "optimization_barrier"),
}
"""Operations that give the same memory another name."""
KERNELS = {"dot_general", "conv_general_dilated", "gather", "scatter", "scatter-add", "dynamic_update_slice", "sort"}
REDUCTIONS = {"reduce_sum", "reduce_max", "reduce_min", "argmax", "cumsum", "random_bits"}


def _shape(atom: Any) -> tuple[int, ...]:
    return atom.aval.shape


def _within(eqn: JaxprEqn) -> list[Jaxpr]:
    """The programs that an operation runs."""
    inner = [eqn.params[name] for name in ("jaxpr", "call_jaxpr", "fun_jaxpr", "body_jaxpr") if name in eqn.params]
    return [getattr(part, "jaxpr", part) for part in (*inner, *eqn.params.get("branches", ()))]


@dataclass(eq=False)
class _Value:
    """An array of a program: in memory from time `born` to `last`, or fused (`born` is None) and made of `sources`."""

    bytes: int
    sources: frozenset["_Value"] = frozenset()
    born: int | None = None
    last: int = 0

    @property
    def held(self) -> frozenset["_Value"]:
        """What must be in memory to have this value."""
        return self.sources if self.born is None else frozenset((self,))


@dataclass
class _Run:
    """A program as it runs: the time, in operations, and what is in memory when."""

    size: BytesOf
    now: int = 0
    stored: list[_Value] = field(default_factory=list)
    rounds: dict[int, int] = field(default_factory=dict)
    """Bytes within a loop's body, by the time of the loop"""

    def peak(self) -> int:
        change = np.zeros(self.now + 2, np.int64)
        for value in self.stored:
            change[value.born] += value.bytes
            change[value.last + 1] -= value.bytes
        inside = [self.rounds.get(time, 0) for time in range(self.now + 2)]
        return int((change.cumsum() + inside).max())

    @staticmethod
    def elsewhere() -> _Value:
        """An array that is in memory and counted elsewhere."""
        return _Value(0, born=0)

    def read(self, value: _Value) -> None:
        """What `value` is made of is needed now."""
        for source in value.held:
            source.last = self.now

    def store(self, value: _Value) -> None:
        """`value` itself is needed in memory now."""
        self.read(value)
        if value.born is None:
            value.born = self.now
            self.stored.append(value)
        value.last = self.now

    def through(self, program: Jaxpr, arguments: Iterable[_Value]) -> list[_Value]:
        """Runs the operations of a program; its results."""
        values = dict(zip(program.invars, arguments, strict=True))
        values |= {constant: self.elsewhere() for constant in program.constvars}

        def value(atom) -> _Value:
            return _Value(0) if isinstance(atom, Literal) else values[atom]

        for eqn in program.eqns:
            values |= zip(eqn.outvars, self.step(eqn, [value(atom) for atom in eqn.invars]), strict=True)
        return [value(atom) for atom in program.outvars]

    def step(self, eqn: JaxprEqn, operands: list[_Value]) -> list[_Value]:
        """Runs one operation; its results."""
        name, inner = eqn.primitive.name, _within(eqn)
        self.now += 1
        if name in VIEWS:
            return operands
        if name == "scan":
            return self.loop(eqn, inner[0], operands)
        if inner:
            if len(inner) > 1 or len(inner[0].invars) != len(operands):
                raise NotImplementedError(f"{name}: train.cost cannot tell what this operation holds; teach _Run.step")
            return self.through(inner[0], operands)
        sources = frozenset().union(*(operand.held for operand in operands))
        results = [_Value(self.size(out.aval), sources) for out in eqn.outvars]
        if name in KERNELS:
            for operand in operands:
                self.store(operand)
        room = sum(source.bytes for source in sources)
        for result in results:
            if name in KERNELS | REDUCTIONS or room >= 2 * result.bytes > 0:
                self.store(result)
        return results

    def loop(self, eqn: JaxprEqn, body: Jaxpr, operands: list[_Value]) -> list[_Value]:
        """Runs a scan, its body once: stacked results are there from the start, what is carried replaces what came in.

        A round's slices are copied where a kernel reads them; what it adds to a stack is written there at once.
        """
        carried = eqn.params["num_carry"]
        first = eqn.params["num_consts"]
        sliced = first + carried
        for operand in operands[first:sliced]:
            self.read(operand)
        self.now += 1
        for operand in operands[:first] + operands[sliced:]:
            self.store(operand)
        results = [_Value(self.size(out.aval)) for out in eqn.outvars]
        for result in results:
            self.store(result)
        one = _Run(self.size)
        slices = [_Value(self.size(part.aval)) for part in body.invars[sliced:]]
        for i, end in enumerate(one.through(body, [self.elsewhere()] * sliced + slices)):
            one.store(end) if i < carried else one.read(end)
        self.rounds[self.now] = one.peak()
        return results
