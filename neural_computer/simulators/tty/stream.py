"""The terminal as a program in a terminal emulator: what it prints for a key."""

from neural_computer.screens.prompts import PROMPT
from neural_computer.simulators.tty import commands
from neural_computer.simulators.tty.machine import CHARACTERS, Tty, press

RUB_OUT = "\b \b"
CLEAR = "\x1b[H\x1b[2J"


def output(tty: Tty, key: str) -> str:
    """The characters that are printed when `key` is pressed on this terminal; a fresh one has printed PROMPT.

    An emulator of its size that is fed them shows its screen.
    """
    if key == "Return":
        shown = commands.run(tty.line)
        return (CLEAR if shown is None else "\r\n" + (shown + "\r\n" if shown else "")) + PROMPT
    before, after = tty.line, press(tty, key).line
    if key in CHARACTERS:
        return key if after != before else ""
    return RUB_OUT * (len(before) - len(after)) if before.startswith(after) else RUB_OUT * len(before) + after
