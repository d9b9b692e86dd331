"""Redacts recordings: masks secrets and personal strings in screens, before anything is drawn, in texts and in keys.

Text is read from the screen, so output in pieces, in colours or over several rows is read as a viewer sees it. A string
that is detected once, on any screen or among the keys, is masked wherever the recording shows it, in part or whole.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from neural_computer.recording.cligen.secret_patterns import MARK, PROMPT, environment, find, key_blocks
from neural_computer.recording.terminal.replay import Replay
from neural_computer.screens.terminal import WIDE_TAIL, Cells
from neural_computer.types import Event

LONGEST = 4000
"""Characters of joined rows at most: a screen full of text is no single line"""
STRETCH = 8
"""Length of the parts of a secret that are masked wherever they are: a window may cut the secret"""
PREFIX = 3
"""Characters of a secret's beginning that are masked left of the cursor, where it is being typed"""
SECRET_KINDS = ("key", "token", "password", "private key")
NAME_KINDS = ("user", "host", "home")

Span = tuple[int, int]


@dataclass(frozen=True)
class Rules:
    """When a recording is rejected instead of masked."""

    kinds: tuple[str, ...] = ("private key",)
    max_strings: int = 60
    """Distinct masked strings at most"""


def rejection(counts: Mapping[str, int], rules: Rules = Rules()) -> str | None:  # noqa: B008  # frozen
    """Reason to reject a recording with these numbers of masked strings by kind, or None."""
    for kind in rules.kinds:
        if counts.get(kind):
            return f"holds a {kind}: recordings with one are rejected whole"
    total = sum(counts.values())
    return f"{total} different strings are masked, more than {rules.max_strings}" if total > rules.max_strings else None


@dataclass(frozen=True)
class Secrets:
    """Secret and personal strings of one recording: {string: kind}."""

    strings: Mapping[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> Counter[str]:
        """Number of distinct strings of each kind."""
        return Counter(self.strings.values())

    def spans(self, text: str) -> list[Span]:
        """(start, stop) of the parts of a line to mask; they may overlap."""
        spans = [(finding.start, finding.stop) for finding in find(text)]
        if self.strings:
            spans += [match.span() for match in self._literal.finditer(text)]
            spans += [(i, i + STRETCH) for i in range(len(text) - STRETCH + 1) if text[i : i + STRETCH] in self._grams]
        return spans

    def mask(self, text: str) -> str:
        """The text with every secret masked, character by character."""
        return "\n".join(_mask_spans(line, self.spans(line)) for line in text.split("\n"))

    def prefix_at_end(self, text: str) -> int:
        """Number of characters at the end of `text` that are the beginning of a secret."""
        return max((k for s in self._secrets for k in range(PREFIX, len(s)) if text.endswith(s[:k])), default=0)

    def suffix_at_start(self, text: str) -> int:
        """Number of characters at the start of `text` that are the end of a secret whose beginning has left the screen."""
        return max((k for s in self._secrets for k in range(PREFIX, len(s)) if text.startswith(s[-k:])), default=0)

    @cached_property
    def _secrets(self) -> list[str]:
        return [text for text, kind in self.strings.items() if kind in SECRET_KINDS]

    @cached_property
    def _grams(self) -> frozenset[str]:
        return frozenset(s[i : i + STRETCH] for s in self._secrets for i in range(len(s) - STRETCH + 1))

    @cached_property
    def _literal(self) -> re.Pattern[str]:
        """Pattern of all strings; a name or a short string matches only as a word of its own."""
        inside = [s for s, kind in self.strings.items() if kind not in NAME_KINDS and len(s) >= STRETCH]
        words = [s for s in self.strings if s not in set(inside) and len(s) >= 3]
        parts = [re.escape(s) for s in sorted(inside, key=len, reverse=True)]
        parts += [rf"(?<![\w-]){re.escape(s)}(?![\w-])" for s in sorted(words, key=len, reverse=True)]
        return re.compile("|".join(parts) or r"(?!)")


def redact(replay: Replay, meta: Mapping[str, Any] | None = None) -> tuple[Replay, Counter[str]]:
    """(recording with all secrets masked, number of distinct strings of each kind)."""
    secrets = search(replay, meta or {})
    return mask(replay, secrets), secrets.counts


# Searching


def search(replay: Replay, meta: Mapping[str, Any]) -> Secrets:
    """Secret and personal strings of a recording: on its screens, among its keys, and in its header `meta`."""
    strings = environment(meta)
    lines: dict[str, None] = {}
    for screen in _each(replay.screens):
        page = _page(screen)
        lines |= dict.fromkeys(line.text for line in page)
        rows = [line.text for line in page if line.single]
        strings |= {row: "private key" for r in key_blocks(rows, strings) if (row := rows[r].strip())}
    typed = inputs(replay.events)
    strings |= {s.text: "password" for s in typed if len(s.text) > 3 and _at_password_prompt(replay, s)}
    lines |= dict.fromkeys([*(s.text for s in typed), *_strings(meta)])
    for line in lines:
        for finding in find(line):
            strings.setdefault(line[finding.start : finding.stop], finding.kind)
    return Secrets(strings)


class Line(NamedTuple):
    """A row of a screen (`single`), or joined rows, and the index of each character's cell."""

    text: str
    cells: np.ndarray
    single: bool


def _each(screens: Cells) -> Iterator[Cells]:
    return (Cells(*(x[i] for x in screens)) for i in range(len(screens.chars)))


def _page(screen: Cells) -> list[Line]:
    """Rows of a screen: each alone, and those that are full to the edge joined with the rows that follow."""
    rows, cols = screen.chars.shape
    head = (screen.flags & WIDE_TAIL) == 0
    cells = np.flatnonzero(head)
    text = _decode(screen.chars[head])
    ends = [0, *np.cumsum(head.sum(1)).tolist()]
    page = [Line(text[a:b], cells[a:b], True) for a, b in zip(ends, ends[1:], strict=False)]
    full = (screen.chars[:, -1] != ord(" ")) | ~head[:, -1]
    first = 0
    for r in range(rows):
        if not full[r] or r == rows - 1 or ends[r + 2] - ends[first] > LONGEST:
            if r > first:
                page.append(Line(text[ends[first] : ends[r + 1]], cells[ends[first] : ends[r + 1]], False))
            first = r + 1
    return page


def _decode(chars: np.ndarray) -> str:
    return chars.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")


def _strings(value: Any) -> Iterator[str]:
    """All strings inside a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, Sequence):
        for inner in value:
            yield from _strings(inner)


# Masking


def mask(replay: Replay, secrets: Secrets) -> Replay:
    """The recording with its secrets masked in cells and events."""
    return replace(replay, screens=_mask_screens(replay.screens, secrets), events=_mask_events(replay, secrets))


def mask_meta(value: Any, secrets: Secrets) -> Any:
    """A JSON value with the secrets masked in all its strings."""
    if isinstance(value, str):
        return secrets.mask(value)
    if isinstance(value, Mapping):
        return {key: mask_meta(inner, secrets) for key, inner in value.items()}
    return [mask_meta(inner, secrets) for inner in value] if isinstance(value, list | tuple) else value


def _mask_spans(text: str, spans: Iterable[Span]) -> str:
    places = {i for start, stop in spans for i in range(start, stop)}
    return "".join(MARK if i in places and not char.isspace() else char for i, char in enumerate(text))


def _mask_screens(screens: Cells, secrets: Secrets) -> Cells:
    flat = [_decode(screen.chars.ravel()) for screen in _each(screens)]
    cache: dict[str, list[Span]] = {}
    spans = [_spans(screen, secrets, cache) for screen in _each(screens)]
    order = range(len(flat))
    _spread(flat, spans, order)
    _spread(flat, spans, order[::-1])
    if not any(spans):
        return screens
    chars, flags = screens.chars.copy(), screens.flags.copy()
    for i, places in enumerate(spans):
        hide = np.zeros(chars[i].size, bool)
        for start, stop in places:
            hide[start:stop] = True
        tail = (flags[i].ravel() & WIDE_TAIL).astype(bool)
        hide = (hide | (np.roll(hide, 1) & tail)).reshape(chars[i].shape)
        chars[i][hide & ((chars[i] != ord(" ")) | tail.reshape(hide.shape))] = ord(MARK)
        flags[i][hide] &= ~np.uint8(WIDE_TAIL)
    return screens._replace(chars=chars, flags=flags)


def _spans(screen: Cells, secrets: Secrets, cache: dict[str, list[Span]]) -> set[Span]:
    """(start, stop) of the cells of a screen to mask, numbered row by row; `cache` has the spans of texts."""
    spans = set()
    page = _page(screen)
    for text, cells, _ in page:
        if text not in cache:
            cache[text] = secrets.spans(text)
        spans |= {(int(cells[a]), int(cells[b - 1]) + 1) for a, b in cache[text]}
    rows = [line for line in page if line.single]
    blocks = key_blocks([line.text for line in rows], secrets.strings)
    spans |= {(int(rows[r].cells[0]), int(rows[r].cells[-1]) + 1) for r in blocks}
    cols = screen.chars.shape[1]
    row, col = screen.cursor.tolist()
    if row >= 0 and (size := secrets.prefix_at_end(_decode(screen.chars.ravel()[: row * cols + col])[-200:])):
        spans.add((row * cols + col - size, row * cols + col))
    if size := secrets.suffix_at_start(rows[0].text):
        spans.add((0, size))
    return spans


def _spread(flat: list[str], spans: list[set[Span]], order: range) -> None:
    """Masks secrets that are being typed or deleted: beginnings, in the same place, of what the previous screen masks.

    Screens are visited in `order`; spans are added to `spans`.
    """
    carry: dict[Span, str] = {}
    for i in order:
        present = {}
        for (start, stop), whole in carry.items():
            length = len(os.path.commonprefix([flat[i][start:stop], whole]))
            if length == stop - start or (length and flat[i][start + length] == " "):
                spans[i].add((start, start + length))
                present[start, stop] = whole
        new = {(start, stop): flat[i][start:stop] for start, stop in spans[i] if (start, stop) not in present}
        carry = present | new


# Keys


class Input(NamedTuple):
    """Text that was typed up to a Return, and the index of each character's event."""

    text: str
    places: list[int]


def inputs(events: Sequence[Event]) -> list[Input]:
    """Lines that the events type, without characters that were erased again."""
    lines: list[Input] = []
    text, places = "", list[int]()
    for i, event in enumerate(events):
        if event.kind == "press" and event.key == "BackSpace":
            text, places = text[:-1], places[:-1]
        elif char := _char(event):
            text, places = text + char, places + [i] * len(char)
        elif event.kind == "press" and (event.key in ("Return", "KP_Enter") or "+" in event.key):
            lines.append(Input(text, places))
            text, places = "", []
    return [line for line in (*lines, Input(text, places)) if line.text]


def _char(event: Event) -> str:
    """Text that an event types; empty for other keys."""
    if event.kind == "text":
        return event.text
    if event.kind != "press":
        return ""
    return " " if event.key == "space" else event.key if len(event.key) == 1 and event.key.isprintable() else ""


def _at_password_prompt(replay: Replay, line: Input) -> bool:
    """Whether any of the line's characters was typed while the screen asked for a secret."""
    last = len(replay.index) - 1
    frames = {min(max(int(replay.events[i].time * replay.fps), 0), last) for i in line.places}
    return any(
        PROMPT.search(_before_cursor(replay.screens, screen)) for screen in {int(replay.index[f]) for f in frames}
    )


def _before_cursor(screens: Cells, screen: int) -> str:
    """Text left of the cursor; with a hidden cursor, the last row that has text."""
    row, col = screens.cursor[screen].tolist()
    if row < 0:
        rows = np.flatnonzero((screens.chars[screen] != ord(" ")).any(1))
        return _decode(screens.chars[screen, rows[-1]]).rstrip() if len(rows) else ""
    return _decode(screens.chars[screen, row, :col])


def _mask_events(replay: Replay, secrets: Secrets) -> tuple[Event, ...]:
    """Events with the keys of secrets masked, including keys among them that were erased again."""
    events = list(replay.events)
    for line in inputs(replay.events):
        spans = [(0, len(line.text))] if _at_password_prompt(replay, line) else secrets.spans(line.text)
        for start, stop in spans:
            for i in range(line.places[start], line.places[stop - 1] + 1):
                events[i] = _mask_event(events[i])
    return tuple(events)


def _mask_event(event: Event) -> Event:
    if event.kind == "text":
        return event._replace(text=MARK * len(event.text))
    return event._replace(key=MARK) if _char(event).strip() else event
