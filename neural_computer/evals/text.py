"""What stands on a screen: reading frames by their nearest glyphs, and accuracies against the true text.

A screen's text is its rows joined by newlines; trailing blanks do not count. Two families of accuracies: by cell, where
a film's terminal is known, and by line, the paper's protocol, for whatever an OCR has read.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from einops import rearrange
from jaxtyping import Bool, Float, Int, UInt8

from neural_computer.data.cli.terminal import BOLD, UNDERLINE, Atlas, blank

GLYPHS = "".join(map(chr, range(32, 127)))


FLAT = 24
"""Of 255: a cell whose pixels differ by less holds nothing that could be read"""


@dataclass(frozen=True)
class GlyphReader:
    """Reads frames drawn on a known grid: every cell is the glyph, upright or inverse, nearest to it.

    By itself it knows white on black. With `colours` it reads any two colours, bold and underlined: every cell is the
    glyph that it correlates with best.
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
        cells = rearrange(frames, "t (r h) (c w) d -> (t r c) (h w) d", h=height, w=width)
        letters = np.asarray(list(self.glyphs))[self._correlated(cells) if self.colours else self._nearest(cells)]
        screens = letters.reshape(t, h // height, w // width)
        return ["\n".join("".join(row) for row in screen) for screen in screens]

    def _nearest(self, cells: UInt8[np.ndarray, "n p 3"]) -> Int[np.ndarray, " n"]:
        grey, upright = cells.mean(-1, dtype=np.float32), self._drawn(0)
        known = np.concatenate([upright, 255 - upright])
        return (np.square(known).sum(1) - 2 * grey @ known.T).argmin(1) % len(self.glyphs)

    def _correlated(self, cells: UInt8[np.ndarray, "n p 3"]) -> Int[np.ndarray, " n"]:
        """By the channel in which a cell's colours differ most; what differs in none is the first glyph, a blank."""
        spans = cells.max(1).astype(int) - cells.min(1)
        channel = spans.argmax(1)
        values = np.take_along_axis(cells, channel[:, None, None], axis=2)[..., 0].astype(np.float32)
        known = _directions(np.concatenate([self._drawn(f) for f in (0, BOLD, UNDERLINE, BOLD | UNDERLINE)]))
        likest = np.abs(_directions(values) @ known.T).argmax(1) % len(self.glyphs)
        return np.where(spans.max(1) < FLAT, 0, likest)

    def _drawn(self, flags: int) -> Float[np.ndarray, "g p"]:
        """The glyphs white on black."""
        if flags not in self._atlases:
            cells = blank(1, len(self.glyphs))
            cells.chars[0] = [ord(glyph) for glyph in self.glyphs]
            cells.flags[:] = flags
            cells.fg[:], cells.bg[:] = 255, 0
            line = self.atlas.draw(cells)[..., 0].astype(np.float32)
            self._atlases[flags] = rearrange(line, "h (g w) -> g (h w)", g=len(self.glyphs))
        return self._atlases[flags]

    @cached_property
    def _atlases(self) -> dict[int, np.ndarray]:
        return {}


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
    return [part for c in row for part in ([c, ""] if unicodedata.east_asian_width(c) in "WF" else [c])]


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
    """The frames of a film of `count` that are read: all, or `most` evenly spaced ones, rounded half to even, in order."""
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
