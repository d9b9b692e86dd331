"""The AT-SPI tree of a real desktop as `Target`s, in the roles and names that policies know from the synthetic desktop."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from neural_computer.simulators.desktop import Target

Box = tuple[int, int, int, int]
"""x, y, width, height in pixels of the screen."""

APPS = {
    "galculator": "Calc",
    "mousepad": "Edit",
    "Mousepad": "Edit",
    "xfce4-terminal": "Term",
    "thunar": "Files",
    "Thunar": "Files",
}
"""AT-SPI's name of a program -> the policies' name."""
ROLES = {
    "push button": "button",
    "toggle button": "button",
    "button": "button",
    "menu": "menu",
    "menu item": "item",
    "check menu item": "item",
    "icon": "row",
}
TITLE_HEIGHT, BORDER = 29, 5
"""Pixels of the window manager's frame above a window, and beside and below it."""
BACKGROUND = ("xfdesktop", "xfwm4", "xfsettingsd")
"""Programs whose windows nobody clicks."""


class Window(NamedTuple):
    """A window: its program, AT-SPI role and title, its box with the frame, and its widgets (role, name, text, box)."""

    app: str
    role: str
    name: str
    box: Box
    widgets: Sequence[Sequence[Any]]


def windows(tree: Iterable[Mapping[str, Any]], stacking: Sequence[str]) -> list[Window]:
    """The windows of a tree of `guest`, from the lowest to the topmost.

    `stacking` are the titles of the window manager's windows in this order; panels lie above them, menus above all.
    """
    shown = [
        Window(app["name"], frame["role"], frame["name"], tuple(frame["box"]), frame["widgets"])
        for app in tree
        if app["name"] not in BACKGROUND
        for frame in app["frames"]
        if frame["box"] and frame["box"][2] > 3 and frame["box"][0] > -1000
    ]

    def height(window: Window) -> tuple[int, int]:
        if window.role == "window":
            return 2, 0
        if window.app in ("xfce4-panel", "wrapper-2.0"):
            return 1, 0
        return 0, max((n for n, name in enumerate(stacking) if name == window.name), default=-1)

    return sorted(shown, key=height)


def targets(tree: Iterable[Mapping[str, Any]], stacking: Sequence[str], size: tuple[int, int]) -> list[Target]:
    """The widgets on a screen of `size` (width, height), from the lowest window to the topmost."""
    shown = windows(tree, stacking)
    out = []
    for number, window in enumerate(shown):
        above = [other.box for other in shown[number + 1 :]]
        for role, text, box in _elements(window):
            if box[2] > 0 and box[3] > 0:
                target = Target(APPS.get(window.app, "desk"), role, text, *box, clear=True)
                out.append(target._replace(clear=_is_clear(target.middle, size, above)))
    return out


def _is_clear(place: tuple[float, float], size: tuple[int, int], above: Iterable[Box]) -> bool:
    """Is a place on the screen and under none of the boxes?"""
    on_screen = 0 <= place[0] < size[0] and 0 <= place[1] < size[1]
    return on_screen and not any(x <= place[0] < x + w and y <= place[1] < y + h for x, y, w, h in above)


def _elements(window: Window) -> Iterator[tuple[str, str, Box]]:
    """(role, text, box) of a window's frame and of its widgets."""
    app, (x, y, w, h) = APPS.get(window.app, "desk"), window.box
    if app != "desk" and window.role == "frame":
        yield "title", title(app, window.name), (x, y, w, TITLE_HEIGHT)
        yield "close", "x", (x + w - TITLE_HEIGHT, y + 5, TITLE_HEIGHT - 10, TITLE_HEIGHT - 10)
        yield "resize", "", (x + w - BORDER, y + h - BORDER, BORDER, BORDER)
    for role, name, text, box in window.widgets:
        if not box:
            continue
        if role in ("text", "terminal"):
            yield from _text_elements(app, text, tuple(box))
        elif role in ROLES:
            yield ROLES[role], name, tuple(box)


def _text_elements(app: str, text: str, box: Box) -> Iterator[tuple[str, str, Box]]:
    """(role, text, box) of a text field: one of the calculator's display, one a line of an editor or a terminal."""
    if app == "Calc":
        yield "field", text.strip().split("\n")[0].strip(), box
        return
    lines = [line.rstrip() for line in text.split("\n")]
    height = max(1, box[3] // max(1, len(lines)))
    for number, line in enumerate(lines):
        yield "line", line, (box[0], box[1] + number * height, box[2], height)


def title(app: str, name: str) -> str:
    """A window's title without the program's name and folders: "*~/note - Mousepad" is "*note"."""
    if app != "Edit":
        return name
    name = name.removesuffix(" - Mousepad")
    return ("*" if name.startswith("*") else "") + name.lstrip("*").rsplit("/", 1)[-1]
