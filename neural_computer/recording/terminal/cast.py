"""Asciinema recordings: reads versions 1, 2 and 3 as one type with absolute times, writes version 2.

A strict reader rejects any violation of the format. A lenient one repairs what it can and lists every repair.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from neural_computer.screens.terminal import LARGEST, Theme

CODES = {"o": "output", "i": "input", "m": "marker", "r": "resize", "x": "exit status"}

HEADER_KEYS = (
    *("title", "timestamp", "duration", "idle_time_limit", "command", "env", "theme", "tags"),
    *("keys", "tape", "not_found"),
)
"""Keys of a header that are kept, beside its size"""

SIZE = (80, 24)
"""Default columns and rows"""

LONGEST = 2**25
"""Bytes of a file at most"""

LATEST = 1e9
"""Seconds of a recording at most; more are no seconds"""

MAX_REPAIRS = 1000
"""Repairs of a file at most; one that needs more is no recording"""


class Entry(NamedTuple):
    """One entry: `time` in seconds since the start, a code of CODES, and the text, marker, size or status."""

    time: float
    code: str
    data: str


@dataclass(frozen=True)
class Cast:
    """Recording of a terminal. Entries are in the order of their times."""

    cols: int
    rows: int
    entries: tuple[Entry, ...]
    version: int = 2
    """Version of the file that it was read from"""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """JSON values of the header, by HEADER_KEYS"""
    repairs: tuple[str, ...] = ()
    """Changes that a lenient reader made, each with its line"""


def read(path: str | Path, strict: bool = False) -> Cast:
    """Recording of a file. Raises ValueError "FILE:LINE: rule" for a file that is none or, if strict, breaks a rule."""
    path = Path(path)
    if (size := path.stat().st_size) > LONGEST:
        raise ValueError(f"{path.name}:1: has {size} bytes; recordings have at most {LONGEST}; cut it in parts")
    return parse(path.read_bytes(), path.name, strict)


def parse(data: bytes, name: str = "cast", strict: bool = False) -> Cast:
    """Recording of a file's content; errors call it `name`. Raises ValueError as `read` does."""
    return _CastReader(name, strict).cast(data)


def write(cast: Cast, path: str | Path) -> None:
    """Writes a recording as version 2, which keeps everything but its repairs."""
    header = {"version": 2, "width": cast.cols, "height": cast.rows, **cast.meta}
    lines = [json.dumps(header), *(json.dumps([e.time, e.code, e.data]) for e in cast.entries)]
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


def size_of(data: str) -> tuple[int, int]:
    """(columns, rows) of a resize such as "80x24". Raises ValueError for another text or an impossible size."""
    cols, _, rows = data.partition("x")
    if not (cols.isascii() and cols.isdigit() and rows.isascii() and rows.isdigit() and len(data) < 20):
        raise ValueError(f"{data[:20]!r} must be COLSxROWS")
    if not (1 <= int(cols) <= LARGEST and 1 <= int(rows) <= LARGEST):
        raise ValueError(f"{data}: columns and rows must be between 1 and {LARGEST}")
    return int(cols), int(rows)


class _CastReader:
    """Reads one file and collects its repairs; if strict, the first violation raises."""

    def __init__(self, name: str, strict: bool):
        self.name, self.strict = name, strict
        self.repairs: list[str] = []

    def cast(self, data: bytes) -> Cast:
        lines = self._text(data).split("\n")
        number, header = self._header(lines)
        version = header["version"]
        size = header if version != 3 else _mapping(header.get("term"))
        names = ("cols", "rows") if version == 3 else ("width", "height")
        cols, rows = (self._side(number, n, size.get(n), usual) for n, usual in zip(names, SIZE, strict=True))
        if version == 3 and "theme" in size:
            header["theme"] = size["theme"]
        if version == 3 and isinstance(size.get("type"), str):
            header["env"] = {"TERM": size["type"], **_mapping(header.get("env"))}
        meta = {key: header[key] for key in HEADER_KEYS if header.get(key) is not None}
        if "theme" in meta and not self._try(number, "theme", lambda: Theme.of(meta["theme"])):
            del meta["theme"]
        if "keys" in meta and not self._try(number, "keys", lambda: _keys(meta["keys"])):
            del meta["keys"]
        events = self._v1(header) if version == 1 else self._lines(lines, number, version)
        entries = tuple(self._timed(events, relative=version != 2))
        return Cast(cols, rows, entries, version, meta, tuple(self.repairs))

    def _repair(self, line: int, rule: str, repair: str) -> None:
        """Notes a violated rule and its repair. Raises ValueError instead if strict."""
        if self.strict:
            raise ValueError(f"{self.name}:{line}: {rule}; read leniently, {repair}")
        if len(self.repairs) == MAX_REPAIRS:
            raise ValueError(f"{self.name}:{line}: more than {MAX_REPAIRS} lines need repair; this is no recording")
        self.repairs.append(f"{line}: {rule}; {repair}")

    def _try(self, line: int, what: str, check: Callable[[], Any]) -> bool:
        """Whether a check passes; notes that the value is left out if not."""
        try:
            check()
        except ValueError as error:
            self._repair(line, f"{what}: {error}", "it is left out")
            return False
        return True

    def _text(self, data: bytes) -> str:
        if data.startswith(b"\xef\xbb\xbf"):
            self._repair(1, "begins with a byte order mark", "it is left out")
            data = data[3:]
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            self._repair(line, "is not UTF-8", "each such byte becomes U+FFFD")
            return data.decode(errors="replace")

    def _header(self, lines: list[str]) -> tuple[int, dict[str, Any]]:
        """(line, header). Raises ValueError if the file has none."""
        first = next((i for i, line in enumerate(lines) if line.strip() and not line.startswith("#")), 0)
        header = _json(lines[first])
        if header is None or _mapping(header).get("version") == 1:
            header = _json("\n".join(lines[first:]))
        version = _mapping(header).get("version")
        if type(version) is not int or version not in (1, 2, 3):
            raise ValueError(f"{self.name}:{first + 1}: must be an asciinema header with version 1, 2 or 3")
        return first + 1, _mapping(header)

    def _side(self, line: int, name: str, value: Any, usual: int) -> int:
        """Number of columns or rows. Raises ValueError for one outside 1 to LARGEST."""
        if type(value) is int and 1 <= value <= LARGEST:
            return value
        number = _number(value)
        if number is not None and number == int(number) and 1 <= number <= LARGEST:
            self._repair(line, f"{name}={value!r} must be an integer", "it is made one")
            return int(number)
        if value in (None, 0):
            self._repair(line, f"{name} is {'missing' if value is None else 0}", f"it becomes {usual}")
            return usual
        raise ValueError(f"{self.name}:{line}: {name}={str(value)[:40]} must be between 1 and {LARGEST}")

    def _v1(self, header: Mapping[str, Any]) -> Iterator[tuple[int, list[Any]]]:
        """Output of version 1 as events of version 3, numbered from one."""
        stdout = header.get("stdout")
        if not isinstance(stdout, list):
            raise ValueError(f"{self.name}:1: stdout must be a list of [delay, text]; it is missing or something else")
        for number, event in enumerate(stdout, 1):
            if isinstance(event, list) and event:
                yield number, [event[0], "o", *event[1:]]
            else:
                self._repair(number, "stdout: must hold [delay, text]", "it is left out")

    def _lines(self, lines: list[str], header: int, version: int) -> Iterator[tuple[int, list[Any]]]:
        """(line, event) after the header."""
        for number, line in enumerate(lines[header:], header + 1):
            if not line.strip() or (version == 3 and line.startswith("#")):
                continue
            event = _json(line)
            if isinstance(event, list) and event:
                yield number, event
            else:
                self._repair(number, "must be [time, code, data]", "the line is left out")

    def _timed(self, events: Iterator[tuple[int, list[Any]]], relative: bool) -> Iterator[Entry]:
        """Events as entries with absolute times. A step back in time becomes no time; later intervals are kept."""
        now, ahead = 0.0, 0.0  # `ahead` of the file's clock by the sum of its steps back
        for line, (value, *rest) in events:
            time = _number(value)
            if time is None:
                self._repair(line, f"time {str(value)[:40]} must be a number", "no time passes")
            elif isinstance(value, str):
                self._repair(line, f"time {value[:40]!r} must be a number", "it is read as one")
            then = now if time is None else now + time if relative else time + ahead
            if then < now:
                self._repair(line, f"time goes back by {now - then:.6g} s", "no time passes")
                ahead, then = ahead + now - then, now
            now = then
            if now > LATEST:
                raise ValueError(f"{self.name}:{line}: lasts more than {LATEST:.0e} s; its times are no seconds")
            if entry := self._entry(line, now, rest):
                yield entry

    def _entry(self, line: int, time: float, rest: list[Any]) -> Entry | None:
        if len(rest) > 2:
            self._repair(line, "has more than three parts", "those are left out")
        code, data = rest[:2] if len(rest) >= 2 else (None, None)
        if not isinstance(code, str) or code not in CODES or not isinstance(data, str):
            rule = f"must be [time, code, text] with a code of {', '.join(CODES)}"
            self._repair(line, rule, "the line is left out")
            return None
        if not data.isascii() and any("\ud800" <= char <= "\udfff" for char in data):
            self._repair(line, "holds half a surrogate pair", "it becomes U+FFFD")
            data = "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in data)
        if code == "r" and not self._try(line, "resize", lambda: size_of(data)):
            return None
        return Entry(time, code, data)


def _keys(value: Any) -> None:
    """Raises ValueError unless the value is a list of [time, name]."""
    for pair in value if isinstance(value, list) else [value]:
        if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[1], str)):
            raise ValueError("must be a list of [time, name]")
        time = _number(pair[0])
        if time is None or isinstance(pair[0], str) or not 0 <= time <= LATEST:
            raise ValueError(f"time {str(pair[0])[:40]} must be a number of seconds")


def _json(text: str) -> Any:
    """Value of a JSON text; None for invalid JSON, NaN and infinities included."""
    try:
        return json.loads(text, parse_constant=_reject)
    except (ValueError, RecursionError):
        return None


def _reject(constant: str) -> None:
    raise ValueError(constant)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    """Value of a finite number or of a string of one; None for anything else, booleans included."""
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
