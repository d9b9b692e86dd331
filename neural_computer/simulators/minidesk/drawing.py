"""A desk as a picture. Layers are drawn once and cached; a frame is the layers over one another and the cursor on top."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from neural_computer.actions import cursor
from neural_computer.simulators.minidesk.font import HIGH, ink
from neural_computer.simulators.minidesk.scene import BOTTOM, GROUND, LIVE, POPUP, Hit, Layer, layers, topmost
from neural_computer.simulators.minidesk.state import Desk, Widget

Colour = tuple[int, int, int]
WHITE, INK, DIM, ACCENT = (245, 246, 248), (34, 38, 46), (120, 128, 140), (56, 120, 214)
BODY = {GROUND: (40, 74, 84), BOTTOM: (28, 32, 40), POPUP: (250, 250, 250)}
"""Colours of the layers; a window's is its frame's."""
WINDOW, BORDER, TITLE = (222, 225, 230), (20, 24, 30), (88, 96, 110)


class WidgetStyle(NamedTuple):
    """Colours of a role: of its background and its text, and of both where the widget is on."""

    back: Colour | None
    fore: Colour
    back_on: Colour | None = None
    fore_on: Colour | None = None
    border: Colour | None = None
    centred: bool = False


STYLES = {
    "icon": WidgetStyle(None, WHITE, ACCENT),
    "title": WidgetStyle(TITLE, WHITE, ACCENT),
    "close": WidgetStyle((196, 64, 60), WHITE, centred=True),
    "resize": WidgetStyle((150, 156, 166), INK),
    "button": WidgetStyle((200, 205, 213), INK, (244, 176, 66), border=DIM, centred=True),
    "task": WidgetStyle((62, 70, 84), WHITE, ACCENT),
    "item": WidgetStyle(None, INK),
    "row": WidgetStyle((250, 250, 250), INK, ACCENT, WHITE),
    "field": WidgetStyle((250, 252, 240), INK, border=DIM),
    "page": WidgetStyle((255, 255, 255), INK),
    "line": WidgetStyle(None, INK),
    "shell": WidgetStyle((16, 20, 24), INK),
    "caret": WidgetStyle((220, 60, 120), INK),
}
SHELL = (140, 230, 150)
"""Colour of a terminal's text."""
ICONS = {"Calc": (244, 176, 66), "Edit": (236, 240, 244), "Term": (16, 20, 24), "Files": (232, 196, 92)}
SIGNS = {"Calc": "+=", "Edit": "ab", "Term": "$_", "Files": "/"}
"""By app: the colour of its icon, and the text on it."""


def render(desk: Desk) -> UInt8[np.ndarray, "{desk.size} {desk.size} 3"]:
    """The screen, with the cursor."""
    picture = scene(desk).copy()
    cursor.onto(picture, arrow(desk.size), (desk.x, desk.y))
    return picture


def arrow(size: int) -> cursor.Template:
    """The cursor of a desk of `size` pixels: relatively larger than a real one, so that it can be seen."""
    return cursor.template(max(9.0, size * 0.085))


def scene(desk: Desk) -> UInt8[np.ndarray, "s s 3"]:
    """The screen without the cursor. The array is cached: do not write to it."""
    all_layers, grip = layers(desk), desk.grip
    if grip is None:
        return compose(all_layers, desk.focus, topmost(all_layers, desk.x, desk.y)[1], None)
    return compose(all_layers, desk.focus, Hit(grip.window, None), grip.widget if grip.what == "press" else None)


@lru_cache(64)
def compose(layers: tuple[Layer, ...], focus: int, hover: Hit, pressed: Widget | None) -> UInt8[np.ndarray, "s s 3"]:
    """The layers over one another. The widget under the pointer is lighter, the pressed one darker."""
    out: np.ndarray = np.empty(0)
    for layer in layers:
        number, down = (hover.number, pressed) if hover.layer == layer.id else (None, None)
        picture = draw_layer(layer.widgets, layer.w, layer.h, min(layer.id, 0), layer.id == focus, number, down)
        if layer.id == GROUND:
            out = picture.copy()
            continue
        # A window may reach beyond the screen.
        top, left = max(0, layer.y), max(0, layer.x)
        part = out[top : max(top, layer.y + layer.h), left : max(left, layer.x + layer.w)]
        part[:] = picture[top - layer.y :, left - layer.x :][: part.shape[0], : part.shape[1]]
    return out


@lru_cache(1024)
def draw_layer(
    widgets: tuple[Widget, ...], w: int, h: int, kind: int, focused: bool, hover: int | None, pressed: Widget | None
) -> UInt8[np.ndarray, "h w 3"]:
    """A layer of w x h pixels. `kind` is 0 for a window, else its id; `hover` is the index of the widget under the pointer."""
    out = np.empty((h, w, 3), np.uint8)
    out[:] = BODY.get(kind, WINDOW)
    if kind in (0, POPUP):
        out[[0, -1]] = out[:, [0, -1]] = BORDER
    dark = any(widget.role == "shell" for widget in widgets)
    for number, widget in enumerate(widgets):
        on = widget._replace(on=focused) if widget.role == "title" else widget
        shade = 0 if widget.role not in LIVE else -40 if widget == pressed else 22 if number == hover else 0
        draw_widget(out, on, shade, SHELL if dark and widget.role == "line" else None)
    return out


def draw_widget(out: UInt8[np.ndarray, "h w 3"], widget: Widget, shade: int, ink_colour: Colour | None) -> None:
    """Draws a widget in its layer `out`, by `shade` lighter, or darker, than usual; its text in `ink_colour` if given."""
    role, text, x, y, w, h, on = widget
    style = STYLES[role]
    area = out[max(0, y) : max(0, y + h), max(0, x) : max(0, x + w)]
    back = style.back_on if on and style.back_on is not None else style.back
    if back is not None:
        area[:] = back
    elif shade:
        area[:] = np.clip(area.astype(np.int16) + 2 * shade, 0, 255)
    if back is not None and shade:
        area[:] = np.clip(area.astype(np.int16) + shade, 0, 255)
    if style.border is not None and area.size:
        area[[0, -1]] = area[:, [0, -1]] = style.border
    fore = ink_colour or (style.fore_on if on and style.fore_on is not None else style.fore)
    if role == "icon":
        draw_icon(area, text)
        draw_text(area, text, 0, h - HIGH, fore)
    elif role == "resize":
        area[range(min(area.shape[:2])), range(min(area.shape[:2]))[::-1]] = INK
    elif text:
        left = max(1, (w - 4 * len(text) + 1) // 2) if style.centred else 0 if role == "line" else 2
        draw_text(area, text, left, max(0, (h - HIGH + 1) // 2), fore)


def draw_icon(area: UInt8[np.ndarray, "h w 3"], name: str) -> None:
    """Draws an app's icon."""
    area[1:11, 4:16] = BORDER
    area[2:10, 5:15] = ICONS[name]
    if name == "Files":
        area[1:3, 10:16] = ACCENT
    draw_text(area, SIGNS[name], 6, 3, SHELL if name == "Term" else INK)


def draw_text(area: UInt8[np.ndarray, "h w 3"], text: str, x: int, y: int, colour: Colour) -> None:
    """Draws a line of text, cut at the area's border."""
    place = area[y : y + HIGH, x:]
    mask = ink(text)[: place.shape[0], : place.shape[1]]
    place[:, : mask.shape[1]][mask] = colour
