"""Terminal screens: output to cells by avt (asciinema's emulator), cells to pixels by a glyph atlas."""

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, UInt8, UInt32

from neural_computer.screens.glyphs import Glyphs
from neural_computer.screens.themes import DEFAULT, Theme

BOLD, UNDERLINE, INVERSE, FAINT, WIDE_TAIL, BAR, LINE = 1, 2, 4, 8, 16, 32, 64
"""Flags of a cell. WIDE_TAIL: right half of a character two columns wide. BAR, LINE: the cursor in this cell is a line on
its left or at its bottom instead of a block."""
WIDE = 128
"""Flag inside the atlas: left half of a character two columns wide"""

LARGEST = 1000
"""Rows and columns at most; more are rejected here, since the emulator aborts the process when memory runs out"""

ANSI = DEFAULT.table[:16]
PIECE = 2**9
"""Characters per call of the emulator: it returns every row that scrolls away, and output can ask it to repeat"""
TILES = 2**16
"""Cells that an atlas caches"""


class Cells(NamedTuple):
    """Cells and cursor of a screen, or, with leading axes, of several."""

    chars: UInt32[np.ndarray, "*t r c"]
    """code points"""
    fg: UInt8[np.ndarray, "*t r c 3"]
    bg: UInt8[np.ndarray, "*t r c 3"]
    flags: UInt8[np.ndarray, "*t r c"]
    cursor: Int[np.ndarray, "*t 2"]
    """row, column; (-1, -1) if the cursor is hidden"""

    def text(self) -> str:
        """Rows of one screen, padded with blanks, joined by newlines."""
        tails = (self.flags & WIDE_TAIL).astype(bool)
        rows = zip(self.chars, tails, strict=True)
        return "\n".join(
            (row[~tail] if tail.any() else row).astype("<u4").tobytes().decode("utf-32-le") for row, tail in rows
        )


def stack(screens: list[Cells]) -> Cells:
    """Stacks screens of one size along a new first axis."""
    return Cells(*(np.stack(field) for field in zip(*screens, strict=True)))


def blank(rows: int, cols: int, theme: Theme = DEFAULT) -> Cells:
    """Empty screen without a cursor. Raises ValueError for rows or columns outside 1 to LARGEST."""
    if not (1 <= rows <= LARGEST and 1 <= cols <= LARGEST):
        raise ValueError(f"terminal of {cols}x{rows}: columns and rows must be between 1 and {LARGEST}")
    return Cells(
        np.full((rows, cols), ord(" "), np.uint32),
        np.full((rows, cols, 3), theme.fg, np.uint8),
        np.full((rows, cols, 3), theme.bg, np.uint8),
        np.zeros((rows, cols), np.uint8),
        np.full(2, -1),
    )


class Screen:
    """A terminal: takes the output of a program and shows its screen."""

    def __init__(self, rows: int, cols: int, theme: Theme = DEFAULT):
        import avt

        self._cells = blank(rows, cols, theme)  # checks the size before the emulator gets it
        self.rows, self.cols, self.theme = rows, cols, theme
        self._vt = avt.Vt(cols, rows, 0)
        self._stale = set(range(rows))
        self._place, self._shape, self._end = (-1, -1, 0), 0, ""

    def feed(self, text: str) -> None:
        """Takes output of a program. Raises ValueError for output that the emulator cannot show."""
        for start in range(0, len(text), PIECE):
            changed, _ = _guarded(self._vt.feed_str, text[start : start + PIECE])
            self._stale.update(changed)
        if not text.isascii() and any(unicodedata.east_asian_width(char) in "WF" for char in set(text)):
            # avt does not report a row that a wide character clears or leaves because it has no room at the row's end.
            self._stale.update(range(self.rows))
        self._reshape(text)

    def resize(self, rows: int, cols: int) -> None:
        """Changes the terminal's size. Raises ValueError for rows or columns outside 1 to LARGEST."""
        self._cells = blank(rows, cols, self.theme)
        _guarded(self._vt.resize, cols, rows)
        self.rows, self.cols, self._stale = rows, cols, set(range(rows))

    def cells(self) -> Cells:
        """Cells of the screen, read-only; the same object as before if nothing has changed."""
        cursor, last = self._vt.cursor, self._cells
        place = (cursor.row, min(cursor.col, self.cols - 1), self._shape) if cursor.visible else (-1, -1, 0)
        if self._stale or place != self._place:
            now = Cells(*(field.copy() for field in last))
            now.flags[:] &= 255 ^ (BAR | LINE)
            for row in self._stale:
                self._read(now, row)
            now.cursor[:] = place[:2]
            if cursor.visible:
                now.flags[place[:2]] |= self._shape
            if any((new != old).any() for new, old in zip(now, last, strict=True)):
                self._cells = now
                for field in now:
                    field.setflags(write=False)
            self._place = place
            self._stale.clear()
        return self._cells

    def _read(self, into: Cells, row: int) -> None:
        """Copies a row of the emulator; runs of cells with one pen are styled at once."""
        line = self._vt[row]
        cells = line.cells[: self.cols]
        text = "".join([cell.char or " " for cell in cells])
        into.chars[row] = np.frombuffer(text.encode("utf-32-le"), "<u4")
        pens = [cell.pen for cell in cells]
        start = 0
        for c in range(1, self.cols + 1):
            if c == self.cols or pens[c] != pens[start]:
                self._dress(into, row, slice(start, c), pens[start])
                start = c
        if not text.isascii():
            for c, cell in enumerate(cells):
                if cell.width == 0 and c and cells[c - 1].width == 2:
                    into.flags[row, c] |= WIDE_TAIL
                elif cell.width == 2 and (c + 1 == self.cols or cells[c + 1].width):
                    into.chars[row, c] = ord(" ")  # half of a wide character, cut by the edge

    def _dress(self, cells: Cells, row: int, span: slice, pen: Any) -> None:
        """Writes the colours and flags of some cells of a row."""
        fg, bg, theme = pen.foreground, pen.background, self.theme
        cells.fg[row, span] = theme.fg if fg is None else colour(fg, theme)
        cells.bg[row, span] = theme.bg if bg is None else colour(bg, theme)
        styles = ((pen.bold, BOLD), (pen.underline, UNDERLINE), (pen.inverse, INVERSE), (pen.faint, FAINT))
        cells.flags[row, span] = sum(flag for on, flag in styles if on)

    def _reshape(self, text: str) -> None:
        """Updates the cursor's shape (DECSCUSR), which the emulator ignores."""
        text = self._end + text
        for change in re.finditer(r"\x1b\[(\d?) q|\x1bc|\x1b\[!p", text) if "\x1b" in text else ():
            self._shape = {"3": LINE, "4": LINE, "5": BAR, "6": BAR}.get(change[1], 0)
        self._end = text[-4:]


def _guarded(call: Any, *arguments: Any) -> Any:
    """Result of a call of the emulator. Raises ValueError where it panics, which is no subclass of Exception."""
    try:
        return call(*arguments)
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise ValueError(f"the emulator cannot show this ({str(error)[:80]})") from error


def colour(of: Any, theme: Theme = DEFAULT) -> np.ndarray:
    """RGB of an avt colour, indexed (xterm's 256) or direct."""
    try:
        return np.asarray([of[0], of[1], of[2]], np.uint8)
    except IndexError:
        return theme.table[of[0]]


@dataclass(frozen=True)
class Atlas:
    """Draws screens: each distinct cell once, the screens from these tiles in numpy.

    `size` is the font's in pixels, `cell` is (height, width) of a character cell: at 16x8, two latent cells of the codec.
    """

    size: int = 13
    cell: tuple[int, int] = (16, 8)
    theme: Theme = DEFAULT
    """Theme whose cursor colour is drawn; cells have their own colours"""
    fonts: tuple[str, ...] = ()
    """Font files for characters that the other fonts lack"""

    def draw(self, cells: Cells) -> UInt8[np.ndarray, "*t h w 3"]:
        """Pictures of a screen or of several. A character that no font has is a box."""
        *lead, rows, cols = cells.chars.shape
        each = Cells(*(x.reshape(-1, *x.shape[len(lead) :]) for x in cells))
        height, width = self.cell
        video = np.empty((len(each.chars), rows, height, cols), np.dtype((np.void, 3 * width)))
        # Successive screens differ in few rows: those are drawn, the others copied.
        screen, row = np.nonzero(_changed(each))
        tiles, tile = self._tiles_of(self._with_cursor(each, screen, row))
        ends = np.searchsorted(screen, np.arange(len(video) + 1))
        pixels = video.view(np.uint8)
        for i, out in enumerate(video):
            if i:
                pixels[i] = pixels[i - 1]
            for m in range(ends[i], ends[i + 1]):
                np.take(tiles, tile[m], axis=1, out=out[row[m]], mode="clip")
        return pixels.reshape(*lead, rows * height, cols * width, 3)

    def _with_cursor(self, cells: Cells, screen: np.ndarray, row: np.ndarray) -> Cells:
        """Some rows, with the cursor's colours in its cell, and wide characters in both of their cells."""
        chars, fg, bg, flags = (x[screen, row] for x in cells[:4])
        here = np.flatnonzero(cells.cursor[screen, 0] == row)
        at = here, cells.cursor[screen[here], 1]
        block = (flags[at] & (BAR | LINE)) == 0
        if self.theme.cursor is None:
            flags[at] ^= np.where(block, INVERSE, 0).astype(np.uint8)
        else:
            fg[at] = np.where(block[:, None], bg[at], fg[at])
            bg[at] = np.where(block[:, None], self.theme.cursor, bg[at])
            flags[at] &= np.where(block, 255 ^ INVERSE, 255).astype(np.uint8)
        tail = (flags & WIDE_TAIL) != 0
        if tail.any():
            chars = np.where(tail, np.roll(chars, 1, axis=1), chars)
            flags = np.where(np.roll(tail, -1, axis=1), flags | WIDE, flags)
        return Cells(chars, fg, bg, flags, cells.cursor[screen])

    def _tiles_of(self, rows: Cells) -> tuple[np.ndarray, np.ndarray]:
        """(pictures (h, n) of the n distinct cells of some rows, as lines of pixels; index of each cell's picture)."""
        pairs, pair = _unique(_rgb(rows.fg) << 24 | _rgb(rows.bg))
        cells, index = _unique(pair << 32 | rows.flags.astype(np.int64) << 24 | rows.chars)
        cache, keys = self._tiles, [(int(pairs[k >> 32]), k & 0xFFFFFFFF) for k in cells.tolist()]
        if len(cache) + len(keys) > TILES:
            cache.clear()
        for key in keys:
            if key not in cache:
                cache[key] = self._tile(key[1] & 0xFFFFFF, key[1] >> 24, key[0])
        tiles = np.stack([cache[key] for key in keys], axis=1)
        return tiles.reshape(*tiles.shape[:2], -1).view(np.dtype((np.void, 3 * self.cell[1])))[..., 0], index

    def _tile(self, char: int, flags: int, colours: int) -> UInt8[np.ndarray, "h w 3"]:
        """Picture of one cell; `colours` are 48 bits: fg, bg."""
        fg, bg = (np.asarray([c >> 16 & 255, c >> 8 & 255, c & 255], np.int32) for c in (colours >> 24, colours))
        if flags & INVERSE:
            fg, bg = bg, fg
        if flags & FAINT:
            fg = (fg + bg) // 2
        mask = self._mask(char, flags)
        if flags & UNDERLINE:
            mask = mask.copy()
            mask[-2] = 255
        blend = bg + (fg - bg) * (mask.astype(np.float32)[..., None] / 255)
        tile = np.round(blend).astype(np.uint8)
        if flags & (BAR | LINE):
            tile[(slice(None), slice(0, 2)) if flags & BAR else slice(-2, None)] = self.theme.cursor or fg
        return tile

    def _mask(self, char: int, flags: int) -> UInt8[np.ndarray, "h w"]:
        """Coverage of a cell, 0 to 255."""
        name, width = (chr(char), bool(flags & BOLD), 2 if flags & (WIDE | WIDE_TAIL) else 1), self.cell[1]
        if name not in self._masks:
            self._masks[name] = self._glyphs.draw(*name)
        return self._masks[name][:, width:] if flags & WIDE_TAIL else self._masks[name][:, :width]

    @cached_property
    def _glyphs(self) -> Glyphs:
        return Glyphs(self.size, self.cell, self.fonts)

    @cached_property
    def _masks(self) -> dict[tuple[str, bool, int], np.ndarray]:
        return {}

    @cached_property
    def _tiles(self) -> dict[tuple[int, int], np.ndarray]:
        return {}


def _changed(cells: Cells) -> np.ndarray:
    """(t, r): whether a row differs from the same row of the screen before, the cursor included."""
    rows, before = np.arange(cells.chars.shape[1]), np.roll(cells.cursor, 1, axis=0)
    new = np.zeros(cells.chars.shape[:2], bool)
    new |= (cells.cursor != before).any(1)[:, None] & ((cells.cursor[:, :1] == rows) | (before[:, :1] == rows))
    for field in cells[:4]:
        flat = field.reshape(*field.shape[:2], -1)
        new[1:] |= (flat[1:] != flat[:-1]).any(-1)
    new[:1] = True
    return new


def _rgb(colours: np.ndarray) -> np.ndarray:
    """Colours as numbers of 24 bits."""
    r, g, b = np.moveaxis(colours.astype(np.int64), -1, 0)
    return r << 16 | g << 8 | b


def _unique(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(distinct values, index of each value among them); fast where all are equal."""
    if (values == values.flat[0]).all():
        return values.flat[:1], np.zeros(values.shape, np.int64)
    distinct, index = np.unique(values, return_inverse=True)
    return distinct, index.reshape(values.shape)


def draw_text(text: str, atlas: Atlas | None = None) -> UInt8[np.ndarray, "h w 3"]:
    """Picture of plain text, white on black, on a screen that fits it."""
    lines = text.split("\n")
    cells = blank(len(lines), max(1, *map(len, lines)))
    for row, line in zip(cells.chars, lines, strict=True):
        row[: len(line)] = [ord(c) for c in line]
    return (atlas or Atlas()).draw(cells)
