"""The server as clients see it, friendly and not: receipts, limits, the token, floods, nonsense, two tabs."""

import json
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import numpy as np
import pytest

import neural_computer as nc
from neural_computer.machine import protocol
from neural_computer.types import Event
from neural_computer.wire import RemoteError
from tests import needs
from tests.machine import machines

needs.package("starlette", "live")
needs.package("uvicorn", "live")
needs.package("prometheus_client", "live")
sync = needs.package("websockets.sync.client", "live")

from neural_computer.machine import engine, live, server, serving  # noqa: E402
from neural_computer.machine.live import Live  # noqa: E402
from neural_computer.machine.server import Service  # noqa: E402

TOKEN = "a-token"
FPS = 60.0


@contextmanager
def serving_here(folder, name="terminal", rows=3, every=0.2):
    """(the live machine, its link), served by this process on a port of its own."""
    service = Service(TOKEN)
    service.live = Live(machines.host(name, rows), "tiny", "f" * 64, folder, every, FPS)
    service.live.host.warm()
    with serving_of(service) as pair:
        yield pair


@contextmanager
def serving_of(service):
    """(the live machine, its link) of a service, served likewise."""
    with serving.listening("127.0.0.1", 0) as listener:
        http = serving.uvicorn_server(service)
        thread = threading.Thread(target=http.run, kwargs={"sockets": [listener]})
        service.live.start()
        thread.start()
        try:
            yield service.live, server.link("127.0.0.1", listener.getsockname()[1], service.token)
        finally:
            http.should_exit = True
            thread.join()
            service.live.stop()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serving_here(tmp_path_factory.mktemp("live")) as pair:
        yield pair


@pytest.fixture
def link(served):
    yield served[1]
    wait(lambda: not served[0].seats)


def wait(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


@contextmanager
def raw(link, **options):
    """A socket, before its hello."""
    address = link.replace("http", "ws").replace("/?", "/socket?")
    with sync.connect(address, compression=None, max_size=2**24, **options) as socket:
        yield socket


def hello(socket, **fields):
    socket.send(json.dumps({"type": "hello", "keep": False, **fields}))
    return take(socket, "welcome")


def take(socket, kind):
    """The next text of a type; frames are acknowledged on the way."""
    while True:
        data = socket.recv(15)
        if isinstance(data, bytes):
            socket.send(json.dumps({"type": "ack", "frame": protocol.unpack(data)[0]["sent"]}))
            continue
        message = json.loads(data)
        if message["type"] == kind:
            return message


def get(link, path):
    with urllib.request.urlopen(link.split("?")[0].rstrip("/") + path, timeout=60) as response:
        return response.read().decode(), response.headers


# The client


def test_a_policy_gets_the_frames_of_a_host_of_its_own(link):
    alone = machines.host()
    one = alone.join("a", seed=4)
    one.offer(machines.keys("1+2<Return>a"))
    wanted = [alone.tick()["a"][0].screen for _ in range(6)]
    with nc.connect(link) as machine:
        machine.reset(seed=4)
        assert machine.frame == 0 and machine.welcome["world"]["name"] == "terminal"
        np.testing.assert_array_equal(machine.type("1+2<Return>"), wanted[3])
        assert machine.frame == 4 and sorted(machine.applied.values()) == [1, 2, 3, 4]
        np.testing.assert_array_equal(machine.step([Event(0, "press", "a")]), wanted[4])
        np.testing.assert_array_equal(machine.step(), wanted[5])
        np.testing.assert_array_equal(machine.back(3), wanted[2])
        np.testing.assert_array_equal(machine.truth, one.world.render(one.points[0].moment.truth._replace(line="1+2")))
        machine.reset(seed=4)
        np.testing.assert_array_equal(machine.type("1"), wanted[0])
        frames = list(machine.frames(3))
        assert len(frames) == 3 and machine.frame >= 4


def test_a_served_desktop_has_the_same_client(tmp_path):
    with serving_here(tmp_path, "desktop", rows=1) as (_, link), nc.connect(link) as machine:
        first = machine.reset(seed=2)
        machine.step([event for _, event in machines.clicks()][:3])
        assert machine.frame == 1 and len(machine.applied) == 3 and machine.header["score"]["screens"] == 1
        machine.step([event for _, event in machines.clicks()][3:])
        assert len(machine.applied) == 12 and first.shape == (64, 64, 3)
    assert isinstance(nc.connect("http://127.0.0.1:1"), nc.Environment)
    with pytest.raises(ValueError, match="must be http://HOST:PORT/\\?token="):
        nc.connect("https://127.0.0.1:1/?token=x")


def test_keys_that_the_world_has_not_are_named_and_the_others_go_on(link):
    with nc.connect(link) as machine:
        machine.reset()
        machine.step([Event(0, "press", key) for key in ("a", "F1", "Tab", "b")])
        assert len(machine.applied) == 2 and machine.frame == 2
        assert sorted(machine.ignored.values()) == ["a terminal has no key F1", "a terminal has no key Tab"]


def test_a_session_is_saved_opened_and_gone_back_to(link):
    with nc.connect(link) as machine:
        machine.reset(seed=1)
        screen = machine.type("ab")
        machine.save("two letters")
        after = machine.type("c")
        machine.reset(seed=1)
        np.testing.assert_array_equal(machine.open("two letters"), screen)
        np.testing.assert_array_equal(machine.type("c"), after)
        with pytest.raises(RemoteError, match="no session is saved as 'no such'"):
            machine.open("no such")
    with nc.connect(link) as machine, pytest.raises(RemoteError, match="up to 40 letters"):
        machine.save("../x")


# Receipts


def test_every_key_is_queued_and_then_applied_once_a_frame_each(link):
    with raw(link) as socket:
        hello(socket)
        rows = [{"kind": "press", "key": key} for key in "abcdefgh" * 8]
        for first in range(0, 64, 16):
            socket.send(json.dumps({"type": "events", "id": 100 + first, "events": rows[first : first + 16]}))
        applied = {}
        while len(applied) < 64:
            message = take(socket, "applied")
            assert not applied.keys() & set(message["ids"])
            applied |= dict.fromkeys(message["ids"], message["frame"])
        assert list(applied) == list(range(100, 164)) and len(set(applied.values())) == 64


def test_what_a_reset_takes_away_is_named(link):
    with raw(link) as socket:
        hello(socket)
        socket.send(json.dumps({"type": "control", "id": 1, "do": "pause"}))
        take(socket, "done")
        socket.send(json.dumps({"type": "events", "id": 5, "events": [{"kind": "press", "key": "a"}] * 3}))
        assert take(socket, "queued")["count"] == 3
        socket.send(json.dumps({"type": "control", "id": 9, "do": "reset"}))
        assert take(socket, "cancelled")["ids"] == [5, 6, 7] and take(socket, "done")["id"] == 9


def test_a_queue_that_is_full_says_so_before_it_takes_anything(link):
    with raw(link) as socket:
        hello(socket)
        socket.send(json.dumps({"type": "control", "id": 1, "do": "pause"}))
        for first in (0, 512, 1024):
            socket.send(json.dumps({"type": "events", "id": first, "events": [{"kind": "press", "key": "a"}] * 512}))
        assert "1024 events wait already" in take(socket, "rejected")["error"]


# Who may come in


def test_the_token_the_origin_and_the_host_are_checked(link):
    port = link.split(":")[2].split("/")[0]
    for wrong in (link.replace(TOKEN, "x"), link.replace("token=" + TOKEN, "token=")):
        with pytest.raises(Exception, match="403"), raw(wrong):
            pass
    with pytest.raises(Exception, match="403"), raw(link, origin="http://evil.example"):
        pass
    with raw(link, origin=f"http://127.0.0.1:{port}") as socket:
        assert hello(socket)["session"]
    for path, headers, code in (
        ("/", {}, 403),
        ("/?token=x", {}, 403),
        (f"/?token={TOKEN}", {"Host": "evil.example"}, 400),
    ):
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=60)
        assert caught.value.code == code


def test_the_page_is_static_and_names_nothing_outside(link):
    page, headers = get(link, f"/?token={TOKEN}")
    assert '<canvas id="screen"' in page and "default-src 'self'" in headers["Content-Security-Policy"]
    for name in ("page.css", "page.js"):
        text, _ = get(link, f"/{name}")
        assert text and "http" not in text.replace("https", "http").replace("`ws", "")


def test_places_are_limited_and_one_that_is_left_is_free_again(served, link):
    with (
        nc.connect(link),
        nc.connect(link),
        nc.connect(link),
        pytest.raises(RemoteError, match="all 3 places are taken"),
    ):
        nc.connect(link)
    wait(lambda: not served[0].seats)
    nc.connect(link).close()


def test_a_session_that_is_opened_elsewhere_changes_hands(link):
    with raw(link) as first, raw(link) as second:
        id = hello(first, keep=True)["session"]
        assert hello(second, session=id)["session"] == id
        with pytest.raises(Exception, match="opened elsewhere|4001"):
            while True:
                first.recv(15)
        second.send(json.dumps({"type": "control", "id": 1, "do": "pause"}))
        assert take(second, "done")["paused"]


# Those that behave badly


NONSENSE = [
    "",
    "{",
    "[]",
    "null",
    "1e999",
    '"hello"',
    "[" * 500,
    "{}",
    '{"type": "hello"',
    '{"type": 5}',
    '{"type": "events"}',
    "\x00",
]
NONSENSE += [
    json.dumps({"type": "events", "id": 1, "events": rows})
    for rows in ([], 5, [5], [{}], [{"kind": "press", "key": []}])
]
NONSENSE += [
    json.dumps({"type": "events", "id": id, "events": [{"kind": "press", "key": "a"}]})
    for id in (-1, 1.5, None, "x", 2**60)
]
NONSENSE += [json.dumps({"type": "control", "do": do}) for do in ("", None, "__init__", "step2", {}, "forget")]
NONSENSE += [json.dumps({"type": "control", "do": "back", "frames": value}) for value in (0, -5, "x", 1e9, None, True)]
NONSENSE += [
    json.dumps({"type": "control", "do": "open", "name": name}) for name in ("../../x", 5, None, "\n", "a" * 99)
]
NONSENSE += [json.dumps({"type": "control", "do": "reset", "seed": value}) for value in (-1, "x", 2**40)]
NONSENSE += [json.dumps({"type": "ack", "frame": value}) for value in (-1, "x", None)]


def test_500_messages_of_nonsense_end_neither_the_server_nor_a_session(served, link):
    with nc.connect(link) as other, raw(link) as socket:
        other.reset(seed=4)
        before = other.type("ab")
        hello(socket)
        for number in range(500):
            message = NONSENSE[number % len(NONSENSE)]
            socket.send(message if number % 7 else message.encode())
            take(socket, "error")
            time.sleep(0.003)
        socket.send(json.dumps({"type": "events", "id": 1, "events": [{"kind": "press", "key": "a"}]}))
        assert take(socket, "applied")["ids"] == [1]
        np.testing.assert_array_equal(other.screen, before)
        other.type("c")
    assert json.loads(get(link, "/healthz")[0])["status"] == "ok"


def test_hello_comes_first_and_in_time(link, monkeypatch):
    with raw(link) as socket:
        socket.send(json.dumps({"type": "ack", "frame": 1}))
        assert "hello comes first" in json.loads(socket.recv(15))["error"]
    monkeypatch.setattr(protocol, "HELLO_SECONDS", 0.2)
    with raw(link) as socket:
        assert "no hello" in json.loads(socket.recv(15))["error"]


def test_a_flood_and_a_message_that_is_too_long_end_the_connection_alone(served, link):
    with nc.connect(link) as other:
        with raw(link) as socket, pytest.raises(Exception, match="messages a second|1008"):
            hello(socket)
            for _ in range(5000):
                socket.send('{"type": "ack", "frame": 0}')
            while True:
                socket.recv(15)
        with raw(link) as socket, pytest.raises(Exception, match="1009|too big"):
            hello(socket)
            socket.send("x" * (protocol.MESSAGE_BYTES + 1))
            while True:
                socket.recv(15)
        other.type("a")


def test_a_client_that_reads_nothing_costs_no_frame_of_another(served, link):
    """Its frames are left out before they are encoded; the newest is what it gets when it reads again."""
    with raw(link) as slow, nc.connect(link) as other:
        session = hello(slow)["session"]
        dropped = served[0].dropped
        other.reset()
        other.type("abcdef" * 5)
        wait(lambda: served[0].seats[session].session.moment.frame > 30)
        assert served[0].dropped > dropped
        sent = 0
        while sent < protocol.IN_FLIGHT:
            data = slow.recv(15)
            sent += isinstance(data, bytes)
        newest = served[0].seats[session].session.moment.frame
        slow.send(json.dumps({"type": "ack", "frame": sent}))
        while not isinstance(data := slow.recv(15), bytes) or protocol.unpack(data)[0]["sent"] <= sent:
            pass
        assert protocol.unpack(data)[0]["frame"] >= newest - 1


def test_a_session_without_keys_sleeps_until_one_comes(link, monkeypatch):
    monkeypatch.setattr(live, "IDLE_SECONDS", 0.2)
    with raw(link) as socket:
        hello(socket)
        take(socket, "asleep")
        socket.send(json.dumps({"type": "events", "id": 1, "events": [{"kind": "press", "key": "a"}]}))
        take(socket, "awake")
        assert take(socket, "applied")["ids"] == [1]


def test_a_machine_that_fails_says_so_and_is_back_after_a_reset(served, link, monkeypatch):
    def broken(*_):
        raise RuntimeError("out of memory")

    with raw(link) as socket:
        hello(socket)
        with monkeypatch.context() as patch:
            patch.setattr(engine, "_advance", broken)
            assert "out of memory" in take(socket, "stopped")["error"]
        socket.send(json.dumps({"type": "control", "id": 3, "do": "reset"}))
        take(socket, "done")
        socket.send(json.dumps({"type": "events", "id": 4, "events": [{"kind": "press", "key": "a"}]}))
        assert take(socket, "applied")["ids"] == [4]
    assert served[0].ticker.counts.failed >= 3


# What is kept, and what is counted


def test_a_session_that_was_left_is_taken_up_again(served, link):
    with nc.machine.client.Connection(link, keep=True) as machine:
        screen, id = machine.type("ab"), machine.session
    wait(lambda: not served[0].seats)
    with nc.machine.client.Connection(link, session=id, keep=True) as machine:
        assert machine.welcome["resumed"] and machine.welcome["frame"] >= 2
        np.testing.assert_array_equal(
            machine.back(machine.welcome["frame"] - 2) if machine.frame > 2 else screen, screen
        )
    wait(lambda: not served[0].seats)
    folder = served[0].store.folder / "open"
    assert folder.stat().st_mode & 0o077 == 0
    with nc.machine.client.Connection(link, session=id) as machine:
        assert machine.session == id
    wait(lambda: not (folder / f"{id}.npz").exists())


def test_health_and_metrics_count(served, link):
    with nc.connect(link) as machine:
        machine.type("a")
        health = json.loads(get(link, "/healthz")[0])
        assert health["status"] == "ok" and health["sessions"] == 1 and health["free"] == 2
        text = get(link, "/metrics")[0]
    numbers = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(numbers["neural_computer_events_applied_total"]) >= 1 and numbers["neural_computer_places"] == "3.0"
    assert numbers["neural_computer_sessions"] == "1.0" and float(numbers["neural_computer_tick_seconds"]) > 0


def test_before_it_is_compiled_it_says_that_it_starts():
    service = Service(TOKEN)
    with serving.listening("127.0.0.1", 0) as listener:
        http = serving.uvicorn_server(service)
        thread = threading.Thread(target=http.run, kwargs={"sockets": [listener]})
        thread.start()
        link = server.link("127.0.0.1", listener.getsockname()[1], TOKEN)
        wait(lambda: http.started)
        with pytest.raises(urllib.error.HTTPError) as caught:
            get(link, "/healthz")
        assert caught.value.code == 503 and json.loads(caught.value.read())["status"] == "starting"
        with pytest.raises(RemoteError, match="starting"):
            nc.connect(link)
        http.should_exit = True
        thread.join()
    with (
        pytest.raises(OSError, match="--port=1: "),
        serving.listening("127.0.0.1", 1) as _,
        serving.listening("127.0.0.1", 1),
    ):
        pass
