"""Decodes the characters that a terminal sends for keys."""

import re
from collections.abc import Iterator

from neural_computer.types import Event

PLAIN = {"\r": "Return", "\n": "Return", "\t": "Tab", "\x7f": "BackSpace", "\b": "BackSpace", "\x1b": "Escape"}
LETTERS = {"A": "Up", "B": "Down", "C": "Right", "D": "Left", "F": "End", "H": "Home"} | {
    letter: f"F{n}" for n, letter in enumerate("PQRS", 1)
}
NUMBERS = {1: "Home", 2: "Insert", 3: "Delete", 4: "End", 5: "Prior", 6: "Next", 7: "Home", 8: "End"} | {
    code: f"F{n}" for n, code in enumerate((11, 12, 13, 14, 15, 17, 18, 19, 20, 21, 23, 24), 1)
}
MODIFIERS = (("ctrl", 4), ("alt", 2), ("shift", 1))

PIECES = re.compile(
    r"\x1b\[200~(?P<paste>.*?)\x1b\[201~"
    # Reports of the terminal, no keys: its type, its colours, the cursor's or the mouse's place, focus.
    r"|(?P<reply>\x1b\[[?>=][\d;]*\$?[a-zA-Z]|\x1b\[\d+;\d+R|\x1b\[<[\d;]+[mM]|\x1b\[M.{3}|\x1b\[[IO]|\x1b\[[\d;]*[ntcx]"
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\))"
    r"|\x1b\[(?P<number>\d+)(?:;(?P<modifiers>\d+))?~"
    r"|\x1b(?:\[(?:1;(?P<modifiers2>\d+))?|O)(?P<letter>[A-DFHPQRS])"
    r"|(?P<back>\x1b\[Z)"
    r"|\x1b(?P<alt>[^\x00-\x1f\x7f])"
    r"|(?P<text>[^\x00-\x1f\x7f]+)"
    r"|(?P<control>[\x00-\x1f\x7f])",
    re.DOTALL,
)


def events(time: float, data: str) -> Iterator[Event]:
    """Key events at `time` of the characters that were sent at once.

    Several printable characters in a row, and pasted text, are one event of kind "text". The terminal's own reports are
    skipped. Names are X keysyms behind their modifiers: "ctrl+c".
    """
    for piece in PIECES.finditer(data):
        if text := piece["paste"] or (piece["text"] if len(piece["text"] or "") > 1 else None):
            yield Event(time, "text", text=text)
        elif name := _name(piece):
            yield Event(time, "press", key=name)


def _name(piece: re.Match[str]) -> str | None:
    """Name of the key of a piece; None for a report."""
    if piece["number"]:
        return _with_modifiers(piece["modifiers"], NUMBERS.get(int(piece["number"][:4])))
    if piece["letter"]:
        return _with_modifiers(piece["modifiers2"], LETTERS[piece["letter"]])
    if piece["back"]:
        return "shift+Tab"
    if piece["alt"]:
        return f"alt+{piece['alt']}"
    if control := piece["control"]:
        return PLAIN.get(control) or f"ctrl+{chr(ord(control) ^ 0x40).lower() if control != chr(0) else 'space'}"
    return piece["text"]


def _with_modifiers(number: str | None, name: str | None) -> str | None:
    """A key behind its modifiers, which xterm sends as 1 + the sum of their bits."""
    bits = (int(number[:4]) - 1) if number else 0
    return name and "+".join([*(modifier for modifier, bit in MODIFIERS if bits & bit), name])
