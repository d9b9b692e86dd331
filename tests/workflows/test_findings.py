"""Findings: results on disk, claims, what a result depends on; and that every arm of every finding works, at every size."""

import functools
import importlib
import json

import jax
import numpy as np
import pytest

from neural_computer import build
from neural_computer.conditioning import normalize_pixels
from neural_computer.configs.findings import f05
from neural_computer.evals.estimates import Estimate
from neural_computer.launch.reproduce import FINDINGS
from neural_computer.types import Params, TokenIds
from neural_computer.workflows import findings, findings_page, reproduce
from neural_computer.workflows.findings import Claim, Finding, Result, Results
from neural_computer.workflows.reproduce import Places, Run
from tests import builders
from tests.conftest import ROOT

EVERY = {name: Finding.of(importlib.import_module(f"neural_computer.configs.findings.{name}")) for name in FINDINGS}


def result(arm: str, seed: int, value: float, half: float = 0.01, **fields) -> Result:
    estimate = Estimate(value, value - half, value + half, 100)._asdict()
    return Result(arm, seed, {"metrics": {"m": estimate}, "curves": {"c": [[0, 0.0], [10, value]]}, **fields})


# Results and claims


def test_one_is_above_another_if_no_seeds_interval_crosses():
    results = Results([result("a", 0, 0.9), result("a", 1, 0.8), result("b", 0, 0.7), result("b", 1, 0.785)])
    assert results.interval("a", "m") == pytest.approx((0.79, 0.91)) and results.mean("b", "m") == pytest.approx(0.7425)
    assert results.above(("a", "m"), ("b", "m")) is False  # .79 against .795
    assert results.above(("b", "m"), ("c", "m")) is None
    assert Results(results.every[:3]).above(("a", "m"), ("b", "m")) is True
    assert results.curve("a", "c") == {0: [0.0, 0.0], 10: [0.9, 0.8]}


@pytest.mark.parametrize(
    ("holds", "all_of_them"), [((True, True), True), ((True, None), None), ((None, False), False), ((), True)]
)
def test_every(holds, all_of_them):
    assert findings.every(*holds) is all_of_them


def test_results_are_read_in_the_order_of_arms_and_a_damaged_one_is_named(tmp_path):
    for arm, seed in (("b", 0), ("a-b", 1), ("a-b", 0), ("other", 0)):
        (tmp_path / f"{arm}-{seed}.json").write_text(json.dumps(result(arm, seed, 0.5).content))
    loaded = Results.load(tmp_path, ["a-b", "b"])
    assert [(each.arm, each.seed) for each in loaded.every] == [("a-b", 0), ("a-b", 1), ("b", 0)]
    (tmp_path / "b-1.json").write_text("{")
    with pytest.raises(ValueError, match=r"b-1.json: is no JSON .*delete it"):
        Results.load(tmp_path, ["b"])


# What a result depends on


def test_code_counts_by_what_it_does(tmp_path, monkeypatch):
    monkeypatch.setattr(findings, "PACKAGE", tmp_path)

    def digest(text: str) -> str:
        (tmp_path / "a.py").write_text(text)
        findings._syntax.cache_clear()
        return findings.code_digest(["a.py"])

    first = digest('"""A."""\n\n\ndef f(x):\n    """F."""\n    return x + 1\n')
    assert first == digest('"""B."""\ndef f(x):\n    # a comment\n    return (x +\n      1)\n')
    assert first != digest("def f(x):\n    return x + 2\n")
    assert findings.code_digest(["gone.py"]) == ""


def test_runs_share_a_training_if_they_ask_for_the_same():
    places = "micro"
    f05_, f06 = EVERY["f05"], EVERY["f06"]
    assert Run(f05_, "copies", 1).digest(places) == Run(f06, "copies", 1).digest(places)
    assert EVERY["f02"].arm("long", places) == EVERY["f04"].arm("long", places)
    different = {Run(f05_, arm, seed).digest(places) for arm in f05_.arms for seed in (0, 1)}
    assert len(different) == 2 * len(f05_.arms)


def test_arms_of_findings_8_to_10_share_internal():
    raw, internal = (Run(EVERY[name], arm, 0).digest("micro") for name, arm in (("f10", "raw"), ("f09", "internal")))
    assert raw == internal


def test_runs_come_seed_by_seed_and_unknown_arms_are_named():
    runs = reproduce.runs([EVERY["f03"]], "micro")
    assert [(run.arm, run.seed) for run in runs[:4]] == [
        ("semantic", 0),
        ("regular", 0),
        ("detailed", 0),
        ("semantic", 1),
    ]
    assert len(reproduce.runs([EVERY["f03"]], "micro", seeds=1, arms=["regular"])) == 1
    with pytest.raises(ValueError, match=r"arms='x': unknown; one of semantic"):
        reproduce.runs([EVERY["f03"]], "micro", arms=["x"])


def test_jobs_make_data_once_and_train_once(tmp_path):
    places = Places(tmp_path / "results", tmp_path / "runs", "micro")
    runs = reproduce.runs([EVERY["f05"], EVERY["f06"]], "micro", seeds=1)
    jobs = {job.name: job for job in reproduce.jobs(runs, places, ["make"], ["run"])}
    data = [name for name in jobs if name.startswith("data/")]
    assert len(data) == 2 and len(jobs) == 2 + 5
    assert jobs["f06/copies-0"].needs[1] == "f05/copies-0" and len(jobs["f05/copies-0"].needs) == 1
    assert jobs["f05/copies-0"].argv == ["run", "--run=f05/copies-0"]


# The page


def small_finding(tmp_path):
    def arm(name, size):
        return f05.arm("copies", "tiny")._replace(seeds=2)

    claim = Claim("a is above b", lambda results: results.above(("a", "m"), ("b", "m")))
    finding = Finding("f05", "A title", {"a": "one", "b": "two"}, arm, [claim], columns={"m": "M"}, differs=["all"])
    asked = {seed: Run(finding, "a", seed).digest("tiny") for seed in (0, 1)}
    files = ["types.py"]
    code = {"files": files, "hash": findings.code_digest(files)}
    for name, seed, value in (("a", 0, 0.9), ("a", 1, 0.8), ("b", 0, 0.5)):
        content = result(name, seed, value, asked=asked[seed], code=code, cpu_seconds=360, hardware="cpu").content
        path = tmp_path / "tiny" / "f05" / f"{name}-{seed}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    return finding, path.parent


def test_the_page_says_what_holds_what_is_missing_and_gives_the_same_bytes(tmp_path):
    finding, _ = small_finding(tmp_path)
    page = findings_page.markdown([finding], tmp_path, "tiny")
    assert "**holds so far**: a is above b" in page and "| a | 2 | 0.850 ± 0.050 [0.790, 0.910] |" in page
    assert "Not run yet: b (1 of 2)." in page and "stale" not in page.lower()
    assert "2 trainings, 0.2 CPU hours" in page  # both arms ask for the same here
    assert page == findings_page.markdown([finding], tmp_path, "tiny")


def test_a_result_of_another_config_or_code_is_marked_stale(tmp_path):
    finding, folder = small_finding(tmp_path)
    for name, field in (("a-0", {"asked": "x"}), ("b-0", {"code": {"files": ["types.py"], "hash": "x"}})):
        path = folder / f"{name}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | field))
    page = findings_page.markdown([finding], tmp_path, "tiny")
    assert "Stale: a, seed 0 is of another config." in page and "Stale: b, seed 0 is of other code." in page
    assert "| a (stale) |" in page and "f05: A title (stale)" in page


def test_the_readmes_table_is_replaced_and_nothing_else(tmp_path):
    finding, _ = small_finding(tmp_path)
    text = f"before\n{findings_page.BEGIN}\noutdated\n{findings_page.END}\nafter\n"
    once = findings_page.readme(text, [finding], tmp_path, "tiny")
    assert "outdated" not in once and once.startswith("before\n") and once.endswith(f"{findings_page.END}\nafter\n")
    assert findings_page.readme(once, [finding], tmp_path, "tiny") == once
    with pytest.raises(ValueError, match="no place for the table"):
        findings_page.readme("nothing", [finding], tmp_path, "tiny")


# Every arm


ARMS = [(name, arm) for name, finding in EVERY.items() for arm in finding.arms]
SEEN: set[str] = set()


@functools.partial(jax.jit, static_argnums=0)
def once(trainer, network, frozen, batch):
    return trainer.update(trainer.start(network), frozen, batch, 0)


@functools.partial(jax.jit, static_argnums=0)
def rollout(computer, params, first, text, u):
    state = computer.boot(params, first, text)
    _, frames = computer.run(params, state, u, jax.random.key(0), chunks=computer.clip_chunks)
    return computer.join(normalize_pixels(first), frames)


@pytest.mark.parametrize(("finding", "arm"), ARMS, ids=["/".join(each) for each in ARMS])
def test_every_arm_takes_an_update_and_a_rollout(finding, arm):
    asked = EVERY[finding].arm(arm, "tiny")
    if "vae" in asked.config:
        pytest.skip("a codec: tests/train/test_reconstruction.py trains it")
    config = asked.config.copy_and_resolve_references()
    config.data.update(captions={}, directory="")  # arms that differ in their captions alone compute the same
    if (key := config.to_json(sort_keys=True)) in SEEN:
        pytest.skip("an arm before computes the same")
    SEEN.add(key)
    small = build.build(config)
    rows, data = config.data.batch_size, config.data
    batch = builders.batch(rows, size=(data.frames, data.height, data.width))
    ids = np.zeros((rows, small.tokenizer.length), np.int32)
    batch = batch._replace(text=TokenIds(ids), actions=builders.actions(small, rows))
    batch = batch._replace(regions=builders.regions(small, rows))
    frozen = builders.frozen(small)
    state, metrics = once(small.trainer, builders.network(small), frozen, batch)
    assert np.isfinite(metrics["loss"])
    u = None if batch.actions is None else small.computer.split(batch.actions, small.computer.clip_chunks)
    params = Params(state.ema, frozen)
    frames = rollout(small.computer, params, batch.video[:, 0], batch.text, u)
    assert frames.shape == batch.video.shape and np.isfinite(frames).all()


@pytest.mark.parametrize("size", ["micro", "small", "paper"])
@pytest.mark.parametrize(("finding", "arm"), ARMS, ids=["/".join(each) for each in ARMS])
def test_every_arm_builds_at_every_size(finding, arm, size):
    asked = EVERY[finding].arm(arm, size)
    build.build(asked.config)
    assert asked.data[0].startswith("--recipe=") and asked.seeds in (1, 3)


# What is published


def test_the_page_and_the_readme_say_what_the_results_say():
    """Otherwise: neural-computer report."""
    every = list(EVERY.values())
    results = ROOT / "results"
    assert (ROOT / "docs" / "findings.md").read_text() == findings_page.markdown(every, results, "micro")
    readme = (ROOT / "README.md").read_text()
    assert readme == findings_page.readme(readme, every, results, "micro")


def test_every_result_has_its_command_commit_and_hashes():
    paths = sorted((ROOT / "results").glob("*/*/*.json"))
    assert paths
    for path in paths:
        content = json.loads(path.read_text())
        for name in ("command", "commit", "asked", "hardware", "date", "cpu_seconds", "metrics"):
            assert content[name], f"{path}: {name}"
        assert content["code"]["hash"] and content["code"]["files"]
        assert f"{content['arm']}-{content['seed']}" == path.stem and content["finding"] == path.parent.name
