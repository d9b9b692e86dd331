"""Terminal screens: bytes to cells by avt (asciinema's emulator), cells to pixels by a glyph atlas."""

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
"""Flags of a cell. WIDE_TAIL is the right half of a character two columns wide; BAR and LINE tell that the cursor in
this cell is a line on its left or on its bottom, and no block."""
WIDE = 128
"""Inside the atlas: the left half of a character two columns wide."""

LARGEST = 1000
"""Rows and columns beyond this are refused before the emulator sees them: it aborts the process when memory runs out."""

ANSI = DEFAULT.table[:16]
PIECE = 2**9
"""Characters that the emulator is fed at once: it hands back every row that scrolls away, and may be told to repeat."""
TILES = 2**16
"""Cells that an atlas keeps drawn"""


class Cells(NamedTuple):
    """A screen, or with leading axes several: what stands in every cell and where the cursor is."""

    chars: UInt32[np.ndarray, "*t r c"]
    """code points"""
    fg: UInt8[np.ndarray, "*t r c 3"]
    bg: UInt8[np.ndarray, "*t r c 3"]
    flags: UInt8[np.ndarray, "*t r c"]
    cursor: Int[np.ndarray, "*t 2"]
    """row, column; (-1, -1) when it is hidden"""

    def text(self) -> str:
        """The rows of one screen, of equal width, joined by newlines."""
        tail = (self.flags & WIDE_TAIL).astype(bool)
        rows = zip(self.chars, tail, strict=True)
        return "\n".join(
            (row[~gone] if gone.any() else row).astype("<u4").tobytes().decode("utf-32-le") for row, gone in rows
        )


def stack(screens: list[Cells]) -> Cells:
    """Screens of one size as one."""
    return Cells(*(np.stack(field) for field in zip(*screens, strict=True)))


def blank(rows: int, cols: int, theme: Theme = DEFAULT) -> Cells:
    """An empty screen without a cursor. Raises ValueError for a size no terminal has."""
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
    """A terminal that shows what it is fed."""

    def __init__(self, rows: int, cols: int, theme: Theme = DEFAULT):
        import avt

        self._seen = blank(rows, cols, theme)  # the sizes are checked before the emulator sees them
        self.rows, self.cols, self.theme = rows, cols, theme
        self._vt = avt.Vt(cols, rows, 0)
        self._stale = set(range(rows))
        self._place, self._shape, self._end = (-1, -1, 0), 0, ""

    def feed(self, text: str) -> None:
        """Takes what a program wrote."""
        for start in range(0, len(text), PIECE):
            changed, _ = _guarded(self._vt.feed_str, text[start : start + PIECE])
            self._stale.update(changed)
        if not text.isascii() and any(unicodedata.east_asian_width(char) in "WF" for char in set(text)):
            # avt does not tell of a row that a wide character, finding no room at its end, clears or leaves.
            self._stale.update(range(self.rows))
        self._reshape(text)

    def resize(self, rows: int, cols: int) -> None:
        """Gives the terminal another size. Raises ValueError for one no terminal has."""
        self._seen = blank(rows, cols, self.theme)
        _guarded(self._vt.resize, cols, rows)
        self.rows, self.cols, self._stale = rows, cols, set(range(rows))

    def cells(self) -> Cells:
        """What is on the screen now, read-only; the very object given before if nothing has changed since."""
        cursor, last = self._vt.cursor, self._seen
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
                self._seen = now
                for field in now:
                    field.setflags(write=False)
            self._place = place
            self._stale.clear()
        return self._seen

    def _read(self, into: Cells, row: int) -> None:
        """Copies a row of the emulator; cells that look alike are written at once."""
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
                    into.chars[row, c] = ord(" ")  # half of a wide character that the edge has cut

    def _dress(self, cells: Cells, row: int, span: slice, pen: Any) -> None:
        """The colours and flags of some cells."""
        fg, bg, theme = pen.foreground, pen.background, self.theme
        cells.fg[row, span] = theme.fg if fg is None else colour(fg, theme)
        cells.bg[row, span] = theme.bg if bg is None else colour(bg, theme)
        styles = ((pen.bold, BOLD), (pen.underline, UNDERLINE), (pen.inverse, INVERSE), (pen.faint, FAINT))
        cells.flags[row, span] = sum(flag for on, flag in styles if on)

    def _reshape(self, text: str) -> None:
        """Follows the cursor's shape (DECSCUSR), which the emulator does not."""
        text = self._end + text
        for change in re.finditer(r"\x1b\[(\d?) q|\x1bc|\x1b\[!p", text) if "\x1b" in text else ():
            self._shape = {"3": LINE, "4": LINE, "5": BAR, "6": BAR}.get(change[1], 0)
        self._end = text[-4:]


def _guarded(call: Any, *arguments: Any) -> Any:
    """What the emulator returns. Raises ValueError where it panics, which is no Exception of Python's."""
    try:
        return call(*arguments)
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise ValueError(f"the emulator cannot show this ({str(error)[:80]})") from error


def colour(of: Any, theme: Theme = DEFAULT) -> np.ndarray:
    """An avt colour, indexed (xterm's 256) or direct, as RGB."""
    try:
        return np.asarray([of[0], of[1], of[2]], np.uint8)
    except IndexError:
        return theme.table[of[0]]


@dataclass(frozen=True)
class Atlas:
    """Cells drawn once each; screens are put together from them in numpy.

    `size` is in pixels, `cell` is (height, width) of a character cell: at 8x16, two latent cells of the codec.
    """

    size: int = 13
    cell: tuple[int, int] = (16, 8)
    theme: Theme = DEFAULT
    """Whose cursor is drawn; the cells bring their own colours"""
    fonts: tuple[str, ...] = ()
    """Font files to look in for what the others lack"""

    def draw(self, cells: Cells) -> UInt8[np.ndarray, "*t h w 3"]:
        """The picture of a screen, or of several. A character that no font has is a box."""
        *lead, rows, cols = cells.chars.shape
        each = Cells(*(x.reshape(-1, *x.shape[len(lead) :]) for x in cells))
        height, width = self.cell
        video = np.empty((len(each.chars), rows, height, cols), np.dtype((np.void, 3 * width)))
        # Screens that follow one another differ in few rows: those are put together, the others copied.
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
        """Some rows, in which the cursor's cell has the cursor's colours and both halves of a wide character are it."""
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
        """The different cells of some rows, as pictures (h, n) of lines of pixels, and which of them stands where."""
        pairs, pair = _kinds(_rgb(rows.fg) << 24 | _rgb(rows.bg))
        kinds, kind = _kinds(pair << 32 | rows.flags.astype(np.int64) << 24 | rows.chars)
        known, names = self._tiles, [(int(pairs[k >> 32]), k & 0xFFFFFFFF) for k in kinds.tolist()]
        if len(known) + len(names) > TILES:
            known.clear()
        for name in names:
            if name not in known:
                known[name] = self._tile(name[1] & 0xFFFFFF, name[1] >> 24, name[0])
        tiles = np.stack([known[name] for name in names], axis=1)
        return tiles.reshape(*tiles.shape[:2], -1).view(np.dtype((np.void, 3 * self.cell[1])))[..., 0], kind

    def _tile(self, char: int, flags: int, colours: int) -> UInt8[np.ndarray, "h w 3"]:
        """One cell in its colours (48 bits: fg, bg)."""
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
        """The coverage of a cell, 0 to 255."""
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
    """(t, r): which rows of which screens look different from the screen before, the cursor in them included."""
    rows, before = np.arange(cells.chars.shape[1]), np.roll(cells.cursor, 1, axis=0)
    new = np.zeros(cells.chars.shape[:2], bool)
    new |= (cells.cursor != before).any(1)[:, None] & ((cells.cursor[:, :1] == rows) | (before[:, :1] == rows))
    for field in cells[:4]:
        flat = field.reshape(*field.shape[:2], -1)
        new[1:] |= (flat[1:] != flat[:-1]).any(-1)
    new[:1] = True
    return new


def _rgb(colours: np.ndarray) -> np.ndarray:
    """Colours as one number each, 24 bits."""
    r, g, b = np.moveaxis(colours.astype(np.int64), -1, 0)
    return r << 16 | g << 8 | b


def _kinds(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different values, and for every place which of them stands there."""
    if (values == values.flat[0]).all():
        return values.flat[:1], np.zeros(values.shape, np.int64)
    kinds, places = np.unique(values, return_inverse=True)
    return kinds, places.reshape(values.shape)


def draw_text(text: str, atlas: Atlas | None = None) -> UInt8[np.ndarray, "h w 3"]:
    """Plain text, white on black, as a screen as large as it needs."""
    lines = text.split("\n")
    cells = blank(len(lines), max(1, *map(len, lines)))
    for row, line in zip(cells.chars, lines, strict=True):
        row[: len(line)] = [ord(c) for c in line]
    return (atlas or Atlas()).draw(cells)
