"""Text of screens: a reader of frames by their nearest glyphs, and accuracies against the true text.

A screen's text is its rows joined by newlines; trailing blanks do not count. Two families of accuracies: by cell, where
a video's terminal grid is known, and by line, the paper's protocol for any text that OCR reads.
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

MIN_CONTRAST = 24
"""Of 255: a cell whose pixels differ by less is a blank"""
MIN_CORRELATION = 0.6
"""Correlation below which a cell is noise on a blank and no glyph"""


@dataclass(frozen=True)
class GlyphReader:
    """Reads frames drawn on a known grid: every cell is the glyph, upright or inverse, nearest to it.

    Without `colours`, text is white on black. With `colours`, it may have any two colours, be bold and underlined:
    every cell is the glyph with the largest correlation. A glyph two columns wide is read as one character.
    """

    atlas: Atlas = field(default_factory=Atlas)
    glyphs: str = GLYPHS
    colours: bool = False

    def __call__(self, frames: UInt8[np.ndarray, "t h w 3"]) -> list[str]:
        """The text of every frame. Raises ValueError where frames are not a whole number of cells."""
        height, width = self.atlas.cell
        t, h, w, _ = frames.shape
        if h % height or w % width:
            raise ValueError(f"frames of {h}x{w}: must be whole cells of {height}x{width}")
        shape = t, h // height, w // width
        cells = rearrange(frames, "t (r h) (c w) d -> (t r c) (h w) d", h=height, w=width)
        similarity = self._correlation if self.colours else self._nearness
        narrow = similarity(cells, self._narrow)
        letters = np.asarray(list(self._narrow))[narrow.argmax(1)].reshape(shape)
        if self._wide and shape[2] > 1:
            halves = similarity(cells, self._wide)
            letters = self._joined(letters, narrow.max(1).reshape(shape), halves.reshape(*shape, -1, 2))
        return ["\n".join("".join(row) for row in screen) for screen in letters]

    @property
    def _narrow(self) -> str:
        return "".join(c for c in self.glyphs if not is_wide(c))

    @property
    def _wide(self) -> str:
        return "".join(filter(is_wide, self.glyphs))

    def _joined(self, letters: np.ndarray, narrow: np.ndarray, halves: np.ndarray) -> np.ndarray:
        """Every row as the characters, one or two cells wide, with the largest total similarity; a second cell is empty."""
        pairs = halves[:, :, :-1, :, 0] + halves[:, :, 1:, :, 1]
        best, best_similarity, out = pairs.argmax(-1), pairs.max(-1), letters.copy()
        # A row that two narrow glyphs always explain better is done.
        for at in np.argwhere((best_similarity > narrow[:, :, :-1] + narrow[:, :, 1:]).any(-1)):
            row = tuple(at)
            for column in _wide_columns(narrow[row], best_similarity[row]):
                out[row][column : column + 2] = self._wide[best[row][column]], ""
        return out

    def _nearness(self, cells: UInt8[np.ndarray, "n p 3"], glyphs: str) -> Float[np.ndarray, "n g"]:
        """Negative squared distance of each cell to each glyph, up to a constant per cell; the nearer of white on black
        and black on white."""
        grey, upright = cells.mean(-1, dtype=np.float32), self._drawn(glyphs, 0)
        both = [2 * grey @ glyph.T - np.square(glyph).sum(1) for glyph in (upright, 255 - upright)]
        return np.maximum(*both)

    def _correlation(self, cells: UInt8[np.ndarray, "n p 3"], glyphs: str) -> Float[np.ndarray, "n g"]:
        """Absolute correlation of each cell with each glyph, in the channel where the cell's colours differ most.

        A cell with no contrast in any channel is a glyph that is drawn without contrast: a blank.
        """
        spans = cells.max(1).astype(int) - cells.min(1)
        channel = spans.argmax(1)
        values = np.take_along_axis(cells, channel[:, None, None], axis=2)[..., 0].astype(np.float32)
        styles = [self._drawn(glyphs, flags) for flags in (0, BOLD, UNDERLINE, BOLD | UNDERLINE)]
        correlation = np.max([np.abs(_directions(values) @ _directions(style).T) for style in styles], axis=0)
        empty = np.ptp(styles[0], axis=1) < MIN_CONTRAST
        correlation[:, empty] = np.maximum(correlation[:, empty], MIN_CORRELATION)
        return np.where((spans.max(1) < MIN_CONTRAST)[:, None], empty.astype(np.float32), correlation)

    def _drawn(self, glyphs: str, flags: int) -> Float[np.ndarray, "g p"]:
        """Pixels of the glyphs, white on black; of glyphs two columns wide, left and right halves in turn."""
        if (glyphs, flags) not in self._atlases:
            columns = [ord(c) for glyph in glyphs for c in (glyph * 2 if is_wide(glyph) else glyph)]
            cells = blank(1, len(columns))
            cells.chars[0] = columns
            cells.flags[:] = flags
            cells.flags[0, 1::2] |= WIDE_TAIL if is_wide(glyphs[0]) else 0
            cells.fg[:], cells.bg[:] = 255, 0
            line = self.atlas.draw(cells)[..., 0].astype(np.float32)
            self._atlases[glyphs, flags] = rearrange(line, "h (g w) -> g (h w)", g=len(columns))
        return self._atlases[glyphs, flags]

    @cached_property
    def _atlases(self) -> dict[tuple[str, int], np.ndarray]:
        return {}


def is_wide(char: str) -> bool:
    """Whether a character is two columns wide."""
    return unicodedata.east_asian_width(char) in "WF"


def _wide_columns(narrow: Float[np.ndarray, " c"], wide: Float[np.ndarray, " b"]) -> list[int]:
    """Columns where a row's wide characters begin, so that the sum of similarities, a cell's or a pair's, is largest."""
    total, last = [0.0, float(narrow[0])], [1, 1]
    for column in range(1, len(narrow)):
        one, two = total[column] + narrow[column], total[column - 1] + wide[column - 1]
        total.append(float(max(one, two)))
        last.append(2 if two > one else 1)
    starts, column = [], len(narrow)
    while column > 0:
        column -= (width := last[column])
        if width == 2:
            starts.append(column)
    return starts[::-1]


def _directions(x: Float[np.ndarray, "n p"]) -> Float[np.ndarray, "n p"]:
    """Rows less their mean, scaled to length 1; a constant row becomes 0."""
    x = x - x.mean(1, keepdims=True)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-6)


# By cell


def grid(screens: Sequence[str]) -> np.ndarray:
    """Screens of one size as characters (t, rows, columns); right of a character two columns wide is an empty one."""
    rows = [[_columns(row) for row in screen.split("\n")] for screen in screens]
    widest = max(len(row) for screen in rows for row in screen)
    return np.asarray([[row + [" "] * (widest - len(row)) for row in screen] for screen in rows])


def _columns(row: str) -> list[str]:
    if row.isascii():
        return list(row)
    return [cell for c in row for cell in ([c, ""] if is_wide(c) else [c])]


def text_cells(screens: Sequence[str], height: int, width: int) -> Bool[np.ndarray, "t {height} {width}"]:
    """Mask of the pixels, in frames of this size, whose cells hold a character that is not blank."""
    full = grid(screens) != " "
    return full.repeat(height // full.shape[1], axis=1).repeat(width // full.shape[2], axis=2)


def accuracy(read: Sequence[str], truth: Sequence[str]) -> float:
    """Share of cells with the right character."""
    return float((grid(read) == grid(truth)).mean())


def new_accuracy(read: Sequence[str], truth: Sequence[str]) -> float:
    """Share of the right ones among the characters that the first screen has not; a copy of frame 0 has none of them.

    Blanks do not count. NaN where nothing new appears.
    """
    reference = grid(truth)
    new = (reference != reference[:1]) & (reference != " ")
    return float((grid(read) == reference)[new].mean()) if new.any() else float("nan")


def exact_lines(read: Sequence[str], truth: Sequence[str]) -> float:
    """Share of rows, over all screens, that are right to the last character."""
    rows = [(a.rstrip(), b.rstrip()) for r, t in zip(read, truth, strict=True) for a, b in _rows(r, t)]
    return float(np.mean([a == b for a, b in rows]))


def exact_screen(read: str, truth: str) -> float:
    """1 if a screen is right to the last character, else 0."""
    return float(all(a.rstrip() == b.rstrip() for a, b in _rows(read, truth)))


def _rows(read: str, truth: str) -> list[tuple[str, str]]:
    return list(zip(read.split("\n"), truth.split("\n"), strict=True))


# By line: the paper's OCR protocol

OCR_FRAMES = 5
"""Frames of a video that are read"""


def sample_frames(count: int, most: int = OCR_FRAMES) -> list[int]:
    """Indices of the frames that are read: all of `count`, or `most` evenly spaced ones, halves to even, in order."""
    if count <= most:
        return list(range(count))
    return sorted({round(index) for index in np.linspace(0, count - 1, most).tolist()})


def lines(read: str) -> list[str]:
    """Lines of an OCR's text: stripped, inner blanks single, empty lines dropped; case and punctuation stay."""
    stripped = (" ".join(line.split()) for line in read.splitlines())
    return [line for line in stripped if line]


def char_acc(generated: Sequence[str], reference: Sequence[str]) -> float:
    """max(0, 1 - edit_distance(s, t) / |s|) of the reference lines s and the generated lines t, joined by newlines.

    Both empty: 1; only s empty: 0.
    """
    s, t = "\n".join(reference), "\n".join(generated)
    if not s:
        return float(not t)
    return max(0.0, 1 - edit_distance(s, t) / len(s))


def exact_line(generated: Sequence[str], reference: Sequence[str]) -> float:
    """Share of the reference lines that equal, to the last character, the generated line of the same index.

    Both empty: 1; only the reference empty: 0.
    """
    if not reference:
        return float(not generated)
    return sum(a == b for a, b in zip(generated, reference, strict=False)) / len(reference)


def edit_distance(a: str, b: str) -> int:
    """Levenshtein distance: the fewest insertions, deletions and substitutions of a character that turn a into b.

    The usual table, a row at a time (Wagner and Fischer 1974); insertions within a row are a running minimum.
    """
    columns, codes = np.arange(len(b) + 1), np.asarray([ord(c) for c in b], np.int64)
    row = columns
    for number, char in enumerate(a, 1):
        best = np.minimum(row[1:] + 1, row[:-1] + (codes != ord(char)))
        row = np.minimum.accumulate(np.append(number, best) - columns) + columns
    return int(row[-1])
