"""What a served desktop and a live machine share: input events as JSON, and the client of a desktop behind reset and step.

    with Environment("http://127.0.0.1:8060") as desktop:
        frame = desktop.reset(seed=0)
        frame = desktop.step([Event(0, "move", x=40, y=60), Event(0, "press", "left")])

`neural-computer serve` starts the server; `recording.environment_server` has the protocol. A live machine takes the same events
(`machine.server`). Nothing of either is loaded here.
"""

import http.client
import json
import math
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

from neural_computer.actions.schema import BUTTONS, CHARACTERS, KEYS
from neural_computer.errors import Error
from neural_computer.simulators.desktop import round64
from neural_computer.types import Event

Screenshot = UInt8[np.ndarray, "h w 3"]
MAX_REQUEST = 1 << 20
"""Bytes of a request's body, at most."""


class RemoteError(Error, RuntimeError):
    """The server rejects a request, fails, or is not there; the message is the server's where it has one."""


class Environment:
    """The desktop served at `url`; a call waits `seconds` for its response. `frame` is the index of the newest frame.

    Every method raises RemoteError with what the server reports. Raises ValueError for a URL that is not http://HOST:PORT.
    """

    def __init__(self, url: str, seconds: float = 120.0):
        self.url, self.seconds, self.frame = url.rstrip("/"), seconds, -1
        parts = urllib.parse.urlsplit(self.url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"url={url!r}: must be http://HOST:PORT, as `neural-computer serve` prints it")
        self._host, self._path = parts.netloc, parts.path

    def __enter__(self) -> "Environment":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def reset(self, seed: int = 0) -> Screenshot:
        """Frame 0 of a new episode. The server keeps the recording of the previous one."""
        return self._screenshot("/reset", {"seed": seed})

    def step(self, events: Sequence[Event] = ()) -> Screenshot:
        """The next frame, which shows what `events` did. Their times are ignored: the server sets them."""
        return self._screenshot("/step", {"events": event_rows(events)})

    def close(self) -> None:
        """Ends the episode. The server keeps its recording."""
        self._post("/close", {})

    def _screenshot(self, path: str, request: Mapping[str, Any]) -> Screenshot:
        body, headers = self._post(path, request)
        width, height = map(int, headers["X-Size"].split())
        self.frame = int(headers["X-Frame"])
        return np.frombuffer(body, np.uint8).reshape(height, width, 3)

    def _post(self, path: str, request: Mapping[str, Any]) -> tuple[bytes, Mapping[str, str]]:
        """(body, headers) of the response."""
        connection = http.client.HTTPConnection(self._host, timeout=self.seconds)
        try:
            body = json.dumps(request).encode()
            connection.request("POST", self._path + path, body, {"content-type": "application/json"})
            response = connection.getresponse()
            content, headers = response.read(), dict(response.headers.items())
        except (OSError, http.client.HTTPException) as error:
            raise RemoteError(f"{self.url}: {error}; is neural-computer serve running?") from error
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise RemoteError(_reported(content) or f"{self.url}{path}: HTTP {response.status} {response.reason}")
        return content, headers


def _reported(content: bytes) -> str:
    """The error in a response's body; "" if the body is not the server's."""
    try:
        return str(json.loads(content)["error"])
    except (ValueError, TypeError, KeyError):
        return ""


def event_rows(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Events as JSON objects, of the fields that they have; their times are left out."""
    return [{k: v for k, v in e._asdict().items() if k != "time" and v == v and v != ""} for e in events]


def parse_event(row: Any, size: tuple[int, int], place: str) -> Event:
    """The event of a JSON object, on a screen of `size` (width, height).

    Raises ValueError with `place`, the field, the value and the rule.
    """
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
