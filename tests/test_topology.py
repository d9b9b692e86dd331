"""1 and 8 devices, 1 and 2 processes: the same global batches, the same losses."""

import os
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

from neural_computer.train.metrics_log import read_metrics
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


@pytest.mark.parametrize("mesh", [{}, {"data": 2, "fsdp": 2, "tensor": 2}])
def test_eight_devices_train_as_one(videos, tmp_path, alone, mesh):
    sizes = [f"--config.mesh.{axis}={size}" for axis, size in mesh.items()]
    program("launch.train", *arguments(videos, tmp_path, 20, every=20), *sizes, devices=8)
    np.testing.assert_allclose(losses(tmp_path), alone, rtol=1e-5)


def pair(videos, workdir, steps: int, every: int) -> list[subprocess.Popen]:
    """Two processes that train together."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
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
    told = [process.communicate(timeout=400)[1] for process in processes]
    assert [process.returncode for process in processes] == [code] * 2, "\n".join(t[-2000:] for t in told)


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
