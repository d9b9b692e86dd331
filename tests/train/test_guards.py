"""A run stops at the first loss or gradient that is not finite, and keeps its last finite checkpoint."""

import functools
import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_computer import sharding
from neural_computer.errors import Error
from neural_computer.train import loop
from neural_computer.train.checkpoint import Checkpoints
from neural_computer.train.guards import FiniteGuard, NonFiniteError
from neural_computer.train.metrics_log import MetricsLog, read_metrics
from tests.builders import batch, experiment, frozen, network
from tests.once import compiled_once, traced_once  # noqa: F401

pytestmark = pytest.mark.usefixtures("traced_once", "compiled_once")
ROWS = 8
BAD = 2**20
"""The number of a sample whose loss is NaN"""


@functools.cache
def poisoned():
    """The tiny experiment with a trainer whose loss is NaN in a batch that holds sample BAD."""
    small = experiment()
    objective = small.trainer.objective

    def loss(model, network, encoded, key):
        value, metrics = objective(model, network, encoded, key)
        value = jnp.where((encoded.index == BAD).any(), jnp.nan, value)
        return value, metrics | {"loss": value}

    return small.replace(objective=loss)


def train(workdir, bad: int = 0, **options) -> None:
    """Five updates, of which number `bad` meets sample BAD."""

    def batches(start):
        return (batch(ROWS, start=BAD if i == bad else ROWS * i, seed=i) for i in itertools.count(start + 1))

    small = poisoned()
    config = loop.LoopConfig(**{"steps": 5, "checkpoint_every": 1, "max_to_keep": 2, "log_every": 1} | options)
    mesh = sharding.make_mesh(devices=jax.devices()[:1])
    more = {
        "clip_ids": lambda number: [f"clip-{number}-{row}" for row in range(2)],
        "init_params": lambda: network(small),
    }
    loop.fit(small.trainer, frozen(small), batches, config, workdir=workdir, mesh=mesh, seed=0, **more)


@pytest.mark.parametrize("log_every", [1, 10])
def test_nan_at_step_3_stops_there_and_the_finite_checkpoint_restores(tmp_path, log_every):
    with pytest.raises(NonFiniteError, match=r"^step 3: loss is nan on clips clip-2-0, clip-2-1\. Nothing was saved"):
        train(tmp_path, bad=3, log_every=log_every)
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    assert checkpoints.steps() == [1, 2]
    step, state, _ = checkpoints.restore(jax.eval_shape(lambda: poisoned().trainer.init(0)))
    assert step == 2 and all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.network))
    for line in (tmp_path / "metrics.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    train(tmp_path)
    assert Checkpoints(tmp_path / "checkpoints").steps() == [4, 5]


def test_a_checkpoint_is_never_saved_over_a_bad_step_in_between(tmp_path):
    """The NaN is in step 3, the next checkpoint in step 4."""
    with pytest.raises(NonFiniteError, match=r"^step 3:"):
        train(tmp_path, bad=3, checkpoint_every=4, log_every=10)
    assert Checkpoints(tmp_path / "checkpoints").steps() == []


def test_gradients_are_watched_too():
    guard = FiniteGuard()
    guard.add(1, {"loss": jnp.asarray(1.0), "gradient_norm": jnp.asarray(2.0)})
    guard.add(2, {"loss": jnp.asarray(1.0), "gradient_norm": jnp.asarray(jnp.inf)})
    guard.check(newest=False)
    with pytest.raises(NonFiniteError, match=r"^step 2: gradient_norm is inf\. ") as caught:
        guard.check()
    assert isinstance(caught.value, Error)


def test_metrics_that_are_not_finite_are_null(tmp_path):
    log = MetricsLog(tmp_path, 0, 0.0)
    log.write(1, {"loss": jnp.nan, "psnr": jnp.inf, "rate": 0.5})
    (line,) = read_metrics(tmp_path)
    assert (line["loss"], line["psnr"], line["rate"]) == (None, None, 0.5)
    MetricsLog(tmp_path, 1, 0.0)  # keeps the line as it is
    assert read_metrics(tmp_path) == [line]
