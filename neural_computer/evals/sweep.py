"""Does a codec keep text readable? Screens of many font sizes and densities through it, scored where the text is.

The paper's first finding: at 13 pixels text stays readable, at 6 it blurs while PSNR and SSIM of the whole screen stay high.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from neural_computer.evals.evaluate import Videos
from neural_computer.evals.pairs import Pair
from neural_computer.evals.results import ClipResult, Journal, key
from neural_computer.evals.scorer import Scorer, Scores
from neural_computer.screens.terminal import Atlas, blank
from neural_computer.types import Clip

METRICS = ("psnr", "ssim", "psnr_text", "ssim_text", "cell_acc", "new_char_acc", "char_acc_buffer", "exact_line_buffer")
WHOLE, LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789-_./", 9
TRUE = "char_acc_buffer of the true screen"
"""What the reader reads without any codec: no codec is to blame for what is missing there"""


class Kind(NamedTuple):
    """Screens of one sort: the font's size in pixels, and how much of every line is text."""

    pixels: int
    density: float

    @property
    def cell(self) -> tuple[int, int]:
        """(height, width) of a character, in the proportions of 16x8 at 13 pixels."""
        return round(self.pixels * 16 / 13), round(self.pixels * 8 / 13)


def video(kind: Kind, size: tuple[int, int], frames: int, number: int) -> Clip:
    """A video of `size` (height, width) whose lines of random words come one after the other; the last frame has them all."""
    rng, (height, width) = np.random.default_rng([kind.pixels, round(1000 * kind.density), number]), size
    tall, wide = kind.cell
    rows, columns = height // tall, width // wide
    lines = [_line(rng, round(kind.density * columns)).ljust(columns) for _ in range(rows)]
    shown = [rows * (t + 1) // frames for t in range(frames)]
    screens = tuple("\n".join([*lines[:n], *[" " * columns] * (rows - n)]) for n in shown)
    drawn = np.zeros((frames, height, width, 3), np.uint8)
    for picture, screen in zip(drawn, screens, strict=True):
        cells = blank(rows, columns)
        cells.chars[:] = [[ord(c) for c in row] for row in screen.split("\n")]
        picture[: rows * tall, : columns * wide] = Atlas(kind.pixels, kind.cell).draw(cells)
    whole = (rows * tall, columns * wide)
    info = {"original_size": whole, "scaled_size": whole, "padding": (0, 0)}
    name = f"{kind.pixels} px, {kind.density:g} full, {number}"
    return Clip(name, drawn, fps=15.0, cells=screens, meta={"data_info": info})


def _line(rng: np.random.Generator, length: int) -> str:
    """Words, together so long, or less by a part of a word."""
    words: list[str] = []
    while True:
        word = "".join(rng.choice(list(WHOLE), rng.integers(2, LETTERS + 1)))
        if len(" ".join([*words, word])) > length:
            return " ".join(words)
        words.append(word)


def swept(
    coded: Callable[[Sequence[Clip]], Videos],
    scorer: Scorer,
    kinds: Sequence[Kind],
    size: tuple[int, int],
    frames: int,
    videos: int,
    journal: Journal,
    settings: Mapping[str, Any],
) -> Iterator[tuple[Kind, ClipResult]]:
    """Every video's scores, from the journal where they are there already; `coded` encodes and decodes videos."""
    known = journal.known()
    for kind in kinds:
        for number in range(videos):
            name = key(dict(settings), kind, size, frames, number)
            if name not in known:
                window = video(kind, size, frames, number)
                pair = Pair.of(window, coded([window])[0])
                true = dataclasses.replace(scorer, names=("char_acc_buffer",))([Pair.of(window, window.frames)])[0]
                values = scorer([pair])[0].values | {TRUE: true.values["char_acc_buffer"]}
                known[name] = ClipResult(window.id, Scores(values, {}))
                journal.add(name, known[name])
            yield kind, known[name]


def table(found: Sequence[tuple[Kind, ClipResult]]) -> list[dict[str, Any]]:
    """A row a kind: every score's mean over its videos."""
    rows = []
    for kind in dict.fromkeys(kind for kind, _ in found):
        values = [clip.scores.values for other, clip in found if other == kind and clip.scores]
        means = {name: float(np.mean([v[name] for v in values])) for name in values[0]}
        rows.append({"font px": kind.pixels, "full": kind.density, **means})
    return rows
