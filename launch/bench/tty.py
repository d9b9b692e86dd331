"""The simulated terminal's speed: keys to cells, and clips for training. Part of suite gui."""

from itertools import islice

import numpy as np

from neural_computer.launch.bench.case import Case
from neural_computer.screens.prompts import PROMPT
from neural_computer.screens.terminal import Atlas, Cells, Screen, blank, stack
from neural_computer.simulators.tty import drawing, machine, sessions, stream
from neural_computer.simulators.tty.source import TtySource
from neural_computer.simulators.tty.typists import TYPISTS, keys

FRAMES = 20_000
CLIPS = 2000
TYPIST = TYPISTS["brisk"]


def cases() -> list[Case]:
    """All cases, with their inputs."""
    return [typing(3, 16), typing(24, 80), clips()]


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


def clips() -> Case:
    """Clips of two frames with their events and texts, against drawing the same pictures with the atlas."""
    source, atlas = TtySource(16, 1000, 0, TYPIST), Atlas(cell=drawing.CELL)
    shown = [source.sessions.cells[0, i % 900 : i % 900 + 2] for i in range(CLIPS)]
    screens = [as_screens(cells) for cells in shown]

    def ours() -> None:
        for i in range(CLIPS):
            source[i]

    def peer() -> None:
        for each in screens:
            atlas.draw(each)

    return Case("terminal 3x16, clips of 2 frames", "atlas", "clips/s", CLIPS, ours, peer)


def as_screens(cells: np.ndarray) -> Cells:
    """Cells (t, r, c) of the simulated terminal as those of an emulator."""
    screens = stack([blank(*cells.shape[1:])] * len(cells))
    screens.chars[:] = cells % drawing.UNDER_CURSOR
    screens.cursor[:] = np.argwhere(cells & drawing.UNDER_CURSOR)[:, 1:]
    return screens
