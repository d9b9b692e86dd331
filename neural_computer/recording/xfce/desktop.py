"""A real desktop as a `Desktop`: an X server and XFCE in sandboxes, observed by mss, controlled by XTEST.

    with XfceDesktop() as desktop:
        recording = record(desktop, Task(desktop, "compute", seed=0))

Frames are lock-step: all events of a frame are injected and acknowledged by the server, then the next picture is taken, 1 / fps
later or as soon as the policy is ready. The X server has a sandbox of its own and shares nothing but its socket: the programs
on the desktop have the server's uid, and could write wherever the server's socket is.
"""

import json
import os
import select
import subprocess
import time
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from neural_computer.recording.sandbox import UID, Limits, Sandbox
from neural_computer.recording.xfce import accessibility, displays, settings
from neural_computer.recording.xfce.errors import DesktopError
from neural_computer.recording.xfce.requirements import missing
from neural_computer.recording.xfce.x11 import XClient, rgb
from neural_computer.simulators.desktop import Target
from neural_computer.types import Event

READS = {path: path for path in ("/etc/fonts", "/etc/xdg", "/etc/gtk-3.0", "/etc/dbus-1", "/var/cache/fontconfig")}
LIMITS = Limits(processes=512, memory=16 << 30, cpu=24 * 3600, file=256 << 20, open_files=1024)
"""Limits of the desktop's programs. GTK's programs reserve much address space and use little of it."""
START_TIMEOUT, REQUEST_TIMEOUT = 30.0, 10.0
"""Seconds until the desktop is up, and until the guest responds."""
STILL = 0.4
"""Seconds for which the picture of a started desktop must not change."""


class XfceDesktop:
    """A desktop of `size` (width, height) in pixels, on X display `display` or the first free one."""

    def __init__(self, display: int | None = None, size: tuple[int, int] = (1024, 768), fps: float = 15.0):
        self._wanted, self._size, self._fps = display, size, fps
        self.display = -1
        self._server: subprocess.Popen[bytes] | None = None
        self._guest: subprocess.Popen[bytes] | None = None
        self._client: XClient | None = None
        self._folder = Path()
        self._due = 0.0

    # Starting and stopping

    def __enter__(self) -> "XfceDesktop":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts the desktop and waits until its picture is still. Raises DesktopError, with everything stopped again."""
        if lacking := missing():
            raise DesktopError(f"a real desktop needs {lacking}")
        self.display = displays.claim(self._wanted)
        try:
            self._client = XClient(self.display)
            self._start_server()
            self._start_guest()
            displays.socket(self.display).symlink_to(self._sockets / "X0")
            self._wait_until_still()
        except BaseException:
            self.stop()
            raise

    @property
    def _sockets(self) -> Path:
        return self._folder / "x11"

    def _start_server(self) -> None:
        self._folder = displays.folder(self.display)
        self._sockets.mkdir(parents=True)
        for path in (self._folder, self._sockets):
            path.chmod(0o755)
            if os.getuid() == 0:
                os.chown(path, UID, UID)
        screen = "{}x{}x24".format(*self._size)
        server = ["Xvfb", ":0", "-screen", "0", screen, "-dpi", "96", "-nolisten", "tcp", "-noreset", "-displayfd", "1"]
        self._server = self._sandboxed(server, Sandbox(LIMITS, shares={str(displays.SOCKETS): str(self._sockets)}))
        _read_line(self._server, START_TIMEOUT, "the X server")  # it prints its display's number when it is up

    def _start_guest(self) -> None:
        reads = READS | {str(displays.SOCKETS): str(self._sockets)}
        sandbox = Sandbox(LIMITS, reads=reads, files={"/etc/machine-id": "0" * 32 + "\n"})
        self._guest = self._sandboxed(["/usr/bin/python3", "-c", guest_program()], sandbox)
        response = self._request({"files": settings.files(self._size)}, START_TIMEOUT)
        if "error" in response:
            raise DesktopError(f"the desktop does not start: {response['error']}")

    def _sandboxed(self, argv: Sequence[str], sandbox: Sandbox) -> subprocess.Popen[bytes]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        return sandbox.start(argv, {}, str(self._folder), **pipes)

    def _wait_until_still(self) -> None:
        """Waits until the panel's menu is there and the picture has stopped changing. Raises DesktopError."""
        end, last, since = time.monotonic() + START_TIMEOUT, b"", 0.0
        while time.monotonic() < end:
            now = self.observe().tobytes()
            if now != last:
                last, since = now, time.monotonic()
            elif time.monotonic() - since > STILL and any(t.text == "Menu" for t in self.targets()):
                self._due = time.monotonic()
                return
            time.sleep(0.03)
        raise DesktopError(f"the desktop's picture is not still after {START_TIMEOUT:g} s")

    def stop(self) -> None:
        """Stops the desktop. No process, socket, lock or folder of it is left."""
        if self._client is not None:
            self._client.close()
        for process in (self._guest, self._server):
            if process is not None:
                process.kill()
                process.communicate()
        self._client = self._guest = self._server = None
        if self.display >= 0:
            displays.release(self.display)
            self.display = -1

    def reset(self) -> None:
        """Starts the desktop anew, in its first state."""
        self.stop()
        self.start()

    def check(self) -> None:
        """Raises DesktopError if a part of the desktop has ended or a program has crashed."""
        failures = [] if self._server is None or self._server.poll() is None else ["Xvfb ended"]
        if failures := failures + self._request({"request": "failures"}):
            raise DesktopError(f"{', '.join(failures)}; the desktop must be reset")

    # The `Desktop` protocol

    @property
    def client(self) -> XClient:
        """The connection to the X server. Raises DesktopError before `start`."""
        if self._client is None:
            raise DesktopError("the desktop is not started")
        return self._client

    @property
    def size(self) -> tuple[int, int]:
        return self._size

    @property
    def fps(self) -> float:
        return self._fps

    @property
    def pointer(self) -> tuple[float, float]:
        return self.client.pointer

    def observe(self) -> UInt8[np.ndarray, "h w 3"]:
        """The screen as it is, with the pointer. Raises DesktopError if the server has ended."""
        return rgb(self.client.grab())

    def targets(self) -> Sequence[Target]:
        """The widgets on the screen; takes about a tenth of a second."""
        return accessibility.targets(self._request({"request": "tree"}), self.client.window_titles(), self._size)

    def inject(self, events: Sequence[Event]) -> None:
        """Injects the events, then waits for the next frame's time. A late frame is not made up for.

        Raises ValueError, before anything is injected, for a key that the keyboard lacks.
        """
        self.client.check_keys(events)
        for event in events:
            self.client.inject(event)
        self._due = max(self._due + 1 / self._fps, time.monotonic())
        time.sleep(max(0.0, self._due - time.monotonic()))

    # The guest: a JSON object a line, in and out

    def _request(self, request: dict[str, Any], seconds: float = REQUEST_TIMEOUT) -> Any:
        """The guest's response. Raises DesktopError if there is none in time."""
        process = self._guest
        if process is None or process.stdin is None:
            raise DesktopError("the desktop is not started")
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        except OSError as error:
            raise DesktopError(f"the sandbox ended (code {process.poll()})") from error
        return json.loads(_read_line(process, seconds, "the desktop"))


def guest_program() -> str:
    """The source of the program that runs inside the desktop's sandbox."""
    return resources.files("neural_computer.recording.xfce").joinpath("guest.py").read_text()


def _read_line(process: subprocess.Popen[bytes], seconds: float, name: str) -> bytes:
    """The next line of a sandboxed process. Raises DesktopError if it writes none in time."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    line = process.stdout.readline() if ready else b""
    if not line:
        raise DesktopError(f"the sandbox of {name} ended" if ready else f"no response from {name} in {seconds:g} s")
    return line
