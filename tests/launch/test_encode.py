"""Recipe encode and training from what it makes, as a user calls them."""

import json
import shutil

import numpy as np
import pytest

import neural_computer
from neural_computer.data.encoded import EncodedSource
from neural_computer.train.metrics_log import read_metrics
from tests.conftest import program
from tests.once import traced_once  # noqa: F401

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("traced_once")]
TINY = "--config=configs/cligen.py:tiny"


def encode(videos, output, *options: str, **settings):
    arguments = [
        "--recipe=encode",
        f"--input={videos}",
        f"--output={output}",
        TINY,
        "--clips_a_file=20",
        "--dtype=float32",
        *options,
    ]
    return program("launch.prepare_data", *arguments, **settings)


def train(data, workdir, *options: str, **settings):
    arguments = [TINY, f"--workdir={workdir}", f"--config.data.directory={data}", "--config.schedule.log_every=1"]
    return program("launch.train", *arguments, "--config.schedule.steps=2", *options, **settings)


@pytest.fixture(scope="module")
def clips(videos, tmp_path_factory):
    """The random videos encoded, and what was printed on the way."""
    folder = tmp_path_factory.mktemp("encoded") / "clips"
    return folder, encode(videos, folder)


def test_every_clip_of_every_split_is_there_and_the_disk_space_was_printed_before(clips):
    folder, done = clips
    assert [len(EncodedSource(folder, split)) for split in ("train", "test")] == [48, 6]
    lines = done.stdout.splitlines()
    assert "48 clips of train, 6 clips of test" in lines[0]
    # Two latent frames of 2x4 cells and 4 channels in float32; the condition repeats one of them; seven bytes as int32.
    assert "latents 256 B, condition 128 B, captions 2" in lines[1] and "are free" in lines[2]
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["kept"] == 54 and summary["settings"]["splits"] == {"train": 48, "test": 6}
    assert "clip/s" in done.stderr


def test_training_takes_it_for_the_videos(clips, videos, tmp_path):
    """The same losses, and a workdir that runs without the clips: its codec and first frame are there."""
    folder, _ = clips
    train(folder, tmp_path / "clips")
    train(videos, tmp_path / "videos")
    one, two = (read_metrics(tmp_path / name) for name in ("clips", "videos"))
    assert [line["step"] for line in one] == [1, 2]
    np.testing.assert_allclose([x["loss"] for x in one], [x["loss"] for x in two], rtol=1e-6)
    ours, theirs = (neural_computer.load(tmp_path / name) for name in ("clips", "videos"))
    np.testing.assert_array_equal(ours.first_frame, theirs.first_frame)
    assert ours.fps == 5
    for name, value in theirs.params.frozen.codec.items():
        np.testing.assert_array_equal(ours.params.frozen.codec[name], value)


def test_a_kill_costs_the_file_it_was_in(clips, videos, tmp_path):
    folder = tmp_path / "clips"
    shutil.copytree(clips[0], folder)
    (folder / "summary.json").unlink()
    first, *_, last = EncodedSource(folder, "train").files
    whole, written = last.read_bytes(), first.stat().st_mtime_ns
    last.rename(last.with_name(f".{last.name}.partial"))
    last.with_name(f".{last.name}.partial").write_bytes(whole[:1000])
    early = train(folder, tmp_path / "early", check=False)
    assert early.returncode == 1 and "1 of the 3 files of split 'train' are not there" in early.stderr
    encode(videos, folder)
    assert first.stat().st_mtime_ns == written and last.read_bytes() == whole
    assert not list(folder.glob(".*.partial"))
    assert "is there already" in encode(videos, folder).stdout
    other = encode(videos, folder, "--config.data.stride=2", check=False)
    assert other.returncode == 1 and "holds data of other settings" in other.stderr


def test_mistakes_are_named_in_one_line(clips, videos, tmp_path):
    gone = tmp_path / "gone"
    shutil.copytree(clips[0], gone)
    info = gone / "encoded_info.json"
    info.write_text(info.read_text().replace(str(videos), f"{tmp_path}/nowhere"))
    for done, message in (
        (
            train(gone, tmp_path / "w", "--config.codec.channels=8", check=False),
            "config.codec.channels=8: the clips in",
        ),
        (train(gone, tmp_path / "w", "--config.schedule.eval_every=1", check=False), "config.schedule.eval_every=1"),
        (
            program("launch.prepare_data", "--recipe=encode", f"--output={tmp_path}/x", check=False),
            "--input: is missing",
        ),
    ):
        lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert done.returncode == 1 and len(lines) == 1 and message in lines[0], done.stderr[-2000:]
