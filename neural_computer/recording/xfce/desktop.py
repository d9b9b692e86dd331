"""The rig as a `Desktop`: a real X server and XFCE in a sandbox, looked at by mss, used by XTEST.

    with Rig() as rig:
        recording = record(rig, Task(rig, "compute", seed=0))

Frames are lock-step: all of a frame's events are injected and acknowledged by the server, then the next picture is taken, 1 / fps
later or as soon as the policy is ready. The X server's socket alone is shared with outside, and the server has a sandbox for
itself: what is used on the desktop has the server's uid, and could write wherever the server puts its socket.
"""

import contextlib
import importlib.util
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from neural_computer.actions.schema import BUTTONS
from neural_computer.recording.guiworld.logs import NOTCHES, NUMBERS
from neural_computer.recording.sandbox import UID, Limits, Sandbox
from neural_computer.recording.xfce import accessibility, displays, settings
from neural_computer.recording.xfce.displays import RigError
from neural_computer.simulators.desktop import Target
from neural_computer.types import Event

NEEDED = {
    **{
        "Xvfb": "xvfb",
        "dbus-daemon": "dbus",
        "xfsettingsd": "xfce4-settings",
        "xfwm4": "xfwm4",
        "xfdesktop": "xfdesktop4",
    },
    **{name: name for name in ("xfce4-panel", "thunar", "xfce4-terminal", "mousepad", "galculator")},
}
"""{program: its Debian package}"""
READS = {path: path for path in ("/etc/fonts", "/etc/xdg", "/etc/gtk-3.0", "/etc/dbus-1", "/var/cache/fontconfig")}
LIMITS = Limits(processes=512, memory=16 << 30, cpu=24 * 3600, file=256 << 20, open_files=1024)
"""What the desktop's programs may use. Of address space GTK's programs take a lot and use little."""
START, ANSWER, STILL = 30.0, 10.0, 0.4
"""Seconds: until the desktop stands, until it answers, and for how long its picture must not change then"""
NAMED = {"\n": "Return", "\r": "Return", "\t": "Tab", " ": "space", "\b": "BackSpace", "\x1b": "Escape"}


class Rig:
    """A desktop of `size` (width, height), on X display `display`, or the first that is free.

    `done` is everything that was injected, in the form of a recording's log: CLOCK_MONOTONIC nanoseconds before, `t`, and
    after the server had it, `t_done`.
    """

    def __init__(self, display: int | None = None, size: tuple[int, int] = (1024, 768), fps: float = 15.0):
        self.wanted, self._size, self._fps = display, size, fps
        self.done: list[dict[str, Any]] = []
        self.display = -1
        self._server: subprocess.Popen[bytes] | None = None
        self._desktop: subprocess.Popen[bytes] | None = None
        self._folder = Path()
        self._due = 0.0

    # Its life

    def __enter__(self) -> "Rig":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Up, and still. Raises RigError, having cleaned up."""
        lacking = [name for name in ("mss", "Xlib") if importlib.util.find_spec(name) is None]
        if lacking:
            raise RigError(f"the rig needs the Python package {lacking[0]}: pip install 'neural-computer[recording]'")
        missing = [name for name in NEEDED if shutil.which(name) is None]
        if missing:
            packages = " ".join(NEEDED[name] for name in missing)
            raise RigError(
                f"the rig needs {', '.join(missing)}: apt-get install {packages}, or neural-computer install_rig for all of it"
            )
        self.display = displays.claim(self.wanted)
        try:
            self._begin()
        except BaseException:
            self.stop()
            raise

    def _begin(self) -> None:
        self._folder = displays.folder(self.display)
        sockets = self._folder / "x11"
        sockets.mkdir(parents=True)
        for path in (self._folder, sockets):
            path.chmod(0o755)
            if os.getuid() == 0:
                os.chown(path, UID, UID)
        where, screen = str(displays.SOCKETS), "{}x{}x24".format(*self._size)
        server = ["Xvfb", ":0", "-screen", "0", screen, "-dpi", "96", "-nolisten", "tcp", "-noreset", "-displayfd", "1"]
        self._server = self._boxed(server, Sandbox(LIMITS, shares={where: str(sockets)}))
        _line(self._server, START, "the X server")  # its display's number: it is up
        program = resources.files("neural_computer.recording.xfce").joinpath("inside.py").read_text()
        box = Sandbox(LIMITS, reads=READS | {where: str(sockets)}, files={"/etc/machine-id": "0" * 32 + "\n"})
        self._desktop = self._boxed(["/usr/bin/python3", "-c", program], box)
        told = self._told({"files": settings.files(self._size)}, START)
        if "error" in told:
            raise RigError(f"the desktop does not start: {told['error']}")
        displays.socket(self.display).symlink_to(sockets / "X0")
        self._stand()

    def _boxed(self, argv: Sequence[str], box: Sandbox) -> subprocess.Popen[bytes]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        return box.start(argv, {}, str(self._folder), **pipes)

    def _stand(self) -> None:
        """Waits until the panel's menu is there and the picture does not change any more. Raises RigError."""
        end, last, since = time.monotonic() + START, b"", 0.0
        while time.monotonic() < end:
            now = self.observe().tobytes()
            if now != last:
                last, since = now, time.monotonic()
            elif time.monotonic() - since > STILL and any(t.text == "Menu" for t in self.targets()):
                self._due = time.monotonic()
                return
            time.sleep(0.03)
        raise RigError(f"the desktop does not stand still within {START:g} s")

    def stop(self) -> None:
        """Down: no process, socket, lock or folder of it is left."""
        self._look_away()
        for process in (self._desktop, self._server):
            if process is not None:
                process.kill()
                process.communicate()
        self._desktop = self._server = None
        if self.display >= 0:
            displays.release(self.display)
            self.display = -1

    def _look_away(self) -> None:
        for name in ("_screen", "_x"):
            if (held := self.__dict__.pop(name, None)) is not None:
                displays.quietly(held.close)

    def reset(self) -> None:
        """As it was at the beginning."""
        self.stop()
        self.start()

    def check(self) -> None:
        """Raises RigError if a piece of the desktop is gone, or a program crashed."""
        gone = [] if self._server is None or self._server.poll() is None else ["Xvfb ended"]
        if gone := gone + self._ask("alive"):
            raise RigError(f"{', '.join(gone)}; the desktop must be reset")

    @contextlib.contextmanager
    def second(self) -> Iterator["Rig"]:
        """Another pair of eyes on the same screen, for a thread of its own: it can look, and see where the pointer is."""
        eye = Rig(size=self._size, fps=self._fps)
        eye.display = self.display
        try:
            yield eye
        finally:
            eye._look_away()

    # What a policy sees of it

    @property
    def size(self) -> tuple[int, int]:
        return self._size

    @property
    def fps(self) -> float:
        return self._fps

    @property
    def pointer(self) -> tuple[float, float]:
        with self._heard():
            place = self._x.screen().root.query_pointer()
        return float(place.root_x), float(place.root_y)

    def observe(self) -> UInt8[np.ndarray, "h w 3"]:
        """The screen as it is, the pointer on it. Raises RigError if the server is gone."""
        return rgb(self.grab())

    def grab(self) -> UInt8[np.ndarray, "h w 4"]:
        """The same as the server gives it, for `rgb`: what takes no longer than it must."""
        try:
            return np.asarray(self._screen.grab(self._screen.monitors[0]))
        except Exception as error:
            raise RigError(f"display :{self.display} cannot be read ({error}); the X server ended?") from error

    def targets(self) -> Sequence[Target]:
        return accessibility.targets(self._ask("seen"), self._stacking(), self._size)

    def inject(self, events: Sequence[Event]) -> None:
        """Does these things, then waits for the next frame's time; late, it does not hurry after.

        Raises ValueError, having done nothing, for a key that there is not.
        """
        for event in events:
            for key in (
                event.text if event.kind == "text" else [event.key] if event.kind in ("press", "release") else []
            ):
                if key not in BUTTONS:
                    self._code(key)
        for event in events:
            self.act(event)
        self._due = max(self._due + 1 / self._fps, time.monotonic())
        time.sleep(max(0.0, self._due - time.monotonic()))

    # Mouse and keyboard

    def act(self, event: Event) -> None:
        """One event, acknowledged by the server and written down. Raises ValueError for a key that there is not."""
        from Xlib import X

        if event.kind == "move":
            x, y = round(event.x), round(event.y)
            self._fake("move", X.MotionNotify, x=x, y=y)
        elif event.kind == "scroll":
            for button, (dx, dy) in NOTCHES.items():
                for _ in range(round(max(0.0, dx * event.dx + dy * event.dy))):
                    self._fake("down", X.ButtonPress, button)
                    self._fake("up", X.ButtonRelease, button)
        elif event.kind == "text":
            for char in event.text:
                self.act(Event(event.time, "press", key=char))
                self.act(Event(event.time, "release", key=char))
        elif event.key in BUTTONS:
            kinds = {"press": ("down", X.ButtonPress), "release": ("up", X.ButtonRelease)}
            self._fake(*kinds[event.kind], NUMBERS[event.key])
        else:
            self._key(event)

    def _key(self, event: Event) -> None:
        from Xlib import X

        code, shifted = self._code(event.key)
        shift = self._code("Shift_L")[0]
        with self._heard():
            wrapped = shifted and event.kind == "press" and not self._x.query_keymap()[shift // 8] & 1 << shift % 8
        if wrapped:
            self._fake("", X.KeyPress, shift)
        kinds = {"press": ("key_down", X.KeyPress), "release": ("key_up", X.KeyRelease)}
        self._fake(*kinds[event.kind], code, key=event.key)
        if wrapped:
            self._fake("", X.KeyRelease, shift)

    def _code(self, key: str) -> tuple[int, bool]:
        """(keycode, does it take Shift) of a key's name or character."""
        from Xlib import XK

        name = NAMED.get(key, key)
        symbol = ord(name) if len(name) == 1 else XK.string_to_keysym(name)
        code = self._x.keysym_to_keycode(symbol) if symbol else 0
        if not code:
            raise ValueError(f"key {key!r}: the rig's keyboard has none")
        return code, self._x.keycode_to_keysym(code, 0) != symbol

    def _fake(self, kind: str, what: int, detail: int = 0, key: str = "", **place: int) -> None:
        """An event as if from the hardware; what is only done for another, a Shift, is not written down."""
        from Xlib.ext import xtest

        begin = time.monotonic_ns()
        with self._heard():
            xtest.fake_input(self._x, what, detail, **place)
            self._x.sync()
        if kind:
            row: dict[str, Any] = {"kind": kind, "t": begin, "t_done": time.monotonic_ns(), **place}
            self.done.append(row | ({"key": key} if key else {} if place else {"button": detail}))

    # The two ends that are open: the X server, and the program inside

    @contextlib.contextmanager
    def _heard(self) -> Iterator[None]:
        """What is asked of the X server here is answered. Raises RigError if it is not there any more."""
        from Xlib import error

        try:
            yield
        except (error.ConnectionClosedError, error.DisplayConnectionError, OSError) as closed:
            raise RigError(f"display :{self.display} answers no more ({closed}); the X server ended?") from closed

    @cached_property
    def _x(self) -> Any:
        from Xlib import XK, display

        XK.load_keysym_group("xf86")
        return display.Display(f":{self.display}")

    @cached_property
    def _screen(self) -> Any:
        import mss

        return mss.MSS(display=f":{self.display}", with_cursor=True)

    def _stacking(self) -> list[str]:
        """The windows' titles, from the lowest to the topmost."""
        from Xlib.error import BadWindow

        def text(window: Any) -> str:
            try:
                found = window.get_full_property(self._x.intern_atom("_NET_WM_NAME"), 0)
            except BadWindow:
                return ""
            return found.value.decode() if found else ""

        with self._heard():
            root = self._x.screen().root
            found = root.get_full_property(self._x.intern_atom("_NET_CLIENT_LIST_STACKING"), 0)
            return [text(self._x.create_resource_object("window", id)) for id in found.value] if found else []

    def _ask(self, what: str) -> Any:
        return self._told({"ask": what}, ANSWER)

    def _told(self, request: dict[str, Any], seconds: float) -> Any:
        """What the program inside answers. Raises RigError if it does not."""
        process = self._desktop
        if process is None or process.stdin is None:
            raise RigError("the rig is not started")
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        except OSError as error:
            raise RigError(f"the sandbox ended (code {process.poll()})") from error
        return json.loads(_line(process, seconds, "the desktop"))


def _line(process: subprocess.Popen[bytes], seconds: float, who: str) -> bytes:
    """What a process in a sandbox says next. Raises RigError if it does not."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    line = process.stdout.readline() if ready else b""
    if not line:
        raise RigError(
            f"no answer from {who} in {seconds:g} s" if not ready else f"the sandbox ended that {who} was in"
        )
    return line


def rgb(grabbed: UInt8[np.ndarray, "h w 4"]) -> UInt8[np.ndarray, "h w 3"]:
    """The picture of a grab."""
    return np.ascontiguousarray(grabbed[..., 2::-1])
