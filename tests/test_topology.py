"""1 and 8 devices, 1 and 2 processes: the same global batches, the same losses."""

import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from neural_computer.train.loop import read_metrics
from tests.conftest import ROOT, program
from tests.test_resume import arguments

pytestmark = pytest.mark.slow
EIGHT = "--xla_force_host_platform_device_count=8 --xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
ONE = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


def losses(workdir):
    lines = [line for line in read_metrics(workdir) if "loss" in line]
    assert len(lines) == 20
    return np.asarray([line["loss"] for line in lines])


@pytest.fixture(scope="module")
def alone(films, tmp_path_factory):
    """The losses of one process on one device."""
    workdir = tmp_path_factory.mktemp("alone")
    program("launch.train", *arguments(films, workdir, 20, every=20))
    return losses(workdir)


@pytest.mark.parametrize("mesh", [{}, {"data": 2, "fsdp": 2, "tensor": 2}])
def test_eight_devices_train_as_one(films, tmp_path, alone, mesh):
    sizes = [f"--config.mesh.{axis}={size}" for axis, size in mesh.items()]
    program("launch.train", *arguments(films, tmp_path, 20, every=20), *sizes, env={"XLA_FLAGS": EIGHT})
    np.testing.assert_allclose(losses(tmp_path), alone, rtol=1e-5)


def test_two_processes_train_as_one(films, tmp_path, alone):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    join = [f"--coordinator=127.0.0.1:{port}", "--processes=2"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "launch.train", *arguments(films, tmp_path, 20, every=20), *join, f"--process={i}"],
            cwd=ROOT,
            env=os.environ | {"XLA_FLAGS": ONE},
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(2)
    ]
    told = [process.communicate(timeout=400)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(t[-2000:] for t in told)
    np.testing.assert_allclose(losses(tmp_path), alone, rtol=1e-5)
