"""Results of many clips: a journal line by line, then estimates, tables, an exit code."""

import csv
import json

import numpy as np
import pytest

from neural_computer.evals import estimates, frechet, results
from neural_computer.evals.metrics import METRICS, Metric
from neural_computer.evals.pairs import ClipProblem
from neural_computer.evals.results import ClipResult, Journal
from neural_computer.evals.scorer import Scores


def clip(name: str, *problems: ClipProblem, features: np.ndarray | None = None, **values: float) -> ClipResult:
    return ClipResult(name, Scores(values, {} if features is None else {"fvd": features}), problems)


def test_a_line_that_a_kill_cut_off_is_scored_again_and_no_other(tmp_path):
    journal = Journal(tmp_path / "clips.jsonl")
    rows = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    first = clip("a", ClipProblem("a", "length", "short"), features=rows, psnr=1 / 3)
    journal.add("k1", first)
    journal.add("k2", ClipResult("b", None, (ClipProblem("b", "unreadable", "x"),)))
    whole = journal.path.read_bytes()
    assert whole.count(b"\n") == 2 and set(journal.load()) == {"k1", "k2"} and journal.load()["k2"].scores is None
    for cut in range(len(whole) - 2, whole.index(b"\n"), -7):
        journal.path.write_bytes(whole[:cut])
        assert set(journal.load()) == {"k1"}
        journal.add("k3", clip("c", psnr=2.0))
        assert set(journal.load()) == {"k1", "k3"}
    back = journal.load()["k1"]
    assert back.problems == first.problems and back.scores.values == {"psnr": 1 / 3}
    np.testing.assert_array_equal(back.scores.features["fvd"], rows)


def test_a_line_of_another_version_is_scored_again(tmp_path):
    journal = Journal(tmp_path / "clips.jsonl")
    journal.path.write_text('{"key": "k", "id": "a", "values": {}, "features": {}, "faults": []}\n[1]\n')
    journal.add("k1", clip("a", psnr=1.0))
    assert set(journal.load()) == {"k1"}


def test_a_key_changes_with_everything_that_a_result_depends_on():
    assert results.result_key({"a": 1, "b": 2}, "x") == results.result_key({"b": 2, "a": 1}, "x")
    keys = {results.result_key(*inputs) for inputs in (({"a": 1}, "x"), ({"a": 2}, "x"), ({"a": 1}, "y"))}
    assert len(keys) == 3 and {len(key) for key in keys} == {24}


def test_estimates_are_of_the_clips_that_have_a_score():
    rows = np.random.default_rng(0).normal(size=(5, 2, 4)).astype(np.float32)
    clips = [clip(str(i), psnr=float(i), features=rows[i]) for i in range(5)]
    clips += [ClipResult("gone", None), clip("x", ssim=0.5)]
    by_name = results.estimates(clips, ("psnr", "ssim", "fvd", "lpips"))
    assert list(by_name) == ["psnr", "ssim", "fvd"]
    assert by_name["psnr"] == (2, *estimates.interval([0, 1, 2, 3, 4]), 5) and by_name["ssim"].clips == 1
    assert by_name["fvd"].value == frechet.distance(frechet.fit(rows[:, 0]), frechet.fit(rows[:, 1]))
    assert "fvd" not in results.estimates(clips[:1], ("fvd",)) and "fvd" in results.estimates(clips[:2], ("fvd",))


@pytest.mark.parametrize(("count", "warned"), [(255, True), (256, False)])
def test_a_set_metric_of_few_clips_is_warned_about(count, warned):
    by_name = {name: estimates.Estimate(1.0, 0.5, 2.0, count) for name in ("fvd", "psnr")}
    assert [line.split(":")[0] for line in results.warnings_about(by_name)] == ["fvd is from 255 clips"] * warned


@pytest.mark.parametrize(
    ("kinds", "code"),
    [([], 0), (["length"], 2), (["rate", "size"], 2), (["missing"], 3), (["length", "unreadable"], 3), (["twice"], 3)],
)
def test_the_exit_code_tells_what_was_adapted_or_left_out(kinds, code):
    assert results.exit_code([clip("a"), clip("a", *(ClipProblem("a", kind, "") for kind in kinds))]) == code


def test_every_kind_of_problem_has_a_policy():
    assert set(results.ADAPTED) == {"length", "rate", "size"}
    assert {kind for kind, policy in results.POLICY.items() if policy != "the clip is left out"} == set(results.ADAPTED)


def test_the_worst_clip_is_first():
    """Whichever way is better; clips without the metric are last."""
    clips = [
        clip("a", psnr=30.0, lpips=0.1),
        clip("b", psnr=20.0, lpips=0.2),
        clip("c", lpips=0.3),
        clip("f", psnr=20.0),
        ClipResult("d", None),
        clip("e", ssim=0.3),
    ]

    def order(*names: str) -> str:
        return "".join(clip.id for clip in results.worst_first(clips, names))

    assert order("psnr", "lpips") == "bface" and order("lpips") == "cbaef"
    assert order("fvd", "lpips") == "cbaef" and order("fvd") == order() == "abcef"


def test_a_metric_of_ones_own_ranks_too(monkeypatch):
    monkeypatch.setitem(METRICS, "own", Metric("own", lambda x: 0.0, lower_is_better=True))
    clips = [clip("a", own=1.0), clip("b", own=2.0)]
    assert [c.id for c in results.worst_first(clips, ("own",))] == ["b", "a"]
    assert results.estimates(clips, ("own",))["own"].value == 1.5


def test_tables_say_what_was_left_out(tmp_path):
    clips = [clip("b", psnr=1 / 3), clip("a", ClipProblem("a", "length", "5 frames"), psnr=2.0)]
    clips += [ClipResult("c", None, (ClipProblem("c", "missing", "is not in x"),))]
    by_name = results.write(tmp_path, {"view": "full"}, clips, ("psnr", "ssim"))
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert content == {
        "settings": {"view": "full"},
        "metrics": {"psnr": by_name["psnr"]._asdict()},
        "clips": {"scored": 2, "excluded": 1},
        "warnings": [],
        "problems": [
            {"clip": "a", "kind": "length", "detail": "5 frames", "policy": results.POLICY["length"]},
            {"clip": "c", "kind": "missing", "detail": "is not in x", "policy": "the clip is left out"},
        ],
    }
    rows = list(csv.DictReader((tmp_path / "clips.csv").open()))
    assert [row["clip"] for row in rows] == ["a", "b", "c"] and float(rows[1]["psnr"]) == 1 / 3
    assert rows[0]["problems"] == "length: 5 frames" and rows[2]["psnr"] == "" and rows[0]["ssim"] == ""
    assert results.table(by_name) == [{"metric": "psnr", **by_name["psnr"]._asdict()}]


def test_the_report_shows_the_worst_clips_first(tmp_path):
    clips = [clip(f"clip{i:02}", psnr=float(i)) for i in range(10)]
    clips.append(ClipResult("lost", None, (ClipProblem("lost", "missing", "is not in x"),)))
    shown = []

    def videos(name: str) -> dict[str, np.ndarray]:
        shown.append(name)
        return {"generated": np.zeros((3, 16, 24, 3), np.uint8)}

    page = results.html_report("title", results.estimates(clips, ("psnr",)), clips, ("psnr",), videos)
    page.save(tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    assert shown == [f"clip{i:02}" for i in range(results.WORST)] and html.count("<img") == 8
    assert "is not in x" in html and "clip09" in html and "95% of 1000 bootstraps" in html


@pytest.mark.parametrize(
    ("size", "scaled", "enlarged"),
    [((20, 300), (17, 260), 1), ((16, 24), (16, 24), 5), ((16, 130), (16, 130), 1)],
)
def test_a_strip_has_six_frames_of_any_video_at_a_readable_size(size, scaled, enlarged):
    """Wide frames are squashed to 260 pixels, small ones enlarged in whole multiples to at most 130; a border is 4."""
    video = np.arange(12, dtype=np.uint8)[:, None, None, None] * np.ones((1, *size, 3), np.uint8)
    image = results.strip({"a": video, "b": video})
    tall, wide = (side * enlarged + 4 for side in scaled)
    assert image.shape[0] == 2 * tall
    greys = image[tall // 2, -6 * wide + wide // 2 :: wide, 0]
    assert greys.tolist() == [0, 2, 4, 7, 9, 11]
