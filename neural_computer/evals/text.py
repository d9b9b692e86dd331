"""What stands on a screen: reading frames by their nearest glyphs, and accuracies against the true text.

A screen's text is its rows joined by newlines; trailing blanks do not count. Two families of accuracies: by cell, where
a video's terminal is known, and by line, the paper's protocol, for whatever an OCR has read.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from einops import rearrange
from jaxtyping import Bool, Float, UInt8

from neural_computer.screens.terminal import BOLD, UNDERLINE, WIDE_TAIL, Atlas, blank

GLYPHS = "".join(map(chr, range(32, 127)))


FLAT = 24
"""Of 255: a cell whose pixels differ by less holds nothing that could be read"""
LIKE = 0.6
"""Correlation that a cell must have with a glyph to be one, and not noise on a blank"""


@dataclass(frozen=True)
class GlyphReader:
    """Reads frames drawn on a known grid: every cell is the glyph, upright or inverse, nearest to it.

    By itself it knows white on black. With `colours` it reads any two colours, bold and underlined: every cell is the
    glyph that it correlates with best. Glyphs that are two columns wide are read as one character.
    """

    atlas: Atlas = field(default_factory=Atlas)
    glyphs: str = GLYPHS
    colours: bool = False

    def __call__(self, frames: UInt8[np.ndarray, "t h w 3"]) -> list[str]:
        """The text of every frame. Raises ValueError where frames are no whole number of cells."""
        height, width = self.atlas.cell
        t, h, w, _ = frames.shape
        if h % height or w % width:
            raise ValueError(f"frames of {h}x{w}: must be whole cells of {height}x{width}")
        shape = t, h // height, w // width
        cells = rearrange(frames, "t (r h) (c w) d -> (t r c) (h w) d", h=height, w=width)
        likeness = self._correlated if self.colours else self._near
        narrow = likeness(cells, self._narrow)
        letters = np.asarray(list(self._narrow))[narrow.argmax(1)].reshape(shape)
        if self._wide and shape[2] > 1:
            halves = likeness(cells, self._wide)
            letters = self._joined(letters, narrow.max(1).reshape(shape), halves.reshape(*shape, -1, 2))
        return ["\n".join("".join(row) for row in screen) for screen in letters]

    @property
    def _narrow(self) -> str:
        return "".join(c for c in self.glyphs if not wide(c))

    @property
    def _wide(self) -> str:
        return "".join(filter(wide, self.glyphs))

    def _joined(self, letters: np.ndarray, narrow: np.ndarray, halves: np.ndarray) -> np.ndarray:
        """Every row as the characters, of one cell or two, that are together likest to it; a second cell is empty."""
        pairs = halves[:, :, :-1, :, 0] + halves[:, :, 1:, :, 1]
        best, likest, out = pairs.argmax(-1), pairs.max(-1), letters.copy()
        # A row that two narrow glyphs always explain better is done.
        for at in np.argwhere((likest > narrow[:, :, :-1] + narrow[:, :, 1:]).any(-1)):
            row = tuple(at)
            for column in _wide_columns(narrow[row], likest[row]):
                out[row][column : column + 2] = self._wide[best[row][column]], ""
        return out

    def _near(self, cells: UInt8[np.ndarray, "n p 3"], glyphs: str) -> Float[np.ndarray, "n g"]:
        """How near white on black, or black on white, comes to each cell; a constant of the cell is left out."""
        grey, upright = cells.mean(-1, dtype=np.float32), self._drawn(glyphs, 0)
        both = [2 * grey @ known.T - np.square(known).sum(1) for known in (upright, 255 - upright)]
        return np.maximum(*both)

    def _correlated(self, cells: UInt8[np.ndarray, "n p 3"], glyphs: str) -> Float[np.ndarray, "n g"]:
        """By the channel in which a cell's colours differ most; a cell that differs in none is what is drawn so: a blank."""
        spans = cells.max(1).astype(int) - cells.min(1)
        channel = spans.argmax(1)
        values = np.take_along_axis(cells, channel[:, None, None], axis=2)[..., 0].astype(np.float32)
        looks = [self._drawn(glyphs, flags) for flags in (0, BOLD, UNDERLINE, BOLD | UNDERLINE)]
        found = np.max([np.abs(_directions(values) @ _directions(known).T) for known in looks], axis=0)
        empty = np.ptp(looks[0], axis=1) < FLAT
        found[:, empty] = np.maximum(found[:, empty], LIKE)
        return np.where((spans.max(1) < FLAT)[:, None], empty.astype(np.float32), found)

    def _drawn(self, glyphs: str, flags: int) -> Float[np.ndarray, "g p"]:
        """The glyphs white on black; of those that are two columns wide left and right halves in turn."""
        if (glyphs, flags) not in self._atlases:
            columns = [ord(c) for glyph in glyphs for c in (glyph * 2 if wide(glyph) else glyph)]
            cells = blank(1, len(columns))
            cells.chars[0] = columns
            cells.flags[:] = flags
            cells.flags[0, 1::2] |= WIDE_TAIL if wide(glyphs[0]) else 0
            cells.fg[:], cells.bg[:] = 255, 0
            line = self.atlas.draw(cells)[..., 0].astype(np.float32)
            self._atlases[glyphs, flags] = rearrange(line, "h (g w) -> g (h w)", g=len(columns))
        return self._atlases[glyphs, flags]

    @cached_property
    def _atlases(self) -> dict[tuple[str, int], np.ndarray]:
        return {}


def wide(char: str) -> bool:
    """Is it two columns wide?"""
    return unicodedata.east_asian_width(char) in "WF"


def _wide_columns(narrow: Float[np.ndarray, " c"], wide: Float[np.ndarray, " b"]) -> list[int]:
    """Where a row's wide characters begin, so that the sum of likenesses, one cell's or a pair's, is largest."""
    total, last = [0.0, float(narrow[0])], [1, 1]
    for column in range(1, len(narrow)):
        one, two = total[column] + narrow[column], total[column - 1] + wide[column - 1]
        total.append(float(max(one, two)))
        last.append(2 if two > one else 1)
    found, column = [], len(narrow)
    while column > 0:
        column -= (taken := last[column])
        if taken == 2:
            found.append(column)
    return found[::-1]


def _directions(x: Float[np.ndarray, "n p"]) -> Float[np.ndarray, "n p"]:
    """Rows less their mean, of length 1; what is all of one value is 0."""
    x = x - x.mean(1, keepdims=True)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-6)


# By cell


def grid(screens: Sequence[str]) -> np.ndarray:
    """Screens of one size as characters (t, rows, columns); one that is two columns wide has an empty one to its right."""
    rows = [[_columns(row) for row in screen.split("\n")] for screen in screens]
    widest = max(len(row) for screen in rows for row in screen)
    return np.asarray([[row + [" "] * (widest - len(row)) for row in screen] for screen in rows])


def _columns(row: str) -> list[str]:
    if row.isascii():
        return list(row)
    return [part for c in row for part in ([c, ""] if wide(c) else [c])]


def text_cells(screens: Sequence[str], height: int, width: int) -> Bool[np.ndarray, "t {height} {width}"]:
    """The pixels, of frames of this size, whose cells hold a character that is not blank: where the text is."""
    full = grid(screens) != " "
    return full.repeat(height // full.shape[1], axis=1).repeat(width // full.shape[2], axis=2)


def accuracy(read: Sequence[str], truth: Sequence[str]) -> float:
    """Share of cells that hold the right character."""
    return float((grid(read) == grid(truth)).mean())


def new_accuracy(read: Sequence[str], truth: Sequence[str]) -> float:
    """Share of the right among the glyphs that are not on the first screen: what a copy of frame 0 gets none of.

    Blanks do not count. NaN where nothing new appears.
    """
    right = grid(truth)
    new = (right != right[:1]) & (right != " ")
    return float((grid(read) == right)[new].mean()) if new.any() else float("nan")


def exact_lines(read: Sequence[str], truth: Sequence[str]) -> float:
    """Share of rows, over all screens, that are right to the last character."""
    pairs = [(a.rstrip(), b.rstrip()) for r, t in zip(read, truth, strict=True) for a, b in _rows(r, t)]
    return float(np.mean([a == b for a, b in pairs]))


def exact_screen(read: str, truth: str) -> float:
    """1 if a screen is right to the last character, else 0."""
    return float(all(a.rstrip() == b.rstrip() for a, b in _rows(read, truth)))


def _rows(read: str, truth: str) -> list[tuple[str, str]]:
    return list(zip(read.split("\n"), truth.split("\n"), strict=True))


# By line: the paper's OCR protocol


def sampled(count: int, most: int = 5) -> list[int]:
    """The frames of a video of `count` that are read: all, or `most` evenly spaced ones, rounded half to even, in order."""
    if count <= most:
        return list(range(count))
    return sorted({round(place) for place in np.linspace(0, count - 1, most).tolist()})


def lines(read: str) -> list[str]:
    """What an OCR read, as lines: stripped, blanks within them single, none empty; case and punctuation stay."""
    stripped = (" ".join(line.split()) for line in read.splitlines())
    return [line for line in stripped if line]


def char_acc(made: Sequence[str], right: Sequence[str]) -> float:
    """max(0, 1 - lev(s, t) / |s|) of the right lines s and the made ones t, each joined by newlines.

    Both empty: 1; only s empty: 0.
    """
    from rapidfuzz.distance import Levenshtein

    s, t = "\n".join(right), "\n".join(made)
    if not s:
        return float(not t)
    return max(0.0, 1 - Levenshtein.distance(s, t) / len(s))


def exact_line(made: Sequence[str], right: Sequence[str]) -> float:
    """Share of the right lines that stand, to the last character, at the same index of the made ones.

    Both empty: 1; only the right ones empty: 0.
    """
    if not right:
        return float(not made)
    return sum(a == b for a, b in zip(made, right, strict=False)) / len(right)
