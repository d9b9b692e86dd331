"""A desktop behind reset and step, over a real port of loopback."""

import http.client
import json
import threading
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest

from neural_computer.recording import sandbox
from neural_computer.recording.environment import Collector, Environment, RemoteError, Server, checked
from neural_computer.recording.guiworld import logs
from neural_computer.recording.sandbox import SandboxError
from neural_computer.recording.terminal.shell import Shell
from neural_computer.simulators.desktop import record
from neural_computer.simulators.minidesk.session import MiniDesktop, furnished
from neural_computer.simulators.policies.goal import Task
from neural_computer.types import Event

WHY = ""
try:
    sandbox.confined()
except SandboxError as error:
    WHY = str(error)


def minidesk(seed: int):
    return nullcontext(MiniDesktop(furnished(seed, 64, most=0)))


@contextmanager
def served(opened, folder, name="minidesk"):
    with Server(Collector(opened, folder, name)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.url
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def url(tmp_path):
    with served(minidesk, tmp_path) as found:
        yield found


def test_a_policy_sees_over_the_wire_what_it_sees_at_home_and_the_recording_is_data(url, tmp_path):
    policy = list(_planned(seed=3))
    home = record(MiniDesktop(furnished(3, 64, most=0)), policy)
    with Environment(url) as desktop:
        frames = [desktop.reset(3), *(desktop.step(events) for events in policy)]
    assert np.array_equal(frames, home.frames)
    read = logs.read(tmp_path / "minidesk-000001.mp4", (64, 64))
    assert not read.faults and np.array_equal(read.episode.frames, home.frames)
    assert np.allclose(read.episode.cursor, home.cursor, atol=1 / 32)
    told = [(e.kind, e.key) for e in read.episode.events][1:]
    assert told == [(e.kind, e.key) for e in home.events]
    tree = [json.loads(line) for line in (tmp_path / "minidesk-000001.tree.jsonl").read_text().splitlines()]
    assert [row["frame"] for row in tree] == list(range(len(frames))) and tree[0]["targets"]


def _planned(seed):
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


def test_a_step_before_the_first_reset_is_refused(url):
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
def test_what_is_no_event_is_refused_and_nothing_was_done(row, words):
    with pytest.raises(ValueError) as error:
        checked(row, (64, 64), "events[0]")
    assert words in str(error.value)


def test_a_wrong_event_leaves_the_episode_as_it_was(url):
    with Environment(url) as desktop:
        desktop.reset(0)
        with pytest.raises(RemoteError, match=r"events\[1\]: key = 'hyper'"):
            desktop.step([Event(0, "press", "a"), Event(0, "press", "hyper")])
        desktop.step()
        assert desktop.frame == 1


def asked(url, method, path, body=b"{}", **headers):
    """(code, body) of a request as anybody might make it."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    connection.request(method, path, body, {"content-type": "application/json"} | headers)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_people_look_by_get_and_pages_of_other_hosts_cannot_ask(url):
    assert asked(url, "GET", "/frame.png")[0] == 404
    Environment(url).reset()
    code, body = asked(url, "GET", "/frame.png")
    assert code == 200 and body.startswith(b"\x89PNG")
    assert asked(url, "POST", "/step", host="evil.example")[0] == 400
    assert asked(url, "POST", "/step", **{"content-type": "text/plain"})[0] == 400
    assert asked(url, "POST", "/fly")[0] == 400
    assert asked(url, "POST", "/step", b"[]")[0] == 400
    assert asked(url, "POST", "/step", b"{")[0] == 400
    assert asked(url, "POST", "/reset", b'{"seed": "x"}')[0] == 400
    assert asked(url, "POST", "/step", b" " * (3 << 19))[0] == 400


class Failing(MiniDesktop):
    def inject(self, events):
        raise OSError("the screen went dark")


def test_a_desktop_that_fails_is_told_and_nothing_of_its_episode_stays(tmp_path):
    with served(lambda seed: nullcontext(Failing(furnished(0, 64))), tmp_path) as url:
        desktop = Environment(url)
        desktop.reset()
        with pytest.raises(RemoteError, match="OSError: the screen went dark"):
            desktop.step()
        with pytest.raises(RemoteError, match="reset first"):
            desktop.step()
        assert not list(tmp_path.iterdir())


def test_a_desktop_that_does_not_start_is_told_and_the_next_reset_tries_again(tmp_path):
    tries = []

    def opened(seed):
        tries.append(seed)
        if len(tries) < 3:
            raise OSError("no screen")
        return minidesk(seed)

    with served(opened, tmp_path) as url, Environment(url) as desktop:
        for _ in range(2):
            with pytest.raises(RemoteError, match="OSError: no screen"):
                desktop.reset()
        assert desktop.reset().shape == (64, 64, 3)


class Crashing(MiniDesktop):
    def check(self):
        raise OSError("a program crashed")


def test_what_fails_last_of_all_is_no_recording(tmp_path):
    with served(lambda seed: nullcontext(Crashing(furnished(0, 64))), tmp_path) as url:
        desktop = Environment(url)
        desktop.reset()
        with pytest.raises(RemoteError, match="OSError: a program crashed"):
            desktop.close()
        desktop.close()
        assert not list(tmp_path.iterdir())


@pytest.mark.skipif(bool(WHY), reason=WHY)
def test_a_shell_that_has_ended_leaves_its_recording(tmp_path):
    with served(lambda seed: Shell(rows=4, cols=20), tmp_path, "shell") as url, Environment(url) as desktop:
        desktop.reset()
        with pytest.raises(RemoteError, match="terminals send nothing for it"):
            desktop.step([Event(0, "press", "Control_L"), Event(0, "press", "Delete")])
        desktop.step([Event(0, "text", text="exit\n")])
        with pytest.raises(RemoteError, match="the shell has ended; reset it"):
            for _ in range(20):
                desktop.step()
    assert (tmp_path / "shell-000001.mp4").exists()


@pytest.mark.skipif(bool(WHY), reason=WHY)
def test_a_sandboxed_shell_is_typed_to_and_read(tmp_path):
    with served(lambda seed: Shell(rows=6, cols=40), tmp_path, "shell") as url, Environment(url) as desktop:
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
    assert logs.read(tmp_path / "shell-000001.mp4", (96, 320)).episode.events
