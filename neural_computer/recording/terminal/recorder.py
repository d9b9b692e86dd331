"""Lock-step recording: a program in a real pseudo-terminal gets one key at a time, and its screen is read once it settles.

The screen has settled when the program has written something since the key, a foreground process waits for the terminal
in read, select or poll, all input has been read and no output is pending. So a video has one frame a key at any speed of
the machine.
"""

import codecs
import contextlib
import fcntl
import math
import os
import platform
import pty
import re
import select
import signal
import struct
import subprocess
import tempfile
import termios
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from neural_computer.errors import Error
from neural_computer.recording.sandbox import UID, Sandbox
from neural_computer.screens.terminal import Cells, Screen, stack

CALLS = {
    "x86_64": {
        0: ("read", 0, ""),
        7: ("poll", 2, "ms"),
        271: ("poll", 2, "pointer"),
        23: ("select", 4, "pointer"),
        270: ("select", 4, "pointer"),
        232: ("epoll", 3, "ms"),
        281: ("epoll", 3, "ms"),
    },
    "aarch64": {
        63: ("read", 0, ""),
        73: ("poll", 2, "pointer"),
        72: ("select", 4, "pointer"),
        22: ("epoll", 3, "ms"),
    },
}
"""System calls in which a program waits for input, by machine and number: (kind, index of the argument that limits the
wait, form of that argument: "ms" or a "pointer" to seconds and a fraction, null without a limit)"""

QUIET = 0.15
"""Seconds of silence after which a program counts as waiting where the kernel does not say what a process does, or where
the wait has a limit below a second, as after an Escape, which may begin a longer sequence"""

BUFFER, FILES = 65536, 1024
"""Bytes to read at a time; highest number of file descriptors to inspect"""
CURRENT_TERMINAL = os.makedev(5, 0)
"""Device number of /dev/tty"""


class RecordingError(Error, RuntimeError):
    """The program ended, did not respond in time or wrote too much; the message has what it wrote last."""


@dataclass
class TerminalSession:
    """A program in a pseudo-terminal of `rows` x `cols`, as a context manager that kills the program at its end.

    Attributes: environment: variables beside a fixed set (TERM, LANG, an empty HOME, or a sandbox's own). deadline:
    seconds for the response to a key. silence: seconds of waiting after which a key without an echo counts as handled;
    None makes it an error. max_characters: limit of what the program writes in all.
    """

    argv: Sequence[str]
    rows: int
    cols: int
    environment: Mapping[str, str] = field(default_factory=dict)
    deadline: float = 20.0
    sandbox: Sandbox | None = None
    silence: float | None = None
    max_characters: int = 1 << 24

    def __enter__(self) -> "TerminalSession":
        self._count, self._last = 0, ""
        self._home = tempfile.TemporaryDirectory(prefix="session-", ignore_cleanup_errors=True)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._master, self._slave = pty.openpty()
        try:
            fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", self.rows, self.cols, 0, 0))
            os.set_blocking(self._master, False)
            self._terminal = os.fstat(self._slave).st_rdev
            self._child = self._start()
        except BaseException:
            self._close()
            raise
        return self

    def _start(self) -> subprocess.Popen:
        ends: dict[str, Any] = {
            "stdin": self._slave,
            "stdout": self._slave,
            "stderr": self._slave,
            "start_new_session": True,
            "preexec_fn": _as_at_a_terminal,
        }
        if self.sandbox is not None:
            if os.getuid() == 0:
                os.fchown(self._slave, UID, -1)  # else programs inside may not open /dev/stdout
            argv = ["/usr/bin/setsid", "--ctty", "--wait", *self.argv]
            return self.sandbox.start(argv, self.environment, self._home.name, **ends)
        fixed = {"TERM": "xterm-256color", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC", "INPUTRC": "/dev/null"}
        fixed |= {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": self._home.name}
        return subprocess.Popen(
            self.argv,
            cwd=self._home.name,
            env=fixed | dict(self.environment),
            **ends | {"preexec_fn": _at_its_terminal},
        )

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()
        self._close()

    def _close(self) -> None:
        os.close(self._master)
        os.close(self._slave)
        self._home.cleanup()

    @property
    def ended(self) -> bool:
        """Whether the program has ended."""
        return self._child.poll() is not None

    def press(self, keys: str) -> None:
        """Sends keys as a keyboard would; Return is "\\r". Raises RecordingError if the program reads too few of them."""
        data = keys.encode()
        try:
            sent = os.write(self._master, data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            raise RecordingError(f"{self.argv[0]}: does not read its keys; {self._end()}")

    def settle(self, ending: bool = False) -> str:
        """Output of the program until its screen settles.

        Raises RecordingError at the deadline and, unless `ending` allows it, if the program ends.
        """
        return "".join(text for _, text in self.response(ending))

    def response(self, ending: bool = False) -> list[tuple[float, str]]:
        """As `settle`, in pieces: (seconds since the call, text)."""
        pieces = list(self.follow(self.deadline))
        if self.settled or (ending and self.ended):
            return pieces
        if self.ended:
            raise RecordingError(f"{self.argv[0]}: ended with code {self._child.returncode}; {self._end()}")
        raise RecordingError(f"{self.argv[0]}: did not answer a key within {self.deadline} s; {self._end()}")

    def follow(self, seconds: float, to_the_end: bool = False) -> Iterator[tuple[float, str]]:
        """Output of the program as (seconds since the call, text), until its screen settles or `seconds` have passed.

        `to_the_end` waits for all of `seconds` in any case. Ends early if the program does. Sets `settled`.
        """
        begin, last, text = time.monotonic(), 0.0, None
        silence, self.settled = math.inf if self.silence is None else self.silence, False
        while (now := time.monotonic() - begin) < seconds and not self.ended:
            patience = 0 if text is not None else 0.002
            text = self._drain(seconds - now if to_the_end else patience)
            if text is not None:
                silence, last = 0.0, time.monotonic() - begin
                yield last, text
            elif not to_the_end and now - last >= silence and now - last >= self._pause() and not self._readable(0):
                self.settled = True
                return
        while (text := self._drain(0)) is not None:
            yield time.monotonic() - begin, text

    def _readable(self, patience: float) -> bool:
        """Whether there is output to read, within `patience` seconds."""
        return bool(select.select([self._master], [], [], patience)[0])

    def _drain(self, patience: float) -> str | None:
        """Next output, BUFFER bytes at most; waits up to `patience` seconds for it, then returns None."""
        if not self._readable(patience):
            return None
        text = self._decoder.decode(os.read(self._master, BUFFER))
        self._count += len(text)
        self._last = (self._last + text)[-2000:]
        if self._count > self.max_characters:
            raise RecordingError(f"{self.argv[0]}: wrote more than {self.max_characters} characters; {self._end()}")
        return text

    def _pause(self) -> float:
        """Seconds of silence after which the screen has settled; infinity while input is unread or a program works."""
        if _number(self._slave, termios.FIONREAD):
            return math.inf
        if platform.machine() in CALLS:
            with contextlib.suppress(PermissionError):
                return min(map(self._waits, self._foreground()), default=math.inf)
        return QUIET

    def _foreground(self) -> Iterator[int]:
        """Processes of the terminal's foreground group, the group's leader first."""
        group = _number(self._master, termios.TIOCGPGRP)
        if group:
            yield group
            yield from (process for process in _below(self._child.pid) if process != group and _group(process) == group)

    def _waits(self, process: int) -> float:
        """0 for a process that waits for the terminal, QUIET if it waits for less than a second, else infinity."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            files, long = _waits_for(process)
            for file in files:
                with contextlib.suppress(FileNotFoundError):
                    if os.stat(f"/proc/{process}/fd/{file}").st_rdev in (self._terminal, CURRENT_TERMINAL):
                        return 0.0 if long else QUIET
        return math.inf

    def _end(self) -> str:
        return f"it wrote last: {self._last[-400:]!r}"


def _number(file: int, request: int) -> int:
    """Result of an ioctl that writes one int."""
    return struct.unpack("i", fcntl.ioctl(file, request, b"\0" * 4))[0]


def _waits_for(process: int) -> tuple[list[int], bool]:
    """(descriptors that the process waits for, whether it would wait for a second); no descriptors while it works."""
    number, *rest = Path(f"/proc/{process}/syscall").read_text().split()
    kind, place, form = CALLS[platform.machine()].get(int(number), ("", 0, "")) if number.isdigit() else ("", 0, "")
    if not kind:
        return [], True
    arguments = [int(argument, 16) for argument in rest[:6]]
    first, second, limit = arguments[0], arguments[1], arguments[place]
    if form == "ms":
        long = not 0 <= limit & 0xFFFFFFFF < 1000
    else:
        long = form == "" or limit == 0 or _memory(process, limit, 8) != bytes(8)
    if kind == "read":
        files = [first]
    elif kind == "epoll":
        files = [int(f) for f in re.findall(r"tfd:\s*(\d+)", Path(f"/proc/{process}/fdinfo/{first}").read_text())]
    elif kind == "poll":
        files = [file for file, _, _ in struct.iter_unpack("=ihh", _memory(process, first, 8 * min(second, FILES)))]
    else:
        bits = int.from_bytes(_memory(process, second, min(first, FILES) // 8 + 1), "little") if second else 0
        files = [file for file in range(min(first, FILES)) if bits >> file & 1]
    return files, long


def _memory(process: int, address: int, size: int) -> bytes:
    """`size` bytes of a process's memory; empty if they cannot be read any more."""
    with open(f"/proc/{process}/mem", "rb", buffering=0) as memory:
        try:
            data = os.pread(memory.fileno(), size, address)
        except (OSError, OverflowError):
            return b""
    return data if len(data) == size else b""


def _group(process: int) -> int:
    try:
        return os.getpgid(process)
    except ProcessLookupError:
        return 0


def _below(process: int) -> Iterator[int]:
    """All descendants of a process."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return
    for child in map(int, children):
        yield child
        yield from _below(child)


def record(session: TerminalSession, keys: Iterable[str]) -> Cells:
    """Screens of a session, (1 + keys) of them: after its start and after every key, each settled."""
    screen = Screen(session.rows, session.cols)
    with session:
        screen.feed(session.settle())
        screens = [screen.cells()]
        for key in keys:
            session.press(key)
            screen.feed(session.settle())
            screens.append(screen.cells())
    return stack(screens)


def _as_at_a_terminal() -> None:
    """In the child: Ctrl-C interrupts, though a shell that started us in the background had it ignored."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def _at_its_terminal() -> None:
    """In the child without a sandbox: its standard input controls it."""
    _as_at_a_terminal()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
