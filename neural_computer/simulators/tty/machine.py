"""The terminal's state and its line discipline: echo, BackSpace, Return, scrolling, history."""

from collections.abc import Sequence
from typing import NamedTuple

from neural_computer.screens.prompts import PROMPT
from neural_computer.simulators.tty import commands
from neural_computer.types import Event

LEAST = (2, 10)
"""Least rows and columns: a command and its output, the date"""
MOST = 1000
"""Rows and columns at most, as a terminal emulator has them"""
HISTORY = 100
"""Lines that the history holds"""
CHARACTERS = frozenset(map(chr, range(32, 127)))
"""Keys that type themselves"""
KEYS = ("", *sorted(CHARACTERS), "Return", "BackSpace", "Up", "Down")
"""All that a frame may show of the keyboard, first that no key is pressed; sessions store indices into it."""
KEY_IDS = {key: number for number, key in enumerate(KEYS)}
ALIASES = {"space": " ", "\n": "Return", "\r": "Return", "KP_Enter": "Return", "\b": "BackSpace", "\x7f": "BackSpace"}
"""Other names of keys in events"""
CURSOR = "\xa0"
"""A blank under the block cursor, as `screen` has it: its high bit is set"""


class Tty(NamedTuple):
    """The whole state of a terminal of `rows` times `cols` character cells."""

    rows: int
    cols: int
    above: str = ""
    """the rows above the prompt's, each of `cols` characters"""
    line: str = ""
    """what is typed after the prompt; the cursor is at its end"""
    history: tuple[str, ...] = ()
    """lines that were entered, the newest last; neither empty ones nor `clear`"""
    back: int = 0
    """which line of the history is shown, counted from the newest, 1; 0 for a new line"""
    draft: str = ""
    """the new line while one of the history is shown"""

    @property
    def room(self) -> int:
        """Most characters of a line: the cursor needs a cell of its own."""
        return self.cols - len(PROMPT) - 1


def start(rows: int = 3, cols: int = 16) -> Tty:
    """A terminal with nothing on its screen but the prompt. Raises ValueError for another size."""
    for side, value, least in (("rows", rows, LEAST[0]), ("cols", cols, LEAST[1])):
        if not least <= value <= MOST:
            raise ValueError(f"{side}={value}: must be {least} to {MOST} character cells")
    return Tty(rows, cols)


def step(tty: Tty, events: Sequence[Event] = ()) -> Tty:
    """The terminal after some events. Only presses of its keys do anything."""
    for event in events:
        if event.kind == "press":
            tty = press(tty, ALIASES.get(event.key, event.key))
    return tty


def press(tty: Tty, key: str) -> Tty:
    """The terminal after one of KEYS; any other key leaves it as it is, and a character for which the line has no room."""
    if key in CHARACTERS:
        return tty._replace(line=tty.line + key) if len(tty.line) < tty.room else tty
    if key == "Return":
        return enter(tty)
    if key == "BackSpace":
        return tty._replace(line=tty.line[:-1])
    if key == "Up":
        return recall(tty, tty.back + 1)
    if key == "Down":
        return recall(tty, tty.back - 1)
    return tty


def enter(tty: Tty) -> Tty:
    """The terminal after its line has run; what is full scrolls."""
    rows, cols, line = tty.rows, tty.cols, tty.line
    history = (*tty.history, line)[-HISTORY:] if line not in ("", "clear") else tty.history
    output = commands.run(line)
    if output is None:
        return Tty(rows, cols, history=history)
    above = tty.above + (PROMPT + line).ljust(cols) + (output.ljust(cols) if output else "")
    return Tty(rows, cols, above[-(rows - 1) * cols :], history=history)


def recall(tty: Tty, back: int) -> Tty:
    """The terminal with line `back` of its history, or the new line for 0; as it is where there is no such line."""
    if not 0 <= back <= len(tty.history):
        return tty
    draft = tty.draft if tty.back else tty.line
    return tty._replace(line=tty.history[-back] if back else draft, back=back, draft=draft if back else "")


def screen(tty: Tty) -> str:
    """rows * cols characters, row after row; CURSOR stands where the cursor is."""
    return (tty.above + PROMPT + tty.line + CURSOR).ljust(tty.rows * tty.cols)
