"""Functions of rows in batches over a mesh."""

import jax
import numpy as np

from neural_computer import sharding
from neural_computer.evals.batched import BatchedOverMesh


def test_any_number_of_rows_gives_each_row_its_result():
    shapes = []

    def run(scale, x, y):
        shapes.append(x.shape)
        return scale * x.sum(1) + y

    batched = BatchedOverMesh(run, rows=4)
    for count in (1, 4, 9):
        x, y = np.random.default_rng(0).normal(size=(count, 3)).astype(np.float32), np.arange(count, dtype=np.float32)
        np.testing.assert_allclose(batched(batched.place(np.float32(2)), x, y), 2 * x.sum(1) + y, rtol=1e-6)
    assert batched.shards == 1 and set(shapes) == {(4, 3)}, "compiled for one shape"


def test_a_mesh_shares_the_rows():
    mesh = sharding.make_mesh({"data": 4, "fsdp": 2})
    batched = BatchedOverMesh(lambda _, x: x * 2, mesh, rows=3)
    x = np.arange(50, dtype=np.float32).reshape(25, 2)
    assert batched.shards == 8
    np.testing.assert_array_equal(batched(batched.place(np.zeros(2)), x), 2 * x)


def test_products_are_exact_whatever_the_devices_default():
    """A product of float32s is computed in full, as TPUs and GPUs do only on request."""
    run = BatchedOverMesh(lambda params, x: x @ params)
    x = np.ones((3, 4), np.float32)
    assert "HIGHEST" in str(jax.make_jaxpr(run._compiled)(np.ones((4, 4), np.float32), x))
    np.testing.assert_array_equal(run(np.eye(4, dtype=np.float32), x), x)
