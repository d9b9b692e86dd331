"""Terminal screens: bytes to cells by avt (asciinema's emulator), cells to pixels by a glyph atlas."""

import unicodedata
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, UInt8, UInt32

BOLD, UNDERLINE, INVERSE, FAINT, WIDE_TAIL = 1, 2, 4, 8, 16
"""Flags of a cell. WIDE_TAIL is the right half of a character two columns wide."""

LARGEST = 1000
"""Rows and columns beyond this are refused before the emulator sees them: it aborts the process when memory runs out."""

PLAIN, DARK = (255, 255, 255), (0, 0, 0)
ANSI = np.asarray(
    [(0, 0, 0), (205, 49, 49), (13, 188, 121), (229, 229, 16), (36, 114, 200), (188, 63, 188), (17, 168, 205)]
    + [(229, 229, 229), (102, 102, 102), (241, 76, 76), (35, 209, 139), (245, 245, 67), (59, 142, 234)]
    + [(214, 112, 214), (41, 184, 219), (255, 255, 255)],
    np.uint8,
)


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
        return "\n".join(
            "".join(chr(c) for c, skip in zip(row, gone, strict=True) if not skip)
            for row, gone in zip(self.chars.tolist(), tail.tolist(), strict=True)
        )


def stack(screens: list[Cells]) -> Cells:
    """Screens of one size as one."""
    return Cells(*(np.stack(field) for field in zip(*screens, strict=True)))


def blank(rows: int, cols: int) -> Cells:
    """An empty screen without a cursor. Raises ValueError for a size no terminal has."""
    if not (1 <= rows <= LARGEST and 1 <= cols <= LARGEST):
        raise ValueError(f"terminal of {cols}x{rows}: columns and rows must be between 1 and {LARGEST}")
    return Cells(
        np.full((rows, cols), ord(" "), np.uint32),
        np.full((rows, cols, 3), PLAIN, np.uint8),
        np.full((rows, cols, 3), DARK, np.uint8),
        np.zeros((rows, cols), np.uint8),
        np.full(2, -1),
    )


class Screen:
    """A terminal that shows what it is fed."""

    def __init__(self, rows: int, cols: int):
        import avt

        blank(rows, cols)  # the sizes are checked before the emulator sees them
        self.rows, self.cols = rows, cols
        self._vt = avt.Vt(cols, rows, 0)

    def feed(self, text: str) -> None:
        """Takes what a program wrote."""
        self._vt.feed_str(text)

    def cells(self) -> Cells:
        """What is on the screen now."""
        out = blank(self.rows, self.cols)
        for r, line in enumerate(self._vt.view()):
            for c, cell in enumerate(line.cells[: self.cols]):
                out.chars[r, c] = ord(cell.char or " ")
                if not cell.pen.is_default():
                    _dress(out, r, c, cell.pen)
                if cell.width == 0 or (cell.width == 2 and c + 1 == self.cols):
                    out.flags[r, c] |= WIDE_TAIL
        cursor = self._vt.cursor
        if cursor.visible:
            out.cursor[:] = cursor.row, min(cursor.col, self.cols - 1)
        return out


def _dress(cells: Cells, r: int, c: int, pen: Any) -> None:
    """The colours and flags of one cell."""
    if pen.foreground is not None:
        cells.fg[r, c] = colour(pen.foreground)
    if pen.background is not None:
        cells.bg[r, c] = colour(pen.background)
    styles = ((pen.bold, BOLD), (pen.underline, UNDERLINE), (pen.inverse, INVERSE), (pen.faint, FAINT))
    cells.flags[r, c] = sum(flag for on, flag in styles if on)


def colour(of: Any) -> np.ndarray:
    """An avt colour, indexed (xterm's 256) or direct, as RGB."""
    try:
        return np.asarray([of[0], of[1], of[2]], np.uint8)
    except IndexError:
        return indexed(of[0])


def indexed(number: int) -> np.ndarray:
    """Colour `number` of xterm's 256: sixteen named ones, a 6x6x6 cube, a ramp of greys."""
    if number < 16:
        return ANSI[number]
    if number >= 232:
        return np.full(3, 8 + 10 * (number - 232), np.uint8)
    steps = np.asarray([0, 95, 135, 175, 215, 255], np.uint8)
    n = number - 16
    return steps[[n // 36, n // 6 % 6, n % 6]]


@dataclass(frozen=True)
class Atlas:
    """Glyphs of DejaVu Sans Mono (it comes with matplotlib), drawn once each; screens are put together in numpy.

    `size` is in pixels, `cell` is (height, width) of a character cell: at 8x16, two latent cells of the codec.
    """

    size: int = 13
    cell: tuple[int, int] = (16, 8)

    def draw(self, cells: Cells) -> UInt8[np.ndarray, "*t h w 3"]:
        """The picture of a screen, or of several. A character that the font lacks is a box."""
        flags = cells.flags ^ _under(cells)
        # Few of the cells differ: each kind is coloured once, then set in its places.
        pairs, pair = _kinds(_rgb(cells.fg) << 24 | _rgb(cells.bg))
        kinds, kind = _kinds(pair << 32 | flags.astype(np.int64) << 24 | cells.chars)
        tiles = np.stack([self._tile(int(k) & 0xFFFFFF, int(k) >> 24 & 0xFF, int(pairs[int(k) >> 32])) for k in kinds])
        placed = np.moveaxis(tiles[kind], -3, -4)
        *lead, rows, height, cols, width, _ = placed.shape
        return placed.reshape(*lead, rows * height, cols * width, 3)

    def _tile(self, char: int, flags: int, colours: int) -> UInt8[np.ndarray, "h w 3"]:
        """One cell in its colours (48 bits: fg, bg)."""
        fg, bg = (np.asarray([c >> 16 & 255, c >> 8 & 255, c & 255], np.int32) for c in (colours >> 24, colours))
        if flags & INVERSE:
            fg, bg = bg, fg
        if flags & FAINT:
            fg = (fg + bg) // 2
        mask = self._glyph(char | (BOLD << 24 if flags & BOLD else 0))
        if flags & UNDERLINE:
            mask = mask.copy()
            mask[-2] = 255
        blend = bg + (fg - bg) * (mask.astype(np.float32)[..., None] / 255)
        return np.round(blend).astype(np.uint8)

    def _glyph(self, code: int) -> UInt8[np.ndarray, "h w"]:
        """The coverage of a character, 0 to 255; bit 24 asks for bold."""
        if code not in self._masks:
            self._masks[code] = self._render(chr(code & 0xFFFFFF), bool(code >> 24))
        return self._masks[code]

    def _render(self, char: str, bold: bool) -> np.ndarray:
        from PIL import Image, ImageDraw

        height, width = self.cell
        image = Image.new("L", (width, height))
        pen = ImageDraw.Draw(image)
        if char.isspace() or unicodedata.category(char).startswith("C"):
            return np.zeros((height, width), np.uint8)
        if ord(char) not in self._known:
            pen.rectangle((1, 3, width - 2, height - 4), outline=255)
        else:
            pen.text((0, round(height * 0.75)), char, fill=255, font=self._fonts[bold], anchor="ls")
        return np.asarray(image)

    @cached_property
    def _masks(self) -> dict[int, np.ndarray]:
        return {}

    @cached_property
    def _fonts(self) -> list[Any]:
        from PIL import ImageFont

        return [
            ImageFont.truetype(str(font_path(name)), self.size) for name in ("DejaVuSansMono", "DejaVuSansMono-Bold")
        ]

    @cached_property
    def _known(self) -> frozenset[int]:
        from matplotlib.ft2font import FT2Font

        return frozenset(FT2Font(str(font_path("DejaVuSansMono"))).get_charmap())


def font_path(name: str) -> Path:
    """A font file that matplotlib ships."""
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"


def _under(cells: Cells) -> np.ndarray:
    """INVERSE in the cell under every visible cursor, 0 elsewhere."""
    out = np.zeros_like(cells.flags)
    flat, places = out.reshape(-1, *out.shape[-2:]), cells.cursor.reshape(-1, 2)
    seen = np.flatnonzero(places[:, 0] >= 0)
    flat[seen, places[seen, 0], places[seen, 1]] = INVERSE
    return out


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
