"""The real desktop: the same bytes whenever it starts, the synthetic one's policies, and nothing left of it."""

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
from neural_computer.recording.xfce import desktop, displays
from neural_computer.recording.xfce.accessibility import targets, title
from neural_computer.recording.xfce.desktop import Rig
from neural_computer.recording.xfce.displays import RigError
from neural_computer.recording.xfce.settings import PROGRAMS, channel
from neural_computer.simulators.desktop import Desktop, record
from neural_computer.simulators.minidesk.session import MiniDesktop, furnished
from neural_computer.simulators.policies.goal import Task
from neural_computer.simulators.policies.primitives import Hand
from neural_computer.types import Event
from tests.conftest import servers, wait_until

rigged = pytest.mark.rig


def moved(x: float, y: float) -> list[Event]:
    return [Event(0.0, "move", x=x, y=y)]


def left() -> list[str]:
    """What is there of any rig: folders, sockets, locks of ours; and shared memory that nobody has attached."""
    files = [*Path("/tmp").glob(f"rig-{os.getuid()}-*"), *displays.SOCKETS.glob("X*")]
    files += [lock for lock in Path("/tmp").glob(".X*-lock") if lock.read_text().strip() == str(os.getpid())]
    found = [
        str(file) for file in files if "X" not in file.name or int(file.name.strip(".X-lock")) in displays.DISPLAYS
    ]
    return found + [row for row in Path("/proc/sysvipc/shm").read_text().splitlines()[1:] if row.split()[6] == "0"]


@pytest.fixture
def rig():
    with Rig() as found:
        yield found


# What it looks like


@rigged
def test_ten_starts_show_the_same_bytes_and_leave_nothing():
    before, shown = left(), set()
    for _ in range(10):
        with Rig() as found:
            assert isinstance(found, Desktop) and found.pointer == (512, 384)
            shown.add(hashlib.sha256(found.observe().tobytes()).hexdigest())
    assert len(shown) == 1 and set(left()) <= set(before) and not servers(os.getpid())


KILLED = """
import time
from neural_computer.recording.xfce.desktop import Rig
with Rig() as rig:
    print(rig.display, flush=True)
    time.sleep(60)
"""


@rigged
def test_a_killed_caller_takes_it_along_and_the_display_can_be_had_again():
    caller = subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE)
    display = int(caller.stdout.readline())
    (server,) = servers(caller.pid)
    caller.send_signal(signal.SIGKILL)
    caller.wait()
    wait_until(lambda: not Path(f"/proc/{server}").exists(), seconds=10)
    with Rig(display) as again:
        assert again.display == display


# What can be done with it


@rigged
def test_a_hundred_jumps_are_on_the_frames_they_were_injected_for(rig):
    """On the bare ground, where what is not ground is the arrow."""
    ground = rig.observe()[5, 5]
    rng = np.random.default_rng(0)
    rig.inject(moved(100, 100))
    corner = np.argwhere((rig.observe()[:700] != ground).any(-1)).min(0) - 100
    for x, y in rng.integers((20, 20), (990, 690), (100, 2)):
        rig.inject(moved(x, y))
        found = np.argwhere((rig.observe()[:720] != ground).any(-1)).min(0) - corner
        assert found.tolist() == [y, x]


@rigged
@pytest.mark.parametrize("family", ["compute", "write", "shell"])
def test_one_goal_policy_gets_it_done_on_the_synthetic_desktop_and_on_the_real_one(family):
    with Rig() as real:
        for desktop in (MiniDesktop(furnished(0, 128, most=0)), real):
            task = Task(desktop, family, 2, pace=0.0)
            record(desktop, task, watch=False)
            assert task.done, task.reason


@rigged
def test_who_types_there_reaches_nothing(rig, tmp_path):
    """Through a terminal on the desktop: no file of the caller's, no writing outside of the scratch folders, no network."""
    (tmp_path / "secret").write_text("27182818")
    hand = Hand(rig, np.random.default_rng(0), pace=0.0)

    def work():
        yield from hand.open("Term")
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
            yield from hand.type(f"{line} && echo GOT\n")
            yield from hand.wait(8)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        record(rig, work(), watch=False)
    shown = "\n".join(hand.texts("line", "Term"))
    assert "27182818" not in shown and "\nGOT" not in shown.replace("1976\nGOT", "1976")
    assert "1976" in shown and shown.count("No such file") >= 2 and shown.count("Read-only file system") == 3
    assert "Connection refused" in shown


# What can go wrong


@rigged
def test_a_display_that_is_taken_is_told(rig):
    with pytest.raises(RigError, match=f"display :{rig.display} is taken by process {os.getpid()}; leave the choice"):
        Rig(rig.display).start()
    rig.observe()


def test_the_folder_of_sockets_is_everybodys_or_it_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(displays, "SOCKETS", tmp_path / "x11")
    displays.release(displays.claim(None))
    assert (tmp_path / "x11").stat().st_mode & 0o7777 == 0o1777
    (tmp_path / "x11").chmod(0o555)
    if os.getuid() == 0:  # who may write anywhere
        monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(
        RigError, match="x11, where X servers have their sockets, cannot be written; as root: chmod 1777"
    ):
        displays.claim(None)


@rigged
def test_a_server_that_dies_ends_the_recording_and_nothing_of_it_stays(tmp_path):
    def policy(server):
        for t in range(60):
            if t == 10:
                os.kill(server, signal.SIGKILL)
            yield moved(100 + t, 100)

    with Rig() as rig:
        (server,) = servers(os.getpid())
        with pytest.raises(RigError, match="X server ended|sandbox ended|Xvfb"):
            recorder.lock_step(rig, policy(server), tmp_path / "video")
        assert not list(tmp_path.iterdir())
        rig.reset()
        assert recorder.lock_step(rig, [moved(5, 5)] * 3, tmp_path / "video") == 4


@rigged
def test_a_piece_that_ends_is_named(rig):
    rig.check()
    os.kill(_only("xfce4-panel"), signal.SIGKILL)
    time.sleep(0.2)
    with pytest.raises(RigError, match="xfce4-panel ended; the desktop must be reset"):
        rig.check()


@rigged
def test_no_key_and_no_menu_ends_the_session(rig):
    """Random input presses anything: there is no log-out to be found, and no way to another terminal."""
    hand = Hand(rig, np.random.default_rng(0), pace=0.0)

    def used():
        for keys in (
            "ctrl+alt+Delete",
            "ctrl+alt+BackSpace",
            "ctrl+alt+F1",
            "alt+F4",
            "alt+F2",
            "super+l",
            "ctrl+Escape",
        ):
            yield from steps({"action": "key", "text": keys}, rig.size, rig.size)
            yield from hand.wait(5)
        yield from hand.click(hand.find("button", "Menu"), "button Menu")
        yield from hand.until(lambda: hand.find("item"), "the menu")

    record(rig, used(), watch=False)
    rig.check()
    assert sorted(hand.texts("item", "desk")) == sorted(PROGRAMS)


@rigged
def test_a_program_that_crashes_ends_the_recording_and_one_that_is_closed_does_not(rig, tmp_path):
    hand = Hand(rig, np.random.default_rng(0), pace=0.0)

    def used(crash):
        yield from hand.open("Calc")
        if crash:
            os.kill(_only("galculator"), signal.SIGSEGV)
        else:
            yield from hand.press("alt+F4")
        yield from hand.wait(20)

    recorder.lock_step(rig, used(False), tmp_path / "closed")
    with pytest.raises(RigError, match=r"galculator crashed \(signal 11\); the desktop must be reset"):
        recorder.lock_step(rig, used(True), tmp_path / "crashed")
    assert not list(tmp_path.glob("*crashed*")) and list(tmp_path.glob("closed*"))


def _only(name: str) -> int:
    """The process of a name."""
    (found,) = [int(p.name) for p in Path("/proc").glob("[0-9]*") if _named(p) == name]
    return found


def _named(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return ""


@rigged
def test_a_full_disk_is_told(rig, tmp_path):
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], capture_output=True).returncode:
        pytest.skip("only root can make a small disk")
    noise = np.random.default_rng(0)
    try:
        with pytest.raises((OSError, RigError), match="No space left"):
            recorder.lock_step(rig, (moved(*noise.uniform(0, 700, 2)) for _ in range(200)), tmp_path / "video")
        assert not list(tmp_path.iterdir())
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_without_its_programs_it_says_which_and_how(monkeypatch):
    monkeypatch.setattr(desktop, "NEEDED", {"no-such-server": "xserver", "sh": "dash"})
    with pytest.raises(
        RigError,
        match=r"^the rig needs no-such-server: apt-get install xserver, or neural-computer install_rig for all of it$",
    ):
        Rig().start()


# What is made of what AT-SPI tells


def app(name, frame, box, *widgets):
    return {"name": name, "frames": [{"role": "frame", "name": frame, "box": box, "widgets": widgets}]}


MENU = ["toggle button", "Menu", "", [0, 740, 66, 28]]
LINES = ["text", "", "one\ntwo", [6, 57, 638, 448]]
KEY, FIELD = ["toggle button", "1", "", [110, 200, 50, 30]], ["text", "", "42\n", [110, 150, 200, 40]]
TOLD = [
    app("xfce4-panel", "", [0, 740, 1024, 28], MENU),
    app("mousepad", "*~/note - Mousepad", [0, 0, 650, 514], LINES),
    app("galculator", "galculator", [100, 100, 300, 300], KEY, FIELD),
]


def test_what_lies_below_another_window_cannot_be_clicked():
    for top, covered in (("galculator", "two"), ("*~/note - Mousepad", "1")):
        stacking = sorted(["galculator", "*~/note - Mousepad"], key=lambda name: name == top)
        found = targets(TOLD, stacking, (1024, 768))
        assert {t.text for t in found if not t.clear} >= {covered}
        assert [t for t in found if t.text == "Menu"] == [("desk", "button", "Menu", 0, 740, 66, 28, True)]
        assert ("Calc", "field", "42", 110, 150, 200, 40) in [t[:-1] for t in found]


def test_a_title_is_the_file_whether_it_is_saved_or_not():
    assert [title("Edit", name) for name in ("*~/note - Mousepad", "~/docs/plan - Mousepad")] == ["*note", "plan"]


def test_settings_are_xfconfs_xml():
    made = channel("c", {"a": {"b": True, "d": [1]}, "p": [1], "p/q": {"r": "x<y"}})
    one = '<property name="d" type="array"><value type="int" value="1"/></property>'
    other = '<property name="q" type="empty"><property name="r" type="string" value="x&lt;y"></property></property>'
    assert made == (
        '<?xml version="1.0"?><channel name="c" version="1.0">'
        f'<property name="a" type="empty"><property name="b" type="bool" value="true"></property>{one}</property>'
        f'<property name="p" type="array"><value type="int" value="1"/>{other}</property></channel>'
    )
