"""A live machine from Python, for policies and tests: reset, step, frames.

    with nc.connect("http://127.0.0.1:8070/?token=...") as machine:      # the link that `neural-computer live` prints
        frame = machine.reset()
        frame = machine.type("12+7<Return>")
        frame = machine.step([Event(0, "press", "a")])
        for frame in machine.frames(30): ...                             # in real time

`connect` takes the address of `neural-computer serve` too; reset, step and close are the same there.
"""

import json
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import Any

from neural_computer import media
from neural_computer.data.events import typed
from neural_computer.machine import protocol
from neural_computer.types import Event
from neural_computer.wire import Environment, RemoteError, Screenshot, event_rows

MOST_BYTES = 1 << 26
"""Of a message from the server"""


class Connection:
    """A session on a live machine. A call waits `seconds` for its response.

    It stands still between calls of `step` and `type`, and runs while `frames` is read. Every method raises RemoteError with
    what the server reports.
    """

    def __init__(self, url: str, seconds: float = 120.0, session: str = "", keep: bool = False):
        """`session` is one that was there before. A session ends with its connection unless it is to be kept."""
        try:
            from websockets.exceptions import WebSocketException
            from websockets.sync.client import connect
        except ModuleNotFoundError as error:
            raise RemoteError(f"{error.name}: is not installed; pip install 'neural-computer[live]'") from error

        self.url, self.seconds, self._lost, self._open = url, seconds, WebSocketException, ExitStack()
        parts = urllib.parse.urlsplit(url)
        token = urllib.parse.parse_qs(parts.query).get("token", [""])[0]
        if parts.scheme != "http" or not parts.hostname or not token:
            raise ValueError(f"url={url!r}: must be http://HOST:PORT/?token=..., as `neural-computer live` prints it")
        address = f"ws://{parts.netloc}/socket?token={urllib.parse.quote(token)}"
        try:
            self._socket = self._open.enter_context(
                connect(address, open_timeout=seconds, max_size=MOST_BYTES, compression=None)
            )
        except (OSError, WebSocketException) as error:
            raise RemoteError(f"{url}: {error}; is neural-computer live running, and the link its newest?") from error
        self.frame, self.screen, self.truth = -1, None, None
        self.header: dict[str, Any] = {}
        self.applied: dict[int, int] = {}
        """Number of an event -> the frame that shows it first"""
        self.ignored: dict[int, str] = {}
        """Number of an event -> why the machine has none such"""
        self._next, self._seen = 0, 0
        self._post({"type": "hello", "session": session, "keep": keep, "paused": True})
        self.welcome = self._await("welcome")
        self.session: str = self.welcome["session"]

    screen: Screenshot | None
    """The machine's newest screen"""
    truth: Screenshot | None
    """The true machine's"""

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def reset(self, seed: int = 0) -> Screenshot:
        """Frame 0 of a machine that begins anew."""
        return self._shown(self._control("reset", seed=seed))

    def step(self, events: Sequence[Event] = ()) -> Screenshot:
        """The frame that shows what `events` did; their times are ignored. A terminal takes a frame a key."""
        self.send(events)
        return self._shown(self._control("step", frames=0 if events else 1, drain=True))

    def type(self, keys: str) -> Screenshot:
        """The frame after keys typed one a frame, as in "12+7<Return>"."""
        return self.step(typed(keys, 1.0)[0])

    def back(self, frames: int) -> Screenshot:
        """The screen of so many frames ago, from which the machine goes on."""
        return self._shown(self._control("back", frames=frames))

    def frames(self, count: int) -> Iterator[Screenshot]:
        """Yields the next `count` frames that arrive, while the machine runs at its own pace."""
        self._control("resume")
        try:
            for _ in range(count):
                seen = self._seen
                while self._seen == seen:
                    self._take()
                assert self.screen is not None
                yield self.screen
        finally:
            self._control("pause")

    def send(self, events: Sequence[Event]) -> list[int]:
        """Queues events and returns their numbers, without waiting for what they do."""
        numbers = list(range(self._next, self._next + len(events)))
        for first in range(0, len(events), protocol.EVENTS):
            part = events[first : first + protocol.EVENTS]
            self._post({"type": "events", "id": self._next + first, "events": event_rows(part)})
        self._next += len(events)
        return numbers

    def save(self, name: str) -> None:
        """Saves the session by name on the server."""
        self._control("save", name=name)

    def open(self, name: str) -> Screenshot:
        """The screen of a saved session, from which the machine goes on."""
        return self._shown(self._control("open", name=name))

    def close(self) -> None:
        """Ends the connection, and the session unless it is kept."""
        self._open.close()

    def _control(self, do: str, **fields: Any) -> dict[str, Any]:
        id, self._next = self._next, self._next + 1
        self._post({"type": "control", "id": id, "do": do, **fields})
        return self._await("done", id)

    def _shown(self, done: dict[str, Any]) -> Screenshot:
        """The screen once the frame that `done` names is here."""
        while self._seen < done["number"]:
            self._take()
        assert self.screen is not None
        return self.screen

    def _await(self, kind: str, id: int | None = None) -> dict[str, Any]:
        while True:
            message = self._take()
            if message.get("type") == kind and id in (None, message.get("id")):
                return message

    def _take(self) -> dict[str, Any]:
        """The next message, after its frame or receipts are noted."""
        try:
            data = self._socket.recv(self.seconds)
        except (OSError, TimeoutError, self._lost) as error:
            raise RemoteError(f"{self.url}: {str(error) or 'no response came in time'}") from error
        if isinstance(data, bytes):
            self._show(*protocol.unpack(data))
            return self.header
        message: dict[str, Any] = json.loads(data)
        if message["type"] in ("error", "full", "rejected", "stopped", "starting"):
            raise RemoteError(message.get("error") or "the machine is starting; try again in a moment")
        if message["type"] == "applied":
            self.applied |= dict.fromkeys(message["ids"], message["frame"])
        if message["type"] == "queued":
            self.ignored |= {each["id"]: each["reason"] for each in message["ignored"]}
        return message

    def _show(self, header: dict[str, Any], payload: bytes) -> None:
        screen, truth = payload[: header["screen"]], payload[header["screen"] :]
        self.screen = media.from_png(screen) if screen else self.screen
        self.truth = media.from_png(truth) if truth else self.truth
        self.header, self.frame, self._seen = header, header["frame"], header["number"]
        self._post({"type": "ack", "frame": header["sent"]})

    def _post(self, message: dict[str, Any]) -> None:
        # Where the connection is gone, what comes last on it says why: `_take` reports it.
        with suppress(OSError, self._lost):
            self._socket.send(json.dumps(message))


def connect(url: str, seconds: float = 120.0) -> Connection | Environment:
    """A session on the live machine, or the desktop, that is served at `url`; a call waits `seconds` for its response."""
    if "token=" in url:
        return Connection(url, seconds)
    return Environment(url, seconds)
