"""Replays untrusted recordings in a child process with CPU and memory limits; a bad recording can only kill the child.

The emulator is native code: it aborts its process when memory runs out, and some output keeps it busy for hours.
"""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import closing
from dataclasses import asdict
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from neural_computer.recording.terminal.cast import Cast, Entry
from neural_computer.recording.terminal.replay import Playing, Replay, parts
from neural_computer.screens.terminal import Cells
from neural_computer.screens.themes import Theme
from neural_computer.types import Event

ENDS = {signal.SIGPROF: "took more than its seconds of computing", signal.SIGABRT: "needed more than its memory"}


class ReplayProcess:
    """A child process that replays one recording after another, as a context manager; a child that dies is replaced.

    `memory` is in bytes, beside what the child needs to start. `seconds` is the CPU time of a part.
    """

    def __init__(self, playing: Playing = Playing(), memory: int = 2**30, seconds: float = 60.0):  # noqa: B008  # frozen
        self.playing, self.memory, self.seconds = playing, memory, seconds
        self._child: subprocess.Popen | None = None

    def __enter__(self) -> "ReplayProcess":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def replay(self, cast: Cast) -> Replay:
        """Replay of a whole recording. Raises ValueError for one that cannot be replayed, or only in several parts."""
        with closing(self.parts(cast)) as replays:
            first, more = next(replays), next(replays, None)
        if more:
            raise ValueError(f"its screens take more than {self.playing.max_bytes} bytes; it must be played in parts")
        return first

    def parts(self, cast: Cast) -> Generator[Replay, None, None]:
        """Replay of a recording in parts, nearly always one (see `replay.parts`). Raises ValueError if it fails."""
        if self._child is None:
            self._start()
        done = False
        try:
            self._pipe.send_bytes(json.dumps(_request(cast)).encode())
            while (header := json.loads(self._pipe.recv_bytes())) is not None:
                if "error" in header:
                    done = True
                    raise ValueError(header["error"])
                yield _receive(self._pipe, header)
            done = True
        except (EOFError, ConnectionError):
            code = self._child.wait() if self._child else 0
            reason = f"code {code}"
            if code < 0:
                reason = ENDS.get(signal.Signals(-code), f"ended its process by signal {-code}")
            limits = f"{self.memory >> 20} MiB, {self.seconds:g} s"
            raise ValueError(f"the emulator {reason} ({limits})") from None
        finally:
            if not done:
                self._end()

    def _start(self) -> None:
        self._pipe, theirs = Pipe()
        code = f"import sys; from {__name__} import serve; serve(int(sys.argv[1]))"
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
        # More threads would take more address space, which is limited.
        variables = {"PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        with theirs:
            self._child = subprocess.Popen(
                [sys.executable, "-c", code, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=os.environ | variables,
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        settings = {"playing": asdict(self.playing), "memory": self.memory, "seconds": self.seconds}
        self._pipe.send_bytes(json.dumps(settings).encode())

    def _end(self) -> None:
        if self._child is not None:
            self._pipe.close()
            self._child.kill()
            self._child.wait()
            self._child = None


def _request(cast: Cast) -> dict[str, Any]:
    return {name: getattr(cast, name) for name in ("cols", "rows", "entries", "meta")}


def _receive(pipe: Connection, header: dict[str, Any]) -> Replay:
    """A part: its header, then one message for each of its arrays."""
    arrays = {name: np.frombuffer(pipe.recv_bytes(), dtype).reshape(shape) for name, dtype, shape in header["arrays"]}
    return Replay(
        Cells(*(arrays[name] for name in Cells._fields)),
        arrays["index"],
        header["fps"],
        tuple(Event(*event) for event in header["events"]),
        tuple((time, name) for time, name in header["markers"]),
        header["start"],
    )


# In the child


def serve(descriptor: int) -> None:
    """Replays the recordings that come through a pipe until it is closed; its first message has the settings."""
    pipe = Connection(descriptor)
    settings = json.loads(pipe.recv_bytes())
    theme = settings["playing"].pop("theme")
    playing = Playing(**settings["playing"], theme=theme and Theme(*(_tuples(x) for x in theme.values())))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (size + settings["memory"],) * 2)
    try:
        while True:
            _play(pipe, json.loads(pipe.recv_bytes()), playing, settings["seconds"])
    except (EOFError, ConnectionError):
        return


def _play(pipe: Connection, request: dict[str, Any], playing: Playing, seconds: float) -> None:
    """Sends the parts of one recording, then null; or an error."""
    cast = Cast(**request | {"entries": tuple(Entry(*entry) for entry in request["entries"])})
    replays = parts(cast, playing)
    try:
        while True:
            signal.setitimer(signal.ITIMER_PROF, seconds)
            part = next(replays, None)
            signal.setitimer(signal.ITIMER_PROF, 0)
            if part is None:
                break
            _send(pipe, part)
    except (ValueError, MemoryError) as error:
        signal.setitimer(signal.ITIMER_PROF, 0)
        reason = "its screens need more than its memory" if isinstance(error, MemoryError) else str(error)
        pipe.send_bytes(json.dumps({"error": reason}).encode())
        return
    pipe.send_bytes(b"null")


def _send(pipe: Connection, part: Replay) -> None:
    arrays = part.screens._asdict() | {"index": part.index}
    header: dict[str, Any] = {name: getattr(part, name) for name in ("fps", "markers", "start")}
    header["events"] = [event[:4] for event in part.events]  # keys have no place on the screen
    header["arrays"] = [(name, array.dtype.str, array.shape) for name, array in arrays.items()]
    pipe.send_bytes(json.dumps(header).encode())
    for array in arrays.values():
        pipe.send_bytes(np.ascontiguousarray(array).data.cast("B"))


def _tuples(value: Any) -> Any:
    """The value with tuples in place of JSON's lists."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
