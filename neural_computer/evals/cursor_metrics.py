"""Mouse metrics: the cursor against the log, and a click's effect against the reference. numpy only.

The paper reports cursor accuracy without a definition; ours is `cursor_accuracy`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8

from neural_computer.actions.cursor import Template, stamp
from neural_computer.actions.schema import BUTTONS
from neural_computer.media import mosaic
from neural_computer.types import Event

TOLERANCE = 2 / 11
"""Largest distance of the located tip from the logged one, in arrow heights: 2 pixels on the synthetic desktop of 128"""
RESPONSE_FRAMES = 15
"""Frames in which a click may show its effect"""
BLOCK, MIN_CHANGE = 8, 8.0
"""Pixels a side of a block, and the mean difference, of 255, from which it has changed"""
PHASES = 2
"""Positions per pixel, in either direction, at which the arrow is looked for"""
POWER = 4
"""Of the mask as a weight: where the arrow covers a pixel in part, the background shines through"""
MIN_OVERLAP = 0.5
"""Share of the blocks that change in either video that must change in both"""


def locate_cursor(frames: UInt8[np.ndarray, "t h w 3"], arrow: Template) -> Float[np.ndarray, "t 2"]:
    """Tip (x, y) of the cursor in every frame, in pixels, by masked template matching.

    argmin over positions of sum m^POWER (I - F/m)^2, for the mask m and the arrow's colour F times m, computed by FFT
    at `PHASES` positions a pixel.
    """
    size = frames.shape[1:3]
    templates = [_spectra(arrow, (x / PHASES, y / PHASES), size) for y in range(PHASES) for x in range(PHASES)]
    tips = []
    for frame in frames:
        signed = frame.astype(np.float32) / 127.5 - 1
        squares = np.fft.rfft2(np.square(signed).sum(-1))
        channels = [np.fft.rfft2(signed[..., c]) for c in range(3)]
        tips.append(min(_best_match(squares, channels, template, size) for template in templates)[1:])
    return np.asarray(tips, np.float64).reshape(-1, 2)


class _Spectra(NamedTuple):
    """The arrow at one phase between pixels: spectra of its weights and weighted colours, its shape, the weighted sum of
    its squares, its tip (x, y) within it."""

    weight: np.ndarray
    colours: list[np.ndarray]
    shape: tuple[int, int]
    energy: float
    tip: tuple[float, float]


def _spectra(arrow: Template, phase: tuple[float, float], size: tuple[int, int]) -> _Spectra:
    tall, wide = arrow.pixels.shape[0] + 1, arrow.pixels.shape[1] + 1
    tip = (arrow.hot[0] + phase[0], arrow.hot[1] + phase[1])
    colour, mask = stamp(arrow, np.asarray([tip], np.float32), tall, wide)
    weight = mask[0] ** POWER
    colour = np.where(mask[0] > 0, colour[0] / np.maximum(mask[0], 1e-6), 0)
    colours = [np.conj(np.fft.rfft2((weight * colour)[..., c], size)) for c in range(3)]
    energy = float((weight * np.square(colour)).sum())
    return _Spectra(np.conj(np.fft.rfft2(weight[..., 0], size)), colours, (tall, wide), energy, tip)


def _best_match(
    squares: np.ndarray, channels: list[np.ndarray], template: _Spectra, size: tuple[int, int]
) -> tuple[float, float, float]:
    """(error, x, y) of the position where a frame, given by its spectra, differs least from the arrow."""
    total = template.weight * squares
    for spectrum, channel in zip(template.colours, channels, strict=True):
        total = total - 2 * spectrum * channel
    error = np.fft.irfft2(total, size)[: size[0] - template.shape[0] + 1, : size[1] - template.shape[1] + 1]
    y, x = np.unravel_index(error.argmin(), error.shape)
    return float(error[y, x]) + template.energy, float(x + template.tip[0]), float(y + template.tip[1])


def cursor_accuracy(
    frames: UInt8[np.ndarray, "t h w 3"], cursor: Float[np.ndarray, "t 2"], arrow: Template
) -> Bool[np.ndarray, " n"]:
    """Whether the cursor is located near its logged position, in each frame where the log has the whole arrow on screen."""
    whole = _on_screen(cursor, frames.shape[1:3], arrow)
    return _near(locate_cursor(frames[whole], arrow), cursor[whole], arrow)


def constant_velocity_baseline(
    cursor: Float[np.ndarray, "t 2"], size: tuple[int, int], arrow: Template
) -> Bool[np.ndarray, " n"]:
    """Whether the velocity of frames 0 and 1, kept up, comes near the cursor in each later frame with the whole arrow on
    screen; `size` is the frames' (height, width)."""
    predicted = cursor[0] + np.arange(2, len(cursor))[:, None] * (cursor[1] - cursor[0])
    return _near(predicted, cursor[2:], arrow)[_on_screen(cursor[2:], size, arrow)]


def _on_screen(cursor: Float[np.ndarray, "t 2"], size: tuple[int, ...], arrow: Template) -> Bool[np.ndarray, " t"]:
    """Frames in which the whole arrow is on the screen; False where the cursor is NaN."""
    tall, wide = arrow.pixels.shape[:2]
    corner = cursor - np.asarray(arrow.hot)
    with np.errstate(invalid="ignore"):
        return ((corner >= 0) & (corner <= np.asarray([size[1] - wide, size[0] - tall]))).all(1)


def _near(a: Float[np.ndarray, "t 2"], b: Float[np.ndarray, "t 2"], arrow: Template) -> Bool[np.ndarray, " t"]:
    return np.linalg.norm(a - b, axis=1) <= TOLERANCE * (arrow.pixels.shape[0] - 2)


def click_times(events: Iterable[Event]) -> list[float]:
    """Times in seconds at which a mouse button is pressed."""
    return [event.time for event in events if event.kind == "press" and event.key in BUTTONS]


def click_responses(
    generated: UInt8[np.ndarray, "t h w 3"],
    reference: UInt8[np.ndarray, "t h w 3"],
    frames: Iterable[int],
    cursor: Float[np.ndarray, "t 2"],
    arrow: Template,
) -> list[tuple[bool, bool]]:
    """(the reference changes, the generated video changes likewise) after each click, given by its frame.

    Likewise: at least `MIN_OVERLAP` of the blocks that change in either video change in both; where the reference has no
    change, neither has the generated video. Blocks under the arrow do not count. A click in the last frame is left out.
    """
    responses = []
    for frame in frames:
        if frame + 1 < len(reference):
            span = slice(frame, frame + 1 + RESPONSE_FRAMES)
            covered = _arrow_blocks(cursor[span], reference.shape[1:3], arrow)
            a, b = (_changed_blocks(video[span]) & ~covered for video in (generated, reference))
            either = (a | b).sum()
            responses.append((bool(b.any()), bool(either == 0 or (a & b).sum() >= MIN_OVERLAP * either)))
    return responses


def click_state(frame: UInt8[np.ndarray, "h w 3"], click: Mapping[str, Any]) -> bool:
    """Whether the last frame of a clip of split `clicks` is nearer to the screen of its own case, clicked or not clicked.

    Nearer by squared distance of the mean colours of the blocks in which the two screens differ (see
    `recording.guiworld.sessions.pair`).
    """
    colours = mosaic(frame, click["block"])[tuple(np.asarray(click["places"]).T)]
    clicked, idle = (np.square(colours - np.asarray(click[name])).sum() for name in ("with", "without"))
    return bool((clicked < idle) == click["done"])


def _changed_blocks(video: UInt8[np.ndarray, "t h w 3"]) -> Bool[np.ndarray, "i j"]:
    """Blocks that differ, in some frame, from the first frame's."""
    height, width = (side // BLOCK * BLOCK for side in video.shape[1:3])
    small = video[:, :height, :width].astype(np.float32)
    small = small.reshape(len(video), height // BLOCK, BLOCK, width // BLOCK, BLOCK * 3)
    return (abs(small[1:] - small[:1]).mean((2, 4)) > MIN_CHANGE).any(0)


def _arrow_blocks(tips: Float[np.ndarray, "t 2"], size: tuple[int, int], arrow: Template) -> Bool[np.ndarray, "i j"]:
    """Blocks that the arrow is on in some frame."""
    out = np.zeros((size[0] // BLOCK, size[1] // BLOCK), bool)
    tall, wide = arrow.pixels.shape[:2]
    for x, y in tips[np.isfinite(tips).all(1)] - np.asarray(arrow.hot):
        rows, columns = (
            (max(0, int(low) // BLOCK), max(0, int(low + n) // BLOCK + 1)) for low, n in ((y, tall), (x, wide))
        )
        out[slice(*rows), slice(*columns)] = True
    return out
