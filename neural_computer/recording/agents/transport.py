"""How requests reach a model: by HTTP, or replayed from a file of earlier exchanges.

A `Transport` maps a request to a response, both JSON objects. Files of exchanges contain no pictures (the recording has them) and
no keys.
"""

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neural_computer.errors import Error

Transport = Callable[[Mapping[str, Any]], Mapping[str, Any]]

TIMEOUT = 300.0
"""Seconds until a response."""
RETRY_CODES = (408, 409, 429, 500, 502, 503, 504, 529)
"""HTTP status codes after which a request is sent again."""
TRIES, FIRST_PAUSE = 4, 2.0
"""How often a request is sent at most; seconds before the second time. The pause doubles from then on."""
PICTURE_FIELDS = ("data", "image_url")
"""The vendors' names for the bytes of a picture."""


class TransportError(Error, RuntimeError):
    """A model does not respond, or not as its vendor documents. The message says who and what, and contains no key."""


@dataclass(frozen=True)
class HttpTransport:
    """Sends requests to a vendor, at `base` or VENDOR_BASE_URL of the environment, with the key in VENDOR_API_KEY.

    `{key}` in a header's value is replaced by the key.
    """

    vendor: str
    base: str
    path: str
    headers: Mapping[str, str]

    def __call__(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """The response. Raises TransportError without a key, for an error that repeats, and for one that would."""
        url = os.environ.get(f"{self.vendor}_BASE_URL", self.base).rstrip("/") + self.path
        key = os.environ.get(f"{self.vendor}_API_KEY", "").strip()
        if not key:
            raise TransportError(f"{self.vendor}_API_KEY is not set; {url} needs a key of your own")
        headers = {name: text.format(key=key) for name, text in self.headers.items()}
        post = urllib.request.Request(
            url, json.dumps(request).encode(), {"content-type": "application/json", **headers}
        )
        for pause in (*(FIRST_PAUSE * 2**trial for trial in range(TRIES - 1)), None):
            try:
                with urllib.request.urlopen(post, timeout=TIMEOUT) as response:
                    return dict(json.load(response))
            except urllib.error.HTTPError as error:
                message = error.read(2000).decode(errors="replace").replace(key, "(the key)")
                if error.code not in RETRY_CODES or pause is None:
                    raise TransportError(f"{url}: HTTP {error.code}: {message}") from error
            except (OSError, ValueError, http.client.HTTPException) as error:
                if pause is None:
                    raise TransportError(f"{url}: {error}") from error
            time.sleep(pause)
        raise AssertionError("the last trial returns or raises")


@dataclass
class LoggedTransport:
    """Sends requests by another transport and appends each exchange as a line to `path`."""

    transport: Transport
    path: Path

    def __call__(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """The other transport's response."""
        response = self.transport(request)
        with self.path.open("a") as file:
            file.write(json.dumps({"request": without_pictures(request), "answer": response}) + "\n")
        return response


@dataclass
class ReplayTransport:
    """Responds from a file of exchanges, in their order. Every request must be the one in the file, pictures apart."""

    path: Path
    _rest: Iterator[tuple[int, str]] = field(init=False)

    def __post_init__(self) -> None:
        self._rest = iter(list(enumerate(self.path.read_text().splitlines(), 1)))

    def __call__(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """The next response. Raises TransportError at the file's end, for a malformed line, and for another request."""
        number, line = next(self._rest, (0, ""))
        if not number:
            raise TransportError(f"{self.path.name}: has no more exchanges for another request")
        try:
            exchange = json.loads(line)
            expected, response = exchange["request"], exchange["answer"]
        except (ValueError, KeyError, TypeError) as error:
            raise TransportError(f"{self.path.name}:{number}: is no exchange ({error!r})") from error
        if (actual := without_pictures(request)) != expected:
            raise TransportError(f"{self.path.name}:{number}: has another request: {_difference(expected, actual)}")
        return dict(response)


def without_pictures(request: Any) -> Any:
    """A request in which the bytes of pictures are the word PICTURE."""
    if isinstance(request, Mapping):
        return {
            name: "PICTURE" if name in PICTURE_FIELDS else without_pictures(value) for name, value in request.items()
        }
    return [without_pictures(value) for value in request] if isinstance(request, list) else request


def _difference(expected: Any, actual: Any, path: str = "request") -> str:
    """The first place in which two requests differ, with both values."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for name in [*expected, *(name for name in actual if name not in expected)]:
            if expected.get(name) != actual.get(name):
                return _difference(expected.get(name), actual.get(name), f"{path}.{name}")
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for number, (first, second) in enumerate(zip(expected, actual, strict=True)):
            if first != second:
                return _difference(first, second, f"{path}[{number}]")
    return f"{path} is {str(actual)[:200]!r}, was {str(expected)[:200]!r}"
