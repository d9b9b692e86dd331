"""The programs, as a user calls them."""

import contextlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from neural_computer import ClipSource, media
from neural_computer.workflows import lock
from tests.conftest import ROOT, program, wait_until

pytestmark = pytest.mark.slow


def test_evaluate_writes_figures_and_a_report_once(trained):
    program("launch.evaluate", f"--workdir={trained}")
    metrics = json.loads((trained / "metrics.json").read_text())
    assert 0 <= metrics["new_char_acc"] <= 1 and metrics["psnr_with_answer"] > 0 and metrics["step"] == 6
    assert set(metrics["seconds"]) == {"prepare_data", "train", "evaluate"}
    assert {row["prompt"] for row in metrics["table"]} >= {
        "with answer",
        "wrong answer",
        "first frame baseline",
        "codec reconstruction",
    }
    page = (trained / "report.html").read_text()
    assert page.count("<img") >= 4 and "data:image/gif" in page
    written = (trained / "metrics.json").stat().st_mtime_ns
    again = program("launch.evaluate", f"--workdir={trained}")
    assert (trained / "metrics.json").stat().st_mtime_ns == written and "psnr_with_answer" in again.stdout


@pytest.fixture(scope="module")
def runs(trained, tmp_path_factory):
    """A run of two chunks, in `whole`, and of the first one alone, in `half`."""
    folder, ask = tmp_path_factory.mktemp("runs"), ["launch.run", f"--workdir={trained}", "--prompt=python 12+7"]
    program(*ask, f"--out={folder}/whole", "--chunks=2")
    program(*ask, f"--out={folder}/half")
    return folder


def test_run_draws_a_video_of_any_length(trained, runs, tmp_path):
    video, fps = media.read_video(runs / "whole" / "rollout.mp4")
    assert video.shape == (17, 192, 512, 3) and fps == 5
    assert (runs / "whole" / "rollout.gif").stat().st_size
    assert (runs / "whole" / "rollout.txt").read_text().count("[frame") == 17
    media.write_video(tmp_path / "start", video[:1, :48, :128], 5)
    small = program(
        "launch.run", f"--workdir={trained}", "--prompt=x", f"--out={tmp_path}", f"--frame={tmp_path}/start/00000.png"
    )
    assert "rollout.mp4" in small.stdout


def test_a_run_on_a_mesh_draws_the_same_screens(trained, runs, tmp_path):
    ask = ["launch.run", f"--workdir={trained}", "--prompt=python 12+7", f"--out={tmp_path}"]
    program(*ask, "--mesh=fsdp:4", devices=4)
    assert (runs / "half" / "rollout.txt").read_text() == (tmp_path / "rollout.txt").read_text()
    videos = [media.read_video(out / "rollout.mp4")[0].astype(int) for out in (runs / "half", tmp_path)]
    assert abs(videos[0] - videos[1]).max() <= 2


def test_a_run_goes_on_from_its_saved_state(trained, runs, tmp_path):
    ask = ["launch.run", f"--workdir={trained}", "--prompt=python 12+7"]
    program(*ask, f"--out={tmp_path}/rest", f"--state={runs}/half/state")
    outs = (runs / "whole", runs / "half", tmp_path / "rest")
    screens = [(out / "rollout.txt").read_text().split("\n\n") for out in outs]
    whole, half, rest = ([screen.split("\n", 1)[1].rstrip() for screen in video] for video in screens)
    assert whole == half + rest[1:]
    wrong = program(*ask, f"--out={tmp_path}/x", f"--state={tmp_path}", check=False)
    assert wrong.returncode == 1 and "holds no state of this computer" in wrong.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["launch.evaluate", "--workdir={}/none"], "none: no config.json there; train first"),
        (["launch.run", "--workdir={}/none", "--prompt=x", "--out={}"], "none: no config.json there; train first"),
        (
            ["launch.train", "--config=configs/cligen.py:tiny", "--workdir={}/w", "--config.data.directory={}/none"],
            "none: holds no dataset; make one with",
        ),
        (
            ["launch.train", "--config=configs/cligen.py:tiny", "--workdir={}/w", "--config.network.heads=5"],
            "config.network.heads=5",
        ),
        (["launch.prepare_data", "--recipe=videos", "--output={}/d"], "--input: is missing"),
        (["launch.prepare_data", "--recipe=videos", "--input={}", "--output={}/d"], "holds no videos"),
        (["launch.prepare_data", "--recipe=repl", "--operands=5000", "--output={}/d"], "does not fit 9 frames"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, arguments, message):
    module, *rest = (argument.format(tmp_path, tmp_path) for argument in arguments)
    done = program(module, *rest, check=False)
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 1 and len(lines) == 1 and message in lines[0], done.stderr[-2000:]
    assert "Traceback" not in done.stderr


def test_a_checkpoint_of_another_architecture_is_told(trained):
    done = program(
        "launch.train",
        "--config=configs/quickstart.py:smoke",
        f"--workdir={trained}",
        f"--config.data.directory={trained}/data",
        check=False,
    )
    assert done.returncode == 1 and "of another architecture" in done.stderr


def test_a_folder_of_videos_becomes_a_dataset_and_refusals_are_listed(tmp_path):
    videos, rng = tmp_path / "videos", np.random.default_rng(0)
    videos.mkdir()
    for i in range(4):
        media.write_video(videos / f"good{i}.mp4", rng.integers(0, 256, (20, 60, 100, 3)).astype(np.uint8), 10)
        (videos / f"good{i}.txt").write_text(f"video {i}\n")
    (videos / "good0.events.jsonl").write_text('{"time": 0.5, "kind": "press", "key": "a"}\n')
    media.write_video(videos / "short.mp4", np.zeros((4, 60, 100, 3), np.uint8), 10)
    (videos / "short.txt").write_text("too short")
    media.write_video(videos / "mute685.mp4", np.zeros((20, 60, 100, 3), np.uint8), 10)
    (videos / "odd.mp4").write_text("no video at all")
    (videos / "odd.txt").write_text("odd")
    arguments = ["--recipe=videos", f"--input={videos}", f"--output={tmp_path}/data", "--size=48x128", "--fps=5"]
    message = program("launch.prepare_data", *arguments).stdout
    summary = json.loads((tmp_path / "data" / "summary.json").read_text())
    assert summary["kept"] == 4 and set(summary["rejected"]) == {"short.mp4", "mute685.mp4", "odd.mp4"}
    assert summary["splits"] == {"train": 1, "test": 3}
    assert "has 2 frames at 5.0 fps" in summary["rejected"]["short.mp4"] and "rejected  mute685.mp4" in message
    sources = [ClipSource(tmp_path / "data", split, 9) for split in ("train", "test")]
    ids = [{source[i].id for i in range(len(source))} for source in sources]
    assert ids[0] | ids[1] == {f"good{i}" for i in range(4)} and not ids[0] & ids[1] and ids[1]
    windows = [source[i] for source in sources for i in range(len(source))]
    assert windows[0].frames.shape == (9, 48, 128, 3)
    assert any(w.events and w.events[0].key == "a" for w in windows if w.id == "good0")
    assert "is there already" in program("launch.prepare_data", *arguments).stdout


def test_a_killed_recording_leaves_no_process_and_goes_on(tmp_path):
    arguments = ["launch.prepare_data", "--recipe=repl", "--operands=10", f"--output={tmp_path}", "--workers=2"]
    process = subprocess.Popen([sys.executable, "-m", *arguments], cwd=ROOT, start_new_session=True)
    recordings = tmp_path / "recordings"
    assert wait_until(lambda: list(recordings.glob("*.npz")), process)
    process.kill()
    process.wait()
    assert not (tmp_path / "summary.json").exists(), "it was killed too late for this test"

    def gone() -> bool:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 0)
            return False
        return True

    wait_until(gone, seconds=20)
    first = {path: path.stat().st_mtime_ns for path in recordings.glob("*.npz")}
    program(*arguments)
    assert first.items() <= {path: path.stat().st_mtime_ns for path in recordings.glob("*.npz")}.items()
    assert json.loads((tmp_path / "summary.json").read_text())["kept"] == 100


def test_two_processes_do_not_write_to_one_folder(videos, tmp_path):
    with lock.exclusive(tmp_path):
        for module, *rest in (
            ("launch.train", "--config=configs/cligen.py:tiny", f"--workdir={tmp_path}"),
            ("launch.prepare_data", "--recipe=repl", f"--output={tmp_path}"),
        ):
            done = program(module, *rest, check=False)
            assert done.returncode == 1 and f"process {os.getpid()} on " in done.stderr
    with lock.exclusive(tmp_path):
        pass


def test_the_benchmark_runs(tmp_path):
    program("launch.bench", "--suite=core", "--repeats=1", f"--out={tmp_path}")
    rows = json.loads((tmp_path / "core.json").read_text())
    assert len(rows) == 3 and all(row["ratio"] > 0 for row in rows)
