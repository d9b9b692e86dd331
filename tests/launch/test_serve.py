"""The served desktop as a user starts it, and its recordings as training data."""

import json
import signal
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest

from neural_computer import ClipSource
from neural_computer.types import Event
from neural_computer.wire import Environment, RemoteError
from tests import needs
from tests.conftest import program

pytestmark = pytest.mark.slow


@contextmanager
def serving(*arguments):
    """(the program, its address). It is killed if the test does not end it."""
    command = [sys.executable, "-m", "launch.serve", "--port=0", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            yield server, server.stdout.readline().split(" at ")[1].split(",")[0]
        finally:
            server.kill()


def test_collected_episodes_are_training_data(tmp_path):
    needs.package("tensorflow_datasets", "recording")
    log = tmp_path / "log"
    with serving("--desktop=minidesk", "--size=64", f"--out={log}") as (server, url):
        desktop = Environment(url)
        desktop.reset(seed=1)
        for t in range(20):
            desktop.step([Event(0, "move", x=2 + 2 * t, y=30), *([Event(0, "press", "left")] if t == 9 else [])])
        server.send_signal(signal.SIGTERM)  # keeps the current episode
        assert server.wait(20) == 130 and "SIGTERM" in server.stderr.read()
    ask = ["--recipe=guiworld", "--source=import", f"--input={log}", "--size=64x64", "--frames=9"]
    program("launch.prepare_data", *ask, f"--output={tmp_path}/data")
    assert json.loads((tmp_path / "data" / "summary.json").read_text())["kept"] == 2
    window = ClipSource(tmp_path / "data", "random_slow", 9)[0]
    assert window.frames.shape == (9, 64, 64, 3) and np.isfinite(window.cursor).all()


@pytest.mark.rig
def test_the_real_desktop_is_served_too(tmp_path):
    with serving("--desktop=rig", f"--out={tmp_path}") as (server, url):
        with Environment(url) as desktop:
            before = desktop.reset()
            after = desktop.step([Event(0, "move", x=200, y=300)])
            for _ in range(15):
                again = desktop.step()
            with pytest.raises(RemoteError, match="key 'XF86Sleep': the rig's keyboard has none"):
                desktop.step([Event(0, "press", "a"), Event(0, "press", "XF86Sleep")])
            assert np.array_equal(again, desktop.step()), "nothing was pressed"
        assert before.shape == (768, 1024, 3) and (before != after).any() and np.array_equal(after, again)
        tree = [json.loads(line) for line in (tmp_path / "rig-000001.tree.jsonl").read_text().splitlines()]
        assert [row["frame"] for row in tree] == [0, 15]
        server.send_signal(signal.SIGINT)
        assert server.wait(20) == 130


def test_two_servers_do_not_share_a_log(tmp_path):
    with serving("--desktop=minidesk", f"--out={tmp_path}"):
        second = program("launch.serve", "--port=0", f"--out={tmp_path}", check=False)
        assert second.returncode == 1 and "is writing there" in second.stderr
