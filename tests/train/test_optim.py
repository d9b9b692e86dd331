"""Muon: the blocks' matrices get orthogonal updates of AdamW's size, stacked by depth or not; the rest is AdamW's."""

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from neural_computer.config import ConfigError
from neural_computer.train.optim import MUON_RMS, Optimizer
from tests.builders import experiment, network

MUON = Optimizer(learning_rate=1.0, kind="muon", weight_decay=0.0, grad_clip_norm=1e9)


def updates(optimizer: Optimizer) -> tuple[dict, dict]:
    """(parameters, their first updates for random gradients), by path."""
    params = network(experiment())
    rng = np.random.default_rng(1)
    gradients = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), params)
    transformation = optimizer.make()
    found, _ = jax.jit(transformation.update)(gradients, transformation.init(params), params)
    return flatten_dict(params, sep="/"), flatten_dict(found, sep="/")


def test_every_layer_of_a_stack_is_orthogonalised_on_its_own():
    params, found = updates(MUON)
    matrices = [path for path in params if "/blocks/" in path and path.endswith("kernel")]
    assert len(matrices) > 8 and all(params[path].ndim == 3 for path in matrices)
    for path in matrices:
        for matrix in np.asarray(found[path]):
            values = np.linalg.svd(matrix, compute_uv=False)
            # A singular value near zero stays small.
            assert values.max() < 2 * np.quantile(values, 0.25), path
            assert np.sqrt(np.square(matrix).mean()) == pytest.approx(MUON_RMS, rel=0.35), path


def test_what_is_no_matrix_of_a_block_is_adamws():
    """With Nesterov's momentum, which the first step shows as a factor."""
    nesterov = 1 + 0.9 * 0.1 / (1 - 0.9**2)
    params, found = updates(MUON)
    _, adam = updates(Optimizer(learning_rate=1.0, weight_decay=0.0, grad_clip_norm=1e9))
    others = [path for path in params if not ("/blocks/" in path and path.endswith("kernel"))]
    assert others
    for path in others:
        np.testing.assert_allclose(found[path], nesterov * adam[path], rtol=1e-3, atol=1e-4, err_msg=path)


def test_an_unknown_optimizer_is_named():
    with pytest.raises(ConfigError, match="config.optimizer.kind='sgd': unknown; one of adamw, muon"):
        experiment(optimizer__kind="sgd")
