"""Glyphs as coverage masks: from a chain of fonts, or drawn where neighbours must join.

The first font that has a character draws it: DejaVu Sans Mono, DejaVu Sans (both come with matplotlib), fonts of installed
packages, then the caller's own. A character that no font has is a box.
"""

import importlib.util
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

PACKAGED = (("fontpkg_jetbrains_mono", "files/JetBrainsMono[wght].ttf"),)
"""(package, file) of fonts that are used if their packages are installed"""

Coverage = UInt8[np.ndarray, "h w"]


class Font(NamedTuple):
    """A font in two weights at one size, and the code points that it has."""

    regular: Any
    bold: Any
    code_points: frozenset[int]


@dataclass(frozen=True)
class Glyphs:
    """Draws characters as coverage, 0 to 255, in cells of (height, width) pixels, at a font size in pixels."""

    size: int
    cell: tuple[int, int]
    fonts: tuple[str, ...] = ()
    """Font files for characters that the other fonts lack"""

    def draw(self, char: str, bold: bool = False, cells: int = 1) -> Coverage:
        """Coverage of a character over one or two cells. Spaces and controls are empty; a missing character is a box."""
        from PIL import Image, ImageDraw

        height, width = self.cell[0], self.cell[1] * cells
        if char.isspace() or unicodedata.category(char) in ("Cc", "Cf", "Cs", "Mn"):
            return np.zeros((height, width), np.uint8)
        if (shape := joined(char, height, width)) is not None:
            return shape
        image = Image.new("L", (width, height))
        pen = ImageDraw.Draw(image)
        for font in self._chain:
            if ord(char) in font.code_points:
                face = font.bold if bold else font.regular
                if font is self._chain[0]:
                    pen.text((0, round(height * 0.75)), char, fill=255, font=face, anchor="ls")
                else:
                    _fit(pen, char, face, height, width)
                return np.asarray(image)
        pen.rectangle((1, 3, width - 2, height - 4), outline=255)
        return np.asarray(image)

    @cached_property
    def _chain(self) -> tuple[Font, ...]:
        files = [(font_path(name), font_path(f"{name}-Bold")) for name in ("DejaVuSansMono", "DejaVuSans")]
        files += [(path, path) for path in (*packaged(), *map(Path, self.fonts))]
        return tuple(_load(regular, bold, self.size) for regular, bold in files)


def _load(regular: Path, bold: Path, size: int) -> Font:
    """Loads a font in two weights. Raises ValueError for a file that is no font."""
    from matplotlib.ft2font import FT2Font
    from PIL import ImageFont

    try:
        faces = [ImageFont.truetype(str(path), size) for path in (regular, bold)]
        return Font(faces[0], faces[1], frozenset(FT2Font(str(regular)).get_charmap()))
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{regular}: cannot be read as a font ({error})") from error


def _fit(pen: Any, char: str, face: Any, height: int, width: int) -> None:
    """Draws a character of a fallback font in the middle, smaller if it would not fit."""
    baseline = round(height * 0.75)
    while face.size > 4 and face.getlength(char) > width + 1:
        face = face.font_variant(size=face.size - 1)
    pen.text(((width - face.getlength(char)) / 2, baseline), char, fill=255, font=face, anchor="ls")


def font_path(name: str) -> Path:
    """Path of a font that matplotlib ships."""
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"


def packaged() -> Iterator[Path]:
    """Paths of the fonts of PACKAGED that are installed."""
    for package, file in PACKAGED:
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            if (path := Path(folder) / file).exists():
                yield path


# Characters that touch their neighbours: a font's own would leave gaps, since its line height is not the cell's.

ARMS = {"LIGHT": (0, 1), "SINGLE": (0, 1), "HEAVY": (0, 2), "DOUBLE": (-1, 2)}
"""{weight: (from, to)} of a line across, in pixels from the cell's middle; a double line is hollow"""
SHADES = {0x2591: 64, 0x2592: 128, 0x2593: 191}
DOTS = ((0, 3), (1, 4), (2, 5), (6, 7))
"""Bits of a Braille character's dots, left and right, from top to bottom"""


def joined(char: str, height: int, width: int) -> Coverage | None:
    """Coverage of lines, blocks, Braille and Powerline's triangles, edge to edge; None for other characters."""
    code = ord(char)
    if 0x2500 <= code < 0x2580:
        return _lines(unicodedata.name(char).removeprefix("BOX DRAWINGS "), height, width)
    if 0x2580 <= code < 0x25A0:
        return _block(code, height, width)
    if 0x2800 <= code < 0x2900:
        return _braille(code - 0x2800, height, width)
    return _triangle(code == 0xE0B0, height, width) if code in (0xE0B0, 0xE0B2) else None


def _lines(name: str, height: int, width: int) -> Coverage | None:
    """A box drawing, whose name has each arm's weight: "DOWN LIGHT AND RIGHT HEAVY". None for dashes and diagonals."""
    if "DIAGONAL" in name or "DASH" in name:
        return None
    arms: dict[str, str] = {}
    usual = re.match("|".join(ARMS), name)
    for part in name.replace("VERTICAL", "UP DOWN").replace("HORIZONTAL", "LEFT RIGHT").split(" AND "):
        weight = re.search("|".join(ARMS), part) or usual
        arms |= {arm: weight[0] for arm in re.findall("UP|DOWN|LEFT|RIGHT", part) if weight}
    out = np.zeros((height, width), np.uint8)
    double = {arm for arm, weight in arms.items() if weight == "DOUBLE"}
    for arm in double:
        out[_arm(arm, ARMS["DOUBLE"], height, width)] = 255
    for arm in double:
        out[_arm(arm, (0, 1), height, width)] = 0
    for arm in arms.keys() - double:
        out[_arm(arm, ARMS[arms[arm]], height, width)] = 255
    return out


def _arm(arm: str, span: tuple[int, int], height: int, width: int) -> tuple[slice, slice]:
    """(rows, columns) of a line from the cell's middle to one of its edges."""
    (top, bottom), (left, right) = ((half + span[0], half + span[1]) for half in (height // 2, width // 2))
    rows = {"UP": slice(0, bottom), "DOWN": slice(top, height)}.get(arm, slice(top, bottom))
    return rows, {"LEFT": slice(0, right), "RIGHT": slice(left, width)}.get(arm, slice(left, right))


def _block(code: int, height: int, width: int) -> Coverage:
    """A block element: some eighths from one side, a shade, or quadrants."""
    out = np.zeros((height, width), np.uint8)
    sides = {0x2580: ("UPPER", 4), 0x2590: ("RIGHT", 4), 0x2594: ("UPPER", 1), 0x2595: ("RIGHT", 1)}
    sides |= {0x2580 + n: ("LOWER", n) for n in range(1, 9)} | {0x2590 - n: ("LEFT", n) for n in range(1, 8)}
    if code in sides:
        side, eighths = sides[code]
        out[_side(side, eighths, height, width)] = 255
    elif code in SHADES:
        out[:] = SHADES[code]
    else:
        for part in unicodedata.name(chr(code)).removeprefix("QUADRANT ").split(" AND "):
            vertical, horizontal = part.split()
            out[_side(vertical, 4, height, width)[0], _side(horizontal, 4, height, width)[1]] = 255
    return out


def _side(side: str, eighths: int, height: int, width: int) -> tuple[slice, slice]:
    """(rows, columns) of `eighths` of a cell from one of its sides."""
    h, w = max(1, round(height * eighths / 8)), max(1, round(width * eighths / 8))
    rows = {"UPPER": slice(0, h), "LOWER": slice(height - h, height)}.get(side, slice(0, height))
    return rows, {"LEFT": slice(0, w), "RIGHT": slice(width - w, width)}.get(side, slice(0, width))


def _braille(bits: int, height: int, width: int) -> Coverage:
    """Braille dots in the middles of a cell's eighths, each half as large as its eighth."""
    out = np.zeros((height, width), np.uint8)
    h, w = max(1, height // 8), max(1, width // 4)
    for row, pair in enumerate(DOTS):
        for column, bit in enumerate(pair):
            if bits >> bit & 1:
                y, x = (2 * row + 1) * height // 8, (2 * column + 1) * width // 4
                out[y - h // 2 : y - h // 2 + h, x - w // 2 : x - w // 2 + w] = 255
    return out


def _triangle(right: bool, height: int, width: int) -> Coverage:
    """A triangle over the whole cell that points right or left."""
    from PIL import Image, ImageDraw

    image = Image.new("L", (width * 4, height * 4))
    base, tip = (0, width * 4) if right else (width * 4, 0)
    ImageDraw.Draw(image).polygon([(base, 0), (tip, height * 2), (base, height * 4)], fill=255)
    return np.asarray(image.resize((width, height), Image.Resampling.BOX))
