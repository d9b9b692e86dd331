"""One frame of the desk's life: `step(desk, events) -> desk`."""

import math
from collections.abc import Iterable

from neural_computer.actions.schema import KEYS, MODIFIERS
from neural_computer.simulators.minidesk import disk as disks
from neural_computer.simulators.minidesk.apps import SIZES, START
from neural_computer.simulators.minidesk.apps.editor import Editor
from neural_computer.simulators.minidesk.scene import BOTTOM, GROUND, POPUP, Layer, hit, menu_at
from neural_computer.simulators.minidesk.state import (
    BAR,
    DOUBLE,
    LEAST,
    LOADS,
    MOST_WINDOWS,
    NEAR,
    OPENS,
    PANEL,
    Click,
    Desk,
    Due,
    Grip,
    Reply,
    View,
    Widget,
    Window,
)
from neural_computer.types import Event

KNOWN = frozenset(KEYS)


def step(desk: Desk, events: Iterable[Event] = ()) -> Desk:
    """The desk after a frame in which these events happen, in their order. What cannot be done is not done: unknown keys,
    coordinates that are no numbers; the pointer stays on the screen."""
    for event in events:
        desk = HANDLERS.get(event.kind, unchanged)(pointed(desk, event), event)
    return passed(desk)


def unchanged(desk: Desk, event: Event) -> Desk:
    return desk


def pointed(desk: Desk, event: Event) -> Desk:
    """With the pointer where the event is, if it tells."""
    if not (math.isfinite(event.x) and math.isfinite(event.y)):
        return desk
    edge = desk.size - 1.0
    desk = desk._replace(x=min(max(event.x, 0.0), edge), y=min(max(event.y, 0.0), edge))
    return dragged(desk) if desk.grip is not None else desk


def dragged(desk: Desk) -> Desk:
    """With the window that is held moved or resized."""
    grip = desk.grip
    window = find(desk, grip.window) if grip else None
    if grip is None or window is None or grip.what == "press":
        return desk
    x, y = round(desk.x + grip.x), round(desk.y + grip.y)
    if grip.what == "move":
        return put(desk, window._replace(x=x, y=min(max(y, 0), desk.size - PANEL - BAR)))
    w, h = (min(max(side, least), desk.size) for side, least in zip((x, y), LEAST, strict=True))
    return put(desk, window._replace(w=w, h=h))


def pressed(desk: Desk, event: Event) -> Desk:
    if event.key in ("left", "right", "middle"):
        return (left_pressed if event.key == "left" else other_pressed)(desk, event.key)
    if event.key in MODIFIERS:
        return desk if event.key in desk.held else desk._replace(held=(*desk.held, event.key))
    return keyed(desk, event.key)


def released(desk: Desk, event: Event) -> Desk:
    if event.key == "left":
        return left_released(desk)
    return desk._replace(held=tuple(key for key in desk.held if key != event.key))


def written(desk: Desk, event: Event) -> Desk:
    for char in event.text:
        desk = keyed(desk, char)
    return desk


# The mouse


def left_pressed(desk: Desk, button: str) -> Desk:
    layer, where = hit(desk, desk.x, desk.y)
    if desk.menu is not None and layer.id != POPUP and where != (BOTTOM, 0):
        return desk._replace(menu=None)
    click = desk.click
    again = desk.frame - click.frame <= DOUBLE and math.hypot(desk.x - click.x, desk.y - click.y) <= NEAR
    clicks = click.clicks % 2 + 1 if again else 1
    desk = desk._replace(click=Click(desk.frame, desk.x, desk.y, clicks))
    window = find(desk, layer.id)
    desk = desk._replace(chosen="") if window is None else raised(desk, window)
    if where.number is None:
        return desk if layer.id != GROUND else desk._replace(focus=-1)
    return window_pressed(desk, layer, layer.widgets[where.number], clicks)


def window_pressed(desk: Desk, layer: Layer, widget: Widget, clicks: int) -> Desk:
    """A widget is pressed: a window is taken hold of, an icon or a row is chosen or opened; a button waits for the release."""
    window, role = find(desk, layer.id), widget.role
    if role == "icon":
        desk = desk._replace(chosen=widget.text, focus=-1)
        return opening(desk, widget.text) if clicks == 2 else desk
    if role in ("title", "resize") and window is not None:
        what = ("move", window.x - desk.x, window.y - desk.y)
        what = what if role == "title" else ("resize", window.w - desk.x, window.h - desk.y)
        return desk._replace(grip=Grip(what[0], window.id, widget, *what[1:]))
    desk = desk._replace(grip=Grip("press", layer.id, widget))
    if window is None or role == "close":
        return desk
    x, y = int(desk.x) - window.x, int(desk.y) - window.y
    return answered(desk, window, window.app.press(widget, x, y, clicks, view(desk, window)))


def other_pressed(desk: Desk, button: str) -> Desk:
    """The right button opens menus: of apps on the ground, of what is under the pointer in a window."""
    layer, where = hit(desk, desk.x, desk.y)
    window = find(desk, layer.id)
    desk = desk._replace(menu=None)
    if button != "right" or layer.id in (BOTTOM, POPUP):
        return desk
    if window is None:
        return desk._replace(menu=menu_at(desk.x, desk.y, desk.size, tuple(START)))
    desk = raised(desk, window)
    if where.number is None:
        return desk
    x, y = int(desk.x) - window.x, int(desk.y) - window.y
    return answered(desk, window, window.app.press(layer.widgets[where.number], x, y, 0, view(desk, window)))


def left_released(desk: Desk) -> Desk:
    """What was pressed happens if the pointer is on it still."""
    grip, desk = desk.grip, desk._replace(grip=None)
    if grip is None or grip.what != "press":
        return desk
    layer, where = hit(desk, desk.x, desk.y)
    same = layer.id == grip.window and where.number is not None and layer.widgets[where.number] == grip.widget
    return activated(desk, layer, grip.widget) if same else desk


def activated(desk: Desk, layer: Layer, widget: Widget) -> Desk:
    if widget.role == "item" and desk.menu is not None:
        menu, desk = desk.menu, desk._replace(menu=None)
        owner = find(desk, menu.window)
        if owner is None:
            return opening(desk, widget.text) if widget.text in START else desk
        return answered(desk, owner, owner.app.choose("item", widget.text, menu.about, view(desk, owner)))
    if layer.id == BOTTOM and widget.role == "button":
        menu = menu_at(0, desk.size, desk.size, tuple(START))
        return desk._replace(menu=None if desk.menu else menu)
    if layer.id == BOTTOM:
        number = layer.widgets.index(widget) - 1
        return raised(desk, sorted(desk.windows, key=lambda window: window.id)[number])
    window = find(desk, layer.id)
    if window is None:
        return desk
    if widget.role == "close":
        return closed(desk, window)
    return answered(desk, window, window.app.choose(widget.role, widget.text, "", view(desk, window)))


def scrolled(desk: Desk, event: Event) -> Desk:
    """The wheel turns what is under the pointer."""
    window = find(desk, hit(desk, desk.x, desk.y)[0].id)
    if window is None or not math.isfinite(event.dy) or not event.dy:
        return desk
    notches = max(1, round(abs(event.dy))) * (1 if event.dy > 0 else -1)
    return answered(desk, window, window.app.scroll(notches, view(desk, window)))


# The keyboard


def keyed(desk: Desk, key: str) -> Desk:
    held = {MODIFIERS[name] for name in desk.held}
    window = find(desk, desk.focus)
    if key not in KNOWN:
        return desk
    if desk.menu is not None and key == "Escape":
        return desk._replace(menu=None)
    if "Super" in held or key == "Menu" or (held == {"Control"} and key == "Escape"):
        return desk._replace(menu=None if desk.menu else menu_at(0, desk.size, desk.size, tuple(START)))
    if "Alt" in held:
        if key == "F4" and window is not None:
            return closed(desk, window)
        return raised(desk, desk.windows[0]) if key in ("Tab", "\t") and desk.windows else desk
    if window is None:
        return opening(desk, desk.chosen) if key == "Return" and desk.chosen else desk
    return answered(desk, window, window.app.key(key, view(desk, window, "Control" in held)))


# Windows


def find(desk: Desk, id: int) -> Window | None:
    return next((window for window in desk.windows if window.id == id), None)


def view(desk: Desk, window: Window, ctrl: bool = False) -> View:
    return View(window.w, window.h, desk.disk, ctrl)


def put(desk: Desk, window: Window) -> Desk:
    """With a window in the place of the one of its id."""
    return desk._replace(windows=tuple(window if w.id == window.id else w for w in desk.windows))


def raised(desk: Desk, window: Window) -> Desk:
    """With a window on top and in focus."""
    if desk.windows[-1].id == window.id == desk.focus:
        return desk
    others = tuple(w for w in desk.windows if w.id != window.id)
    return desk._replace(windows=(*others, window), focus=window.id, chosen="")


def closed(desk: Desk, window: Window) -> Desk:
    """Without a window; the next below has the focus."""
    left = tuple(w for w in desk.windows if w.id != window.id)
    grip = desk.grip if desk.grip is None or desk.grip.window != window.id else None
    return desk._replace(windows=left, focus=left[-1].id if left else -1, grip=grip, menu=None)


def opening(desk: Desk, app: str, path: str = "", wait: int = OPENS) -> Desk:
    """With an app, or a file in the editor, about to open, unless the screen is full."""
    if len(desk.windows) + len(desk.due) >= MOST_WINDOWS:
        return desk
    return desk._replace(due=(*desk.due, Due(desk.frame + wait, app, path)))


def opened(desk: Desk, due: Due) -> Desk:
    """With a new window, each a little further from the corner than the last."""
    app = START[due.app]
    if due.path:
        text = disks.read(desk.disk, due.path)
        if text is None:  # It was deleted meanwhile.
            return desk
        app = Editor(due.path, tuple(text.split("\n")))
    w, h = (min(side, desk.size - PANEL * low) for low, side in enumerate(SIZES[due.app]))
    place = desk.next_id % 4
    x, y = min(26 + 6 * place, desk.size - w), min(2 + 9 * place, desk.size - PANEL - h)
    window = Window(desk.next_id, app, x, y, w, h)
    return desk._replace(windows=(*desk.windows, window), focus=window.id, chosen="", next_id=desk.next_id + 1)


def answered(desk: Desk, window: Window, reply: Reply) -> Desk:
    """With what an app answered."""
    desk = put(desk._replace(disk=reply.disk), window._replace(app=reply.app))
    for what, which in reply.asks:
        if what == "close":
            desk = closed(desk, window)
        elif what == "edit":
            desk = opening(desk, "Edit", which, LOADS)
        elif what == "menu":
            menu = menu_at(desk.x, desk.y, desk.size, ("Open", "Delete"), window.id, which)
            desk = desk._replace(menu=menu)
    return desk


def passed(desk: Desk) -> Desk:
    """A frame later: what is due happens, and busy apps go on."""
    desk = desk._replace(frame=desk.frame + 1)
    for due in [due for due in desk.due if due.frame <= desk.frame]:
        desk = opened(desk._replace(due=tuple(d for d in desk.due if d != due)), due)
    for window in desk.windows:
        if window.app.busy:
            desk = answered(desk, window, window.app.tick(view(desk, window)))
    return desk


HANDLERS = {"press": pressed, "release": released, "move": unchanged, "scroll": scrolled, "text": written}
