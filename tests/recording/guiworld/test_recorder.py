"""Recordings of the real desktop: at the paper's pace, no slot missed, the cursor where the log has it."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from neural_computer import ClipSource
from neural_computer.recording.guiworld import logs
from neural_computer.recording.guiworld.statistics import statistics
from neural_computer.recording.xfce.desktop import XfceDesktop
from neural_computer.simulators.policies import BUDGETS
from tests.conftest import program, servers, wait_until

pytestmark = pytest.mark.rig


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Two desktops side by side, half a minute to train on and half a minute held out of each split."""
    folder = tmp_path_factory.mktemp("recorded")
    ask = ["--recipe=guiworld", "--source=rig", "--split=random_slow,random_fast,goal", "--minutes=0.9"]
    ask += ["--workers=2"]
    program("launch.prepare_data", *ask, "--frames=9", "--size=96x128", f"--output={folder}")
    return folder


@pytest.fixture(scope="module")
def arrow():
    """(the arrow's mask, its pixels), its tip at its corner, as the desktop draws it on bare ground."""
    with XfceDesktop() as desktop:
        screen = desktop.observe()
    ground = screen[5, 5]
    patch = screen[384 - 2 : 384 + 20, 512 - 2 : 512 + 14]
    return (patch != ground).any(-1), patch


def videos(folder, split):
    return sorted((folder / "recordings").glob(f"{split}-*.mp4"))


def distance(frame, place, arrow):
    """Pixels from a place to the nearest arrow on the screen; None where the pointer has another shape."""
    mask, patch = arrow
    height, width = frame.shape[0] - mask.shape[0] + 1, frame.shape[1] - mask.shape[1] + 1
    packed = frame @ np.asarray([1, 256, 65536])
    places = np.indices((height, width)).reshape(2, -1).T
    for row, column in np.argwhere(mask):
        colour = patch[row, column] @ np.asarray([1, 256, 65536])
        places = places[packed[places[:, 0] + row, places[:, 1] + column] == colour]
    x, y = (int(each) for each in place)
    return abs(places + 2 - [y, x]).max(1).min() if len(places) else None


@pytest.mark.parametrize("split", ["random_slow", "random_fast"])
def test_videos_keep_the_papers_pace_at_fifteen_frames_a_second(recorded, split):
    for video in videos(recorded, split):
        rows = [json.loads(line) for line in video.with_suffix(".frames.jsonl").read_text().splitlines()]
        missed = rows[-1]["slot"] + 1 - len(rows)
        rate = (rows[-1]["slot"] - rows[0]["slot"]) / ((rows[-1]["t"] - rows[0]["t"]) / 1e9)
        assert abs(rate - 15) < 0.005 and missed == 0, "by the recorder's own account"
        pace = statistics(logs.read_recording(video, (768, 1024)).episode)
        budget = BUDGETS[split]
        assert pace["speed"] == pytest.approx(budget.speed, rel=0.1)
        assert pace["rate"] == pytest.approx(budget.rate, rel=0.1)


def unambiguous(video):
    """Whether nothing was injected while a frame was grabbed: other frames may show the screen before or after."""
    rows, events = (
        [json.loads(line) for line in video.with_suffix(f".{log}.jsonl").read_text().splitlines()]
        for log in ("frames", "events")
    )
    return [all(e["t_done"] < row["t"] or e["t"] > row["t_end"] for e in events) for row in rows]


@pytest.mark.parametrize("split", ["random_slow", "random_fast", "goal"])
def test_the_cursor_is_within_a_pixel_of_the_log_wherever_it_is_an_arrow(recorded, arrow, split):
    clear, distances = [], []
    for video in videos(recorded, split):
        episode = logs.read_recording(video, (768, 1024)).episode
        clear += (certain := unambiguous(video))
        each = list(zip(episode.frames, episode.cursor, certain, strict=True))[::3]
        distances += [distance(frame, place, arrow) for frame, place, sure in each if sure]
    assert np.mean(clear) > 0.8
    of_arrows = [each for each in distances if each is not None]
    assert len(of_arrows) > (0.1 if split == "goal" else 0.9) * len(distances), "over a text the pointer is another"
    assert max(of_arrows) <= 1


def test_what_was_recorded_is_data(recorded):
    summary = json.loads((recorded / "summary.json").read_text())
    assert not summary["rejected"] and summary["kept"] > 50 and {"goal", "goal_test"} <= set(summary["splits"])
    pace = summary["pace"]["random_fast"]
    assert pace["speed, paper"] == 195.15 and pace["speed"] == pytest.approx(195.15, rel=0.25)
    window = ClipSource(recorded, "random_slow", 9)[0]
    assert window.frames.shape == (9, 96, 128, 3) and np.isfinite(window.cursor).all()
    assert window.captions == {"plain": "aimless use, slow"}
    assert ClipSource(recorded, "goal", 9)[0].captions["plain"].startswith(("compute", "write", "put", "move", "make"))


def test_what_was_recorded_is_learned_from(recorded, tmp_path):
    """A hundred updates of a small network on clips of the real desktop: the loss (flow and cursor) halves at least."""
    program(
        "launch.train",
        "--config=configs/guiworld.py:random_slow,micro",
        f"--config.data.directory={recorded}",
        f"--workdir={tmp_path}",
        *("--config.data.height=96", "--config.data.width=128", "--config.network.positions=(3,6,8)"),
        *("--config.network.layers=1", "--config.network.width=32", "--config.network.ffn=64"),
        *("--config.codec.channels=48", "--config.actions.cursor_height=2.375", "--config.data.batch_size=8"),
        *("--config.schedule.steps=100", "--config.schedule.log_every=5", "--config.schedule.eval_every=100"),
        *("--config.evaluation.videos=2", "--config.evaluation.eval_videos_during_training=2"),
    )
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if "loss" in row]
    assert len(losses) == 20 and np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])


class Vendor(BaseHTTPRequestHandler):
    """Responds as the model of a fixture did, from the beginning for a request without a response in it."""

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        turn = sum(message["role"] == "assistant" for message in request["messages"])
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(self.server.responses[turn]).encode())

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def vendor():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
    lines = (Path(__file__).parents[1] / "agents" / "fixtures" / "anthropic_rig.jsonl").read_text().splitlines()
    server.responses = [json.loads(line)["answer"] for line in lines]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_vendors_model_is_recorded_with_its_exchanges(vendor, tmp_path):
    ask = ["--recipe=guiworld", "--source=rig", "--split=goal", "--minutes=.1", "--frames=9", "--size=96x128"]
    ask += ["--agent=anthropic", "--agent_model=a-model", "--trees=30", f"--output={tmp_path}"]
    program("launch.prepare_data", *ask, env={"ANTHROPIC_BASE_URL": vendor, "ANTHROPIC_API_KEY": "sk-271828"})
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["kept"] > 5 and not summary["rejected"] and summary["settings"]["agent_model"] == "a-model"
    exchanges = [
        json.loads(line) for line in (tmp_path / "recordings" / "goal-000000.agent.jsonl").read_text().splitlines()
    ]
    tree = (tmp_path / "recordings" / "goal-000000.tree.jsonl").read_text().splitlines()
    assert [json.loads(line)["frame"] for line in tree] == list(range(0, 30 * len(tree), 30))
    assert exchanges[0]["request"]["messages"][0]["content"][0]["text"].startswith("compute ")
    assert not any("271828" in file.read_text() for file in tmp_path.glob("recordings/*.jsonl"))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--split=goal"], "--agent=anthropic: needs --agent_model=NAME"),
        (["--split=goal,random_slow", "--agent_model=m"], "--agent=anthropic: does tasks; give --split=goal"),
    ],
)
def test_an_agent_without_a_model_or_with_other_splits_is_rejected(tmp_path, flags, words):
    ask = ["--recipe=guiworld", "--source=rig", "--agent=anthropic", "--size=96x128", f"--output={tmp_path}", *flags]
    done = program("launch.prepare_data", *ask, check=False)
    assert done.returncode == 1 and words in done.stderr


def test_a_killed_recipe_takes_its_desktops_along_and_goes_on_where_it_was(tmp_path):
    ask = ["--recipe=guiworld", "--source=rig", "--split=random_slow", "--minutes=.2", "--workers=2", "--frames=9"]
    ask += ["--size=96x128", f"--output={tmp_path}"]
    started = subprocess.Popen([sys.executable, "-m", "launch.prepare_data", *ask], stderr=subprocess.DEVNULL)
    wait_until(lambda: list((tmp_path / "recordings").glob(".*.partial.mp4")), started, seconds=60)
    below = servers(started.pid)
    started.kill()
    started.wait()
    assert below
    wait_until(lambda: not any(Path(f"/proc/{server}").exists() for server in below), seconds=10)
    program("launch.prepare_data", *ask)
    assert json.loads((tmp_path / "summary.json").read_text())["kept"] > 5
    assert not list((tmp_path / "recordings").glob(".*"))
    assert not list(Path("/tmp").glob(f"rig-{os.getuid()}-*")), "what a killed desktop leaves, the next one removes"
