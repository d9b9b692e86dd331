"""What AT-SPI tells of a real desktop, as the `Target`s that policies know from the synthetic one."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from neural_computer.simulators.desktop import Target

APPS = {
    "galculator": "Calc",
    "mousepad": "Edit",
    "Mousepad": "Edit",
    "xfce4-terminal": "Term",
    "thunar": "Files",
    "Thunar": "Files",
}
"""The names that policies have for programs"""
ROLES = {
    "push button": "button",
    "toggle button": "button",
    "button": "button",
    "menu": "menu",
    "menu item": "item",
    "check menu item": "item",
    "icon": "row",
}
TITLE, BORDER = 29, 5
"""Pixels of a window's frame above what the program draws, and beside and below it"""
GROUND = ("xfdesktop", "xfwm4", "xfsettingsd")


class Frame(NamedTuple):
    """A window: whose, what it is called, its box with the frame, and its widgets (role, name, text, box)."""

    app: str
    role: str
    name: str
    box: tuple[int, int, int, int]
    widgets: Sequence[Sequence[Any]]


def frames(told: Iterable[Mapping[str, Any]], stacking: Sequence[str]) -> list[Frame]:
    """The windows, from the lowest to the topmost: `stacking` are the titles of those that a window manager has, in this
    order; panels lie above them, menus above all."""
    found = [
        Frame(app["name"], frame["role"], frame["name"], tuple(frame["box"]), frame["widgets"])
        for app in told
        if app["name"] not in GROUND
        for frame in app["frames"]
        if frame["box"] and frame["box"][2] > 3 and frame["box"][0] > -1000
    ]

    def height(frame: Frame) -> tuple[int, int]:
        if frame.role == "window":
            return 2, 0
        if frame.app in ("xfce4-panel", "wrapper-2.0"):
            return 1, 0
        return 0, max((n for n, title in enumerate(stacking) if title == frame.name), default=-1)

    return sorted(found, key=height)


def targets(told: Iterable[Mapping[str, Any]], stacking: Sequence[str], size: tuple[int, int]) -> list[Target]:
    """What can be seen and clicked, from the lowest window to the topmost."""
    windows = frames(told, stacking)
    out = []
    for number, window in enumerate(windows):
        above = [other.box for other in windows[number + 1 :]]
        for role, text, box in _parts(window):
            if box[2] > 0 and box[3] > 0:
                target = Target(APPS.get(window.app, "desk"), role, text, *box, clear=True)
                out.append(target._replace(clear=_clear(target.middle, size, above)))
    return out


def _clear(place: tuple[float, float], size: tuple[int, int], above: Iterable[Sequence[int]]) -> bool:
    inside = 0 <= place[0] < size[0] and 0 <= place[1] < size[1]
    return inside and not any(x <= place[0] < x + w and y <= place[1] < y + h for x, y, w, h in above)


def _parts(window: Frame) -> Iterable[tuple[str, str, tuple[int, int, int, int]]]:
    """(role, text, box) of a window's frame, and of what is in it."""
    app, (x, y, w, h) = APPS.get(window.app, "desk"), window.box
    if app != "desk" and window.role == "frame":
        yield "title", title(app, window.name), (x, y, w, TITLE)
        yield "close", "x", (x + w - TITLE, y + 5, TITLE - 10, TITLE - 10)
        yield "resize", "", (x + w - BORDER, y + h - BORDER, BORDER, BORDER)
    for role, name, text, box in window.widgets:
        if not box:
            continue
        if role in ("text", "terminal"):
            yield from _written(app, role, text, tuple(box))
        elif role in ROLES:
            yield ROLES[role], name, tuple(box)


def _written(
    app: str, role: str, text: str, box: tuple[int, int, int, int]
) -> Iterable[tuple[str, str, tuple[int, int, int, int]]]:
    """What stands in a field of text: all of it, and, of an editor and a terminal, line by line."""
    if app == "Calc":
        yield "field", text.strip().split("\n")[0].strip(), box
        return
    lines = [line.rstrip() for line in text.split("\n")]
    tall = max(1, box[3] // max(1, len(lines)))
    for number, line in enumerate(lines):
        yield "line", line, (box[0], box[1] + number * tall, box[2], tall)


def title(app: str, name: str) -> str:
    """A window's title without the program's name and folders: "*~/note - Mousepad" is "*note"."""
    if app != "Edit":
        return name
    name = name.removesuffix(" - Mousepad")
    return ("*" if name.startswith("*") else "") + name.lstrip("*").rsplit("/", 1)[-1]
