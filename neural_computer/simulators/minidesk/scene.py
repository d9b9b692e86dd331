"""The screen as layers of widgets, from the lowest to the topmost. Drawing, hits and ground truth all read this list."""

from functools import lru_cache
from typing import NamedTuple

from neural_computer.simulators.minidesk.apps import START
from neural_computer.simulators.minidesk.disk import Disk
from neural_computer.simulators.minidesk.font import WIDE
from neural_computer.simulators.minidesk.state import BAR, MAX_WINDOWS, PANEL, App, Desk, Menu, View, Widget

GROUND, BOTTOM, POPUP = -1, -2, -3
"""Ids of the layers that are no windows: the icons, the panel, the menu."""

ICON = (22, 19)
"""Width and height of an icon with its name."""
ITEM = 8
"""Height of a menu's item."""
LIVE = ("icon", "button", "close", "resize", "title", "task", "item", "row")
"""Roles of widgets that light up under the pointer."""


class Layer(NamedTuple):
    """A rectangle of the screen and its widgets, which have places relative to it. `id` is a window's, or one of the above."""

    id: int
    x: int
    y: int
    w: int
    h: int
    widgets: tuple[Widget, ...]


class Hit(NamedTuple):
    """The layer at a place and the index of the widget there; None between widgets."""

    layer: int
    number: int | None


def layers(desk: Desk) -> tuple[Layer, ...]:
    """All layers of a desk, from the lowest to the topmost."""
    size = desk.size
    loading = tuple(due.app for due in desk.due)
    out = [Layer(GROUND, 0, 0, size, size, icons(size, desk.chosen, loading))]
    out += [Layer(w.id, w.x, w.y, w.w, w.h, window_widgets(w.app, w.w, w.h, desk.disk)) for w in desk.windows]
    names = tuple((w.app.name, w.id == desk.focus) for w in sorted(desk.windows, key=lambda w: w.id))
    open_menu = desk.menu is not None and desk.menu.window == GROUND
    out.append(Layer(BOTTOM, 0, size - PANEL, size, PANEL, panel(size, names, open_menu)))
    if desk.menu is not None:
        out.append(Layer(POPUP, desk.menu.x, desk.menu.y, *menu_size(desk.menu.items), menu_items(desk.menu.items)))
    return tuple(out)


@lru_cache(64)
def icons(size: int, chosen: str, loading: tuple[str, ...]) -> tuple[Widget, ...]:
    """The programs' icons in columns; the chosen one and those that are loading are highlighted."""
    w, h = ICON
    rows = (size - PANEL - 2) // h
    return tuple(
        Widget("icon", name, 2 + i // rows * w, 2 + i % rows * h, w - 1, h - 1, name == chosen or name in loading)
        for i, name in enumerate(START)
    )


@lru_cache(512)
def window_widgets(app: App, w: int, h: int, disk: Disk) -> tuple[Widget, ...]:
    """A window's widgets: the title bar, then the app's own, then the handle at the corner."""
    title, close = Widget("title", app.title, 0, 0, w - BAR, BAR), Widget("close", "x", w - BAR, 0, BAR, BAR)
    return (title, close, *app.layout(View(w, h, disk)), Widget("resize", "", w - 5, h - 5, 5, 5))


@lru_cache(256)
def panel(size: int, names: tuple[tuple[str, bool], ...], open_menu: bool) -> tuple[Widget, ...]:
    """The menu's button and a button for each window: (app's name, has it the focus?)."""
    wide = (size - 22) // MAX_WINDOWS
    menu = Widget("button", "Menu", 0, 0, 20, PANEL, open_menu)
    return (menu, *(Widget("task", name, 22 + i * wide, 0, wide - 1, PANEL, on) for i, (name, on) in enumerate(names)))


def menu_size(items: tuple[str, ...]) -> tuple[int, int]:
    """Width and height of a menu."""
    return 6 + WIDE * max(map(len, items)), 2 + ITEM * len(items)


@lru_cache(64)
def menu_items(items: tuple[str, ...]) -> tuple[Widget, ...]:
    wide, _ = menu_size(items)
    return tuple(Widget("item", text, 1, 1 + ITEM * i, wide - 2, ITEM) for i, text in enumerate(items))


def menu_at(x: float, y: float, size: int, items: tuple[str, ...], window: int = GROUND, about: str = "") -> Menu:
    """A menu at a place, moved so that it fits on the screen."""
    w, h = menu_size(items)
    return Menu(max(0, min(int(x), size - w)), max(0, min(int(y), size - PANEL - h)), items, window, about)


def hit(desk: Desk, x: float, y: float) -> tuple[Layer, Hit]:
    """The topmost layer and widget at a place of the screen. Raises ValueError for a place beyond the screen."""
    return topmost(layers(desk), x, y)


def topmost(layers: tuple[Layer, ...], x: float, y: float) -> tuple[Layer, Hit]:
    """The topmost of these layers at a place, and its widget there."""
    for layer in reversed(layers):
        if layer.x <= x < layer.x + layer.w and layer.y <= y < layer.y + layer.h:
            return layer, Hit(layer.id, number_at(layer.widgets, int(x) - layer.x, int(y) - layer.y))
    raise ValueError(f"({x}, {y}): is not on the screen")


@lru_cache(2048)
def number_at(widgets: tuple[Widget, ...], x: int, y: int) -> int | None:
    """Index of the topmost widget at a place of its layer."""
    for number in range(len(widgets) - 1, -1, -1):
        _, _, left, top, w, h, _ = widgets[number]
        if left <= x < left + w and top <= y < top + h:
            return number
    return None
