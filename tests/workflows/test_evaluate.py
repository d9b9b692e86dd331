"""Evaluating a trained workdir from a notebook, and the evaluators of a training run."""

import json

import jax
import numpy as np
import pytest

from neural_computer import evals
from neural_computer.data.windows import ClipSource
from neural_computer.evals.estimates import Estimate
from neural_computer.evals.evaluate import Variant, evenly_spaced
from neural_computer.experiment import Experiment
from neural_computer.train.checkpoint import Checkpoints
from neural_computer.types import FrozenParams, TrainState
from neural_computer.workflows import checks, evaluators, workdir
from neural_computer.workflows.evaluate import evaluate, summary, table
from neural_computer.workflows.metrics import MetricOptions, config_options, with_cursor_of
from tests.builders import desktop, drawn, experiment
from tests.once import rollouts_compiled_once, traced_once  # noqa: F401

pytestmark = pytest.mark.usefixtures("traced_once", "rollouts_compiled_once")
KEYS = {
    "step",
    "split",
    "seed",
    "metrics",
    "view",
    "videos",
    "table",
    "estimates",
    "seconds",
    "further_splits",
    "native_by",
}


def tiny(videos, **changes) -> Experiment:
    return experiment(
        data__directory=str(videos),
        evaluation__videos=2,
        evaluation__batch_size=2,
        evaluation__split="test",
        sampling__num_steps=1,
        evaluation__metrics="psnr",
        evaluation__view="full",
        **changes,
    )


def state(experiment: Experiment) -> TrainState:
    """The state of a training run with random parameters."""
    shapes = jax.eval_shape(lambda: experiment.trainer.init(0))
    return jax.tree.map(lambda shape, x: x.astype(shape.dtype), shapes, drawn(shapes))


@pytest.fixture(scope="module")
def trained(videos, tmp_path_factory):
    """A workdir as a training run leaves it, without the training."""
    folder, small = tmp_path_factory.mktemp("workdir"), tiny(videos)
    source = ClipSource(videos, "train", small.data.frames)
    workdir.save_setup(small, folder, checks.fit_codec(small, source), source[0])
    checkpoints = Checkpoints(folder / "checkpoints", 2)
    checkpoints.save(3, state(small), {"seconds": 1.0})
    checkpoints.close()
    lines = [{"step": s, "seconds": s, "loss": 1 / s, "held_out/psnr": 9.0, "held_out/metrics/psnr": s} for s in (1, 3)]
    lines[0]["held_out/new_char_acc"] = 0.5
    lines[1]["loss"] = None
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_a_workdir_is_evaluated_once(trained):
    result = evaluate(trained)
    assert set(result) == KEYS | {"psnr", "ssim"} and result == json.loads((trained / "metrics.json").read_text())
    assert (result["step"], result["split"], result["seed"], result["videos"]) == (3, "test", 0, 2)
    assert result["metrics"] == ["psnr"] and result["view"] == "full" and result["seconds"]["train"] == 3
    rows = {row["prompt"]: row for row in result["table"]}
    assert list(rows) == ["plain", "first frame baseline", "codec reconstruction"]
    assert rows["plain"]["PSNR dB"] == result["psnr"]
    assert rows["plain"]["psnr (full)"] == result["estimates"]["plain"]["psnr"]["value"]
    assert set(result["estimates"]["plain"]["psnr"]) == {"value", "low", "high", "clips"}
    page = (trained / "report.html").read_text()
    assert page.count("data:image/png") == 2 + 3 and page.count("data:image/gif") == 1  # clips; loss, psnr, shares
    written = (trained / "metrics.json").stat().st_mtime_ns
    assert evaluate(trained) == result and (trained / "metrics.json").stat().st_mtime_ns == written
    assert evaluate(trained, again=True)["psnr"] == result["psnr"]
    assert (trained / "metrics.json").stat().st_mtime_ns > written
    lines = summary(trained, result).splitlines()
    assert lines[-1] == f"{trained}/report.html" and "2 videos of split test, step 3" in lines[-2]


def test_other_options_are_another_evaluation(trained, monkeypatch):
    first = evaluate(trained)
    own = evals.Metric("mean absolute error", lambda x: abs(x.pair.generated - x.pair.reference.astype(int)).mean())
    monkeypatch.setitem(evals.METRICS, "mean_abs", own)
    other = evaluate(trained, seed=1, split="train", metrics=MetricOptions(("mean_abs",), "full"))
    assert (other["seed"], other["split"], other["metrics"]) == (1, "train", ["mean_abs"])
    assert other["psnr"] != first["psnr"] and other["estimates"]["plain"]["mean_abs"]["value"] > 0
    assert json.loads((trained / "metrics.json").read_text()) == other
    paper = evaluate(trained, seed=1, split="train", metrics=MetricOptions(("mean_abs",), "paper"))
    assert paper["view"] == "paper" and "mean_abs (paper)" in paper["table"][0]


def test_the_table_has_a_row_a_variant():
    videos = np.zeros((1, 1, 1, 1, 3), np.uint8)
    variants = {
        "with_answer": Variant(videos, [{"psnr": 1.0, "unknown": 2.0}]),
        "plain": Variant(videos, [{"ssim": 0.5}]),
    }
    assert table(variants, {"plain": {"fvd": Estimate(3.0, 2.0, 4.0, 9)}}, "paper") == [
        {"prompt": "with answer", "PSNR dB": 1.0},
        {"prompt": "plain", "SSIM": 0.5, "fvd (paper)": 3.0},
    ]


def test_metric_options_follow_the_config_and_the_computer(videos):
    assert config_options(experiment(evaluation__metrics="")) is None
    options = config_options(tiny(videos))
    assert (options.names, options.view, options.r3d18, options.cursor_height) == (("psnr",), "full", None, 19.0)
    computer = desktop(actions__cursor_height=11.0)
    assert with_cursor_of(MetricOptions(), computer).cursor_height == 11
    assert with_cursor_of(MetricOptions(cursor_height=9.0), computer).cursor_height == 9
    assert MetricOptions(reader="glyphs", cursor_height=9.0).scorer().instruments.cursor_height == 9
    with pytest.raises(ValueError, match="reader='eyes': unknown; one of tesseract, glyphs"):
        MetricOptions(reader="eyes").scorer()


# Evaluators


def test_an_evaluator_of_ones_own_is_one_entry(videos, monkeypatch):
    small = tiny(videos)
    source = ClipSource(videos, "train", small.data.frames)
    frozen = FrozenParams(codec=checks.fit_codec(small, source))
    settings = []

    def weights(setting):
        settings.append(setting)
        return lambda state: [("leaves", float(len(jax.tree.leaves(state.network))))]

    monkeypatch.setitem(evaluators.EVALUATORS, "weights", weights)
    clips = evenly_spaced(ClipSource(videos, "test", small.data.frames), 2)
    active = evaluators.evaluators(small, frozen, source, clips)
    assert list(active) == ["held_out", "weights"], "a computer has no linear codec beside it"
    trained = state(small)
    assert dict(active["weights"](trained)) == {"leaves": len(jax.tree.leaves(trained.network))}
    assert settings[0].clips == clips and settings[0].scorer.names == ("psnr",)
    assert {"psnr", "ssim", "metrics/psnr"} == set(dict(active["held_out"](trained)))
