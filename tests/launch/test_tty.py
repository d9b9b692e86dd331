"""Recipe tty, as a user calls it."""

import json

import pytest

from neural_computer import ClipSource
from tests.conftest import program

SMALL = ["--recipe=tty", "--sessions=2", "--held_out=1", "--frames=40", "--rows=2", "--cols=12", "--window=5"]


def test_a_data_set_is_made_once_and_shown(tmp_path):
    done = program("launch.prepare_data", *SMALL, f"--out={tmp_path}", "--preview=1")
    assert "3 kept" in done.stdout and (tmp_path / "preview.html").exists()
    assert json.loads((tmp_path / "summary.json").read_text())["splits"] == {"train": 2, "test": 1}
    assert ClipSource(tmp_path, "train", 5)[0].frames.shape == (5, 32, 96, 3)
    assert len(ClipSource(tmp_path, "test", 40)) == 1
    assert "is there already (3 kept)" in program("launch.prepare_data", *SMALL, f"--out={tmp_path}").stdout
    other = program("launch.prepare_data", *SMALL, f"--out={tmp_path}", "--seed=1", check=False)
    assert other.returncode == 1 and "holds data of other settings" in other.stderr


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--rows=1", "--rows"),
        ("--cols=9", "--cols"),
        ("--window=41", "--window=41: is longer than a session; give at most --frames=40"),
        ("--seed=-1", "--seed=-1: must not be negative"),
        (
            "--typist=sums",
            "--typist=sums: enters sums that are the other split's; in split train types one of brisk, memory",
        ),
        ("--test_typist=brisk", "in split test types one of words, sums, mash, bursts"),
        ("--typist=nobody", "--typist"),
        ("--size=3", "--size: is a flag of"),
    ],
)
def test_a_wrong_flag_is_named(tmp_path, flag, message):
    done = program("launch.prepare_data", *SMALL, f"--out={tmp_path / 'out'}", flag, check=False)
    assert done.returncode == 1 and message in done.stderr and not (tmp_path / "out" / "summary.json").exists()
