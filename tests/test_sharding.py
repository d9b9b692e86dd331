import functools

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from neural_computer import sharding
from tests.builders import batch, experiment, frozen, network, start


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


def test_sizes_are_read_as_they_are_written():
    assert sharding.sizes_of("data:1,fsdp:8") == {"data": 1, "fsdp": 8}
    for wrong in ("fsdp=8", "fsdp:8,", "fsdp:8,fsdp:2", "8"):
        with pytest.raises(ValueError, match="is no list of AXIS:SIZE"):
            sharding.sizes_of(wrong)


def test_a_batch_must_divide():
    with pytest.raises(ValueError, match="batch_size=6: must be a multiple of data"):
        sharding.place_batch(batch(6), sharding.make_mesh())


def losses(sizes, devices=None, steps=20):
    """Of updates from a network with nothing zero."""
    small, mesh = experiment(optimizer__learning_rate=1e-3), sharding.make_mesh(sizes, devices)
    state, held = (sharding.place(tree, mesh) for tree in (start(small), frozen(small)))
    update = small.trainer.compile(mesh, state, held, seed=0)
    out = []
    with jax.set_mesh(mesh):
        for i in range(steps):
            state, metrics = update(state, held, sharding.place_batch(batch(8, start=8 * i, seed=i), mesh))
            out.append(float(metrics["loss"]))
    return np.asarray(out)


@functools.cache
def losses_of_one():
    return losses({"data": 1}, jax.devices()[:1])


@pytest.mark.parametrize("sizes", [{"data": 8}, {"data": 4, "fsdp": 2}, {"data": 2, "fsdp": 2, "tensor": 2}])
def test_eight_devices_train_as_one(sizes):
    np.testing.assert_allclose(losses_of_one(), losses(sizes), rtol=1e-5)


def gradients(sizes, devices=None, **changes):
    """Loss and gradients of the whole network, nothing of it zero."""
    small, mesh = experiment(**changes), sharding.make_mesh(sizes, devices)
    whole = network(experiment())
    at = sharding.shardings(whole, mesh)
    held, rows = sharding.place(frozen(small), mesh), sharding.place_batch(batch(8), mesh)

    @functools.partial(jax.jit, out_shardings=(at, sharding.replicated(mesh)))
    def compute(whole, held, rows):
        return small.trainer.gradients(whole, held, rows, 0)

    with jax.set_mesh(mesh):
        return jax.device_get(compute(jax.device_put(whole, at), held, rows))


@functools.cache
def gradients_of_one(**causal):
    return gradients({"data": 1}, jax.devices()[:1], **causal)


@pytest.mark.slow
@pytest.mark.parametrize(
    "sizes, changes",
    [
        ({"data": 2, "fsdp": 2, "tensor": 2}, {}),
        ({"data": 2, "fsdp": 2, "context": 2}, {"network__context_parallel": "ring"}),
        ({"data": 2, "context": 2, "tensor": 2}, {"network__context_parallel": "gather", "network__causal": True}),
    ],
)
def test_gradients_on_a_mesh_are_those_of_one_device(sizes, changes):
    one, loss = gradients_of_one(**{name: value for name, value in changes.items() if name == "network__causal"})
    many, same = gradients(sizes, **changes)
    np.testing.assert_allclose(same["loss"], loss["loss"], rtol=1e-5)
    largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(one))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * largest), one, many)
