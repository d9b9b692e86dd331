"""A desktop behind reset and step: the client and the server, over a real port of loopback."""

import http.client
import json
import subprocess
import sys
import threading
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from neural_computer.recording.environment_server import Collector, Server
from neural_computer.recording.guiworld import logs
from neural_computer.recording.terminal.shell import Shell
from neural_computer.simulators.desktop import record
from neural_computer.simulators.minidesk.session import MiniDesktop, furnished
from neural_computer.simulators.policies.goal import Task
from neural_computer.types import Event
from neural_computer.wire import Environment, RemoteError, parse_event
from tests import needs
from tests.conftest import ROOT


def minidesk(seed: int):
    return nullcontext(MiniDesktop(furnished(seed, 64, most=0)))


@contextmanager
def serving(open_desktop, folder, name="minidesk"):
    with Server(Collector(open_desktop, folder, name)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.url
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def url(tmp_path):
    with serving(minidesk, tmp_path) as address:
        yield address


def test_a_policy_gets_the_same_frames_over_http_as_in_process_and_the_recording_is_data(url, tmp_path):
    policy = list(_events(seed=3))
    local = record(MiniDesktop(furnished(3, 64, most=0)), policy)
    with Environment(url) as desktop:
        frames = [desktop.reset(3), *(desktop.step(events) for events in policy)]
    assert np.array_equal(frames, local.frames)
    imported = logs.read_recording(tmp_path / "minidesk-000001.mp4", (64, 64))
    assert not imported.problems and np.array_equal(imported.episode.frames, local.frames)
    assert np.allclose(imported.episode.cursor, local.cursor, atol=1 / 32)
    recorded = [(e.kind, e.key) for e in imported.episode.events][1:]
    assert recorded == [(e.kind, e.key) for e in local.events]
    tree = [json.loads(line) for line in (tmp_path / "minidesk-000001.tree.jsonl").read_text().splitlines()]
    assert [row["frame"] for row in tree] == list(range(len(frames))) and tree[0]["targets"]


def _events(seed):
    desktop = MiniDesktop(furnished(seed, 64, most=0))
    for events in Task(desktop, "compute", seed, pace=0.0):
        desktop.inject(events)
        yield events


def test_every_episode_has_a_recording_of_its_own(url, tmp_path):
    with Environment(url) as desktop:
        for seed in (1, 2):
            desktop.reset(seed)
            desktop.step()
            assert desktop.frame == 1
    assert [f.name for f in sorted(tmp_path.glob("*.mp4"))] == ["minidesk-000001.mp4", "minidesk-000002.mp4"]
    assert not list(tmp_path.glob(".*"))


def test_a_step_before_the_first_reset_is_rejected(url):
    with pytest.raises(RemoteError, match="step: there is no episode; reset first"):
        Environment(url).step()
    with pytest.raises(RemoteError, match="is neural-computer serve running"):
        Environment("http://127.0.0.1:1").reset()


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"kind": "fly"}, "events[0]: kind = 'fly': one of press"),
        ({"kind": "press", "key": "hyper"}, "events[0]: key = 'hyper'"),
        ({"kind": "press", "key": ["a"]}, "events[0]: key = ['a']"),
        ({"kind": "text", "text": "é"}, "events[0]: text = 'é'"),
        ({"kind": "move", "x": 64, "y": 0}, "events[0]: x, y = 64, 0: inside 64 x 64"),
        ({"kind": "move"}, "events[0]: x, y = nan, nan"),
        ({"kind": "press", "key": "left", "x": 1, "y": 1}, "only a move has a place; move there first"),
        ({"kind": "move", "x": "1", "y": 1}, "numbers"),
        ({"kind": "scroll", "dy": 0.5}, "1 to 100 whole notches, one way"),
        ({"kind": "scroll", "dx": 1, "dy": 1}, "1 to 100 whole notches, one way"),
        ({"kind": "press", "key": "a", "colour": 3}, "an object with fields of time, kind"),
        (7, "events[0] = 7: an object"),
    ],
)
def test_what_is_no_event_is_rejected_with_its_place_field_and_value(row, words):
    with pytest.raises(ValueError) as error:
        parse_event(row, (64, 64), "events[0]")
    assert words in str(error.value)


def test_a_wrong_event_leaves_the_episode_as_it_was(url):
    with Environment(url) as desktop:
        desktop.reset(0)
        with pytest.raises(RemoteError, match=r"events\[1\]: key = 'hyper'"):
            desktop.step([Event(0, "press", "a"), Event(0, "press", "hyper")])
        desktop.step()
        assert desktop.frame == 1


def request(url, method, path, body=b"{}", **headers):
    """(status, body) of a request by any client."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    connection.request(method, path, body, {"content-type": "application/json"} | headers)
    response = connection.getresponse()
    status, content = response.status, response.read()
    connection.close()
    return status, content


def test_people_look_by_get_and_pages_of_other_hosts_are_rejected(url):
    assert request(url, "GET", "/frame.png")[0] == 404
    Environment(url).reset()
    code, body = request(url, "GET", "/frame.png")
    assert code == 200 and body.startswith(b"\x89PNG")
    assert request(url, "POST", "/step", host="evil.example")[0] == 400
    assert request(url, "POST", "/step", **{"content-type": "text/plain"})[0] == 400
    assert request(url, "POST", "/fly")[0] == 400
    assert request(url, "POST", "/step", b"[]")[0] == 400
    assert request(url, "POST", "/step", b"{")[0] == 400
    assert request(url, "POST", "/reset", b'{"seed": "x"}')[0] == 400
    assert request(url, "POST", "/step", b" " * (3 << 19))[0] == 400


LOADED = """
import sys
import neural_computer
neural_computer.Environment
print(*sorted(sys.modules))
"""
SERVER_ONLY = {
    *("pty", "http.server", "av", "jax", "tensorflow", "tensorflow_datasets", "apache_beam", "mss", "Xlib"),
    *(f"neural_computer.{name}" for name in ("recording.environment_server", "recording.sandbox", "recording.workers")),
    *(f"neural_computer.recording.{name}" for name in ("xfce", "guiworld", "agents", "terminal", "datasets")),
}


def test_the_client_loads_nothing_of_the_server_its_desktops_or_its_sandbox():
    modules = subprocess.run([sys.executable, "-c", LOADED], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(modules.stdout.split())
    assert "neural_computer.wire" in loaded and not SERVER_ONLY & loaded


def test_a_url_that_is_not_http_is_rejected_at_once():
    for url in ("127.0.0.1:8060", "https://127.0.0.1:8060", "http://"):
        with pytest.raises(ValueError, match="must be http://HOST:PORT"):
            Environment(url)


def test_a_server_of_another_kind_is_named_by_its_address(tmp_path):
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        with pytest.raises(RemoteError, match=f"127.0.0.1:{other.server_port}/reset: HTTP 501"):
            Environment(f"http://127.0.0.1:{other.server_port}").reset()
        other.shutdown()


class Failing(MiniDesktop):
    def inject(self, events):
        raise OSError("the screen went dark")


def test_a_desktop_that_fails_is_reported_and_nothing_of_its_episode_stays(tmp_path):
    with serving(lambda seed: nullcontext(Failing(furnished(0, 64))), tmp_path) as url:
        desktop = Environment(url)
        desktop.reset()
        with pytest.raises(RemoteError, match="OSError: the screen went dark"):
            desktop.step()
        with pytest.raises(RemoteError, match="reset first"):
            desktop.step()
        assert not list(tmp_path.iterdir())


def test_a_desktop_that_does_not_start_is_reported_and_the_next_reset_tries_again(tmp_path):
    tries = []

    def open_desktop(seed):
        tries.append(seed)
        if len(tries) < 3:
            raise OSError("no screen")
        return minidesk(seed)

    with serving(open_desktop, tmp_path) as url, Environment(url) as desktop:
        for _ in range(2):
            with pytest.raises(RemoteError, match="OSError: no screen"):
                desktop.reset()
        assert desktop.reset().shape == (64, 64, 3)


class Crashing(MiniDesktop):
    def check(self):
        raise OSError("a program crashed")


def test_an_episode_whose_desktop_fails_at_its_close_leaves_no_files(tmp_path):
    with serving(lambda seed: nullcontext(Crashing(furnished(0, 64))), tmp_path) as url:
        desktop = Environment(url)
        desktop.reset()
        with pytest.raises(RemoteError, match="OSError: a program crashed"):
            desktop.close()
        desktop.close()
        assert not list(tmp_path.iterdir())


@needs.sandboxed()
def test_a_shell_that_has_ended_leaves_its_recording(tmp_path):
    with serving(lambda seed: Shell(rows=4, cols=20), tmp_path, "shell") as url, Environment(url) as desktop:
        desktop.reset()
        with pytest.raises(RemoteError, match="terminals send nothing for it"):
            desktop.step([Event(0, "press", "Control_L"), Event(0, "press", "Delete")])
        desktop.step([Event(0, "text", text="exit\n")])
        with pytest.raises(RemoteError, match="the shell has ended; reset it"):
            for _ in range(20):
                desktop.step()
    assert (tmp_path / "shell-000001.mp4").exists()


@needs.sandboxed()
def test_a_sandboxed_shell_is_typed_to_and_read(tmp_path):
    with serving(lambda seed: Shell(rows=6, cols=40), tmp_path, "shell") as url, Environment(url) as desktop:
        first = desktop.reset()
        assert first.shape == (96, 320, 3)
        for key in ("e", "c", "h", "o", " ", "4", "2", "Return"):
            desktop.step([Event(0, kind, key) for kind in ("press", "release")])
        desktop.step([Event(0, "text", text="sleep 9\n")])
        desktop.step([Event(0, kind, key) for kind, key in (("press", "Control_L"), ("press", "c"), ("release", "c"))])
        with pytest.raises(RemoteError, match="move : a terminal has no mouse"):
            desktop.step([Event(0, "move", x=1, y=1)])
    tree = [json.loads(line) for line in (tmp_path / "shell-000001.tree.jsonl").read_text().splitlines()]
    lines = [target[2].rstrip() for target in tree[-1]["targets"]]
    assert lines[:2] == ["> echo 42", "42"] and lines[2:4] == ["> sleep 9", "^C"]
    assert logs.read_recording(tmp_path / "shell-000001.mp4", (96, 320)).episode.events
