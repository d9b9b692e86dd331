"""A sweep over font sizes and text densities: does a codec keep text readable?

The paper's first finding: at 13 pixels text stays readable; at 6 it blurs while PSNR and SSIM of the whole screen stay high.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from neural_computer.evals.pairs import VideoPair
from neural_computer.evals.results import ClipResult, Journal, result_key
from neural_computer.evals.scorer import Scorer, Scores
from neural_computer.screens.terminal import Atlas, blank
from neural_computer.types import Clip

METRICS = ("psnr", "ssim", "psnr_text", "ssim_text", "cell_acc", "new_char_acc", "char_acc_buffer", "exact_line_buffer")
LETTERS, LONGEST = "abcdefghijklmnopqrstuvwxyz0123456789-_./", 9
"""Of the random words: their characters, and how many at most"""
UNCODED = "char_acc_buffer of the true screen"
"""What the reader reads without any codec: no codec is to blame for what is missing there"""


class SweepPoint(NamedTuple):
    """One kind of screen: the font's size in pixels, and the share of every line that is text."""

    pixels: int
    density: float

    @property
    def cell(self) -> tuple[int, int]:
        """(height, width) of a character in pixels, in the proportions of 16x8 at 13 pixels."""
        return round(self.pixels * 16 / 13), round(self.pixels * 8 / 13)


def video(point: SweepPoint, size: tuple[int, int], frames: int, number: int) -> Clip:
    """A clip of `size` (height, width) whose lines of random words appear one after the other; the last frame has all."""
    rng, (height, width) = np.random.default_rng([point.pixels, round(1000 * point.density), number]), size
    tall, wide = point.cell
    rows, columns = height // tall, width // wide
    lines = [_line(rng, round(point.density * columns)).ljust(columns) for _ in range(rows)]
    shown = [rows * (t + 1) // frames for t in range(frames)]
    screens = tuple("\n".join([*lines[:n], *[" " * columns] * (rows - n)]) for n in shown)
    drawn = np.zeros((frames, height, width, 3), np.uint8)
    for image, screen in zip(drawn, screens, strict=True):
        cells = blank(rows, columns)
        cells.chars[:] = [[ord(c) for c in row] for row in screen.split("\n")]
        image[: rows * tall, : columns * wide] = Atlas(point.pixels, point.cell).draw(cells)
    terminal = (rows * tall, columns * wide)
    data_info = {"original_size": terminal, "scaled_size": terminal, "padding": (0, 0)}
    name = f"{point.pixels} px, {point.density:g} full, {number}"
    return Clip(name, drawn, fps=15.0, cells=screens, meta={"data_info": data_info})


def _line(rng: np.random.Generator, length: int) -> str:
    """Random words of `length` characters together, or less by a part of a word."""
    words: list[str] = []
    while True:
        word = "".join(rng.choice(list(LETTERS), rng.integers(2, LONGEST + 1)))
        if len(" ".join([*words, word])) > length:
            return " ".join(words)
        words.append(word)


def sweep(
    reconstruct: Callable[[Sequence[Clip]], UInt8[np.ndarray, "n t h w 3"]],
    scorer: Scorer,
    points: Sequence[SweepPoint],
    size: tuple[int, int],
    frames: int,
    videos: int,
    journal: Journal,
    settings: Mapping[str, Any],
) -> Iterator[tuple[SweepPoint, ClipResult]]:
    """Every video's scores after `reconstruct`, which encodes and decodes it; results in the journal are not recomputed."""
    results = journal.load()
    uncoded = dataclasses.replace(scorer, names=("char_acc_buffer",))
    for point in points:
        for number in range(videos):
            key = result_key(dict(settings), point, size, frames, number)
            if key not in results:
                clip = video(point, size, frames, number)
                (true,) = uncoded([VideoPair.of(clip, clip.frames)])
                (coded,) = scorer([VideoPair.of(clip, reconstruct([clip])[0])])
                values = coded.values | {UNCODED: true.values["char_acc_buffer"]}
                results[key] = ClipResult(clip.id, Scores(values, {}))
                journal.add(key, results[key])
            yield point, results[key]


def table(results: Sequence[tuple[SweepPoint, ClipResult]]) -> list[dict[str, Any]]:
    """A row per point: every score's mean over its videos."""
    rows = []
    for point in dict.fromkeys(point for point, _ in results):
        values = [clip.values for other, clip in results if other == point and clip.scores]
        means = {name: float(np.mean([v[name] for v in values])) for name in values[0]}
        rows.append({"font px": point.pixels, "full": point.density, **means})
    return rows
