"""The simulated terminal's speed: keys to cells. Part of suite gui."""

from itertools import islice

from neural_computer.launch.bench.case import Case
from neural_computer.screens.prompts import PROMPT
from neural_computer.screens.terminal import Screen
from neural_computer.simulators.tty import machine, sessions, stream
from neural_computer.simulators.tty.typists import TYPISTS, keys

FRAMES = 20_000
TYPIST = TYPISTS["brisk"]


def cases() -> list[Case]:
    """All cases, with their inputs."""
    return [typing(3, 16), typing(24, 80)]


def typing(rows: int, cols: int) -> Case:
    """A session's cells and kinds from its keys, against an emulator that is fed what a program would print for them."""
    pressed = list(islice(keys(TYPIST, 0, rows, cols), FRAMES))
    tty, printed = machine.start(rows, cols), [PROMPT]
    for key in pressed:
        printed.append(stream.output(tty, key))
        tty = machine.press(tty, key)

    def peer() -> None:
        emulator = Screen(rows, cols)
        for text in printed:
            emulator.feed(text)
            emulator.cells()

    name = f"terminal {rows}x{cols}, keys to cells"
    return Case(name, "emulator", "frames/s", FRAMES, lambda: sessions.play(pressed, rows, cols), peer)
