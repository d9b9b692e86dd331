"""What stands on a screen: reading frames by their nearest glyphs, and accuracies against the true text.

A screen's text is its rows joined by newlines; trailing blanks do not count.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import UInt8

from neural_computer.data.cli.terminal import Atlas, draw_text

GLYPHS = "".join(map(chr, range(32, 127)))


@dataclass(frozen=True)
class GlyphReader:
    """Reads frames drawn on a known grid: every cell is the printable ASCII glyph, upright or inverse, nearest to it."""

    atlas: Atlas = field(default_factory=Atlas)

    def __call__(self, frames: UInt8[np.ndarray, "t h w 3"]) -> list[str]:
        """The text of every frame. Raises ValueError where frames are no whole number of cells."""
        height, width = self.atlas.cell
        t, h, w, _ = frames.shape
        if h % height or w % width:
            raise ValueError(f"frames of {h}x{w}: must be whole cells of {height}x{width}")
        cells = frames.mean(-1, dtype=np.float32).reshape(t, h // height, height, w // width, width)
        cells = np.moveaxis(cells, 2, 3).reshape(-1, height * width)
        nearest = (np.square(self._glyphs).sum(1) - 2 * cells @ self._glyphs.T).argmin(1) % len(GLYPHS)
        letters = np.asarray(list(GLYPHS))[nearest].reshape(t, h // height, w // width)
        return ["\n".join("".join(row) for row in screen) for screen in letters]

    @cached_property
    def _glyphs(self) -> np.ndarray:
        """float32 (2 * glyphs, pixels): upright, then inverse."""
        height, width = self.atlas.cell
        line = draw_text(GLYPHS, self.atlas)[..., 0].astype(np.float32)
        upright = np.moveaxis(line.reshape(height, -1, width), 1, 0).reshape(len(GLYPHS), -1)
        return np.concatenate([upright, 255 - upright])


def grid(screens: Sequence[str]) -> np.ndarray:
    """Screens of one size as characters (t, rows, columns)."""
    return np.asarray([[list(row) for row in screen.split("\n")] for screen in screens])


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
