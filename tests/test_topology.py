"""1 and 8 devices, 1 and 2 processes: the same global batches, the same losses."""

import os
import signal
import socket
import subprocess
import sys
import textwrap

import jax
import numpy as np
import pytest

from neural_computer.train.checkpoint import Checkpoints
from neural_computer.train.metrics_log import read_metrics
from tests.builders import experiment
from tests.conftest import ROOT, program, wait_until
from tests.test_resume import arguments, newest

pytestmark = pytest.mark.slow
ONE = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


def losses(workdir):
    lines = [line for line in read_metrics(workdir) if "loss" in line]
    assert len(lines) == 20
    return np.asarray([line["loss"] for line in lines])


@pytest.fixture(scope="module")
def alone(videos, tmp_path_factory):
    """The losses of one process on one device."""
    workdir = tmp_path_factory.mktemp("alone")
    program("launch.train", *arguments(videos, workdir, 20, every=20))
    return losses(workdir)


def test_eight_devices_train_as_one(videos, tmp_path, alone):
    """On a mesh of three axes; others are in tests/test_sharding.py."""
    sizes = [f"--config.mesh.{axis}=2" for axis in ("data", "fsdp", "tensor")]
    program("launch.train", *arguments(videos, tmp_path, 20, every=20), *sizes, devices=8)
    np.testing.assert_allclose(losses(tmp_path), alone, rtol=1e-5)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def pair(videos, workdir, steps: int, every: int) -> list[subprocess.Popen]:
    """Two processes that train together."""
    port = free_port()
    join = [f"--coordinator=127.0.0.1:{port}", "--processes=2"]
    return [
        subprocess.Popen(
            [sys.executable, "-m", "launch.train", *arguments(videos, workdir, steps, every), *join, f"--process={i}"],
            cwd=ROOT,
            env=os.environ | {"XLA_FLAGS": ONE},
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(2)
    ]


def ended(processes: list[subprocess.Popen], code: int) -> None:
    stderr = [process.communicate(timeout=400)[1] for process in processes]
    assert [process.returncode for process in processes] == [code] * 2, "\n".join(text[-2000:] for text in stderr)


def test_two_processes_train_as_one(videos, tmp_path, alone):
    ended(pair(videos, tmp_path, 20, every=20), 0)
    np.testing.assert_allclose(losses(tmp_path), alone, rtol=1e-5)


def test_one_of_two_is_asked_to_stop_and_both_do_after_the_same_step(videos, tmp_path):
    """Ctrl-C, which there becomes a SIGTERM."""
    processes = pair(videos, tmp_path, 2000, every=1000)
    assert wait_until(lambda: len(read_metrics(tmp_path)) > 7, processes[0])
    processes[1].send_signal(signal.SIGINT)
    ended(processes, 130)
    stopped = newest(tmp_path)
    assert 0 < stopped < 1000
    assert [line["step"] for line in read_metrics(tmp_path)] == list(range(1, stopped + 1))


POISONED = """
    import itertools, sys
    from pathlib import Path
    import jax
    jax.distributed.initialize(sys.argv[1], 2, int(sys.argv[2]))
    from neural_computer import sharding
    from neural_computer.train import loop
    from tests.builders import batch, frozen
    from tests.train.test_guards import BAD, poisoned
    small = poisoned()

    def batches(start):
        # Rows 0, 2, ... of every global batch of eight are process 0's, the others process 1's.
        whole = (batch(8, start=BAD if i == 2 else 8 * i, seed=i) for i in itertools.count(start))
        return (jax.tree.map(lambda x: x[jax.process_index() :: 2], rows) for rows in whole)

    config = loop.LoopConfig(steps=6, checkpoint_every=1, max_to_keep=2, log_every=1)
    loop.fit(
        small.trainer, frozen(small), batches, config, workdir=Path(sys.argv[3]), mesh=sharding.make_mesh(), seed=0,
        clip_ids=lambda number: [f"clip-{number}"],
    )
"""


def test_nan_at_step_3_stops_both_processes_and_the_finite_checkpoint_restores(tmp_path):
    port = free_port()
    command = [sys.executable, "-c", textwrap.dedent(POISONED), f"127.0.0.1:{port}"]
    processes = [
        subprocess.Popen(
            [*command, str(i), str(tmp_path)],
            cwd=ROOT,
            env=os.environ | {"XLA_FLAGS": ONE},
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(2)
    ]
    stderr = [process.communicate(timeout=400)[1] for process in processes]
    assert all(process.returncode for process in processes)
    assert all("NonFiniteError: step 3: loss is nan on clips clip-2." in text for text in stderr), stderr[0][-2000:]
    small, checkpoints = experiment(), Checkpoints(tmp_path / "checkpoints")
    assert checkpoints.steps() == [1, 2]
    step, state, _ = checkpoints.restore(jax.eval_shape(lambda: small.trainer.init(0)))
    assert step == 2 and all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.network))
