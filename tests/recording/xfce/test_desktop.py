"""The real desktop: the same bytes whenever it starts, the synthetic one's policies, and nothing of it is left."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from neural_computer.recording.agents.actions import steps
from neural_computer.recording.guiworld import recorder
from neural_computer.recording.sandbox import HOME
from neural_computer.recording.xfce import desktop as xfce
from neural_computer.recording.xfce import displays, guest, requirements, settings
from neural_computer.recording.xfce.accessibility import targets, title
from neural_computer.recording.xfce.desktop import XfceDesktop
from neural_computer.recording.xfce.errors import DesktopError
from neural_computer.recording.xfce.settings import channel
from neural_computer.recording.xfce.x11 import XClient
from neural_computer.simulators.desktop import Desktop, record
from neural_computer.simulators.minidesk.session import MiniDesktop, furnished
from neural_computer.simulators.policies.goal import Task
from neural_computer.simulators.policies.primitives import User
from neural_computer.types import Event
from tests import needs
from tests.conftest import servers, wait_until

on_x = pytest.mark.rig


def moved(x: float, y: float) -> list[Event]:
    return [Event(0.0, "move", x=x, y=y)]


def left() -> list[str]:
    """What is left of any desktop: folders, sockets, locks of ours; and shared memory that nobody has attached."""
    files = [*Path("/tmp").glob(f"rig-{os.getuid()}-*"), *displays.SOCKETS.glob("X*")]
    files += [lock for lock in Path("/tmp").glob(".X*-lock") if lock.read_text().strip() == str(os.getpid())]
    ours = [str(file) for file in files if "X" not in file.name or int(file.name.strip(".X-lock")) in displays.DISPLAYS]
    return ours + [row for row in Path("/proc/sysvipc/shm").read_text().splitlines()[1:] if row.split()[6] == "0"]


@pytest.fixture
def desktop():
    with XfceDesktop() as started:
        yield started


# What it looks like


@on_x
def test_ten_starts_show_the_same_bytes_and_leave_nothing():
    before, shown = left(), set()
    for _ in range(10):
        with XfceDesktop() as desktop:
            assert isinstance(desktop, Desktop) and desktop.pointer == (512, 384)
            shown.add(hashlib.sha256(desktop.observe().tobytes()).hexdigest())
    assert len(shown) == 1 and set(left()) <= set(before) and not servers(os.getpid())


KILLED = """
import time
from neural_computer.recording.xfce.desktop import XfceDesktop
with XfceDesktop() as desktop:
    print(desktop.display, flush=True)
    time.sleep(60)
"""


@on_x
def test_a_killed_caller_takes_it_along_and_the_display_can_be_taken_again():
    caller = subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE)
    display = int(caller.stdout.readline())
    (server,) = servers(caller.pid)
    caller.send_signal(signal.SIGKILL)
    caller.wait()
    wait_until(lambda: not Path(f"/proc/{server}").exists(), seconds=10)
    with XfceDesktop(display) as again:
        assert again.display == display


# What can be done with it


@on_x
def test_a_hundred_jumps_are_on_the_frames_they_were_injected_for(desktop):
    """On the bare ground, where what is not ground is the arrow."""
    ground = desktop.observe()[5, 5]
    rng = np.random.default_rng(0)
    desktop.inject(moved(100, 100))
    corner = np.argwhere((desktop.observe()[:700] != ground).any(-1)).min(0) - 100
    for x, y in rng.integers((20, 20), (990, 690), (100, 2)):
        desktop.inject(moved(x, y))
        tip = np.argwhere((desktop.observe()[:720] != ground).any(-1)).min(0) - corner
        assert tip.tolist() == [y, x]


@on_x
@pytest.mark.parametrize("family", ["compute", "write", "shell"])
def test_one_goal_policy_succeeds_on_the_synthetic_desktop_and_on_the_real_one(family):
    with XfceDesktop() as real:
        for desktop in (MiniDesktop(furnished(0, 128, most=0)), real):
            task = Task(desktop, family, 2, pace=0.0)
            record(desktop, task, watch=False)
            assert task.success, task.reason


@on_x
def test_a_user_of_the_desktop_reaches_nothing_outside(desktop, tmp_path):
    """Through a terminal on the desktop: no file of the caller's, no writing outside of the scratch folders, no network."""
    (tmp_path / "secret").write_text("27182818")
    user = User(desktop, np.random.default_rng(0), pace=0.0)

    def work():
        yield from user.open("Term")
        tries = [
            f"cat {tmp_path}/secret",
            f"ls {Path.home()}",
            "touch /usr/x",
            "touch /etc/x",
            "touch /tmp/.X11-unix/x",
            "id -u",
            f"true </dev/tcp/127.0.0.1/{port}",
        ]
        for line in tries:
            yield from user.type(f"{line} && echo GOT\n")
            yield from user.wait(8)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        record(desktop, work(), watch=False)
    shown = "\n".join(user.texts("line", "Term"))
    assert "27182818" not in shown and "\nGOT" not in shown.replace("1976\nGOT", "1976")
    assert "1976" in shown and shown.count("No such file") >= 2 and shown.count("Read-only file system") == 3
    assert "Connection refused" in shown


# What can go wrong


@on_x
def test_a_display_that_is_taken_is_named(desktop):
    with pytest.raises(DesktopError, match=f"display :{desktop.display} is taken by process {os.getpid()};"):
        XfceDesktop(desktop.display).start()
    desktop.observe()


def test_the_folder_of_sockets_is_everybodys_or_it_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(displays, "SOCKETS", tmp_path / "x11")
    displays.release(displays.claim(None))
    assert (tmp_path / "x11").stat().st_mode & 0o7777 == 0o1777
    (tmp_path / "x11").chmod(0o555)
    if os.getuid() == 0:  # who may write anywhere
        monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(
        DesktopError, match="x11, where X servers have their sockets, cannot be written; as root: chmod 1777"
    ):
        displays.claim(None)


@on_x
def test_a_server_that_dies_ends_the_recording_and_nothing_of_it_stays(tmp_path):
    def policy(server):
        for t in range(60):
            if t == 10:
                os.kill(server, signal.SIGKILL)
            yield moved(100 + t, 100)

    with XfceDesktop() as desktop:
        (server,) = servers(os.getpid())
        with pytest.raises(DesktopError, match="X server ended|sandbox .*ended|Xvfb"):
            recorder.lock_step(desktop, policy(server), tmp_path / "video")
        assert not list(tmp_path.iterdir())
        desktop.reset()
        assert recorder.lock_step(desktop, [moved(5, 5)] * 3, tmp_path / "video") == 4


@on_x
def test_a_piece_that_ends_is_named(desktop):
    desktop.check()
    os.kill(_only("xfce4-panel"), signal.SIGKILL)
    time.sleep(0.2)
    with pytest.raises(DesktopError, match="xfce4-panel ended; the desktop must be reset"):
        desktop.check()


@on_x
def test_no_key_and_no_menu_ends_the_session(desktop):
    """Random input presses anything: there is no log-out to be found, and no way to another terminal."""
    user = User(desktop, np.random.default_rng(0), pace=0.0)

    def policy():
        for keys in (
            "ctrl+alt+Delete",
            "ctrl+alt+BackSpace",
            "ctrl+alt+F1",
            "alt+F4",
            "alt+F2",
            "super+l",
            "ctrl+Escape",
        ):
            yield from steps({"action": "key", "text": keys}, desktop.size, desktop.size)
            yield from user.wait(5)
        yield from user.click(user.find("button", "Menu"), "button Menu")
        yield from user.until(lambda: user.find("item"), "the menu")

    record(desktop, policy(), watch=False)
    desktop.check()
    assert sorted(user.texts("item", "desk")) == sorted(settings.MENU)


@on_x
def test_a_program_that_crashes_ends_the_recording_and_one_that_is_closed_does_not(desktop, tmp_path):
    user = User(desktop, np.random.default_rng(0), pace=0.0)

    def policy(crash):
        yield from user.open("Calc")
        if crash:
            os.kill(_only("galculator"), signal.SIGSEGV)
        else:
            yield from user.press("alt+F4")
        yield from user.wait(20)

    recorder.lock_step(desktop, policy(False), tmp_path / "closed")
    with pytest.raises(DesktopError, match=r"galculator crashed \(signal 11\); the desktop must be reset"):
        recorder.lock_step(desktop, policy(True), tmp_path / "crashed")
    assert not list(tmp_path.glob("*crashed*")) and list(tmp_path.glob("closed*"))


def _only(name: str) -> int:
    """The process of a name."""
    (process,) = [int(p.name) for p in Path("/proc").glob("[0-9]*") if _program(p) == name]
    return process


def _program(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return ""


@on_x
def test_a_full_disk_is_named(desktop, tmp_path):
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], capture_output=True).returncode:
        pytest.skip("only root can make a small disk")
    noise = np.random.default_rng(0)
    try:
        with pytest.raises((OSError, DesktopError), match="No space left"):
            recorder.lock_step(desktop, (moved(*noise.uniform(0, 700, 2)) for _ in range(200)), tmp_path / "video")
        assert not list(tmp_path.iterdir())
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@pytest.mark.parametrize(
    ("modules", "programs", "words"),
    [
        (("no_such_module",), {"sh": "dash"}, "needs the Python modules no_such_module: pip install "),
        (
            (),
            {"no-such-server": "xserver", "sh": "dash"},
            "needs no-such-server: apt-get install xserver, or neural-computer ",
        ),
        (("sys", "no_such_module"), {"no-such-server": "xserver"}, r"no_such_module: pip .*; no-such-server: apt-get "),
    ],
)
def test_what_is_not_installed_is_named_with_the_command_that_installs_it(monkeypatch, modules, programs, words):
    monkeypatch.setattr(requirements, "MODULES", modules)
    monkeypatch.setattr(requirements, "PROGRAMS", programs)
    with pytest.raises(DesktopError, match=words):
        XfceDesktop().start()


def test_a_desktop_that_is_not_started_says_so():
    for use in (XfceDesktop().targets, XfceDesktop().observe, XfceDesktop().check, lambda: XfceDesktop().pointer):
        with pytest.raises(DesktopError, match="not started"):
            use()


# The program inside


def test_the_guest_is_a_program_by_itself():
    """It runs without this package: the sandbox has the system's Python alone."""
    code = compile(xfce.guest_program(), "guest", "exec")
    assert "main" in code.co_names and "neural_computer" not in xfce.guest_program()


def test_a_crash_is_noted_by_the_launcher_and_reported_once(tmp_path, monkeypatch):
    launcher = tmp_path / "launcher"
    launcher.write_text(settings.LAUNCHER.replace(f"{HOME}/", f"{tmp_path}/"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for command in ("kill -SEGV $$", "exit 3"):
        subprocess.run(["sh", launcher, "bash", "-c", command], check=False)
    assert guest.crashes() == ["bash crashed (signal 11)"] and guest.crashes() == []


# Mouse and keyboard, a display of ours in the place of the X server's


class FakeDisplay:
    """A keyboard of three keys: a at 38, Return at 36, Shift_L at 50; `down` are the bits of those that are down."""

    def __init__(self):
        self.codes, self.down, self.inputs = {97: 38, 65: 38, 0xFF0D: 36, 0xFFE1: 50}, [0] * 32, []

    def keysym_to_keycode(self, symbol):
        return self.codes.get(symbol, 0)

    def keycode_to_keysym(self, code, index):
        return {38: 97, 36: 0xFF0D, 50: 0xFFE1}[code]

    def query_keymap(self):
        return self.down

    def sync(self):
        self.inputs.append("sync")


@pytest.fixture
def client(monkeypatch):
    needs.package("Xlib", "recording")
    from Xlib.ext import xtest

    client = XClient(99)
    client.__dict__["_x"] = FakeDisplay()
    monkeypatch.setattr(xtest, "fake_input", lambda to, what, detail=0, **at: to.inputs.append((what, detail, at)))
    return client


KEY_DOWN, KEY_UP, DOWN, UP, MOTION = 2, 3, 4, 5, 6  # X's numbers of the events


def test_events_reach_the_server_one_by_one_and_the_log_has_each(client):
    client.inject(Event(0.0, "move", x=3.4, y=5.0))
    client.inject(Event(0.0, "scroll", dy=-2.0))
    client.inject(Event(0.0, "press", key="right"))
    sent = [(MOTION, 0, {"x": 3, "y": 5}), (DOWN, 4, {}), (UP, 4, {}), (DOWN, 4, {}), (UP, 4, {}), (DOWN, 3, {})]
    assert client._x.inputs == [item for each in sent for item in (each, "sync")]
    rows = [{name: value for name, value in row.items() if name not in ("t", "t_done")} for row in client.log]
    notch = [{"kind": "down", "button": 4}, {"kind": "up", "button": 4}]
    assert rows == [{"kind": "move", "x": 3, "y": 5}, *notch, *notch, {"kind": "down", "button": 3}]
    assert all(row["t"] <= row["t_done"] for row in client.log)


def test_a_capital_is_wrapped_in_a_shift_that_is_not_logged_unless_one_is_down(client):
    client.inject(Event(0.0, "text", text="aA\n"))
    keys = [each[:2] for each in client._x.inputs if each != "sync"]
    shifted = [(KEY_DOWN, 50), (KEY_DOWN, 38), (KEY_UP, 50), (KEY_UP, 38)]
    assert keys == [(KEY_DOWN, 38), (KEY_UP, 38), *shifted, (KEY_DOWN, 36), (KEY_UP, 36)]
    assert [row["key"] for row in client.log] == list("aaAA\n\n")
    client._x.inputs.clear()
    client._x.down[50 // 8] = 1 << 50 % 8
    client.inject(Event(0.0, "press", key="A"))
    assert client._x.inputs == [(KEY_DOWN, 38, {}), "sync"]


def test_a_key_that_the_keyboard_lacks_is_named_before_anything_is_injected(client):
    with pytest.raises(ValueError, match="key 'q'"):
        client.check_keys([Event(0.0, "press", key="a"), Event(0.0, "text", text="aq")])
    client.check_keys([Event(0.0, "move", x=1.0, y=1.0), Event(0.0, "press", key="left")])
    assert client._x.inputs == []


# The AT-SPI tree


def app(name, frame, box, *widgets):
    return {"name": name, "frames": [{"role": "frame", "name": frame, "box": box, "widgets": widgets}]}


MENU = ["toggle button", "Menu", "", [0, 740, 66, 28]]
LINES = ["text", "", "one\ntwo", [6, 57, 638, 448]]
KEY, FIELD = ["toggle button", "1", "", [110, 200, 50, 30]], ["text", "", "42\n", [110, 150, 200, 40]]
TREE = [
    app("xfce4-panel", "", [0, 740, 1024, 28], MENU),
    app("mousepad", "*~/note - Mousepad", [0, 0, 650, 514], LINES),
    app("galculator", "galculator", [100, 100, 300, 300], KEY, FIELD),
]


def test_what_lies_below_another_window_cannot_be_clicked():
    for top, covered in (("galculator", "two"), ("*~/note - Mousepad", "1")):
        stacking = sorted(["galculator", "*~/note - Mousepad"], key=lambda name: name == top)
        shown = targets(TREE, stacking, (1024, 768))
        assert {t.text for t in shown if not t.clear} >= {covered}
        assert [t for t in shown if t.text == "Menu"] == [("desk", "button", "Menu", 0, 740, 66, 28, True)]
        assert ("Calc", "field", "42", 110, 150, 200, 40) in [t[:-1] for t in shown]


def test_a_title_is_the_file_whether_it_is_saved_or_not():
    assert [title("Edit", name) for name in ("*~/note - Mousepad", "~/docs/plan - Mousepad")] == ["*note", "plan"]


def test_settings_are_xfconfs_xml():
    xml = channel("c", {"a": {"b": True, "d": [1]}, "p": [1], "p/q": {"r": "x<y"}})
    one = '<property name="d" type="array"><value type="int" value="1"/></property>'
    other = '<property name="q" type="empty"><property name="r" type="string" value="x&lt;y"></property></property>'
    assert xml == (
        '<?xml version="1.0"?><channel name="c" version="1.0">'
        f'<property name="a" type="empty"><property name="b" type="bool" value="true"></property>{one}</property>'
        f'<property name="p" type="array"><value type="int" value="1"/>{other}</property></channel>'
    )
