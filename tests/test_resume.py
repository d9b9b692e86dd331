"""n steps = k + resume + n - k, whatever stopped it: bit for bit on the same topology."""

import os
import random
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from neural_computer import build
from neural_computer.train.checkpoint import Checkpoints, read_json
from neural_computer.train.metrics_log import read_metrics
from tests.conftest import ROOT, program, wait_until

pytestmark = pytest.mark.slow


def arguments(videos, workdir, steps: int, every: int = 5, keep: int = 2) -> list[str]:
    return [
        "--config=configs/cligen.py:tiny",
        f"--workdir={workdir}",
        f"--config.data.directory={videos}",
        f"--config.schedule.steps={steps}",
        f"--config.schedule.checkpoint_every={every}",
        f"--config.schedule.max_to_keep={keep}",
        "--config.schedule.log_every=1",
    ]


def final(workdir):
    """Everything in the newest checkpoint, optimizer and step included."""
    experiment = build.build(build.ConfigDict(read_json(workdir / "config.json")))
    like = jax.eval_shape(lambda: experiment.trainer.init(0))
    step, state, _ = Checkpoints(workdir / "checkpoints").restore(like)
    return step, state


def equal(one, two) -> None:
    assert one[0] == two[0]
    jax.tree.map(np.testing.assert_array_equal, one[1], two[1])


def started(videos, workdir, *options, **settings) -> subprocess.Popen:
    command = [sys.executable, "-m", "launch.train", *arguments(videos, workdir, *options, **settings)]
    one = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | one, stderr=subprocess.PIPE, text=True)


def newest(workdir) -> int:
    folder = workdir / "checkpoints"
    return max((int(p.name) for p in folder.iterdir() if p.name.isdigit()), default=0) if folder.exists() else 0


def test_killed_during_saves_and_retention_it_always_resumes(videos, tmp_path, request):
    kills = request.config.getoption("--kills")
    steps = 12 + 8 * kills
    program("launch.train", *arguments(videos, tmp_path / "whole", steps, every=1, keep=1))
    workdir, chance, done = tmp_path / "killed", random.Random(0), 0
    while done < kills:
        before = newest(workdir)
        process = started(videos, workdir, steps, every=1, keep=1)
        # It saves at every step and keeps one: after a finished save, any moment is in a save or a delete.
        if not wait_until(lambda before=before: newest(workdir) > before, process):
            break
        time.sleep(chance.uniform(0, 0.6))
        process.kill()
        process.wait()
        done += 1
    assert done == kills, f"trained to the end after {done} kills: {process.stderr.read()[-2000:]}"
    program("launch.train", *arguments(videos, workdir, steps, every=1, keep=1))
    equal(final(tmp_path / "whole"), final(workdir))
    assert [line["step"] for line in read_metrics(workdir)] == list(range(1, steps + 1))


def test_ctrl_c_saves_and_the_same_command_goes_on(videos, tmp_path):
    steps = 200
    process = started(videos, tmp_path / "asked", steps, every=100)
    assert wait_until(lambda: len(read_metrics(tmp_path / "asked")) > 7, process)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 130 and "saved; the same command goes on from there" in told
    stopped = newest(tmp_path / "asked")
    assert 0 < stopped < steps and stopped % 100, "saved where it was, not at the next round number"
    program("launch.train", *arguments(videos, tmp_path / "asked", steps, every=100))
    program("launch.train", *arguments(videos, tmp_path / "whole", steps, every=100))
    equal(final(tmp_path / "whole"), final(tmp_path / "asked"))
    assert [line["step"] for line in read_metrics(tmp_path / "asked")] == list(range(1, steps + 1))
