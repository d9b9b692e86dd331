"""Where a clip's terminal is in its pixels: to read it by its glyphs, and to tell text from background.

Clips are letterboxed: what was drawn in whole cells stands scaled in the frame's middle.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from neural_computer.evals import text
from neural_computer.evals.frames import resized
from neural_computer.screens.terminal import Atlas


class Place(NamedTuple):
    """A terminal in frames: its cells' (height, width) as drawn, its pixels as drawn and as scaled, what is above and left
    of it. All in pixels."""

    cell: tuple[int, int]
    original: tuple[int, int]
    scaled: tuple[int, int]
    padding: tuple[int, int]

    @classmethod
    def of(cls, cells: Sequence[str], size: tuple[int, ...], info: Mapping[str, Any]) -> "Place":
        """Of screens in frames of a size: by what a clip's `data_info` tell, or, where they tell nothing, the whole frame."""
        height, width = tuple(info.get("original_size", size))
        rows, columns = text.grid(cells[:1]).shape[1:]
        scaled, padding = tuple(info.get("scaled_size", size)), tuple(info.get("padding", (0, 0)))
        return cls((height // rows, width // columns), (height, width), scaled, padding)

    def drawn(self, frames: UInt8[np.ndarray, "t h w 3"]) -> UInt8[np.ndarray, "t hh ww 3"]:
        """The terminal alone, as large as it was drawn."""
        (top, left), (height, width) = self.padding, self.scaled
        return resized(frames[:, top : top + height, left : left + width], *self.original, sharp=True)

    def mask(self, cells: Sequence[str], height: int, width: int) -> Bool[np.ndarray, "t {height} {width}"]:
        """The pixels, of frames of this size, whose cells hold a character that is not blank."""
        there = text.text_cells(cells, *self.original)
        (top, left), (tall, wide) = self.padding, self.scaled
        rows, columns = (np.arange(new) * old // new for new, old in zip((tall, wide), self.original, strict=True))
        out = np.zeros((len(there), height, width), bool)
        out[:, top : top + tall, left : left + wide] = there[:, rows][:, :, columns]
        return out

    def reader(self, cells: Sequence[str]) -> text.GlyphReader:
        """A reader that knows the terminal's size of glyphs, and every character of some screens."""
        return _reader(self.cell, " " + "".join(sorted(set(text.GLYPHS).union(*cells) - set(" \n"))))


@cache
def _reader(cell: tuple[int, int], glyphs: str) -> text.GlyphReader:
    return text.GlyphReader(Atlas(round(cell[0] * 13 / 16), cell), glyphs, colours=True)
