"""Lock-step recording: a program in a real pseudo-terminal gets a key, its screen settles, a snapshot is taken.

The screen has settled when something was written since the key, the program waits in read, select or poll, it has read
all its input, and nothing more is on the way. So a film has one frame a key, whatever the speed of the machine.
"""

import codecs
import contextlib
import fcntl
import os
import platform
import pty
import select
import signal
import struct
import subprocess
import tempfile
import termios
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from neural_computer.data.cli.terminal import Cells, Screen, stack

WAITING = {
    "x86_64": {0, 7, 23, 232, 270, 271, 281},  # read poll select epoll_wait pselect6 ppoll epoll_pwait
    "aarch64": {22, 63, 72, 73},  # epoll_pwait read pselect6 ppoll
}
"""System calls in which a program waits for input, by machine."""

QUIET = 0.15
"""Seconds of silence that stand for "waiting" where the kernel does not tell what a process does."""


class RecordingError(RuntimeError):
    """The program ended or did not answer in time; the message has its last screen."""


@dataclass
class Session:
    """A program in a pseudo-terminal of `rows` x `cols`, as a context manager; the program is killed at the end.

    It sees a fixed environment (TERM, LANG, an empty HOME) and `environment`; `deadline` is in seconds, for each key.
    """

    argv: Sequence[str]
    rows: int
    cols: int
    environment: Mapping[str, str] = field(default_factory=dict)
    deadline: float = 20.0

    def __enter__(self) -> "Session":
        self.screen = Screen(self.rows, self.cols)
        self._home = tempfile.TemporaryDirectory(prefix="session-", ignore_cleanup_errors=True)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._master, self._slave = pty.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", self.rows, self.cols, 0, 0))
        os.set_blocking(self._master, False)
        fixed = {"TERM": "xterm-256color", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC", "INPUTRC": "/dev/null"}
        fixed |= {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": self._home.name}
        self._child = subprocess.Popen(
            self.argv,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            cwd=self._home.name,
            env=fixed | dict(self.environment),
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()
        os.close(self._master)
        os.close(self._slave)
        self._home.cleanup()

    def press(self, keys: str) -> None:
        """Sends keys as a keyboard would; Return is "\\r"."""
        os.write(self._master, keys.encode())

    def settle(self) -> Cells:
        """The screen once the program has answered. Raises RecordingError at the deadline or if the program ended."""
        end = time.monotonic() + self.deadline
        heard = False
        while time.monotonic() < end:
            heard |= self._drain(0.002)
            if heard and self._waits() and not self._drain(0):
                return self.screen.cells()
            if self._child.poll() is not None:
                raise RecordingError(f"{self.argv[0]}: ended with code {self._child.returncode}; {self._last()}")
        raise RecordingError(f"{self.argv[0]}: did not answer a key within {self.deadline} s; {self._last()}")

    def _drain(self, patience: float) -> bool:
        """Feeds the screen with all that was written; waits up to `patience` seconds for a first byte."""
        heard = False
        while select.select([self._master], [], [], patience)[0]:
            try:
                data = os.read(self._master, 65536)
            except BlockingIOError:
                break
            self.screen.feed(self._decoder.decode(data))
            heard, patience = True, 0
        return heard

    def _waits(self) -> bool:
        """Has the program read all its input, and does it wait for more?"""
        unread = struct.unpack("i", fcntl.ioctl(self._slave, termios.FIONREAD, b"\0" * 4))[0]
        if unread:
            return False
        calls = WAITING.get(platform.machine())
        try:
            call = Path(f"/proc/{self._child.pid}/syscall").read_text().split()[0]
        except OSError:
            calls = None
        if calls is None:
            return not self._drain(QUIET)
        return call.isdigit() and int(call) in calls

    def _last(self) -> str:
        return f"its last screen: {self.screen.cells().text()!r}"


def record(session: Session, keys: Iterable[str]) -> Cells:
    """The screens of a session: settled after its start, then after every key."""
    with session:
        screens = [session.settle()]
        for key in keys:
            session.press(key)
            screens.append(session.settle())
    return stack(screens)
