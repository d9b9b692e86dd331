"""What a run leaves behind when it ends at the worst moment."""

import itertools

import jax
import pytest

from neural_computer import sharding
from neural_computer.train import loop
from neural_computer.train.checkpoint import Checkpoints
from neural_computer.train.metrics_log import read_metrics
from tests.builders import batch, experiment, frozen, network
from tests.once import compiled_once, traced_once  # noqa: F401

pytestmark = pytest.mark.usefixtures("traced_once", "compiled_once")


def trained(small, workdir, steps: int) -> None:
    def batches(start):
        return (batch(8, start=8 * i, seed=i) for i in itertools.count(start))

    schedule = loop.LoopConfig(steps, checkpoint_every=3, log_every=1)
    mesh = sharding.make_mesh(devices=jax.devices()[:1])
    more = {"init_params": lambda: network(small)}
    loop.fit(small.trainer, frozen(small), batches, schedule, workdir=workdir, mesh=mesh, seed=0, **more)


def test_a_run_that_dies_right_after_a_save_has_lost_no_metrics(tmp_path, monkeypatch):
    small, save = experiment(), Checkpoints.save

    def save_and_die(self, step, *arguments):
        save(self, step, *arguments)
        if step == 3:
            raise MemoryError

    monkeypatch.setattr(Checkpoints, "save", save_and_die)
    with pytest.raises(MemoryError):
        trained(small, tmp_path, 5)
    assert [line["step"] for line in read_metrics(tmp_path)] == [1, 2, 3]
    trained(small, tmp_path, 5)
    assert [line["step"] for line in read_metrics(tmp_path)] == [1, 2, 3, 4, 5]


@pytest.mark.slow
def test_metrics_beyond_the_checkpoint_are_written_once(tmp_path):
    """Cut off between two checkpoints, in the middle of a line."""
    small = experiment()
    trained(small, tmp_path, 3)
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text() + '{"step": 4, "loss": 9.0}\n{"step": 5, "lo')
    trained(small, tmp_path, 5)
    lines = read_metrics(tmp_path)
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5] and lines[3]["loss"] != 9
    assert all(a["seconds"] <= b["seconds"] for a, b in itertools.pairwise(lines))
