"""Does a desktop do what the mouse does: is the cursor where the log has it, and do clicks change what they should?

numpy only. The paper gives figures of cursor accuracy and no definition; ours is `hits`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8

from neural_computer.actions.cursor import Template, stamp
from neural_computer.actions.schema import BUTTONS
from neural_computer.media import mosaic
from neural_computer.types import Event

NEAR = 2 / 11
"""Of the arrow's height: how far from the tip logged the tip found may be. 2 pixels on the synthetic desktop of 128."""
AFTER = 15
"""Frames in which a click may show what it does"""
BLOCK, CHANGED = 8, 8.0
"""Pixels a side of what changes or not, and from which mean difference of 255 on it has"""
PHASES = 2
"""Places a pixel, in either direction, at which the arrow is looked for"""
POWER = 4
"""Where the arrow covers a pixel in part, what is under it shines through, and says little"""
SAME = 0.5
"""Share of the blocks, of those that changed in one of two videos, that must have changed in both"""


def found(frames: UInt8[np.ndarray, "t h w 3"], arrow: Template) -> Float[np.ndarray, "t 2"]:
    """Where in every frame the tip of the arrow, (x, y), most likely is: where what is under its mask differs least from it.

    The sum over the mask m of m^`POWER` (I - F/m)^2, F the arrow's colour times m, at every place, and at `PHASES` between
    two, at once by Fourier transforms.
    """
    size = frames.shape[1:3]
    looks = [_spectra(arrow, (x / PHASES, y / PHASES), size) for y in range(PHASES) for x in range(PHASES)]
    places = []
    for frame in frames:
        signed = frame.astype(np.float32) / 127.5 - 1
        squares = np.fft.rfft2(np.square(signed).sum(-1))
        channels = [np.fft.rfft2(signed[..., c]) for c in range(3)]
        places.append(min(_least(squares, channels, look, size) for look in looks)[1:])
    return np.asarray(places, np.float64).reshape(-1, 2)


class _Look(NamedTuple):
    """The arrow between pixels: transforms of its weights and its weighted colours, its shape, the weighted sum of its
    squares, its tip in it."""

    mask: np.ndarray
    colours: list[np.ndarray]
    shape: tuple[int, int]
    own: float
    tip: tuple[float, float]


def _spectra(arrow: Template, phase: tuple[float, float], size: tuple[int, int]) -> _Look:
    tall, wide = arrow.pixels.shape[0] + 1, arrow.pixels.shape[1] + 1
    tip = (arrow.hot[0] + phase[0], arrow.hot[1] + phase[1])
    colour, mask = stamp(arrow, np.asarray([tip], np.float32), tall, wide)
    weight = mask[0] ** POWER
    colour = np.where(mask[0] > 0, colour[0] / np.maximum(mask[0], 1e-6), 0)
    colours = [np.conj(np.fft.rfft2((weight * colour)[..., c], size)) for c in range(3)]
    own = float((weight * np.square(colour)).sum())
    return _Look(np.conj(np.fft.rfft2(weight[..., 0], size)), colours, (tall, wide), own, tip)


def _least(
    squares: np.ndarray, channels: list[np.ndarray], look: _Look, size: tuple[int, int]
) -> tuple[float, float, float]:
    """(difference, x, y) of the place where a frame, of which these are the transforms, differs least from an arrow."""
    total = look.mask * squares
    for spectrum, channel in zip(look.colours, channels, strict=True):
        total = total - 2 * spectrum * channel
    error = np.fft.irfft2(total, size)[: size[0] - look.shape[0] + 1, : size[1] - look.shape[1] + 1]
    y, x = np.unravel_index(error.argmin(), error.shape)
    return float(error[y, x]) + look.own, float(x + look.tip[0]), float(y + look.tip[1])


def hits(
    frames: UInt8[np.ndarray, "t h w 3"], cursor: Float[np.ndarray, "t 2"], arrow: Template
) -> Bool[np.ndarray, " n"]:
    """Of the frames in which the log has the whole arrow on the screen: is the arrow found near there?"""
    there = _whole(cursor, frames.shape[1:3], arrow)
    return _near(found(frames[there], arrow), cursor[there], arrow)


def straight(cursor: Float[np.ndarray, "t 2"], size: tuple[int, int], arrow: Template) -> Bool[np.ndarray, " n"]:
    """Of these frames, from the third on: would going straight on from the first two have been near? `size` is the
    frames' (height, width)."""
    there = cursor[0] + np.arange(2, len(cursor))[:, None] * (cursor[1] - cursor[0])
    return _near(there, cursor[2:], arrow)[_whole(cursor[2:], size, arrow)]


def _whole(cursor: Float[np.ndarray, "t 2"], size: tuple[int, ...], arrow: Template) -> Bool[np.ndarray, " t"]:
    """Where the whole arrow is on the screen."""
    tall, wide = arrow.pixels.shape[:2]
    corner = cursor - np.asarray(arrow.hot)
    with np.errstate(invalid="ignore"):
        return ((corner >= 0) & (corner <= np.asarray([size[1] - wide, size[0] - tall]))).all(1)


def _near(a: Float[np.ndarray, "t 2"], b: Float[np.ndarray, "t 2"], arrow: Template) -> Bool[np.ndarray, " t"]:
    return np.linalg.norm(a - b, axis=1) <= NEAR * (arrow.pixels.shape[0] - 2)


def clicks(events: Iterable[Event]) -> list[float]:
    """When a mouse button was pressed, in seconds."""
    return [event.time for event in events if event.kind == "press" and event.key in BUTTONS]


def responses(
    made: UInt8[np.ndarray, "t h w 3"],
    right: UInt8[np.ndarray, "t h w 3"],
    frames: Iterable[int],
    cursor: Float[np.ndarray, "t 2"],
    arrow: Template,
) -> list[tuple[bool, bool]]:
    """(does the true video change after it, does the made one change likewise), of the clicks in these frames.

    Likewise: at least `SAME` of the blocks that change in either change in both; where nothing should change, nothing
    does. The arrow's own blocks do not count. A click in the last frame has nothing after it and is left out.
    """
    out = []
    for frame in frames:
        if frame + 1 < len(right):
            span = slice(frame, frame + 1 + AFTER)
            here = _arrows(cursor[span], right.shape[1:3], arrow)
            a, b = (_changed(video[span]) & ~here for video in (made, right))
            either = (a | b).sum()
            out.append((bool(b.any()), bool(either == 0 or (a & b).sum() >= SAME * either)))
    return out


def obeyed(frame: UInt8[np.ndarray, "h w 3"], click: Mapping[str, Any]) -> bool:
    """Is the last frame of a clip of split `clicks` nearer to what its click, or having none, makes of the screen than to
    the other? By the mean colours of the places that differ (see `recording.guiworld.sessions.pair`)."""
    seen = mosaic(frame, click["block"])[tuple(np.asarray(click["places"]).T)]
    with_it, without = (np.square(seen - np.asarray(click[name])).sum() for name in ("with", "without"))
    return bool((with_it < without) == click["done"])


def _changed(video: UInt8[np.ndarray, "t h w 3"]) -> Bool[np.ndarray, "i j"]:
    """The blocks that in some frame differ from the first one's."""
    height, width = (side // BLOCK * BLOCK for side in video.shape[1:3])
    small = video[:, :height, :width].astype(np.float32)
    small = small.reshape(len(video), height // BLOCK, BLOCK, width // BLOCK, BLOCK * 3)
    return (abs(small[1:] - small[:1]).mean((2, 4)) > CHANGED).any(0)


def _arrows(places: Float[np.ndarray, "t 2"], size: tuple[int, int], arrow: Template) -> Bool[np.ndarray, "i j"]:
    """The blocks that the arrow is on in some frame."""
    out = np.zeros((size[0] // BLOCK, size[1] // BLOCK), bool)
    tall, wide = arrow.pixels.shape[:2]
    for x, y in places[np.isfinite(places).all(1)] - np.asarray(arrow.hot):
        rows, columns = (
            (max(0, int(low) // BLOCK), max(0, int(low + n) // BLOCK + 1)) for low, n in ((y, tall), (x, wide))
        )
        out[slice(*rows), slice(*columns)] = True
    return out
