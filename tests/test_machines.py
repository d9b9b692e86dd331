"""The terminal that comes with the package: it types, adds pairs it never saw, and remembers; seen in seconds, of a few runs.

`neural-computer evaluate --machine=terminal --drift=1000` has the figures; here are floors well below them.
"""

import json

import numpy as np
import pytest

import neural_computer as nc
from neural_computer import machines
from neural_computer.evals import drift
from neural_computer.evals import recall as recalling
from neural_computer.evals.recall import recall
from neural_computer.simulators.tty.reading import read
from neural_computer.simulators.tty.sessions import Session, play, session
from neural_computer.simulators.tty.typists import TYPISTS
from neural_computer.workflows import drift as drifting
from neural_computer.workflows import drift_terminal
from tests.conftest import program
from tests.once import traced_once  # noqa: F401

ROWS = 8
"""Runs at a time, the same in all tests: one compilation"""


@pytest.fixture(scope="module")
def terminal():
    return nc.load("terminal")


def lines(cells) -> str:
    return "\n".join(bytes(row & 127).decode().rstrip() for row in cells)


def test_it_is_small_and_says_where_it_comes_from():
    folder = machines.folder("terminal")
    assert machines.names() == ["terminal"] and folder.parent == machines.SHIPPED
    assert (folder / "model.safetensors").stat().st_size < 8e6
    card = (folder / "README.md").read_text()
    assert "launch.train --config=configs/tty.py" in card and "sha256" in card


@pytest.mark.slow
def test_it_types_and_adds(terminal):
    rollout = terminal.rollout(keys="ls<BackSpace><BackSpace>12+7<Return>")
    assert len(rollout.frames) == 10 and rollout.fps == 15
    truth = play(["l", "s", "BackSpace", "BackSpace", *"12+7", "Return"]).cells
    assert lines(read(rollout.frames)[-1]) == lines(truth[-1]) == ">>> 12+7\n19\n>>>"


@pytest.mark.slow
def test_it_stays_right_and_no_kind_of_transition_is_dead(terminal):
    runs = drifting.machine(terminal)
    sessions = [session(TYPISTS["everything"], (9, n), 200) for n in range(ROWS)]
    truth = Session(*map(np.stack, zip(*sessions, strict=True)))
    found = drift.exactness(runs, truth, ROWS)
    for kind in ("idle", "character", "backspace", "empty", "cleared", "clear", "date", "echo", "sum"):
        assert found[kind] >= 0.8, found
    words = [session(TYPISTS["words"], (9, n), 101) for n in range(ROWS)]
    truth = Session(*map(np.stack, zip(*words, strict=True)))
    assert drift.report(runs.play(truth), truth)["screens"] >= 0.9


@pytest.mark.slow
def test_it_remembers_what_clear_took_away_and_the_controls_do_not(terminal):
    found = recall(drifting.machine(terminal), 1, count=ROWS, idle=5)
    assert found["recalled"] >= 0.8 and found["another's window"] >= 0.8
    assert found["window emptied"] <= 0.1 and found["emptied, true frame"] <= 0.1


@pytest.mark.slow
@pytest.mark.usefixtures("traced_once")
def test_its_drift_is_measured_by_one_command(tmp_path, monkeypatch):
    monkeypatch.setattr(drift_terminal, "RUNS", ("words",))
    monkeypatch.setattr(drift_terminal, "LETTERS", (0,))
    monkeypatch.setattr(drift_terminal, "STEPS", {"everything": "held-out sums"})
    monkeypatch.setattr(drift_terminal, "FRAMES", 300)
    monkeypatch.setattr(drift_terminal, "MOST", ROWS)
    monkeypatch.setattr(recalling, "COUNT", ROWS)
    done = program("launch.evaluate", "--machine=terminal", "--drift=60", f"--sessions={ROWS}", f"--out={tmp_path}")
    assert "open loop, words" in done.stdout and "cannot succeed" in done.stdout
    result = json.loads((tmp_path / "drift.json").read_text())
    assert result["frames"] == 60 and set(result["recall"]) == {"0"}
    page = (tmp_path / "drift.html").read_text()
    assert "Drift over 60 frames" in page and page.count("<img") >= 2
    failed = program("launch.evaluate", "--machine=terminal", "--drift=60", check=False)
    assert failed.returncode == 1 and "--out: is missing; terminal comes with the package" in failed.stderr


def test_a_machine_that_does_not_stream_has_no_drift(tmp_path):
    from tests import builders

    small = builders.experiment()
    trained = nc.load("terminal")
    with pytest.raises(nc.Error, match="makes whole clips; drift is of one that streams"):
        drifting.machine(type(trained)(small, trained.params, 0, trained.first_frame, 15.0))
