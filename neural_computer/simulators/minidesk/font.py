"""The desk's own font: every printable ASCII character, 3 x 6 pixels in a cell of 4 x 6."""

from functools import lru_cache

import numpy as np
from jaxtyping import Bool

HIGH, WIDE = 6, 4

# A character is six rows from above, an octal digit each: 4 is the left pixel, 2 the middle one, 1 the right one.
ROWS = """
000000 222020 550000 575750 363620 512450 252530 220000 122210 422240 052500 027200 000024 007000 000020 112440
755570 262270 717470 717170 557110 747170 747570 711220 757570 757170 020200 020240 124210 070700 421240 612020
257430 257550 656560 344430 655560 746470 746440 345530 557550 722270 111520 556550 444470 577550 655550 255520
656440 255230 656550 342160 722220 555570 555520 557750 552550 552220 712470 644460 442110 311130 250000 000070
420000 003530 446560 003430 113530 003630 127220 035316 446550 202220 101116 445650 622270 007750 006550 002520
006564 003531 003440 003260 272210 005530 005520 005770 005250 005316 006230 326230 222220 623260 036000
"""
DIGITS = np.asarray([[int(digit) for digit in rows] for rows in ROWS.split()])
GLYPHS = (DIGITS[:, :, None] >> np.asarray([2, 1, 0, 3])) & np.asarray([1, 1, 1, 0]) > 0
"""bool (95, 6, 4)"""


@lru_cache(4096)
def ink(text: str) -> Bool[np.ndarray, "h w"]:
    """The mask of a line of text, 6 x 4 pixels a character. A character that the font lacks becomes a question mark."""
    codes = [ord(char) - 32 if 32 <= ord(char) < 127 else ord("?") - 32 for char in text]
    return GLYPHS[codes].transpose(1, 0, 2).reshape(HIGH, WIDE * len(text))
