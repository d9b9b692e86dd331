import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from neural_computer import sharding
from tests.builders import batch, experiment, frozen, scrambled, start


def test_every_parameter_and_moment_has_a_rule():
    trainer = experiment().trainer
    state = jax.eval_shape(lambda: trainer.init(0))
    mesh = sharding.make_mesh({"data": 2, "fsdp": 2, "tensor": 2})
    specs = jax.tree.map(lambda s: s.spec, sharding.shardings(state, mesh))
    query = specs.network["dit"]["blocks"]["block_0"]["self_attn"]["q"]["kernel"]
    assert query == PartitionSpec(None, "fsdp", "tensor")  # the leading axis is depth
    assert {s for s in jax.tree.leaves(specs.optimizer) if s != PartitionSpec()}, "moments are split like parameters"


def test_a_parameter_without_a_rule_raises():
    with pytest.raises(ValueError, match="dit/novelty/kernel: no sharding rule"):
        sharding.spec("dit/novelty/kernel", (4, 4), sharding.make_mesh())


def test_a_dimension_that_does_not_divide_raises():
    mesh = sharding.make_mesh({"data": 1, "fsdp": 8})
    with pytest.raises(ValueError, match=r"dit/head/kernel: dimension 12 .* fsdp=8"):
        sharding.spec("dit/head/kernel", (12, 4), mesh)


@pytest.mark.parametrize(
    "sizes, message", [({"data": 3}, "makes 3 places for 8 devices"), ({"date": 8}, "mesh.date: unknown axis")]
)
def test_impossible_meshes(sizes, message):
    with pytest.raises(ValueError, match=message):
        sharding.make_mesh(sizes)


def test_a_batch_must_divide():
    with pytest.raises(ValueError, match="batch_size=6: must be a multiple of data"):
        sharding.place_batch(batch(6), sharding.make_mesh())


def losses(sizes, devices, steps=20):
    small = experiment(optimizer__rate=1e-3)
    mesh = sharding.make_mesh(sizes, devices)
    fresh = start(small)
    state = sharding.place(fresh._replace(network=scrambled(fresh.network)), mesh)
    held = sharding.place(frozen(small), mesh)
    update = small.trainer.compile(mesh, state, held, seed=0)
    out = []
    for i in range(steps):
        state, metrics = update(state, held, sharding.place_batch(batch(8, start=8 * i, seed=i), mesh))
        out.append(float(metrics["loss"]))
    return np.asarray(out)


@pytest.mark.parametrize("sizes", [{"data": 8}, {"data": 4, "fsdp": 2}, {"data": 2, "fsdp": 2, "tensor": 2}])
def test_eight_devices_train_as_one(sizes):
    np.testing.assert_allclose(losses({"data": 1}, jax.devices()[:1]), losses(sizes, None), rtol=1e-5)
