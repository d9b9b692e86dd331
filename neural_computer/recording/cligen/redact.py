"""Recordings without secrets and personal strings: masked in cells before anything is drawn, in text and among keys.

The screen is what counts: what a program wrote in pieces, in colours or over several rows is read as it stands there.
What is found once, on any screen or typed, is masked wherever the recording shows it, in part or whole.
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
"""Characters that rows are joined to at most: a screen full of text is no single line."""
STRETCH = 8
"""So many successive characters of a secret are masked wherever they stand: a window may cut it."""
PREFIX = 3
"""So many first characters of a secret are masked left of the cursor: it is being typed."""
SECRET = ("key", "token", "password", "private key")
NAMED = ("user", "host", "home")

Span = tuple[int, int]


@dataclass(frozen=True)
class Rules:
    """Which recordings are refused outright."""

    kinds: tuple[str, ...] = ("private key",)
    most: int = 60
    """Different strings masked"""


def refusal(counts: Mapping[str, int], rules: Rules = Rules()) -> str | None:  # noqa: B008  # frozen
    """Why a recording with so many masked strings must not be used, or None."""
    for kind in rules.kinds:
        if counts.get(kind):
            return f"holds a {kind}: recordings with one are refused whole"
    total = sum(counts.values())
    return f"{total} different strings are masked, more than {rules.most}" if total > rules.most else None


@dataclass(frozen=True)
class Known:
    """What is secret or personal in one recording: every string with its kind."""

    strings: Mapping[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> Counter[str]:
        """How many different strings of each kind."""
        return Counter(self.strings.values())

    def spans(self, text: str) -> list[Span]:
        """The places to mask in a line; they may overlap."""
        spans = [(finding.start, finding.stop) for finding in find(text)]
        if self.strings:
            spans += [match.span() for match in self._literal.finditer(text)]
            spans += [(i, i + STRETCH) for i in range(len(text) - STRETCH + 1) if text[i : i + STRETCH] in self._grams]
        return spans

    def mask(self, text: str) -> str:
        """The text with all of it masked, character by character."""
        return "\n".join(_starred(line, self.spans(line)) for line in text.split("\n"))

    def begun(self, text: str) -> int:
        """How many characters at the end of `text` are the beginning of a secret."""
        return max((k for s in self._secrets for k in range(PREFIX, len(s)) if text.endswith(s[:k])), default=0)

    def ending(self, text: str) -> int:
        """How many characters at the start of `text` are the end of a secret whose beginning has left the screen."""
        return max((k for s in self._secrets for k in range(PREFIX, len(s)) if text.startswith(s[-k:])), default=0)

    @cached_property
    def _secrets(self) -> list[str]:
        return [text for text, kind in self.strings.items() if kind in SECRET]

    @cached_property
    def _grams(self) -> frozenset[str]:
        return frozenset(s[i : i + STRETCH] for s in self._secrets for i in range(len(s) - STRETCH + 1))

    @cached_property
    def _literal(self) -> re.Pattern[str]:
        """Every string whole; a name or a short one only as a word of its own."""
        inside = [s for s, kind in self.strings.items() if kind not in NAMED and len(s) >= STRETCH]
        words = [s for s in self.strings if s not in set(inside) and len(s) >= 3]
        parts = [re.escape(s) for s in sorted(inside, key=len, reverse=True)]
        parts += [rf"(?<![\w-]){re.escape(s)}(?![\w-])" for s in sorted(words, key=len, reverse=True)]
        return re.compile("|".join(parts) or r"(?!)")


def sanitize(replay: Replay, meta: Mapping[str, Any] | None = None) -> tuple[Replay, Counter[str]]:
    """The recording with everything masked, and how many different strings of each kind were."""
    known = search(replay, meta or {})
    return mask(replay, known), known.counts


# Searching


def search(replay: Replay, meta: Mapping[str, Any]) -> Known:
    """What is secret or personal in a recording, whose header is `meta`: on its screens, among its keys, in its header."""
    strings = environment(meta)
    lines: dict[str, None] = {}
    for screen in _each(replay.screens):
        page = _page(screen)
        lines |= dict.fromkeys(line.text for line in page)
        rows = [line.text for line in page if line.single]
        strings |= {row: "private key" for r in key_blocks(rows, strings) if (row := rows[r].strip())}
    segments = typed(replay.events)
    strings |= {s.text: "password" for s in segments if len(s.text) > 3 and _asked(replay, s)}
    lines |= dict.fromkeys([*(s.text for s in segments), *_strings(meta)])
    for line in lines:
        for finding in find(line):
            strings.setdefault(line[finding.start : finding.stop], finding.kind)
    return Known(strings)


class Line(NamedTuple):
    """A row of a screen, or rows that run on, and the cell of each character."""

    text: str
    cells: np.ndarray
    single: bool


def _each(screens: Cells) -> Iterator[Cells]:
    return (Cells(*(x[i] for x in screens)) for i in range(len(screens.chars)))


def _page(screen: Cells) -> list[Line]:
    """The rows of a screen, each alone and, where one is full to its edge, with those that follow."""
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
    """Every string inside a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, Sequence):
        for inner in value:
            yield from _strings(inner)


# Masking


def mask(replay: Replay, known: Known) -> Replay:
    """The recording with what is known masked in cells and events."""
    return replace(replay, screens=_mask_screens(replay.screens, known), events=_mask_events(replay, known))


def mask_meta(value: Any, known: Known) -> Any:
    """A JSON value with every string in it masked."""
    if isinstance(value, str):
        return known.mask(value)
    if isinstance(value, Mapping):
        return {key: mask_meta(inner, known) for key, inner in value.items()}
    return [mask_meta(inner, known) for inner in value] if isinstance(value, list | tuple) else value


def _starred(text: str, spans: Iterable[Span]) -> str:
    marked = {i for start, stop in spans for i in range(start, stop)}
    return "".join(MARK if i in marked and not char.isspace() else char for i, char in enumerate(text))


def _mask_screens(screens: Cells, known: Known) -> Cells:
    flat = [_decode(screen.chars.ravel()) for screen in _each(screens)]
    seen: dict[str, list[Span]] = {}
    spans = [_spans(screen, known, seen) for screen in _each(screens)]
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


def _spans(screen: Cells, known: Known, seen: dict[str, list[Span]]) -> set[Span]:
    """What to mask on a screen, as ranges of its cells row after row."""
    found = set()
    page = _page(screen)
    for text, cells, _ in page:
        if text not in seen:
            seen[text] = known.spans(text)
        found |= {(int(cells[a]), int(cells[b - 1]) + 1) for a, b in seen[text]}
    rows = [line for line in page if line.single]
    blocks = key_blocks([line.text for line in rows], known.strings)
    found |= {(int(rows[r].cells[0]), int(rows[r].cells[-1]) + 1) for r in blocks}
    cols = screen.chars.shape[1]
    row, col = screen.cursor.tolist()
    if row >= 0 and (size := known.begun(_decode(screen.chars.ravel()[: row * cols + col])[-200:])):
        found.add((row * cols + col - size, row * cols + col))
    if size := known.ending(rows[0].text):
        found.add((0, size))
    return found


def _spread(flat: list[str], spans: list[set[Span]], order: range) -> None:
    """Masks what is being typed or deleted: the beginning, in the same place, of what the screen before has masked."""
    carried: dict[Span, str] = {}
    for i in order:
        kept = {}
        for (start, stop), whole in carried.items():
            length = len(os.path.commonprefix([flat[i][start:stop], whole]))
            if length == stop - start or (length and flat[i][start + length] == " "):
                spans[i].add((start, start + length))
                kept[start, stop] = whole
        carried = kept | {(start, stop): flat[i][start:stop] for start, stop in spans[i] if (start, stop) not in kept}


# Keys


class Typed(NamedTuple):
    """What was typed up to a Return, and which event each character came from."""

    text: str
    places: list[int]


def typed(events: Sequence[Event]) -> list[Typed]:
    """The lines that the events type, with what was erased again left out."""
    segments: list[Typed] = []
    text, places = "", list[int]()
    for i, event in enumerate(events):
        if event.kind == "press" and event.key == "BackSpace":
            text, places = text[:-1], places[:-1]
        elif char := _char(event):
            text, places = text + char, places + [i] * len(char)
        elif event.kind == "press" and (event.key in ("Return", "KP_Enter") or "+" in event.key):
            segments.append(Typed(text, places))
            text, places = "", []
    return [s for s in (*segments, Typed(text, places)) if s.text]


def _char(event: Event) -> str:
    """What an event types; empty for other keys."""
    if event.kind == "text":
        return event.text
    if event.kind != "press":
        return ""
    return " " if event.key == "space" else event.key if len(event.key) == 1 and event.key.isprintable() else ""


def _asked(replay: Replay, segment: Typed) -> bool:
    """Was a secret asked for when it was typed?"""
    last = len(replay.index) - 1
    frames = {min(max(int(replay.events[i].time * replay.fps), 0), last) for i in segment.places}
    return any(PROMPT.search(_left(replay.screens, screen)) for screen in {int(replay.index[f]) for f in frames})


def _left(screens: Cells, screen: int) -> str:
    """What stands left of the cursor; of a hidden one, on the last row that holds anything."""
    row, col = screens.cursor[screen].tolist()
    if row < 0:
        rows = np.flatnonzero((screens.chars[screen] != ord(" ")).any(1))
        return _decode(screens.chars[screen, rows[-1]]).rstrip() if len(rows) else ""
    return _decode(screens.chars[screen, row, :col])


def _mask_events(replay: Replay, known: Known) -> tuple[Event, ...]:
    """The events with the keys of secrets replaced, those among them that were erased again too."""
    events = list(replay.events)
    for segment in typed(replay.events):
        spans = [(0, len(segment.text))] if _asked(replay, segment) else known.spans(segment.text)
        for start, stop in spans:
            for i in range(segment.places[start], segment.places[stop - 1] + 1):
                events[i] = _hidden(events[i])
    return tuple(events)


def _hidden(event: Event) -> Event:
    if event.kind == "text":
        return event._replace(text=MARK * len(event.text))
    return event._replace(key=MARK) if _char(event).strip() else event
