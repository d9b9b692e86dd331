"""Scores of many clips: kept line by line, then figures with intervals, tables, an exit code."""

import csv
import json

import numpy as np
import pytest

from neural_computer.evals import frechet, results
from neural_computer.evals.pairs import Fault
from neural_computer.evals.results import ClipResult, Journal
from neural_computer.evals.scorer import Scores


def clip(name: str, *faults: Fault, features: np.ndarray | None = None, **values: float) -> ClipResult:
    return ClipResult(name, Scores(values, {} if features is None else {"fvd": features}), faults)


def test_a_line_that_a_kill_cut_off_is_scored_again_and_no_other(tmp_path):
    journal = Journal(tmp_path / "clips.jsonl")
    rows = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    first = clip("a", Fault("a", "length", "short"), features=rows, psnr=1 / 3)
    journal.add("k1", first)
    journal.add("k2", ClipResult("b", None, (Fault("b", "unreadable", "x"),)))
    whole = journal.path.read_bytes()
    for cut in range(len(whole) - 2, whole.index(b"\n"), -7):
        journal.path.write_bytes(whole[:cut])
        assert set(journal.known()) == {"k1"}
        journal.add("k3", clip("c", psnr=2.0))
        assert set(journal.known()) == {"k1", "k3"}
    back = journal.known()["k1"]
    assert back.faults == first.faults and back.scores.values == {"psnr": 1 / 3}
    np.testing.assert_array_equal(back.scores.features["fvd"], rows)


def test_a_key_names_all_that_a_result_depends_on():
    assert results.key({"a": 1, "b": 2}, "x") == results.key({"b": 2, "a": 1}, "x")
    assert len({results.key({"a": 1}, "x"), results.key({"a": 2}, "x"), results.key({"a": 1}, "y")}) == 3


def test_the_interval_holds_the_mean_and_narrows():
    rng = np.random.default_rng(0)
    widths = []
    for count in (20, 2000):
        values = rng.normal(size=count)
        low, high = results.interval(values.tolist())
        assert low < values.mean() < high
        assert high - low == pytest.approx(2 * 1.96 / count**0.5, rel=0.3)
        widths.append(high - low)
    assert results.interval([3.0]) == (3, 3)


def test_figures_are_of_the_clips_that_have_them():
    rows = np.random.default_rng(0).normal(size=(5, 2, 4)).astype(np.float32)
    clips = [clip(str(i), psnr=float(i), features=rows[i]) for i in range(5)]
    clips += [ClipResult("gone", None), clip("x", ssim=0.5)]
    found = results.figures(clips, ("psnr", "ssim", "fvd", "lpips"))
    assert found["psnr"].value == 2 and found["psnr"].clips == 5 and found["ssim"].clips == 1 and "lpips" not in found
    assert found["fvd"].value == frechet.distance(frechet.gaussian(rows[:, 0]), frechet.gaussian(rows[:, 1]))
    assert "fvd is from 5 clips: below 256" in results.warning(found)[0]
    assert "fvd" not in results.figures(clips[:1], ("fvd",))


@pytest.mark.parametrize(
    ("kinds", "code"),
    [([], 0), (["length"], 2), (["rate", "size"], 2), (["missing"], 3), (["length", "unreadable"], 3), (["twice"], 3)],
)
def test_the_exit_code_tells(kinds, code):
    assert results.code([clip("a", *(Fault("a", kind, "") for kind in kinds))]) == code


def test_the_worst_clip_is_first():
    clips = [
        clip("a", psnr=30.0, lpips=0.1),
        clip("b", psnr=20.0, lpips=0.2),
        clip("c", lpips=0.3),
        ClipResult("d", None),
    ]
    assert [c.id for c in results.ranked(clips, ("psnr", "lpips"))] == ["b", "a", "c"]
    assert [c.id for c in results.ranked(clips, ("fvd", "lpips"))] == ["c", "b", "a"]


def test_tables_tell_what_was_left_out(tmp_path):
    clips = [clip("b", psnr=1 / 3), clip("a", Fault("a", "length", "5 frames"), psnr=2.0)]
    clips += [ClipResult("c", None, (Fault("c", "missing", "is not in x"),))]
    results.write(tmp_path, {"view": "full"}, clips, ("psnr", "ssim"))
    told = json.loads((tmp_path / "metrics.json").read_text())
    assert told["clips"] == {"scored": 2, "left out": 1} and told["metrics"]["psnr"]["clips"] == 2
    assert [fault["policy"] for fault in told["faults"]] == [results.POLICY["length"], "the clip is left out"]
    rows = list(csv.DictReader((tmp_path / "clips.csv").open()))
    assert [row["clip"] for row in rows] == ["a", "b", "c"] and float(rows[1]["psnr"]) == 1 / 3
    assert rows[0]["faults"] == "length: 5 frames" and rows[2]["psnr"] == ""
