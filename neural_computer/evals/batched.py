"""Runs a function over rows, so many at a time, every device of a mesh its share of them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from neural_computer import sharding
from neural_computer.types import PyTree


@dataclass(frozen=True)
class InShares:
    """`run(params, *arrays)`, row by row of its arrays, `rows` a device at a time: a short last share is filled up with
    its last row, so it is compiled once a shape. Products are of whole float32s: a metric must not depend on the device."""

    run: Callable[..., Any]
    mesh: Mesh | None = None
    rows: int = 8

    def place(self, params: PyTree) -> PyTree:
        """Parameters, whole on every device: once, and not at every call."""
        return jax.device_put(params, None if self.mesh is None else sharding.replicated(self.mesh))

    def __call__(self, params: PyTree, *arrays: np.ndarray) -> np.ndarray:
        """The answers of all rows."""
        count, share = len(arrays[0]), self.rows * self.ways
        found = []
        for start in range(0, count, share):
            places = np.minimum(np.arange(start, start + share), count - 1)
            parts = tuple(array[places] for array in arrays)
            if self.mesh is not None:
                parts = sharding.place_batch(parts, self.mesh)
            found.append(np.asarray(self._compiled(params, *parts))[: count - start])
        return np.concatenate(found)

    @property
    def ways(self) -> int:
        """Among how many devices rows are split."""
        return 1 if self.mesh is None else self.mesh.shape["data"] * self.mesh.shape["fsdp"]

    @cached_property
    def _compiled(self) -> Callable[..., Any]:
        def exactly(params: PyTree, *parts: Any) -> Any:
            with jax.default_matmul_precision("highest"):
                return self.run(params, *parts)

        if self.mesh is None:
            return jax.jit(exactly)

        def shared(params: PyTree, *parts: Any) -> Any:
            at = (PartitionSpec(), *(sharding.BATCH for _ in parts))
            split = jax.shard_map(exactly, mesh=self.mesh, in_specs=at, out_specs=sharding.BATCH, check_vma=False)
            return split(params, *parts)

        return jax.jit(shared)
