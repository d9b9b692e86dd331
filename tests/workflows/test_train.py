"""Training and explaining as a notebook calls them: values in, values out."""

import numpy as np
import pytest

import neural_computer as nc
from neural_computer.configs import cligen, vae
from neural_computer.train.metrics_log import read_metrics
from neural_computer.types import Clip
from neural_computer.workflows.explain import DEVICES, explain
from neural_computer.workflows.train import fit
from tests import builders
from tests.once import compiled_once, one_device, traced_once  # noqa: F401

pytestmark = pytest.mark.usefixtures("traced_once", "compiled_once", "one_device")


def clips(count: int) -> list[Clip]:
    """A source that is nothing but a list."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (count, 5, 16, 32, 3)).astype(np.uint8)
    return [Clip(f"clip-{i}", x, 5.0, captions={"plain": f"clip {i}"}) for i, x in enumerate(frames)]


@pytest.mark.slow
def test_a_list_of_clips_is_trained_on_and_scored(tmp_path):
    experiment = builders.experiment(schedule__steps=2, schedule__log_every=1, schedule__eval_every=2)
    source = clips(16)
    norms = {"weights": lambda state: [("steps", float(state.step))]}
    state = fit(experiment, source, tmp_path, held_out=source[:2], evaluators=norms)
    assert int(state.step) == 2
    (scores,) = [line for line in read_metrics(tmp_path) if "weights/steps" in line]
    assert scores["step"] == scores["weights/steps"] == 2
    assert any(name.startswith("held_out/") and np.isfinite(value) for name, value in scores.items())
    assert nc.load(tmp_path).step == 2
    longer = builders.experiment(schedule__steps=3, schedule__log_every=1)
    assert int(nc.train.fit(longer, source, tmp_path).step) == 3, "it goes on where it was"


def test_what_training_costs_is_a_value():
    config = cligen.get_config("micro")
    small = explain(config, {"data": 1})
    assert 0 < small.gib < 1 and small.fits(DEVICES["h100"])
    assert sum(row["GiB"] for row in small.memory()[:-1]) == pytest.approx(small.memory()[-1]["GiB"])
    assert sum(row["million"] for row in small.parameters() if row[""] == "trained") == pytest.approx(1.5, rel=0.1)
    config.data.batch_size = 4096
    large = explain(config, {"data": 1})
    assert not large.fits(DEVICES["v5e"]) and large.cost.network > 100 * small.cost.network


def test_a_codec_is_not_explained():
    with pytest.raises(ValueError, match=r"config\.network: is missing"):
        explain(vae.get_config("tiny"), {"data": 1})
