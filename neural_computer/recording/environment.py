"""Client of a served desktop: reset and step, the paper's online loop, for collecting what your policy does.

    with Environment("http://127.0.0.1:8060") as desktop:
        frame = desktop.reset(seed=0)
        frame = desktop.step([Event(0, "move", x=40, y=60), Event(0, "press", "left")])

`neural-computer serve` starts the server; `recording.environment_server` has the protocol. The client loads nothing of it.
"""

import http.client
import json
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

from neural_computer.errors import Error
from neural_computer.types import Event

Screenshot = UInt8[np.ndarray, "h w 3"]


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
        rows = [{k: v for k, v in e._asdict().items() if k != "time" and v == v and v != ""} for e in events]
        return self._screenshot("/step", {"events": rows})

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
