"""Row-wise functions of large arrays, applied in batches of fixed size that are sharded over a mesh."""

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
class BatchedOverMesh:
    """Applies `run(params, *arrays)` to the arrays' rows, `rows` per device at a time, and concatenates the results.

    The last batch is padded with its last row, so `run` compiles once per shape. Matrix products run in full float32
    precision: a metric must not depend on the device.
    """

    run: Callable[..., Any]
    mesh: Mesh | None = None
    rows: int = 8

    def place(self, params: PyTree) -> PyTree:
        """Parameters replicated on every device of the mesh; place them once, not at every call."""
        return jax.device_put(params, None if self.mesh is None else sharding.replicated(self.mesh))

    def __call__(self, params: PyTree, *arrays: np.ndarray) -> np.ndarray:
        """Results of all rows, in order."""
        count, size = len(arrays[0]), self.rows * self.shards
        results = []
        for start in range(0, count, size):
            rows = np.minimum(np.arange(start, start + size), count - 1)
            batch = tuple(array[rows] for array in arrays)
            if self.mesh is not None:
                batch = sharding.place_batch(batch, self.mesh)
            results.append(np.asarray(self._compiled(params, *batch))[: count - start])
        return np.concatenate(results)

    @property
    def shards(self) -> int:
        """Number of devices that the rows of a batch are split over."""
        return 1 if self.mesh is None else self.mesh.shape["data"] * self.mesh.shape["fsdp"]

    @cached_property
    def _compiled(self) -> Callable[..., Any]:
        def exact(params: PyTree, *batch: Any) -> Any:
            with jax.default_matmul_precision("highest"):
                return self.run(params, *batch)

        if self.mesh is None:
            return jax.jit(exact)

        def sharded(params: PyTree, *batch: Any) -> Any:
            specs = (PartitionSpec(), *(sharding.BATCH for _ in batch))
            mapped = jax.shard_map(exact, mesh=self.mesh, in_specs=specs, out_specs=sharding.BATCH, check_vma=False)
            return mapped(params, *batch)

        return jax.jit(sharded)
