"""What goes over a live machine's socket, and its limits.

A client sends JSON texts: hello first, then events, control and ack. It gets JSON texts (welcome, queued, applied, done ...) and,
for every frame that it keeps up with, one binary message: uint32 (little-endian) length of a JSON header, the header, the
machine's screen and the true one as PNG. A screen of 0 bytes is the same as before.

Events are numbered by their sender: those of a message have the numbers id, id + 1, .... `queued` says which were accepted,
`applied` which ones frame n is the first to show. An event that was accepted is applied, once, or named in `cancelled` by a
reset; none is dropped in silence.
"""

import json
import struct
import time
from dataclasses import dataclass, field
from typing import Any

from neural_computer.errors import Error
from neural_computer.types import Event
from neural_computer.wire import parse_event

MESSAGE_BYTES = 1 << 16
EVENTS = 512
"""Events of a message at most"""
RATE, BURST = 200.0, 600.0
"""Messages a second, and at once"""
IN_FLIGHT = 2
"""Frames that a client may leave unacknowledged"""
NOTICES = 4096
"""Texts that may wait for a client before it is given up"""
HELLO_SECONDS = 10.0
STALL_SECONDS = 30.0
"""For which a client may take nothing of what it is sent"""
SEED_MOST = 2**31
CONTROLS = ("reset", "pause", "resume", "step", "back", "save", "open", "record", "stop_recording")
HEAD = struct.Struct("<I")


class ProtocolError(Error, ValueError):
    """A message that is none; it changes nothing."""


@dataclass(frozen=True)
class Message:
    """A message of a client, checked. `fields` are those of its type."""

    type: str
    id: int = 0
    fields: dict[str, Any] = field(default_factory=dict)


def parse(text: Any, size: tuple[int, int]) -> Message:
    """The message in a text, for a screen of `size` (width, height). Raises ProtocolError with the field and the rule."""
    if not isinstance(text, str):
        raise ProtocolError("message: must be a JSON text")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"message: is no JSON ({error})") from error
    if not isinstance(data, dict):
        raise ProtocolError("message: must be a JSON object")
    kind, id = data.get("type"), data.get("id", 0)
    if type(id) is not int or not 0 <= id < 2**52:
        raise ProtocolError(f"id={str(id)[:40]}: must be a whole number that is not negative")
    if kind == "hello":
        keep, paused = data.get("keep", True) is not False, data.get("paused", False) is True
        return Message("hello", id, {"session": str(data.get("session", ""))[:16], "keep": keep, "paused": paused})
    if kind == "ack":
        return Message("ack", id, {"frame": _whole(data, "frame", 0, 2**52)})
    if kind == "events":
        return Message("events", id, {"events": _events(data, size)})
    if kind == "control":
        return Message("control", id, _control(data))
    raise ProtocolError(f"type={str(kind)[:40]!r}: unknown; one of hello, events, control, ack")


def _events(data: dict[str, Any], size: tuple[int, int]) -> list[Event]:
    rows = data.get("events")
    if not isinstance(rows, list) or not 1 <= len(rows) <= EVENTS:
        raise ProtocolError(f"events: must be a list of 1 to {EVENTS}")
    try:
        return [parse_event(row, size, f"events[{n}]") for n, row in enumerate(rows)]
    except (ValueError, TypeError) as error:
        raise ProtocolError(str(error)[:300]) from error


def _control(data: dict[str, Any]) -> dict[str, Any]:
    do = data.get("do")
    if do not in CONTROLS:
        raise ProtocolError(f"do={str(do)[:40]!r}: unknown; one of {', '.join(CONTROLS)}")
    fields: dict[str, Any] = {"do": do}
    if do == "reset":
        fields["seed"] = _whole(data, "seed", 0, SEED_MOST) if "seed" in data else None
    elif do == "step":
        fields |= {"frames": _whole(data, "frames", 0, 10_000, 1), "drain": data.get("drain") is True}
    elif do == "back":
        fields["frames"] = _whole(data, "frames", 1, 100_000, 1)
    elif do in ("save", "open"):
        fields["name"] = str(data.get("name", ""))[:64]
    return fields


def _whole(data: dict[str, Any], name: str, least: int, most: int, default: int | None = None) -> int:
    value = data.get(name, default)
    if type(value) is not int or not least <= value < most:
        raise ProtocolError(f"{name}={str(value)[:40]}: must be a whole number from {least} to {most - 1}")
    return value


def pack(header: dict[str, Any], *payloads: bytes) -> bytes:
    """A binary message."""
    head = json.dumps(header, separators=(",", ":")).encode()
    return b"".join((HEAD.pack(len(head)), head, *payloads))


def unpack(data: bytes) -> tuple[dict[str, Any], bytes]:
    """(header, what follows it) of a binary message."""
    (length,) = HEAD.unpack_from(data)
    return json.loads(data[HEAD.size : HEAD.size + length]), data[HEAD.size + length :]


@dataclass
class Bucket:
    """Lets through RATE messages a second, BURST at once."""

    rate: float = RATE
    burst: float = BURST

    def __post_init__(self) -> None:
        self._left, self._then = self.burst, time.monotonic()

    def take(self) -> bool:
        """Whether one more may pass now."""
        now = time.monotonic()
        self._left, self._then = min(self.burst, self._left + self.rate * (now - self._then)), now
        if self._left < 1:
            return False
        self._left -= 1
        return True
