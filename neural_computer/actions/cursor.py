"""The rendered mouse cursor: an arrow at the positions of a log. numpy arrays in, numpy arrays out; jax arrays in, jax arrays
out, on the device and under jit: one function, so that host and device differ by rounding alone.
"""

import math
import re
from functools import cache
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Float, UInt8

ARROW = """
<svg viewBox="-1 -1 14 21">
  <path d="M0 0 V16 L3.7 12.6 L6.2 18.4 L8.7 17.3 L6.3 11.7 H11.4 Z" fill="white" stroke="black" stroke-width="1.2"/>
</svg>
"""
"""The tip is at (0, 0)."""

SUPERSAMPLING = 16
"""Factor by which the arrow is drawn larger, then averaged."""


class Template(NamedTuple):
    """An arrow with an empty border of one pixel."""

    pixels: Float[np.ndarray, "h w 4"]
    """Colour in [-1, 1] times mask, then mask in [0, 1]"""
    hot: tuple[float, float]
    """Position (x, y) of the tip in it, in pixels"""


@cache
def template(height: float = 19.0, svg: str = ARROW) -> Template:
    """The arrow, about `height` pixels high. Raises ValueError for an SVG that is not one path of straight lines."""
    from PIL import Image, ImageDraw

    root = ElementTree.fromstring(svg)
    left, top, width, tall = map(float, root.attrib["viewBox"].split())
    scale = height / tall
    shape = (int(np.ceil(tall * scale)) + 2, int(np.ceil(width * scale)) + 2)
    (path,) = [node for node in root if node.tag.endswith("path")]
    points = [
        (((x - left) * scale + 1) * SUPERSAMPLING, ((y - top) * scale + 1) * SUPERSAMPLING)
        for x, y in corners(path.attrib["d"])
    ]

    def covered(line: int) -> np.ndarray:
        """Share of each pixel that the arrow's body covers or, if `line` is not 0, its outline of that width."""
        image = Image.new("L", (shape[1] * SUPERSAMPLING, shape[0] * SUPERSAMPLING))
        if line:
            ImageDraw.Draw(image).line([*points, *points[:2]], fill=255, width=line, joint="curve")
        else:
            ImageDraw.Draw(image).polygon(points, fill=255)
        return np.asarray(image.reduce(SUPERSAMPLING), np.float32) / 255

    line = covered(max(SUPERSAMPLING, round(float(path.attrib["stroke-width"]) * scale * SUPERSAMPLING)))
    white = covered(0) * (1 - line)
    return Template(np.stack([white - line] * 3 + [white + line], axis=-1), (1 - left * scale, 1 - top * scale))


def corners(path: str) -> list[tuple[float, float]]:
    """Corners of an SVG path of M, L, H, V and Z. Raises ValueError for other commands."""
    x = y = 0.0
    points: list[tuple[float, float]] = []
    for command, numbers in re.findall(r"([A-Za-z])([^A-Za-z]*)", path):
        values = [float(value) for value in re.findall(r"-?[\d.]+", numbers)]
        if command in "ML" and len(values) == 2:
            x, y = values
        elif command == "H" and len(values) == 1:
            (x,) = values
        elif command == "V" and len(values) == 1:
            (y,) = values
        elif command == "Z":
            continue
        else:
            raise ValueError(f"SVG path {path!r}: {command}{numbers} is not M, L, H, V or Z; the arrow is a polygon")
        points.append((x, y))
    return points


def stamp(
    arrow: Template, position: Float[Any, "*t 2"], height: int, width: int
) -> tuple[Float[Any, "*t {height} {width} 3"], Float[Any, "*t {height} {width} 1"]]:
    """(f, m): the arrow with its tip at every (x, y), on neutral grey, in [-1, 1], and its soft mask in [0, 1].

    Interpolated between pixels and cut off at the border of the screen; a position that is NaN has an empty mask.
    """
    xp = position.__array_namespace__()
    tall, wide, channels = arrow.pixels.shape
    rows = _weights(xp, position[..., 1] - arrow.hot[1], tall, height)
    cols = _weights(xp, position[..., 0] - arrow.hot[0], wide, width)
    # By default accelerators round products of float32 more coarsely.
    exact = {} if xp is np else {"precision": "highest"}
    lead = position.shape[:-1]
    columns = xp.asarray(arrow.pixels).swapaxes(0, 1).reshape(wide, tall * channels)
    spread = xp.matmul(cols, columns, **exact).reshape(*lead, width, tall, channels)
    spread = spread.swapaxes(-3, -2).reshape(*lead, tall, width * channels)
    out = xp.matmul(rows, spread, **exact).reshape(*lead, height, width, channels)
    return out[..., :3], out[..., 3:]


def _weights(xp: Any, offset: Any, cells: int, pixels: int) -> Any:
    """(..., pixels, cells): share of each of the template's cells on each pixel, max(0, 1 - |i - k - offset|)."""
    offset = xp.where(xp.isnan(offset), -2.0 * cells, offset)[..., None, None]
    i = xp.arange(pixels, dtype=xp.float32)[:, None]
    k = xp.arange(cells, dtype=xp.float32)
    return xp.maximum(0.0, 1.0 - abs(i - k - offset.astype(xp.float32)))


def references(
    frames: Float[Any, "*b _ h w 3"], position: Float[Any, "*b t 2"], arrow: Template
) -> tuple[Float[Any, "*b t h w 3"], Float[Any, "*b t h w 1"]]:
    """The paper's cursor references and masks: the whole first frame with mask 1, then the arrow alone with its mask.

    `frames` are in [-1, 1], and the first of them is used; positions are in their pixels.
    """
    xp = frames.__array_namespace__()
    height, width = frames.shape[-3:-1]
    video, mask = stamp(arrow, position, height, width)
    first = xp.ones_like(mask[..., :1, :, :, :])
    return (
        xp.concatenate([frames[..., :1, :, :, :], video[..., 1:, :, :, :]], axis=-4),
        xp.concatenate([first, mask[..., 1:, :, :, :]], axis=-4),
    )


def tags(masks: Float[Any, "b t h w 1"], stride: int = 4) -> Float[Any, "b f i j s"]:
    """Frame mask of the condition from masks in pixels: a channel a video frame, averaged over a latent cell's 8x8 pixels.

    t = stride k + 1; the first frame is in all channels of latent frame 0, as in Wan2.1.
    """
    xp = masks.__array_namespace__()
    b, t, h, w, _ = masks.shape
    full = xp.concatenate([masks[:, :1]] * (stride - 1) + [masks], axis=1)
    pooled = full.reshape(b, (t - 1) // stride + 1, stride, h // 8, 8, w // 8, 8).mean(axis=(4, 6))
    return xp.moveaxis(pooled, 2, -1)


def onto(frame: UInt8[np.ndarray, "h w 3"], arrow: Template, position: tuple[float, float]) -> None:
    """Draws the arrow on a frame, in place: `stamp` blended in, computed for the few pixels that change.

    `position` is the tip's, in pixels; it may be beyond the borders.
    """
    left, top = position[0] - arrow.hot[0], position[1] - arrow.hot[1]
    x, y = math.floor(left), math.floor(top)
    fx, fy = np.float32(left - x), np.float32(top - y)
    across = arrow.pixels[:, :-1] * fx + arrow.pixels[:, 1:] * (1 - fx)
    small = across[:-1] * fy + across[1:] * (1 - fy)
    bottom, right = max(0, y + 1 + small.shape[0]), max(0, x + 1 + small.shape[1])
    patch = frame[max(0, y + 1) : bottom, max(0, x + 1) : right]
    cut = small[max(0, -y - 1) :, max(0, -x - 1) :][: patch.shape[0], : patch.shape[1]]
    patch[:] = patch * (1 - cut[..., 3:]) + (cut[..., :3] + cut[..., 3:]) * np.float32(127.5) + np.float32(0.5)
