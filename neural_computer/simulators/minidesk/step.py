"""A frame of the desk: `step(desk, events) -> desk`. Every function returns the desk after what its name says."""

import math
from collections.abc import Iterable

from neural_computer.actions.schema import KEYS, MODIFIERS
from neural_computer.simulators.minidesk import disk as disks
from neural_computer.simulators.minidesk.apps import SIZES, START
from neural_computer.simulators.minidesk.apps.editor import Editor
from neural_computer.simulators.minidesk.scene import BOTTOM, GROUND, POPUP, Layer, hit, menu_at
from neural_computer.simulators.minidesk.state import (
    BAR,
    DOUBLE_CLICK,
    LOAD_DELAY,
    MAX_WINDOWS,
    MIN_SIZE,
    NEAR,
    PANEL,
    Click,
    Desk,
    DeskWindow,
    Due,
    Grip,
    Reply,
    View,
    Widget,
)
from neural_computer.types import Event

KNOWN_KEYS = frozenset(KEYS)


def step(desk: Desk, events: Iterable[Event] = ()) -> Desk:
    """The desk after a frame with these events, in their order.

    Unknown keys and coordinates that are not finite are ignored; the pointer stays on the screen.
    """
    for event in events:
        desk = HANDLERS.get(event.kind, ignore)(move_pointer(desk, event), event)
    return advance(desk)


def ignore(desk: Desk, event: Event) -> Desk:
    """The desk as it is."""
    return desk


def move_pointer(desk: Desk, event: Event) -> Desk:
    """Moves the pointer to the event's place, if it has one, and the window that is dragged with it."""
    if not (math.isfinite(event.x) and math.isfinite(event.y)):
        return desk
    edge = desk.size - 1.0
    desk = desk._replace(x=min(max(event.x, 0.0), edge), y=min(max(event.y, 0.0), edge))
    return drag(desk) if desk.grip is not None else desk


def drag(desk: Desk) -> Desk:
    """Moves or resizes the window that the left button is down on."""
    grip = desk.grip
    window = find(desk, grip.window) if grip else None
    if grip is None or window is None or grip.what == "press":
        return desk
    x, y = round(desk.x + grip.x), round(desk.y + grip.y)
    if grip.what == "move":
        return replace_window(desk, window._replace(x=x, y=min(max(y, 0), desk.size - PANEL - BAR)))
    w, h = (min(max(side, least), desk.size) for side, least in zip((x, y), MIN_SIZE, strict=True))
    return replace_window(desk, window._replace(w=w, h=h))


def press(desk: Desk, event: Event) -> Desk:
    """Presses a mouse button, a modifier or another key."""
    if event.key in ("left", "right", "middle"):
        return (press_left if event.key == "left" else press_other)(desk, event.key)
    if event.key in MODIFIERS:
        return desk if event.key in desk.modifiers else desk._replace(modifiers=(*desk.modifiers, event.key))
    return press_key(desk, event.key)


def release(desk: Desk, event: Event) -> Desk:
    """Releases the left button or a modifier; other keys act when they are pressed."""
    if event.key == "left":
        return release_left(desk)
    return desk._replace(modifiers=tuple(key for key in desk.modifiers if key != event.key))


def type_text(desk: Desk, event: Event) -> Desk:
    """Presses the characters of the event's text."""
    for char in event.text:
        desk = press_key(desk, char)
    return desk


# The mouse


def press_left(desk: Desk, button: str) -> Desk:
    """Presses the left button: closes the menu, or raises a window and presses the widget under the pointer."""
    layer, where = hit(desk, desk.x, desk.y)
    if desk.menu is not None and layer.id != POPUP and where != (BOTTOM, 0):
        return desk._replace(menu=None)
    click = desk.click
    again = desk.frame - click.frame <= DOUBLE_CLICK and math.hypot(desk.x - click.x, desk.y - click.y) <= NEAR
    clicks = click.clicks % 2 + 1 if again else 1
    desk = desk._replace(click=Click(desk.frame, desk.x, desk.y, clicks))
    window = find(desk, layer.id)
    desk = desk._replace(chosen="") if window is None else raise_window(desk, window)
    if where.number is None:
        return desk if layer.id != GROUND else desk._replace(focus=-1)
    return press_widget(desk, layer, layer.widgets[where.number], clicks)


def press_widget(desk: Desk, layer: Layer, widget: Widget, clicks: int) -> Desk:
    """Presses a widget: begins to drag a window, chooses or opens an icon or a row; a button acts on release."""
    window, role = find(desk, layer.id), widget.role
    if role == "icon":
        desk = desk._replace(chosen=widget.text, focus=-1)
        return schedule_open(desk, widget.text) if clicks == 2 else desk
    if role in ("title", "resize") and window is not None:
        what = ("move", window.x - desk.x, window.y - desk.y)
        what = what if role == "title" else ("resize", window.w - desk.x, window.h - desk.y)
        return desk._replace(grip=Grip(what[0], window.id, widget, *what[1:]))
    desk = desk._replace(grip=Grip("press", layer.id, widget))
    if window is None or role == "close":
        return desk
    x, y = int(desk.x) - window.x, int(desk.y) - window.y
    return apply_reply(desk, window, window.app.press(widget, x, y, clicks, view(desk, window)))


def press_other(desk: Desk, button: str) -> Desk:
    """Presses another button. The right one opens a menu: of the apps, or in a window of what is under the pointer."""
    layer, where = hit(desk, desk.x, desk.y)
    window = find(desk, layer.id)
    desk = desk._replace(menu=None)
    if button != "right" or layer.id in (BOTTOM, POPUP):
        return desk
    if window is None:
        return desk._replace(menu=menu_at(desk.x, desk.y, desk.size, tuple(START)))
    desk = raise_window(desk, window)
    if where.number is None:
        return desk
    x, y = int(desk.x) - window.x, int(desk.y) - window.y
    return apply_reply(desk, window, window.app.press(layer.widgets[where.number], x, y, 0, view(desk, window)))


def release_left(desk: Desk) -> Desk:
    """Releases the left button: activates the pressed widget if the pointer is still on it."""
    grip, desk = desk.grip, desk._replace(grip=None)
    if grip is None or grip.what != "press":
        return desk
    layer, where = hit(desk, desk.x, desk.y)
    same = layer.id == grip.window and where.number is not None and layer.widgets[where.number] == grip.widget
    return activate(desk, layer, grip.widget) if same else desk


def activate(desk: Desk, layer: Layer, widget: Widget) -> Desk:
    """Does what a click on a widget does."""
    if widget.role == "item" and desk.menu is not None:
        menu, desk = desk.menu, desk._replace(menu=None)
        owner = find(desk, menu.window)
        if owner is None:
            return schedule_open(desk, widget.text) if widget.text in START else desk
        return apply_reply(desk, owner, owner.app.choose("item", widget.text, menu.about, view(desk, owner)))
    if layer.id == BOTTOM and widget.role == "button":
        menu = menu_at(0, desk.size, desk.size, tuple(START))
        return desk._replace(menu=None if desk.menu else menu)
    if layer.id == BOTTOM:
        number = layer.widgets.index(widget) - 1
        return raise_window(desk, sorted(desk.windows, key=lambda window: window.id)[number])
    window = find(desk, layer.id)
    if window is None:
        return desk
    if widget.role == "close":
        return close_window(desk, window)
    return apply_reply(desk, window, window.app.choose(widget.role, widget.text, "", view(desk, window)))


def scroll(desk: Desk, event: Event) -> Desk:
    """Scrolls the window under the pointer."""
    window = find(desk, hit(desk, desk.x, desk.y)[0].id)
    if window is None or not math.isfinite(event.dy) or not event.dy:
        return desk
    notches = max(1, round(abs(event.dy))) * (1 if event.dy > 0 else -1)
    return apply_reply(desk, window, window.app.scroll(notches, view(desk, window)))


# The keyboard


def press_key(desk: Desk, key: str) -> Desk:
    """Presses a key that is no modifier: a shortcut of the desk, or one for the window with the focus."""
    down = {MODIFIERS[name] for name in desk.modifiers}
    window = find(desk, desk.focus)
    if key not in KNOWN_KEYS:
        return desk
    if desk.menu is not None and key == "Escape":
        return desk._replace(menu=None)
    if "Super" in down or key == "Menu" or (down == {"Control"} and key == "Escape"):
        return desk._replace(menu=None if desk.menu else menu_at(0, desk.size, desk.size, tuple(START)))
    if "Alt" in down:
        if key == "F4" and window is not None:
            return close_window(desk, window)
        return raise_window(desk, desk.windows[0]) if key in ("Tab", "\t") and desk.windows else desk
    if window is None:
        return schedule_open(desk, desk.chosen) if key == "Return" and desk.chosen else desk
    return apply_reply(desk, window, window.app.key(key, view(desk, window, "Control" in down)))


# Windows


def find(desk: Desk, id: int) -> DeskWindow | None:
    """The window of an id; None if it is closed."""
    return next((window for window in desk.windows if window.id == id), None)


def view(desk: Desk, window: DeskWindow, ctrl: bool = False) -> View:
    """What a window's app gets to see; `ctrl` is whether Control is down."""
    return View(window.w, window.h, desk.disk, ctrl)


def replace_window(desk: Desk, window: DeskWindow) -> Desk:
    """Replaces the window of the same id."""
    return desk._replace(windows=tuple(window if w.id == window.id else w for w in desk.windows))


def raise_window(desk: Desk, window: DeskWindow) -> Desk:
    """Puts a window on top and gives it the focus."""
    if desk.windows[-1].id == window.id == desk.focus:
        return desk
    others = tuple(w for w in desk.windows if w.id != window.id)
    return desk._replace(windows=(*others, window), focus=window.id, chosen="")


def close_window(desk: Desk, window: DeskWindow) -> Desk:
    """Closes a window; the topmost other one gets the focus."""
    others = tuple(w for w in desk.windows if w.id != window.id)
    grip = desk.grip if desk.grip is None or desk.grip.window != window.id else None
    return desk._replace(windows=others, focus=others[-1].id if others else -1, grip=grip, menu=None)


def schedule_open(desk: Desk, app: str, path: str = "", wait: int | None = None) -> Desk:
    """Opens an app, or a file in the editor, after `wait` frames or the desk's own delay, unless there are too many windows."""
    if len(desk.windows) + len(desk.due) >= MAX_WINDOWS:
        return desk
    return desk._replace(due=(*desk.due, Due(desk.frame + (wait or desk.open_delay), app, path)))


def open_window(desk: Desk, due: Due) -> Desk:
    """Opens a window, a little further from the corner than the one before."""
    app = START[due.app]
    if due.path:
        text = disks.read(desk.disk, due.path)
        if text is None:  # the file was deleted in the meantime
            return desk
        app = Editor(due.path, tuple(text.split("\n")))
    w, h = (min(side, desk.size - PANEL * low) for low, side in enumerate(SIZES[due.app]))
    place = desk.next_id % 4
    x, y = min(26 + 6 * place, desk.size - w), min(2 + 9 * place, desk.size - PANEL - h)
    window = DeskWindow(desk.next_id, app, x, y, w, h)
    return desk._replace(windows=(*desk.windows, window), focus=window.id, chosen="", next_id=desk.next_id + 1)


def apply_reply(desk: Desk, window: DeskWindow, reply: Reply) -> Desk:
    """Updates a window and the files by its app's reply, and fulfils the app's requests."""
    desk = replace_window(desk._replace(disk=reply.disk), window._replace(app=reply.app))
    for what, which in reply.requests:
        if what == "close":
            desk = close_window(desk, window)
        elif what == "edit":
            desk = schedule_open(desk, "Edit", which, LOAD_DELAY)
        elif what == "menu":
            menu = menu_at(desk.x, desk.y, desk.size, ("Open", "Delete"), window.id, which)
            desk = desk._replace(menu=menu)
    return desk


def advance(desk: Desk) -> Desk:
    """Ends the frame: apps that are due open, busy apps go on."""
    desk = desk._replace(frame=desk.frame + 1)
    for due in [due for due in desk.due if due.frame <= desk.frame]:
        desk = open_window(desk._replace(due=tuple(d for d in desk.due if d != due)), due)
    for window in desk.windows:
        if window.app.busy:
            desk = apply_reply(desk, window, window.app.tick(view(desk, window)))
    return desk


HANDLERS = {"press": press, "release": release, "move": ignore, "scroll": scroll, "text": type_text}
