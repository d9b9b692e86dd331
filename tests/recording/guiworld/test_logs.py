"""Recordings made elsewhere: two real ones, and files in the public engine's format with its known mistakes."""

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from neural_computer import ClipSource, media
from neural_computer.actions.schema import CLICK, SHORTCUT, TEXT
from neural_computer.actions.schema import frames as schema
from neural_computer.actions.schema.log import read as read_log
from neural_computer.recording.guiworld import logs, sessions
from neural_computer.recording.guiworld.statistics import statistics
from tests import needs
from tests.conftest import program

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data" / "gui"
recorded = pytest.mark.skipif(not SHARED.is_dir(), reason="no recordings beside the checkout (shared/data/gui)")
FRAMES, SIZE = 40, (48, 64)


def video(path: Path, frames: int = FRAMES) -> Path:
    rng = np.random.default_rng(0)
    media.write_video(path, rng.integers(0, 256, (frames, *SIZE, 3)).astype(np.uint8), 15)
    return path


def table(path: Path, rows: list[dict], fps: float = 15.0) -> None:
    blank = {"X": 5, "Y": 6, "Left Click": 0, "Right Click": 0, "Key Events": ""}
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["Timestamp", "Timestamp_formated", *blank])
        writer.writeheader()
        for k, row in enumerate(rows):
            writer.writerow({"Timestamp": 100 + (k + 1) / fps, "Timestamp_formated": "", **blank, **row})


@pytest.mark.slow
@recorded
@pytest.mark.parametrize(("name", "frames", "events"), [("goal", 685, 94), ("slow", 602, None)])
def test_a_rigs_recording_has_the_cursor_and_the_events_of_its_log(name, frames, events):
    imported = logs.read_recording(SHARED / f"{name}.mp4", (96, 128))
    episode = imported.episode
    assert episode.frames.shape == (frames, 96, 128, 3)
    assert set(imported.problems) == {"events while a frame was grabbed"} and imported.problems.total() < 0.25 * frames
    assert events is None or len(episode.events) == events
    grabs = [json.loads(line) for line in (SHARED / f"{name}.frames.jsonl").read_text().splitlines()]
    pointer = np.asarray([(row["px"], row["py"]) for row in grabs]) / 8
    finite = np.isfinite(episode.cursor).all(axis=1)
    wrong = abs(episode.cursor - pointer).max(axis=1)[finite] > 0.2
    assert finite.sum() > 500 and wrong.sum() <= 2, "an event in flight may be one grab late"
    if name == "slow":
        assert statistics(episode)["speed"] == pytest.approx(1.51, rel=0.1)


def test_a_row_a_frame_and_the_engines_mistakes_are_repaired_and_counted(tmp_path):
    path = video(tmp_path / "a.mp4")
    rows: list[dict] = [{"X": k, "Y": 1 + 2 * k % 40} for k in range(FRAMES)]
    rows[10] |= {"Left Click": 1}
    rows[20] |= {"Left Click": 1, "Right Click": 1}
    rows[25] |= {
        "X": 0,
        "Y": 0,
        "Key Events": "[('keydown', 'Control_L'), ('keydown', 's'), ('keyup', 's'), ('keyup', 'Control_L')]",
    }
    rows[30] |= {"Key Events": "[('keydown', 'Hyper_L')]"}
    table(tmp_path / "a.csv", rows)
    imported = logs.read_recording(path, SIZE)
    log = read_log(imported.episode.events, SIZE[::-1])
    assert [(a.kind, a.button) for a in log.actions if a.kind == CLICK] == [(CLICK, "left"), (CLICK, "right")]
    assert [a.keys for a in log.actions if a.kind == SHORTCUT] == [("Control_L", "s")]
    assert [schema.frame_of(a.times[0], 15) for a in log.actions] == [10, 20, 25]
    assert imported.problems["right clicks that set the left flag too"] == 1
    assert imported.problems["pointer at (0, 0) where it was not"] == 1
    assert imported.problems["unknown key 'Hyper_L'"] == 1
    np.testing.assert_array_equal(imported.episode.cursor[24:27], [[24, 9], [24, 9], [26, 13]])


def test_a_log_of_another_length_is_cut_and_counted(tmp_path):
    for name, rows, words in (("long", FRAMES + 7, "log is 7 frames"), ("short", FRAMES - 9, "video is 9 frames")):
        path = video(tmp_path / f"{name}.mp4")
        table(tmp_path / f"{name}.csv", [{"X": k} for k in range(rows)])
        imported = logs.read_recording(path, SIZE)
        assert len(imported.episode.frames) == min(FRAMES, rows) and any(
            words in problem for problem in imported.problems
        )
        assert imported.episode.cursor[20, 0] == 20


def test_a_video_that_plays_at_another_rate_is_counted(tmp_path):
    path = video(tmp_path / "a.mp4")
    table(tmp_path / "a.csv", [{"X": k} for k in range(FRAMES)], fps=13.2)
    assert "video plays at 15 frames/s, it was recorded at 13.20" in logs.read_recording(path, SIZE).problems


def test_places_that_cannot_be_are_counted(tmp_path):
    path = video(tmp_path / "a.mp4")
    table(tmp_path / "a.csv", [{"X": "nan" if k == 9 else 9000 if k == 12 else k} for k in range(FRAMES)])
    problems = logs.read_recording(path, SIZE).problems
    assert problems["coordinates that are no numbers"] == 1 and problems["coordinates outside the screen"] == 1


def test_an_agents_actions_each_count_once(tmp_path):
    path = video(tmp_path / "a.mp4", 120)
    at = {"x": 10, "y": 12}
    rows = [
        {"timestamp": 5000.0, "action": "mouse_move", **at, "success": True},
        {"timestamp": 5001.0, "action": "left_click", **at, "success": True},
        {"timestamp": 5001.1, "action": "left_click", **at, "success": True},
        {"timestamp": 5001.1, "action": "double_click", **at, "success": True},
        {"timestamp": 5001.2, "action": "double_click_success", **at},
        {"timestamp": 5003.0, "action": "type", "text": "ls", "x": 0, "y": 0, "success": True},
        {"timestamp": 5004.0, "action": "key", "key": "ctrl+s", "x": 0, "y": 0, "success": True},
        {
            "timestamp": 5005.0,
            "action": "scroll",
            **at,
            "scroll_direction": "down",
            "scroll_amount": 3,
            "success": True,
        },
        {"timestamp": 5006.0, "action": "left_click", **at, "success": False, "error": "lost"},
        {"timestamp": 5006.5, "action": "dance", "success": True},
    ]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    imported = logs.read_recording(path, SIZE)
    actions = read_log(imported.episode.events, SIZE[::-1]).actions
    assert [a.kind for a in actions][:3] == [CLICK, TEXT, SHORTCUT] and actions[0].clicks == 2
    assert actions[1].text == "ls" and actions[2].keys == ("Control_L", "s") and actions[3].direction == "down"
    assert len(actions) == 4 and np.isclose(actions[0].times[0], 1.15)
    for problem in (
        "echoes of actions",
        "actions that failed",
        "unknown action 'dance'",
        "times that count from the first action",
    ):
        assert imported.problems[problem] == 1
    assert imported.problems["clicks counted beside their double click"] == 2


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "has no log beside it"),
        ({"a.csv": "X,Y\n1,2\n"}, "must have the columns"),
        ({"a.json": "{"}, "holds no list of actions"),
        ({"a.frames.jsonl": '{"t_end": 1, "slot": 0}\nno\n'}, "a.frames.jsonl:2: is no JSON object"),
        ({"a.frames.jsonl": '{"t_end": 2, "slot": 0}\n{"t_end": 1, "slot": 1}\n'}, "the grabs' times must rise"),
    ],
)
def test_what_is_no_log_is_rejected(tmp_path, files, words):
    path = video(tmp_path / "a.mp4")
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=words):
        logs.read_recording(path, SIZE)


# Clips


def test_a_double_click_is_not_cut_by_a_clips_border():
    episode = sessions.session("random_slow", 3, 243, 128)
    spans = sessions._action_spans(episode, (128, 128))
    border = next(last for first, last in spans if last > first and last > 30)
    problems: Counter[str] = Counter()
    clips = list(sessions.clips(episode, border, problems))
    assert problems["clips begun later because an action was under way"] >= 1
    for clip in clips:
        start = round(clip.meta["clip"]["start"] * 15)
        assert not any(sessions._splits(start, s) or sessions._splits(start + border, s) for s in spans)
        np.testing.assert_array_equal(clip.frames, episode.frames[start : start + border])
        np.testing.assert_array_equal(clip.cursor, episode.cursor[start : start + border])


def test_an_event_stays_with_the_frame_that_shows_it():
    episode = sessions.session("random_slow", 3, 162, 128)
    clip = sessions.cut(episode, 40, 80, 0)
    whole = schema.raw(read_log(episode.events, (128, 128)), 162, 15)
    cut = schema.raw(read_log(clip.events, (128, 128)), 80, 15)
    keys = slice(13, None)
    assert (whole[41:120, keys] != cut[1:, keys]).mean() < 0.001


@pytest.mark.slow
def test_the_recipe_makes_three_splits_and_shows_them(tmp_path):
    needs.package("tensorflow_datasets", "recording")
    # Of the first two sessions of every split, this seed holds one out.
    ask = ["--recipe=guiworld", "--clips=2", "--size=64", "--seed=626"]
    program("launch.prepare_data", *ask, f"--output={tmp_path}/data", "--preview=1")
    summary = json.loads((tmp_path / "data" / "summary.json").read_text())
    splits = {"random_slow", "random_fast", "goal"}
    assert set(summary["splits"]) == {name for split in splits for name in (split, f"{split}_test")}
    assert sum(summary["splits"].values()) >= 6 and min(summary["splits"].values()) >= 1
    source = ClipSource(tmp_path / "data", "goal", 81)
    window = source[0]
    assert window.frames.shape == (81, 64, 64, 3) and np.isfinite(window.cursor).all() and window.meta["task"]["family"]
    assert (tmp_path / "data" / "preview.html").read_text().count("data:image/gif") == 6
    again = tmp_path / "again"
    program("launch.prepare_data", *ask, f"--output={again}")
    other = ClipSource(again, "goal", 81)
    assert [source[i].id for i in range(len(source))] == [other[i].id for i in range(len(other))]
    np.testing.assert_array_equal(source[0].frames, other[0].frames)


@pytest.mark.slow
@recorded
def test_recordings_are_imported_by_the_recipe(tmp_path):
    needs.package("tensorflow_datasets", "recording")
    ask = ["--recipe=guiworld", "--source=import", f"--input={SHARED}", "--size=48x64", f"--output={tmp_path}"]
    program("launch.prepare_data", *ask, "--licence=CC0-1.0")
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["splits"]["goal"] >= 5 and summary["splits"]["random_slow"] >= 5 and not summary["rejected"]
