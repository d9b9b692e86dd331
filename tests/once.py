"""Programs that the tests of a file share: what the library traces and compiles anew in every run, once a file.

pytestmark = pytest.mark.usefixtures("traced_once")
from tests.once import traced_once  # noqa: F401
"""

import functools
from collections.abc import Iterator
from unittest import mock

import jax
import pytest

from neural_computer.evals.evaluate import BatchedRollout, CodecReconstruction
from neural_computer.train import loop
from neural_computer.train.update import Trainer

TRACED = {
    "network": jax.jit(Trainer.network, static_argnums=(0, 1)),
    "gradients": jax.jit(Trainer.gradients, static_argnums=(0, 4)),
}


@pytest.fixture(scope="module")
def traced_once() -> Iterator[None]:
    """A trainer's fresh parameters, and its gradients of one kind of batch, are traced once."""
    with mock.patch.multiple(Trainer, **TRACED):
        yield


@pytest.fixture(scope="module")
def compiled_once() -> Iterator[None]:
    """Training runs of one trainer on one mesh share their compiled update, rollouts of one computer their program."""
    compiled, anew = {}, loop._compile

    def update(trainer, mesh, state, frozen, batch, seed):
        key = trainer, mesh, seed
        if key not in compiled:
            compiled[key] = anew(trainer, mesh, state, frozen, batch, seed)
        return compiled[key]

    with mock.patch.object(loop, "_compile", update):
        yield


@pytest.fixture(scope="module")
def rollouts_compiled_once() -> Iterator[None]:
    """Rollouts of one computer, and reconstructions by one codec, share their program."""
    with (
        mock.patch.object(BatchedRollout, "_run", property(functools.cache(BatchedRollout._run.func))),
        mock.patch.object(CodecReconstruction, "_run", property(functools.cache(CodecReconstruction._run.func))),
    ):
        yield


@pytest.fixture(scope="module")
def one_device() -> Iterator[None]:
    """The library finds one device."""
    everything = jax.devices
    with mock.patch.object(jax, "devices", lambda *args: everything(*args)[:1]):
        yield
