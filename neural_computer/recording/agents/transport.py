"""How a model is asked: by HTTP, or out of a file that holds what was asked and answered before.

An `Ask` takes a request and gives the answer, both JSON. What an exchange leaves in a file is without its pictures (they
are the recording's) and without keys.
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

Ask = Callable[[Mapping[str, Any]], Mapping[str, Any]]

PATIENCE = 300.0
"""Seconds for an answer"""
AGAIN = (408, 409, 429, 500, 502, 503, 504, 529)
"""Codes after which it is asked again, `TRIES` times in all, after pauses that double from the first"""
TRIES, FIRST = 4, 2.0
PICTURES = ("data", "image_url")
"""What either vendor calls a picture's bytes"""


class WireError(RuntimeError):
    """A model does not answer, or answers what was not asked; the message says who and what, never a key."""


@dataclass(frozen=True)
class Http:
    """Asks a vendor: with the key in the environment's VENDOR_API_KEY, at `base` or where VENDOR_BASE_URL says.

    `headers` have {key} where the key goes.
    """

    vendor: str
    base: str
    path: str
    headers: Mapping[str, str]

    def __call__(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Raises WireError."""
        url = os.environ.get(f"{self.vendor}_BASE_URL", self.base).rstrip("/") + self.path
        key = os.environ.get(f"{self.vendor}_API_KEY", "").strip()
        if not key:
            raise WireError(f"{self.vendor}_API_KEY is not set; {url} is asked with a key of your own")
        headers = {name: text.format(key=key) for name, text in self.headers.items()}
        asked = urllib.request.Request(
            url, json.dumps(request).encode(), {"content-type": "application/json", **headers}
        )
        for pause in (*(FIRST * 2**trial for trial in range(TRIES - 1)), None):
            try:
                with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:
                    return dict(json.load(answer))
            except urllib.error.HTTPError as error:
                said = error.read(2000).decode(errors="replace").replace(key, "(the key)")
                if error.code not in AGAIN or pause is None:
                    raise WireError(f"{url}: answers {error.code}: {said}") from error
            except (OSError, ValueError, http.client.HTTPException) as error:
                if pause is None:
                    raise WireError(f"{url}: {error}") from error
            time.sleep(pause)
        raise AssertionError("the last trial returns or raises")


@dataclass
class Written:
    """Asks another and writes down what was said, an exchange a line of `path`."""

    ask: Ask
    path: Path

    def __call__(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        answer = self.ask(request)
        with self.path.open("a") as file:
            file.write(json.dumps({"request": blind(request), "answer": answer}) + "\n")
        return answer


@dataclass
class Replayed:
    """Answers out of a file of exchanges, in their order; what is asked must be what was asked then."""

    path: Path
    _rest: Iterator[tuple[int, str]] = field(init=False)

    def __post_init__(self) -> None:
        self._rest = iter(list(enumerate(self.path.read_text().splitlines(), 1)))

    def __call__(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Raises WireError where the file ends, is none, or has another request."""
        number, line = next(self._rest, (0, ""))
        if not number:
            raise WireError(f"{self.path.name}: has no more exchanges, and more is asked")
        try:
            exchange = json.loads(line)
            written, answer = exchange["request"], exchange["answer"]
        except (ValueError, KeyError, TypeError) as error:
            raise WireError(f"{self.path.name}:{number}: is no exchange ({error!r})") from error
        if (asked := blind(request)) != written:
            raise WireError(f"{self.path.name}:{number}: another request was written down: {_apart(written, asked)}")
        return dict(answer)


def blind(request: Any) -> Any:
    """A request without its pictures."""
    if isinstance(request, Mapping):
        return {name: "PICTURE" if name in PICTURES else blind(value) for name, value in request.items()}
    return [blind(value) for value in request] if isinstance(request, list) else request


def _apart(one: Any, other: Any, path: str = "request") -> str:
    """Where two requests differ first."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in [*one, *(name for name in other if name not in one)]:
            if one.get(name) != other.get(name):
                return _apart(one.get(name), other.get(name), f"{path}.{name}")
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (first, second) in enumerate(zip(one, other, strict=True)):
            if first != second:
                return _apart(first, second, f"{path}[{number}]")
    return f"{path} is {str(other)[:200]!r}, was {str(one)[:200]!r}"
