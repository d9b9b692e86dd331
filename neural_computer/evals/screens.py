"""Region of a clip's terminal in its frames: for reading it by its glyphs, and for telling text from background.

Clips are letterboxed: the terminal, drawn in whole cells, is scaled and centred in the frame.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from neural_computer.evals import text
from neural_computer.evals.frames import resize
from neural_computer.screens.terminal import Atlas


class TerminalRegion(NamedTuple):
    """A terminal in frames, in pixels: (height, width) of a cell as drawn, of the terminal as drawn and as scaled, and
    the padding (above, left)."""

    cell: tuple[int, int]
    original: tuple[int, int]
    scaled: tuple[int, int]
    padding: tuple[int, int]

    @classmethod
    def of(cls, cells: Sequence[str], size: tuple[int, ...], data_info: Mapping[str, Any]) -> "TerminalRegion":
        """The region in frames of `size`, by a clip's `data_info`; without one, the whole frame."""
        height, width = tuple(data_info.get("original_size", size))
        rows, columns = text.grid(cells[:1]).shape[1:]
        scaled, padding = tuple(data_info.get("scaled_size", size)), tuple(data_info.get("padding", (0, 0)))
        return cls((height // rows, width // columns), (height, width), scaled, padding)

    def crop(self, frames: UInt8[np.ndarray, "t h w 3"]) -> UInt8[np.ndarray, "t hh ww 3"]:
        """The terminal alone, at the size it was drawn with."""
        (top, left), (height, width) = self.padding, self.scaled
        return resize(frames[:, top : top + height, left : left + width], *self.original, sharp=True)

    def text_mask(self, cells: Sequence[str], height: int, width: int) -> Bool[np.ndarray, "t {height} {width}"]:
        """Mask of the pixels, in frames of this size, whose cells hold a character that is not blank."""
        full = text.text_cells(cells, *self.original)
        (top, left), (tall, wide) = self.padding, self.scaled
        rows, columns = (np.arange(new) * old // new for new, old in zip((tall, wide), self.original, strict=True))
        out = np.zeros((len(full), height, width), bool)
        out[:, top : top + tall, left : left + wide] = full[:, rows][:, :, columns]
        return out

    def reader(self, cells: Sequence[str]) -> text.GlyphReader:
        """A reader of glyphs of the terminal's size that knows every character of the screens `cells`."""
        return _reader(self.cell, " " + "".join(sorted(set(text.GLYPHS).union(*cells) - set(" \n"))))


@cache
def _reader(cell: tuple[int, int], glyphs: str) -> text.GlyphReader:
    return text.GlyphReader(Atlas(round(cell[0] * 13 / 16), cell), glyphs, colours=True)
