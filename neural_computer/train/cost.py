"""What an update costs, from shapes alone: operations, and bytes a device.

Trained, averaged and frozen parameters, moments and the batch are known from their shapes and the rule table. The rest,
gradients and activations, is read off the traced gradient, by `peak`. So it knows the attention, the rematerialisation and
what is trained, without a formula for each.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import prod
from typing import Any

import jax
import numpy as np
from jax.extend import core
from jax.sharding import AbstractMesh, Mesh

from neural_computer import sharding
from neural_computer.train.update import Trainer
from neural_computer.types import Batch, PyTree

Size = Callable[[Any], int]
"""Bytes of an array on one device, from its shape and dtype."""

VIEWS = {"reshape", "squeeze", "expand_dims", "transpose", "copy", "name", "stop_gradient", "sharding_constraint"}
"""Another name for the same memory."""
KERNELS = {"dot_general", "conv_general_dilated", "gather", "scatter", "scatter-add", "dynamic_update_slice", "sort"}
"""Read from memory and write to it."""
REDUCTIONS = {"reduce_sum", "reduce_max", "reduce_min", "argmax", "cumsum", "random_bits"}
"""Write to memory; what they read may be made on the way. All other operations are fused into whatever reads them."""


def bytes_per_device(tree: PyTree, mesh: Mesh | AbstractMesh) -> int:
    """Bytes of a sharded tree on one device."""
    at = sharding.shardings(tree, mesh)

    def size(leaf, place):
        return int(np.prod(place.shard_shape(np.shape(leaf)), dtype=np.int64)) * leaf.dtype.itemsize

    return sum(jax.tree.leaves(jax.tree.map(size, tree, at)))


def gradient(trainer: Trainer, state: PyTree, frozen: PyTree, batch: Batch, ways: int) -> core.Jaxpr:
    """The traced gradient of one of the `ways` equal parts of a batch, encoders included."""
    part = jax.tree.map(lambda x: jax.ShapeDtypeStruct((x.shape[0] // ways, *x.shape[1:]), x.dtype), batch)
    return jax.make_jaxpr(lambda *x: trainer.gradients(*x, 0)[0])(state.network, frozen, part).jaxpr


# Operations


def operations(jaxpr: core.Jaxpr) -> float:
    """Operations (two a multiply-add) of a traced program's matmuls and convolutions, a loop's times its length."""
    total = 0.0
    for eqn in jaxpr.eqns:
        out = prod(eqn.outvars[0].aval.shape) if eqn.outvars else 0
        if eqn.primitive.name == "dot_general":
            (contracted, _), _ = eqn.params["dimension_numbers"]
            total += 2.0 * out * prod(eqn.invars[0].aval.shape[i] for i in contracted)
        elif eqn.primitive.name == "conv_general_dilated":
            kernel, of = eqn.invars[1].aval.shape, eqn.params["dimension_numbers"].rhs_spec[0]
            total += 2.0 * out * prod(kernel) / kernel[of]
        else:
            total += eqn.params.get("length", 1) * sum(operations(inner) for inner in _within(eqn))
    return total


def _within(eqn: core.JaxprEqn) -> list[core.Jaxpr]:
    """The programs that an operation calls."""
    called = [eqn.params[name] for name in ("jaxpr", "call_jaxpr", "fun_jaxpr", "body_jaxpr") if name in eqn.params]
    return [getattr(inner, "jaxpr", inner) for inner in (*called, *eqn.params.get("branches", ()))]


# Memory


@dataclass(eq=False)
class Value:
    """An array of a traced program: in memory from `born` to `last`, or, while `born` is None, fused."""

    bytes: int
    sources: "frozenset[Value]" = frozenset()
    """The arrays in memory that a fused one is made of."""
    born: int | None = None
    last: int = -1


@dataclass
class Life:
    """A straight program as it runs: what is in memory when."""

    size: Size
    time: int = 0
    values: list[Value] = field(default_factory=list)
    """All that are ever in memory."""
    inside: dict[int, int] = field(default_factory=dict)
    """Bytes that a loop's body needs, by the time at which the loop runs."""

    def peak(self) -> int:
        """Bytes at the fullest moment."""
        change = np.zeros(self.time + 2, np.int64)
        for value in self.values:
            change[value.born] += value.bytes
            change[max(value.born, value.last) + 1] -= value.bytes
        held = change.cumsum()
        for time, more in self.inside.items():
            held[time] += more
        return int(held.max())

    def read(self, value: Value) -> None:
        """Some operation reads `value` now, or makes it on the way."""
        for source in (value,) if value.born is not None else value.sources:
            source.last = max(source.last, self.time)

    def store(self, value: Value) -> None:
        """`value` is in memory from now on."""
        self.read(value)
        if value.born is None:
            value.born = self.time
            self.values.append(value)
        value.last = max(value.last, self.time)

    def run(self, jaxpr: core.Jaxpr, arguments: Iterable[Value]) -> list[Value]:
        """Goes through a program's operations in order; returns its results."""
        known: dict[core.Var, Value] = dict(zip(jaxpr.invars, arguments, strict=True))
        known |= {var: self.outside() for var in jaxpr.constvars}

        def value(atom) -> Value:
            return Value(0) if isinstance(atom, core.Literal) else known[atom]

        for eqn in jaxpr.eqns:
            self.time += 1
            made = self.step(eqn, [value(atom) for atom in eqn.invars])
            known |= zip(eqn.outvars, made, strict=True)
        return [value(atom) for atom in jaxpr.outvars]

    def step(self, eqn: core.JaxprEqn, operands: list[Value]) -> list[Value]:
        """One operation's results."""
        name = eqn.primitive.name
        if name in VIEWS:
            return operands
        if name == "scan":
            return self.scan(eqn, operands)
        called = _within(eqn)
        if len(called) == 1 and len(called[0].invars) == len(operands):
            return self.run(called[0], operands)
        results = [Value(self.size(var.aval)) for var in eqn.outvars]
        if called:
            raise NotImplementedError(f"{name}: is an operation that train.cost cannot look into; teach Life.step")
        if name in KERNELS:
            for operand in operands:
                self.store(operand)
        if name in KERNELS | REDUCTIONS:
            for operand in operands:
                self.read(operand)
            for result in results:
                self.store(result)
            return results
        sources = frozenset(s for x in operands for s in ((x,) if x.born is not None else x.sources))
        for result in results:
            result.sources = sources
        return results

    def scan(self, eqn: core.JaxprEqn, operands: list[Value]) -> list[Value]:
        """A loop: its stacked results are there from the start, its body's arrays in one round at a time.

        What is carried takes the place of what was carried in. A round's slices are copied only if a kernel reads them.
        """
        body, fixed = _within(eqn)[0], eqn.params["num_consts"]
        first = fixed + eqn.params["num_carry"]
        for operand in operands[fixed:first]:
            self.read(operand)
        self.time += 1
        for operand in operands[:fixed] + operands[first:]:
            self.store(operand)
        inner = Life(self.size)
        slices = [Value(self.size(var.aval)) for var in body.invars[first:]]
        ends = inner.run(body, [*(self.outside() for _ in range(first)), *slices])
        for i, result in enumerate(ends):
            inner.store(result) if i < first - fixed else inner.read(result)
        self.inside[self.time] = inner.peak()
        results = [Value(self.size(var.aval)) for var in eqn.outvars]
        for result in results:
            self.store(result)
        return results

    @staticmethod
    def outside() -> Value:
        """An array that is in memory already and counted elsewhere."""
        return Value(0, born=0)


def peak(jaxpr: core.Jaxpr, size: Size) -> int:
    life = Life(size)
    for result in life.run(jaxpr, [life.outside() for _ in jaxpr.invars]):
        life.store(result)
    return life.peak()
