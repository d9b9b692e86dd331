"""Regions of a clip's latents, where a loss may weigh more: by name, from what the clip says of its screens.

`REGIONS` is an open table. Add your own, a function of a clip to a mask of its pixels, and weigh it in
`config.objective.regions`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt32

from neural_computer.errors import one_of
from neural_computer.screens.prompts import PROMPT
from neural_computer.types import Clip

PixelMask = Bool[np.ndarray, "t h w"]


def text(clip: Clip) -> PixelMask:
    """Characters. Raises ValueError for a clip without cells."""
    return _pixels(_characters(clip) != ord(" "), clip)


def new_text(clip: Clip) -> PixelMask:
    """Characters that the first frame has not. Raises ValueError for a clip without cells."""
    chars = _characters(clip)
    return _pixels((chars != ord(" ")) & (chars != chars[0]), clip)


def answer(clip: Clip) -> PixelMask:
    """What Python printed under the clip's expression; nowhere in a clip of another task.

    Raises ValueError for a clip without cells.
    """
    chars = _characters(clip)
    mask, typed = np.zeros(chars.shape, bool), PROMPT + str(clip.meta.get("expression", "\n"))
    for frame, screen in enumerate(clip.cells or ()):
        lines = [line.rstrip() for line in screen.split("\n")]
        if typed in lines[:-1]:
            row = lines.index(typed) + 1
            mask[frame, row] = chars[frame, row] != ord(" ")
    return _pixels(mask, clip)


def changed(clip: Clip) -> PixelMask:
    """Pixels that differ from the first frame's."""
    return (clip.frames != clip.frames[0]).any(axis=-1)


REGIONS: dict[str, Callable[[Clip], PixelMask]] = {
    "text": text,
    "new_text": new_text,
    "answer": answer,
    "changed": changed,
}


@dataclass(frozen=True)
class RegionMasks:
    """Masks of some regions on the grid of a codec's latents, whose strides are (time, height, width)."""

    names: tuple[str, ...]
    stride: tuple[int, int, int]

    def __post_init__(self) -> None:
        for name in self.names:
            one_of("regions", name, REGIONS)

    def __call__(self, clip: Clip) -> Float[np.ndarray, "r f i j"]:
        """1 where a latent cell has a pixel of the region, else 0; a mask a name. Raises ValueError, naming the clip."""
        try:
            masks = [REGIONS[name](clip) for name in self.names]
        except ValueError as error:
            raise ValueError(f"{clip.id}: {error}") from error
        return np.stack([latent_mask(mask, self.stride) for mask in masks])


def latent_mask(mask: PixelMask, stride: tuple[int, int, int]) -> Float[np.ndarray, "f i j"]:
    """1 where a latent cell has a pixel of the mask; the first frame is a latent frame of its own."""
    s, height, width = stride
    first, rest = mask[:1], mask[1:].reshape(-1, s, *mask.shape[1:]).any(axis=1)
    frames = np.concatenate([first, rest])
    f, h, w = frames.shape
    blocks = frames.reshape(f, h // height, height, w // width, width)
    return np.asarray(blocks.any(axis=(2, 4)), np.float32)


def _characters(clip: Clip) -> UInt32[np.ndarray, "t r c"]:
    """Code points of a clip's screens."""
    if clip.cells is None:
        raise ValueError("has no text of its screens, which a region of text needs; use the region 'changed'")
    screens = [screen.split("\n") for screen in clip.cells]
    codes = [[np.frombuffer(line.encode("utf-32-le"), "<u4") for line in screen] for screen in screens]
    if len({len(row) for screen in codes for row in screen}) != 1:
        raise ValueError("has characters two columns wide, so its cells are no grid; use the region 'changed'")
    return np.asarray(codes, np.uint32)


def _pixels(cells: Bool[np.ndarray, "t r c"], clip: Clip) -> PixelMask:
    """A mask of cells as one of pixels. Raises ValueError for a clip whose frames are no whole number of cells."""
    height, width = clip.frames.shape[1:3]
    rows, cols = cells.shape[1:]
    if height % rows or width % cols or "original_size" in clip.meta.get("data_info", {}):
        raise ValueError(f"its {rows}x{cols} cells are scaled to {height}x{width} pixels; use the region 'changed'")
    return cells.repeat(height // rows, axis=1).repeat(width // cols, axis=2)
