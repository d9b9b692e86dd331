"""Server of a desktop behind reset and step. It listens on loopback alone and records every episode.

Over HTTP: POST /reset {"seed": 0}, POST /step {"events": [{"kind": "press", "key": "a"}, ...]} and POST /close {} respond with
the frame's bytes, RGB, and the headers X-Size "WIDTH HEIGHT" and X-Frame; GET /frame.png is for people. An error is
{"error": ...}. `wire.Environment` is the client.

An episode is NAME.mp4 without loss, its logs as of a real desktop (`recording.guiworld.logs` reads them, frame t being at time
t / fps), and NAME.tree.jsonl with the widgets on the screen. The tree is for people: no response contains it.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from neural_computer import media
from neural_computer.recording.guiworld.logs import log_rows
from neural_computer.recording.guiworld.recorder import CHECK_EVERY, RecordingWriter
from neural_computer.simulators.desktop import Desktop
from neural_computer.types import Event
from neural_computer.wire import MAX_REQUEST, Screenshot, parse_event

OpenDesktop = Callable[[int], AbstractContextManager[Desktop]]
"""Seed -> a context manager that yields a desktop."""


class Collector:
    """Records episodes: `reset` begins one, `step` extends it, `close` finishes it and keeps its files.

    Args:
        open_desktop: opens a new desktop for a seed.
        folder, name: episodes are written as folder/name-000001.mp4 and so on.
        tree_every: frames between two rows of NAME.tree.jsonl.
    """

    def __init__(self, open_desktop: OpenDesktop, folder: Path, name: str, tree_every: int = 1):
        self.open_desktop, self.folder, self.name, self.tree_every = open_desktop, folder, name, tree_every
        self._context: AbstractContextManager[Desktop] | None = None
        self._writer: RecordingWriter | None = None
        self.screenshot: Screenshot | None = None
        folder.mkdir(parents=True, exist_ok=True)
        for partial in folder.glob(f".{name}-*.partial.*"):
            partial.unlink()

    def reset(self, seed: int = 0) -> Screenshot:
        """Frame 0 of a new episode; closes the previous one."""
        self.close()
        context = self.open_desktop(seed)
        self.desktop, self._context = context.__enter__(), context
        with self._abandoned_on_error():
            videos = self.folder.glob(f"{self.name}-*.mp4")
            number = 1 + max((int(video.stem.rsplit("-", 1)[1]) for video in videos), default=0)
            self._writer = RecordingWriter(
                self.folder / f"{self.name}-{number:06d}", self.desktop.fps, self.desktop.size
            )
            x, y = self.desktop.pointer
            self.frame, self._log = 0, log_rows(Event(0.0, "move", x=x, y=y), -1)
            return self._record_frame()

    def step(self, rows: Sequence[Mapping[str, Any]]) -> Screenshot:
        """The frame after these events. Raises ValueError, before any is injected, for a row that is no valid event."""
        if self._context is None:
            raise ValueError("step: there is no episode; reset first")
        events = [parse_event(row, self.desktop.size, f"events[{n}]") for n, row in enumerate(rows)]
        # ValueError: the desktop has no such event, injected nothing and goes on.
        with self._abandoned_on_error(except_for=ValueError):
            self.desktop.inject(events)
        with self._abandoned_on_error():
            self.frame += 1
            begin, gap = (self.frame - 1) / self.desktop.fps, 1 / self.desktop.fps / (len(events) + 1)
            for n, event in enumerate(events, 1):
                self._log += log_rows(event, round(1e9 * (begin + gap * n)))
            if self.frame % CHECK_EVERY == 0:
                self._check()
            return self._record_frame()

    def close(self) -> None:
        """Ends the episode and keeps its files. Raises, and keeps nothing, if the desktop or the disk fails."""
        if self._writer is None:
            return
        with self._abandoned_on_error():
            self._check()
            self._writer.close(self._log)
        self._close_desktop()

    def abandon(self) -> None:
        """Ends the episode and removes its files."""
        writer, self._writer = self._writer, None
        try:
            if writer is not None:
                writer.abandon()
        finally:
            self._close_desktop()

    @contextmanager
    def _abandoned_on_error(self, except_for: type[Exception] | tuple[()] = ()) -> Iterator[None]:
        """Abandons the episode on any exception, Ctrl-C included, but `except_for`."""
        try:
            yield
        except except_for:
            raise
        except BaseException:
            self.abandon()
            raise

    def _close_desktop(self) -> None:
        context, self._context, self._writer = self._context, None, None
        if context is not None:
            context.__exit__(None, None, None)

    def _check(self) -> None:
        """Raises the error of a desktop that can fail on its own."""
        if check := getattr(self.desktop, "check", None):
            check()

    def _record_frame(self) -> Screenshot:
        assert self._writer is not None
        self.screenshot, now = self.desktop.observe(), round(1e9 * self.frame / self.desktop.fps)
        x, y = self.desktop.pointer
        row = {"slot": self.frame, "t": now, "t_end": now + 1, "dl": now, "px": round(x), "py": round(y)}
        self._writer.add(self.screenshot, row)
        if self.frame % self.tree_every == 0:
            targets = [tuple(target) for target in self.desktop.targets()]
            self._writer.trees.append({"frame": self.frame, "targets": targets})
        return self.screenshot


class Server(HTTPServer):
    """Serves a collector on a port of loopback, 0 for any free one; one request at a time.

    One thread serves all requests: a sandbox ends with the thread that started it.
    """

    def __init__(self, collector: Collector, port: int = 0):
        super().__init__(("127.0.0.1", port), _Handler)
        self.collector = collector

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    """A request. Pages in a browser are rejected: they send another host name, or no JSON."""

    timeout = 10.0
    """Seconds for a request to arrive: no other request is served meanwhile."""
    server: Server

    def do_POST(self) -> None:
        try:
            self._send_screenshot(self._collect(self._request()))
        except ValueError as error:
            self._reject(400, error)
        except Exception as error:  # the client has to learn of any failure of the desktop
            self._reject(500, error)

    def do_GET(self) -> None:
        screenshot = self.server.collector.screenshot
        if self.path != "/frame.png" or screenshot is None or not self._is_local():
            return self._reject(404, ValueError(f"{self.path}: GET has /frame.png alone, once there is an episode"))
        self._send(200, "image/png", media.png(screenshot), {})

    def _is_local(self) -> bool:
        return self.headers.get("host", "").rsplit(":", 1)[0] in ("127.0.0.1", "localhost")

    def _request(self) -> Mapping[str, Any]:
        kind = self.headers.get("content-type", "")
        if not self._is_local() or kind != "application/json":
            raise ValueError(f"content-type {kind!r}: must be application/json, and the host 127.0.0.1")
        length = int(self.headers.get("content-length", 0))
        if length > MAX_REQUEST:
            self.rfile.read(min(length, 2 * MAX_REQUEST))  # a client that is still sending would miss the response
            raise ValueError(f"request of {length} bytes: {MAX_REQUEST} at most")
        request = json.loads(self.rfile.read(length) or b"{}")
        if not isinstance(request, dict):
            raise ValueError("request: must be a JSON object")
        return request

    def _collect(self, request: Mapping[str, Any]) -> Screenshot | None:
        """Runs the request; None where there is no frame to send."""
        collector = self.server.collector
        if self.path == "/reset":
            seed = request.get("seed", 0)
            if type(seed) is not int or not 0 <= seed < 2**63:
                raise ValueError(f"seed = {seed!r}: a whole number that is not negative")
            return collector.reset(seed)
        if self.path == "/step":
            events = request.get("events", [])
            if not isinstance(events, list):
                raise ValueError(f"events = {events!r}: a list")
            return collector.step(events)
        if self.path == "/close":
            collector.close()
            return None
        raise ValueError(f"{self.path}: POST has /reset, /step and /close")

    def _send_screenshot(self, screenshot: Screenshot | None) -> None:
        if screenshot is None:
            return self._send(200, "application/json", b"{}", {})
        height, width, _ = screenshot.shape
        headers = {"X-Size": f"{width} {height}", "X-Frame": str(self.server.collector.frame)}
        self._send(200, "application/octet-stream", screenshot.tobytes(), headers)

    def _reject(self, code: int, error: Exception) -> None:
        message = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        self._send(code, "application/json", json.dumps({"error": message}).encode(), {})

    def _send(self, code: int, kind: str, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(code)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Prints nothing: a line a frame helps nobody."""
