"""Recipe desk, and the drift of a desktop, as a user calls them."""

import json

import pytest

from neural_computer import ClipSource
from neural_computer.configs import desk_stream
from neural_computer.simulators.minidesk import sessions
from neural_computer.simulators.policies.brisk import USERS
from neural_computer.workflows.trained import Trained
from tests import builders
from tests.conftest import program

SMALL = ["--recipe=desk", "--sessions=2", "--held_out=1", "--frames=40", "--window=5"]


def test_a_data_set_is_made_once(tmp_path):
    done = program("launch.prepare_data", *SMALL, f"--out={tmp_path}")
    assert "3 kept" in done.stdout
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["splits"] == {"train": 2, "test": 1} and summary["frames by kind, train"]["move"] > 0
    assert "synthetic desktop" in (tmp_path / "DATA_CARD.md").read_text()
    assert ClipSource(tmp_path, "train", 5)[0].frames.shape == (5, 64, 64, 3)
    assert len(ClipSource(tmp_path, "test", 40)) == 1
    assert "is there already (3 kept)" in program("launch.prepare_data", *SMALL, f"--out={tmp_path}").stdout


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--side=60", "--side"),
        ("--side=68", "--side=68: must be a multiple of 8; try 64"),
        ("--window=41", "--window=41: is longer than a session; give at most --frames=40"),
        ("--seed=-1", "--seed=-1: must not be negative"),
        ("--user=nobody", "--user"),
        ("--rows=3", "--rows: is a flag of"),
    ],
)
def test_a_wrong_flag_is_named(tmp_path, flag, message):
    done = program("launch.prepare_data", *SMALL, f"--out={tmp_path / 'out'}", flag, check=False)
    assert done.returncode == 1 and message in done.stderr and not (tmp_path / "out" / "summary.json").exists()


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """The folder of a desktop that has learned nothing."""
    config = desk_stream.get_config()
    config.network.update(width=16, ffn=16, layers=1, heads=2, time_width=16)
    config.actions.update(width=16)
    config.codec.channels = 8
    small = builders.build.build(config)
    pictures = [sessions.session(USERS["brisk"], 0, 20).draw()]
    params = builders.params(small)
    params = params._replace(frozen=params.frozen._replace(codec=small.computer.codec.fit(pictures)))
    trained = Trained(small, params, 7, pictures[0][0], 15.0, "a desktop")
    return trained.save(tmp_path_factory.mktemp("desktop"))


def test_drift_is_measured_by_one_command_and_not_twice(untrained, tmp_path):
    command = ["launch.evaluate", f"--machine={untrained}", "--drift=30", "--sessions=2", f"--out={tmp_path}"]
    done = program(*command)
    assert "open loop without actions, brisk" in done.stdout and "clicks" in done.stdout
    result = json.loads((tmp_path / "drift.json").read_text())
    assert (result["step"], result["frames"], result["sessions"]) == (7, 30, 2)
    assert result["codec alone, brisk"]["psnr"] > result["open loop, calm"]["psnr"]
    assert set(result["one step, brisk"]) >= {"idle", "move", "hover"}
    page = (tmp_path / "drift.html").read_text()
    assert "Drift over 30 frames, step 7" in page and page.count("<img") >= 4
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / ".drift").iterdir() if path.name != "settings.json"}
    program(*command)
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
    assert json.loads((tmp_path / "drift.json").read_text()) | {"seconds": 0} == result | {"seconds": 0}
