"""A desktop's computer, from its data to its videos, as a user calls it."""

import json
from collections import defaultdict

import numpy as np
import pytest

from neural_computer import ClipSource, Episode, media
from neural_computer.recording.guiworld import build
from tests.conftest import program

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def used(tmp_path_factory):
    """A workdir: pairs of clips with and without a click, a small network, four updates."""
    workdir = tmp_path_factory.mktemp("used")
    ask = ["--recipe=guiworld", "--split=clicks", "--clips=8", "--frames=9", "--size=64", f"--output={workdir}/data"]
    program("launch.prepare_data", *ask)
    program(
        "launch.train",
        "--config=configs/guiworld.py:clicks,micro,internal,reference",
        f"--workdir={workdir}",
        f"--config.data.directory={workdir}/data",
        "--config.data.height=64",
        "--config.data.width=64",
        "--config.network.positions=(3,4,4)",
        "--config.network.layers=1",
        "--config.network.width=16",
        "--config.network.ffn=32",
        "--config.codec.channels=64",
        "--config.actions.cursor_height=5.44",
        "--config.data.batch_size=4",
        "--config.schedule.steps=4",
        "--config.schedule.eval_every=2",
        "--config.schedule.log_every=1",
        "--config.evaluation.videos=4",
        "--config.evaluation.eval_videos_during_training=2",
        "--config.evaluation.batch_size=2",
        "--config.sampling.num_steps=2",
    )
    return workdir


def test_clips_come_in_pairs_that_differ_in_a_click_alone(used):
    for split in ("clicks", "clicks_test"):
        source, pairs = ClipSource(used / "data", split, 9), defaultdict(dict)
        for clip in (source[i] for i in range(len(source))):
            pairs[clip.meta["source"]["recording"]][clip.meta["click"]["done"]] = clip
        assert 2 * len(pairs) == len(source)
        for one, other in ((pair[True], pair[False]) for pair in pairs.values()):
            np.testing.assert_array_equal(one.cursor, other.cursor)
            np.testing.assert_array_equal(one.frames[:4], other.frames[:4])
            assert (one.frames[-1] != other.frames[-1]).any()
            presses = [sum(e.kind == "press" for e in clip.events) for clip in (one, other)]
            assert presses == [1, 0]


def test_clips_shorter_than_an_action_find_a_place_between_two(tmp_path):
    ask = ["--recipe=guiworld", "--split=random_fast", "--clips=20", "--frames=9", "--size=64", "--seed=13"]
    program("launch.prepare_data", *ask, f"--output={tmp_path}")
    assert json.loads((tmp_path / "summary.json").read_text())["kept"] >= 20
    frames = ClipSource(tmp_path, "random_fast", 9)[0].frames
    assert frames.shape == (9, 64, 64, 3) and (frames[1:] != frames[:-1]).any()


def test_sessions_are_made_until_the_clips_suffice_and_one_is_held_out(monkeypatch):
    """Of the first 23 sessions none is held out."""
    clip = Episode("x", np.zeros((2, 8, 8, 3), np.uint8), 15.0, cursor=np.zeros((2, 2), np.float32))
    monkeypatch.setattr(build, "desk_clips", lambda *_, **__: iter([clip, clip]))
    for clips, sessions in ((2, 24), (47, 24), (51, 26)):
        jobs = build.synthetic(["random_fast"], clips, frames=2, side=64, seed=0).by_split["random_fast"]
        assert len(jobs) == sessions and [build.is_test(job) for job in jobs].count(True) == 1


def test_sessions_that_never_give_a_clip_are_not_made_for_ever(monkeypatch):
    monkeypatch.setattr(build, "desk_clips", lambda *_, **__: iter(()))
    with pytest.raises(ValueError, match=f"--split=goal, --frames=9: {build.PATIENCE} sessions .* gave no clip"):
        build.synthetic(["goal"], 10, frames=9, side=64, seed=0)


def test_the_judge_tells_what_the_mouse_did(used):
    lines = [json.loads(line) for line in (used / "metrics.jsonl").read_text().splitlines()]
    logged = [line for line in lines if "loss" in line]
    assert logged and all({"loss_flow", "loss_cursor", "waiting_for_data"} < set(line) for line in logged)
    (found,) = [line for line in lines if line["step"] == 2 and "held_out/metrics/click_state" in line]
    assert 0 <= found["held_out/metrics/click_state"] <= 1
    program("launch.evaluate", f"--workdir={used}")
    estimates = json.loads((used / "metrics.json").read_text())["estimates"]
    values = {
        name: estimates[name]["click_state"]["value"] for name in ("codec_reconstruction", "first_frame_baseline")
    }
    assert values == {"codec_reconstruction": 1.0, "first_frame_baseline": 0.5}, (
        "of the pair, the copy has the one without a click right"
    )


def test_a_run_is_used_as_a_video_of_the_data_was(used, tmp_path):
    done = program("launch.run", f"--workdir={used}", "--actions=clicks_test:0", f"--out={tmp_path}")
    assert "strip.png" in done.stdout and (tmp_path / "actions.gif").stat().st_size
    video, fps = media.read_video(tmp_path / "rollout.mp4")
    assert video.shape == (9, 256, 256, 3) and fps == 15
    source = ClipSource(used / "data", "clicks_test", 9)
    first = video[0, ::4, ::4].astype(int) - source[0].frames[0]
    assert np.square(first).mean() < 40**2, "it begins with that video's first frame, as its codec has it"


def test_a_run_is_used_by_a_log_for_as_many_chunks_as_it_takes(used, tmp_path):
    log = tmp_path / "mine.events.jsonl"
    events = [{"time": 0.1 * k, "kind": "move", "x": 10.0 + 3 * k, "y": 20.0} for k in range(8)]
    log.write_text("".join(json.dumps(e) + "\n" for e in [*events, {"time": 0.85, "kind": "press", "key": "left"}]))
    program("launch.run", f"--workdir={used}", f"--actions={log}", f"--out={tmp_path}/whole", "--chunks=2", "--prompt=")
    video, _ = media.read_video(tmp_path / "whole" / "rollout.mp4")
    assert video.shape[0] == 17
    program("launch.run", f"--workdir={used}", f"--actions={log}", f"--out={tmp_path}/first", "--prompt=")
    first, _ = media.read_video(tmp_path / "first" / "rollout.mp4")
    assert abs(first.astype(int) - video[:9]).mean() < 2, "the second chunk changes nothing of the first"


@pytest.mark.parametrize(
    ("actions", "told"),
    [
        ("clicks_test", "is neither a file nor a clip of the data, SPLIT:N"),
        ("clicks_test:99", "split clicks_test has 2 clips of 9 frames"),
        ("goal:0", "has no split 'goal'; it has clicks, clicks_test"),
    ],
)
def test_what_cannot_be_done_is_told(used, tmp_path, actions, told):
    done = program("launch.run", f"--workdir={used}", f"--actions={actions}", f"--out={tmp_path}", check=False)
    assert done.returncode and told in done.stderr.splitlines()[-1]


def test_a_computer_that_is_told_of_no_actions_refuses_them(trained, tmp_path):
    done = program("launch.run", f"--workdir={trained}", "--actions=test:0", f"--out={tmp_path}", check=False)
    assert done.returncode and "takes none" in done.stderr.splitlines()[-1]
