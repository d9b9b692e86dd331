"""A desktop behind reset and step: the paper's online loop, for collecting what a policy of yours does.

The server is for loopback alone (`launch/serve.py`); the client is

    with Environment("http://127.0.0.1:8060") as desktop:
        frame = desktop.reset(seed=0)
        frame = desktop.step([Event(0, "move", x=40, y=60), Event(0, "press", "left")])

Over HTTP: POST /reset {"seed": 0}, POST /step {"events": [{"kind": "press", "key": "a"}, ...]} and POST /close {} answer with
the frame's bytes, RGB, and its X-Size "WIDTH HEIGHT" and X-Frame; GET /frame.png is for people. An error is {"error": ...}.

Every episode is recorded: NAME.mp4 without loss, its logs as a rig's (`recording.guiworld.logs` reads them, frame t / fps
being t's time), and NAME.tree.jsonl with what can be seen and clicked. That is for people: no answer has it.
"""

import http.client
import json
import math
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from neural_computer import media
from neural_computer.actions.schema import BUTTONS, CHARACTERS, KEYS
from neural_computer.recording.guiworld.logs import written
from neural_computer.recording.guiworld.recorder import CHECKED, Recorded
from neural_computer.simulators.desktop import Desktop, round64
from neural_computer.types import Event

Picture = UInt8[np.ndarray, "h w 3"]
Opened = Callable[[int], AbstractContextManager[Desktop]]
"""A seed to a desktop that is to be entered"""
MOST = 1 << 20
"""Bytes of a request, at most"""


class RemoteError(RuntimeError):
    """The server refuses or fails; the message is the server's."""


class Collector:
    """The desktop of the moment and its recording: `reset` begins, `step` goes on, `close` ends and keeps."""

    def __init__(self, opened: Opened, folder: Path, name: str, trees: int = 1):
        self.opened, self.folder, self.name, self.trees = opened, folder, name, trees
        self._open: AbstractContextManager[Desktop] | None = None
        self._video: Recorded | None = None
        self.picture: Picture | None = None
        folder.mkdir(parents=True, exist_ok=True)
        for partial in folder.glob(f".{name}-*.partial.*"):
            partial.unlink()

    def reset(self, seed: int = 0) -> Picture:
        """Frame 0 of a new episode; the one before is closed."""
        self.close()
        opened = self.opened(seed)
        self.desktop, self._open = opened.__enter__(), opened
        with self._whole():
            videos = self.folder.glob(f"{self.name}-*.mp4")
            number = 1 + max((int(video.stem.rsplit("-", 1)[1]) for video in videos), default=0)
            self._video = Recorded(self.folder / f"{self.name}-{number:06d}", self.desktop.fps, self.desktop.size)
            x, y = self.desktop.pointer
            self.frame, self._done = 0, written(Event(0.0, "move", x=x, y=y), -1)
            return self._seen()

    def step(self, rows: Sequence[Mapping[str, Any]]) -> Picture:
        """The next frame, after these events. Raises ValueError, nothing having been done, for what is no event here."""
        if self._open is None:
            raise ValueError("step: there is no episode; reset first")
        events = [checked(row, self.desktop.size, f"events[{n}]") for n, row in enumerate(rows)]
        with self._whole(spared=ValueError):  # the desktop takes no such event, and goes on
            self.desktop.inject(events)
        with self._whole():
            self.frame += 1
            begin, gap = (self.frame - 1) / self.desktop.fps, 1 / self.desktop.fps / (len(events) + 1)
            for n, event in enumerate(events, 1):
                self._done += written(event, round(1e9 * (begin + gap * n)))
            if self.frame % CHECKED == 0:
                self._check()
            return self._seen()

    def close(self) -> None:
        """The episode is kept. What cannot be kept, for its desktop has failed or the disk is full, is gone, and is told."""
        if self._video is None:
            return
        with self._whole():
            self._check()
            self._video.close(self._done)
        self._ended()

    @contextmanager
    def _whole(self, spared: type[Exception] | tuple[()] = ()) -> Iterator[None]:
        """An error in here that is not spared, Ctrl-C too, is the end of the episode, of which nothing stays."""
        try:
            yield
        except spared:
            raise
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        """The episode is gone."""
        video, self._video = self._video, None
        try:
            if video is not None:
                video.abandon()
        finally:
            self._ended()

    def _ended(self) -> None:
        opened, self._open, self._video = self._open, None, None
        if opened is not None:
            opened.__exit__(None, None, None)

    def _check(self) -> None:
        """Raises what a desktop that can fail has to say."""
        if check := getattr(self.desktop, "check", None):
            check()

    def _seen(self) -> Picture:
        assert self._video is not None
        picture, now = self.desktop.observe(), round(1e9 * self.frame / self.desktop.fps)
        self.picture = picture
        x, y = self.desktop.pointer
        row = {"slot": self.frame, "t": now, "t_end": now + 1, "dl": now, "px": round(x), "py": round(y)}
        self._video.add(picture, row)
        if self.frame % self.trees == 0:
            targets = [tuple(target) for target in self.desktop.targets()]
            self._video.trees.append({"frame": self.frame, "targets": targets})
        return picture


def checked(row: Any, size: tuple[int, int], place: str) -> Event:
    """An event as it came. Raises ValueError with the place, the field, the value and the rule."""
    if not isinstance(row, Mapping) or set(row) - set(Event._fields):
        raise ValueError(f"{place} = {row!r}: an object with fields of {', '.join(Event._fields)}")
    kind, key, text = row.get("kind"), row.get("key", ""), row.get("text", "")
    if kind not in ("press", "release", "move", "scroll", "text"):
        raise ValueError(f"{place}: kind = {kind!r}: one of press, release, move, scroll, text")
    if kind in ("press", "release") and key not in (*KEYS, *BUTTONS):
        raise ValueError(f"{place}: key = {key!r}: a button, a character or an X keysym of actions.schema.KEYS")
    if kind == "text" and not (isinstance(text, str) and text and set(text) <= {*CHARACTERS}):
        raise ValueError(f"{place}: text = {text!r}: characters of actions.schema.CHARACTERS")
    numbers = {name: row.get(name, math.nan if name in "xy" else 0.0) for name in ("x", "y", "dx", "dy")}
    if not all(type(value) in (int, float) for value in numbers.values()):
        raise ValueError(f"{place}: x, y, dx, dy = {list(numbers.values())}: numbers")
    if kind == "move" and not (0 <= numbers["x"] < size[0] and 0 <= numbers["y"] < size[1]):
        raise ValueError(f"{place}: x, y = {numbers['x']}, {numbers['y']}: inside {size[0]} x {size[1]}")
    if kind != "move" and not (math.isnan(numbers["x"]) and math.isnan(numbers["y"])):
        raise ValueError(f"{place}: x, y = {numbers['x']}, {numbers['y']}: only a move has a place; move there first")
    notches = abs(numbers["dx"]) + abs(numbers["dy"])
    if kind == "scroll" and not (notches in range(1, 101) and 0 in (numbers["dx"], numbers["dy"])):
        raise ValueError(f"{place}: dx, dy = {numbers['dx']}, {numbers['dy']}: 1 to 100 whole notches, one way")
    numbers |= {name: round64(numbers[name]) for name in "xy"}
    return Event(0.0, kind, key if kind in ("press", "release") else "", text, **numbers)


# The server


class Server(HTTPServer):
    """A collector on a port of loopback, 0 for any that is free; one request at a time.

    All are answered by the thread that serves: a sandbox ends with the thread that started it.
    """

    def __init__(self, collector: Collector, port: int = 0):
        super().__init__(("127.0.0.1", port), _Handler)
        self.collector = collector

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    """A request. Pages of a browser cannot ask: they would not name this host, or not send JSON."""

    timeout = 10.0
    """Seconds for a request to come in: nobody else is heard meanwhile"""
    server: Server

    def do_POST(self) -> None:
        try:
            self._answer(self._asked(self._request()))
        except ValueError as error:
            self._refuse(400, error)
        except Exception as error:  # whatever it is that the desktop failed with, the client has to know
            self._refuse(500, error)

    def do_GET(self) -> None:
        picture = self.server.collector.picture
        if self.path != "/frame.png" or picture is None or not self._here():
            return self._refuse(404, ValueError(f"{self.path}: GET has /frame.png alone, once there is an episode"))
        self._send(200, "image/png", media.png(picture), {})

    def _here(self) -> bool:
        return self.headers.get("host", "").rsplit(":", 1)[0] in ("127.0.0.1", "localhost")

    def _request(self) -> Mapping[str, Any]:
        kind = self.headers.get("content-type", "")
        if not self._here() or kind != "application/json":
            raise ValueError(f"content-type {kind!r}: must be application/json, and the host 127.0.0.1")
        length = int(self.headers.get("content-length", 0))
        if length > MOST:
            self.rfile.read(min(length, 2 * MOST))  # a client that is still sending would not hear the answer
            raise ValueError(f"request of {length} bytes: {MOST} at most")
        request = json.loads(self.rfile.read(length) or b"{}")
        if not isinstance(request, dict):
            raise ValueError("request: must be a JSON object")
        return request

    def _asked(self, request: Mapping[str, Any]) -> Picture | None:
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

    def _answer(self, picture: Picture | None) -> None:
        if picture is None:
            return self._send(200, "application/json", b"{}", {})
        height, width, _ = picture.shape
        headers = {"X-Size": f"{width} {height}", "X-Frame": str(self.server.collector.frame)}
        self._send(200, "application/octet-stream", picture.tobytes(), headers)

    def _refuse(self, code: int, error: Exception) -> None:
        said = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        self._send(code, "application/json", json.dumps({"error": said}).encode(), {})

    def _send(self, code: int, kind: str, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(code)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """A line a frame is no use to anybody."""


# The client


class Environment:
    """What is served at `url`. Every call raises RemoteError with what the server says."""

    def __init__(self, url: str, seconds: float = 120.0):
        self.url, self.seconds, self.frame = url.rstrip("/"), seconds, -1

    def __enter__(self) -> "Environment":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def reset(self, seed: int = 0) -> Picture:
        """Frame 0 of a new episode; the one before is kept."""
        return self._picture("/reset", {"seed": seed})

    def step(self, events: Sequence[Event] = ()) -> Picture:
        """The frame that shows what these did. Their times are the server's to give."""
        rows = [{k: v for k, v in e._asdict().items() if k != "time" and v == v and v != ""} for e in events]
        return self._picture("/step", {"events": rows})

    def close(self) -> None:
        """The episode's recording is kept."""
        self._ask("/close", {})

    def _picture(self, path: str, request: Mapping[str, Any]) -> Picture:
        body, headers = self._ask(path, request)
        width, height = map(int, headers["X-Size"].split())
        self.frame = int(headers["X-Frame"])
        return np.frombuffer(body, np.uint8).reshape(height, width, 3)

    def _ask(self, path: str, request: Mapping[str, Any]) -> tuple[bytes, Mapping[str, str]]:
        asked = urllib.request.Request(
            self.url + path, json.dumps(request).encode(), {"content-type": "application/json"}
        )
        try:
            with urllib.request.urlopen(asked, timeout=self.seconds) as answer:
                return answer.read(), dict(answer.headers.items())
        except urllib.error.HTTPError as error:
            raise RemoteError(json.load(error)["error"]) from error
        except (OSError, http.client.HTTPException) as error:
            raise RemoteError(f"{self.url}: {error}; is neural-computer serve running?") from error
