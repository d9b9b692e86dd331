"""A desk as a picture. Layers are drawn once and kept; a frame is layers put together and the cursor on top."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from neural_computer.actions import cursor
from neural_computer.simulators.minidesk.font import HIGH, ink
from neural_computer.simulators.minidesk.scene import BOTTOM, GROUND, LIVE, POPUP, Hit, Layer, layers, topmost
from neural_computer.simulators.minidesk.state import Desk, Widget

RGB = tuple[int, int, int]
WHITE, INK, DIM, ACCENT = (245, 246, 248), (34, 38, 46), (120, 128, 140), (56, 120, 214)
BODY = {GROUND: (40, 74, 84), BOTTOM: (28, 32, 40), POPUP: (250, 250, 250)}
"""Colours of the layers; a window's is its frame's."""
WINDOW, BORDER, TITLE = (222, 225, 230), (20, 24, 30), (88, 96, 110)


class Style(NamedTuple):
    """How a role looks: filled with `back`, or with `lit` where it is on, written on in `fore`, or in `bright`."""

    back: RGB | None
    fore: RGB
    lit: RGB | None = None
    bright: RGB | None = None
    border: RGB | None = None
    centred: bool = False


STYLES = {
    "icon": Style(None, WHITE, ACCENT),
    "title": Style(TITLE, WHITE, ACCENT),
    "close": Style((196, 64, 60), WHITE, centred=True),
    "resize": Style((150, 156, 166), INK),
    "button": Style((200, 205, 213), INK, (244, 176, 66), border=DIM, centred=True),
    "task": Style((62, 70, 84), WHITE, ACCENT),
    "item": Style(None, INK),
    "row": Style((250, 250, 250), INK, ACCENT, WHITE),
    "field": Style((250, 252, 240), INK, border=DIM),
    "page": Style((255, 255, 255), INK),
    "line": Style(None, INK),
    "shell": Style((16, 20, 24), INK),
    "caret": Style((220, 60, 120), INK),
}
SHELL = (140, 230, 150)
"""What is written in a terminal."""
FACES = {"Calc": (244, 176, 66), "Edit": (236, 240, 244), "Term": (16, 20, 24), "Files": (232, 196, 92)}
SIGNS = {"Calc": "+=", "Edit": "ab", "Term": "$_", "Files": "/"}


def render(desk: Desk) -> UInt8[np.ndarray, "{desk.size} {desk.size} 3"]:
    """The screen, with the cursor."""
    picture = scene(desk).copy()
    cursor.onto(picture, arrow(desk.size), (desk.x, desk.y))
    return picture


def arrow(size: int) -> cursor.Template:
    """The desk's cursor: larger than a real one would be, so that it can be seen."""
    return cursor.template(max(9.0, size * 0.085))


def scene(desk: Desk) -> UInt8[np.ndarray, "s s 3"]:
    """The screen without the cursor; not to be written on."""
    found, grip = layers(desk), desk.grip
    if grip is None:
        return compose(found, desk.focus, topmost(found, desk.x, desk.y)[1], None)
    return compose(found, desk.focus, Hit(grip.window, None), grip.widget if grip.what == "press" else None)


@lru_cache(64)
def compose(found: tuple[Layer, ...], focus: int, hot: Hit, held: Widget | None) -> UInt8[np.ndarray, "s s 3"]:
    """Layers over one another. In layer `hot`, the widget that the pointer is on is lit, the one that is pressed dark."""
    out: np.ndarray = np.empty(0)
    for layer in found:
        number, pressed = (hot.number, held) if hot.layer == layer.id else (None, None)
        picture = drawn(layer.widgets, layer.w, layer.h, min(layer.id, 0), layer.id == focus, number, pressed)
        if layer.id == GROUND:
            out = picture.copy()
            continue
        # A window may stand beyond the screen's edges.
        top, left = max(0, layer.y), max(0, layer.x)
        part = out[top : max(top, layer.y + layer.h), left : max(left, layer.x + layer.w)]
        part[:] = picture[top - layer.y :, left - layer.x :][: part.shape[0], : part.shape[1]]
    return out


@lru_cache(1024)
def drawn(
    widgets: tuple[Widget, ...], w: int, h: int, kind: int, focused: bool, hot: int | None, held: Widget | None
) -> UInt8[np.ndarray, "h w 3"]:
    """One layer."""
    out = np.empty((h, w, 3), np.uint8)
    out[:] = BODY.get(kind, WINDOW)
    if kind in (0, POPUP):
        out[[0, -1]] = out[:, [0, -1]] = BORDER
    dark = any(widget.role == "shell" for widget in widgets)
    for number, widget in enumerate(widgets):
        on = widget._replace(on=focused) if widget.role == "title" else widget
        shade = 0 if widget.role not in LIVE else -40 if widget == held else 22 if number == hot else 0
        paint(out, on, shade, SHELL if dark and widget.role == "line" else None)
    return out


def paint(out: UInt8[np.ndarray, "h w 3"], widget: Widget, shade: int, ink_colour: RGB | None) -> None:
    """Draws a widget, `shade` lighter or darker than usual."""
    role, text, x, y, w, h, on = widget
    style = STYLES[role]
    area = out[max(0, y) : max(0, y + h), max(0, x) : max(0, x + w)]
    back = style.lit if on and style.lit is not None else style.back
    if back is not None:
        area[:] = back
    elif shade:
        area[:] = np.clip(area.astype(np.int16) + 2 * shade, 0, 255)
    if back is not None and shade:
        area[:] = np.clip(area.astype(np.int16) + shade, 0, 255)
    if style.border is not None and area.size:
        area[[0, -1]] = area[:, [0, -1]] = style.border
    fore = ink_colour or (style.bright if on and style.bright is not None else style.fore)
    if role == "icon":
        face(area, text)
        write(area, text, 0, h - HIGH, fore)
    elif role == "resize":
        area[range(min(area.shape[:2])), range(min(area.shape[:2]))[::-1]] = INK
    elif text:
        left = max(1, (w - 4 * len(text) + 1) // 2) if style.centred else 0 if role == "line" else 2
        write(area, text, left, max(0, (h - HIGH + 1) // 2), fore)


def face(area: UInt8[np.ndarray, "h w 3"], name: str) -> None:
    """An icon's picture."""
    area[1:11, 4:16] = BORDER
    area[2:10, 5:15] = FACES[name]
    if name == "Files":
        area[1:3, 10:16] = ACCENT
    write(area, SIGNS[name], 6, 3, SHELL if name == "Term" else INK)


def write(area: UInt8[np.ndarray, "h w 3"], text: str, x: int, y: int, colour: RGB) -> None:
    """Writes in an area what of a line of text fits there."""
    place = area[y : y + HIGH, x:]
    mask = ink(text)[: place.shape[0], : place.shape[1]]
    place[:, : mask.shape[1]][mask] = colour
