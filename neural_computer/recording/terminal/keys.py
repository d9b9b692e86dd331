"""What a terminal sends for keys, read back as keys."""

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
    # What the terminal says by itself: its kind, its colours, where the cursor or the mouse is, focus.
    r"|(?P<reply>\x1b\[[?>=][\d;]*\$?[a-zA-Z]|\x1b\[\d+;\d+R|\x1b\[<[\d;]+[mM]|\x1b\[M.{3}|\x1b\[[IO]|\x1b\[[\d;]*[ntcx]"
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\))"
    r"|\x1b\[(?P<number>\d+)(?:;(?P<held>\d+))?~"
    r"|\x1b(?:\[(?:1;(?P<held2>\d+))?|O)(?P<letter>[A-DFHPQRS])"
    r"|(?P<back>\x1b\[Z)"
    r"|\x1b(?P<alt>[^\x00-\x1f\x7f])"
    r"|(?P<text>[^\x00-\x1f\x7f]+)"
    r"|(?P<control>[\x00-\x1f\x7f])",
    re.DOTALL,
)


def events(time: float, data: str) -> Iterator[Event]:
    """The keys in what was sent at once. Several characters, and what was pasted, are a text; a terminal's answers are none.

    Names are X keysyms, with what is held down before them: "ctrl+c".
    """
    for piece in PIECES.finditer(data):
        if text := piece["paste"] or (piece["text"] if len(piece["text"] or "") > 1 else None):
            yield Event(time, "text", text=text)
        elif name := _name(piece):
            yield Event(time, "press", key=name)


def _name(piece: re.Match[str]) -> str | None:
    """The key that a piece stands for, None for none."""
    if piece["number"]:
        return _held(piece["held"], NUMBERS.get(int(piece["number"][:4])))
    if piece["letter"]:
        return _held(piece["held2"], LETTERS[piece["letter"]])
    if piece["back"]:
        return "shift+Tab"
    if piece["alt"]:
        return f"alt+{piece['alt']}"
    if control := piece["control"]:
        return PLAIN.get(control) or f"ctrl+{chr(ord(control) ^ 0x40).lower() if control != chr(0) else 'space'}"
    return piece["text"]


def _held(modifiers: str | None, name: str | None) -> str | None:
    """A key with the modifiers that xterm numbers: one more than the sum of theirs."""
    held = (int(modifiers[:4]) - 1) if modifiers else 0
    return name and "+".join([*(modifier for modifier, bit in MODIFIERS if held & bit), name])
