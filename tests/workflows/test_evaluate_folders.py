"""Anybody's videos beside references, called as a notebook does."""

import csv
import json
import shutil

import numpy as np
import pytest

from neural_computer import media
from neural_computer.evals.metrics import METRICS, Metric
from neural_computer.screens.terminal import draw_text
from neural_computer.workflows.evaluate_folders import FolderOptions, evaluate_folders
from neural_computer.workflows.metrics import MetricOptions


def video(number: int, frames: int = 12, noise: float = 0) -> np.ndarray:
    """Lines of random letters that are typed at once."""
    rng = np.random.default_rng(number)
    rows = ["".join(chr(c) for c in rng.integers(97, 123, 12)) for _ in range(4)]
    clean = np.stack([draw_text("\n".join(row[: t + 1].ljust(12) for row in rows)) for t in range(frames)])
    return np.clip(clean + rng.normal(0, noise, clean.shape), 0, 255).astype(np.uint8) if noise else clean


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Eight clips: equal, noisy, cut, of another rate, missing on either side, damaged, with NaN."""
    folder = tmp_path_factory.mktemp("videos")
    generated, reference = folder / "generated", folder / "reference"
    generated.mkdir(), reference.mkdir()
    for name in ("same", "noisy", "short", "fast", "lost", "broken", "nan"):
        media.write_video(reference / f"{name}.mp4", video(1), 6)
    media.write_video(generated / "same.mp4", video(1), 6)
    media.write_video(generated / "noisy.mp4", video(1, noise=40), 6)
    media.write_video(generated / "short.mp4", video(1, 9), 6)
    media.write_video(generated / "fast.mp4", video(1).repeat(2, axis=0), 12)
    media.write_video(generated / "extra.mp4", video(1), 6)
    (generated / "broken.mp4").write_bytes((generated / "noisy.mp4").read_bytes()[:900])
    np.save(generated / "nan.npy", np.full((12, 64, 96, 3), np.nan))
    return folder


@pytest.fixture
def folders(written, tmp_path):
    """A copy of the clips."""
    return tuple(shutil.copytree(written / side, tmp_path / side) for side in ("generated", "reference"))


def options(folders, **more) -> FolderOptions:
    return FolderOptions(*folders, folders[0].parent / "out", **more)


def test_problems_are_listed_by_name_and_the_exit_code_tells(folders):
    result = evaluate_folders(options(folders), MetricOptions(("psnr", "ssim")))
    assert result.exit_code == 3
    content = json.loads((result.options.out / "metrics.json").read_text())
    problems = {problem["clip"]: (problem["kind"], problem["policy"]) for problem in content["problems"]}
    assert {clip: kind for clip, (kind, _) in problems.items()} == {
        "short": "length", "fast": "rate", "lost": "missing", "extra": "missing", "broken": "unreadable", "nan": "unreadable",
    }  # fmt: skip
    lines = result.summary().splitlines()
    for clip, (kind, policy) in problems.items():
        assert any(line.startswith(f"{kind}  {clip}: ") and line.endswith(policy) for line in lines)
    assert lines[-2:] == ["4 clips scored, 4 left out", f"{result.options.out}/report.html"]
    rows = {row["clip"]: row for row in csv.DictReader((result.options.out / "clips.csv").open())}
    assert float(rows["same"]["psnr"]) > 30 > float(rows["noisy"]["psnr"]) and rows["nan"]["psnr"] == ""
    assert content["clips"] == {"scored": 4, "excluded": 4} and content["metrics"]["ssim"]["clips"] == 4
    assert content["settings"] == {
        "view": "paper", "reader": "tesseract", "cursor_height": 19.0, "fps": None, "metrics": ["psnr", "ssim"]
    }  # fmt: skip
    page = (result.options.out / "report.html").read_text()
    assert page.count("<img") == 4 and page.index("noisy: psnr") < page.index("same: psnr")
    for name, code in (("lost extra broken nan", 2), ("short fast", 0)):
        for path in [path for folder in folders for path in folder.iterdir() if path.stem in name.split()]:
            path.unlink()
        assert evaluate_folders(options(folders), MetricOptions(("psnr", "ssim"))).exit_code == code


def test_scored_clips_are_not_scored_again(folders, monkeypatch):
    calls = []

    def count(x):
        calls.append(x.pair.id)
        return 1.0

    monkeypatch.setitem(METRICS, "count", Metric("calls", count))
    first = evaluate_folders(options(folders), MetricOptions(("count",)))
    assert sorted(calls) == ["fast", "noisy", "same", "short"]
    again = evaluate_folders(options(folders), MetricOptions(("count",)))
    assert len(calls) == 4 and again.estimates == first.estimates
    media.write_video(folders[0] / "same.mp4", video(2), 6)
    evaluate_folders(options(folders), MetricOptions(("count",)))
    assert calls[4:] == ["same"], "its video has changed"
    evaluate_folders(options(folders), MetricOptions(("count",), "full"))
    assert len(calls) == 9, "the settings have changed"


def test_events_and_cells_beside_the_videos_are_used(folders):
    actions = folders[0].parent / "actions"
    actions.mkdir()
    events = [{"time": 0.5, "kind": "press", "key": "left", "x": 9, "y": 5}]
    (actions / "same.events.jsonl").write_text("\n".join(map(json.dumps, events)))
    names = ("psnr+15", "psnr_cursor", "psnr_text", "click_state")
    result = evaluate_folders(options(folders, actions=actions), MetricOptions(names, "full"))
    assert set(result.estimates) == {"psnr+15", "psnr_cursor"} and result.estimates["psnr+15"].clips == 1
    assert "note  psnr_text: no clip has it; it needs cells (ID.cells.json)" in result.summary()


def test_a_metric_that_fails_on_a_clip_leaves_the_clip_out(folders, monkeypatch):
    def fail(x):
        if x.pair.id == "noisy":
            raise ValueError("too noisy")
        return 1.0

    monkeypatch.setitem(METRICS, "calm", Metric("calm", fail))
    result = evaluate_folders(options(folders), MetricOptions(("calm",)))
    (noisy,) = [clip for clip in result.clips if clip.id == "noisy"]
    assert noisy.scores is None and noisy.problems == (("noisy", "unscored", "too noisy"),)


def test_a_missing_package_ends_the_run(folders, monkeypatch):
    def fail(x):
        raise ModuleNotFoundError("OCR needs tesserocr")

    monkeypatch.setitem(METRICS, "needy", Metric("needy", fail))
    with pytest.raises(RuntimeError, match="OCR needs tesserocr"):
        evaluate_folders(options(folders), MetricOptions(("needy",)))


def test_nothing_that_can_be_scored_is_an_error(folders, monkeypatch):
    def fail(x):
        raise ValueError("no")

    monkeypatch.setitem(METRICS, "none", Metric("none", fail))
    with pytest.raises(ValueError, match="none of 8 clips could be scored"):
        evaluate_folders(options(folders), MetricOptions(("none",)))


@pytest.mark.parametrize("name", ["psnr+15", "cursor_acc", "psnr_text", "click_state"])
def test_a_metric_that_needs_a_missing_folder_is_an_error(folders, name):
    with pytest.raises(ValueError, match=f"{name.replace('+', '.')} needs {METRICS[name].needs} .*; give --actions"):
        evaluate_folders(options(folders), MetricOptions((name,)))
