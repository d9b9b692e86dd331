"""Pictures of the terminal. A cell is a byte: its ASCII code, with the high bit set under the cursor; a table has their tiles."""

from functools import cache

import numpy as np
from jaxtyping import Shaped, UInt8

from neural_computer.screens.terminal import INVERSE, Atlas, blank
from neural_computer.simulators.tty.machine import Tty, screen

CELL = (16, 8)
"""Height and width of a cell in pixels"""
UNDER_CURSOR = 128
"""Bit of a cell's byte"""


def cells(tty: Tty) -> UInt8[np.ndarray, "r c"]:
    """The cells of a terminal's screen."""
    return of_screens([screen(tty)], tty.rows, tty.cols)[0]


def of_screens(screens: list[str], rows: int, cols: int) -> UInt8[np.ndarray, "t r c"]:
    """The cells of screens as `machine.screen` gives them."""
    return np.frombuffer("".join(screens).encode("latin-1"), np.uint8).reshape(-1, rows, cols)


def texts(cells: UInt8[np.ndarray, "t r c"]) -> tuple[str, ...]:
    """The text of every screen: rows padded with blanks, joined by newlines."""
    rows = np.full((*cells.shape[:2], cells.shape[2] + 1), ord("\n"), np.uint8)
    rows[..., :-1] = cells & (UNDER_CURSOR - 1)
    return tuple(each.tobytes()[:-1].decode("ascii") for each in rows)


def draw(cells: UInt8[np.ndarray, "*t r c"]) -> UInt8[np.ndarray, "*t h w 3"]:
    """Pictures of some cells, white on black, as `screens.terminal.Atlas` draws them: h = 16 r, w = 8 c."""
    *lead, rows, cols = cells.shape
    lines = tiles()[np.arange(CELL[0])[:, None], cells[..., :, None, :]]
    return lines.view(np.uint8).reshape(*lead, rows * CELL[0], cols * CELL[1], 3)


def render(tty: Tty) -> UInt8[np.ndarray, "h w 3"]:
    """The picture of a terminal."""
    return draw(cells(tty))


@cache
def tiles() -> Shaped[np.ndarray, "16 256"]:
    """Lines of pixels of every cell's tile: line y of the tile of byte `cell` is at [y, cell], 8 pixels as one element."""
    row, codes = blank(1, 256), np.arange(256)
    ascii = codes % UNDER_CURSOR
    row.chars[0] = np.where((ascii >= 32) & (ascii < 127), ascii, ord(" "))
    row.flags[0] = np.where(codes & UNDER_CURSOR, INVERSE, 0)
    lines = Atlas(cell=CELL).draw(row).reshape(CELL[0], 256, 3 * CELL[1])
    return lines.view(np.dtype((np.void, lines.shape[-1])))[..., 0]
