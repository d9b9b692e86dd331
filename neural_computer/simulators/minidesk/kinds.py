"""What a frame of the desk shows: the kind of transition, from the desk before, the events and the desk after.

As of a terminal (`simulators.tty.kinds`): training draws by kind, evaluation counts by kind.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from neural_computer.actions.schema import BUTTONS
from neural_computer.simulators.minidesk.drawing import scene
from neural_computer.simulators.minidesk.state import Desk
from neural_computer.types import Event

KINDS = (
    *("idle", "move", "hover", "drag", "key"),
    *("nothing", "press", "release", "choose", "focus", "menu", "menu_end", "button", "open", "close"),
)
"""Names of the kinds; episodes store their indices. The mouse moves in the first row's, and `hover` lights something up or no
longer; those of the second row are of its buttons. `press` darkens a widget, `choose` is of an icon or a row, `button` changes
an app; a press or a release that changes nothing but the pointer is `nothing` or `release`."""
IDS = {name: number for number, name in enumerate(KINDS)}
CLICKS = ("choose", "focus", "menu", "menu_end", "button", "open", "close")
"""Kinds that show what a click has done"""

SHARES: Mapping[str, float] = {
    **{"idle": 0.03, "move": 0.08, "hover": 0.14, "drag": 0.12, "key": 0.07},
    **{"nothing": 0.03, "press": 0.05, "release": 0.02, "choose": 0.1, "focus": 0.02},
    **{"menu": 0.07, "menu_end": 0.06, "button": 0.05, "open": 0.1, "close": 0.06},
}
"""Shares of training clips by what their last frame shows"""


def of(before: Desk, events: Iterable[Event], after: Desk) -> int:
    """The kind of the frame that follows the desk `before` with these events."""
    events = tuple(events)
    return IDS[_changed(before, events, after) or _unchanged(before, events, after)]


def _changed(before: Desk, events: tuple[Event, ...], after: Desk) -> str:
    """The kind of a frame that changes the desk's state; "" if it does not."""
    old, new = ({window.id: window for window in desk.windows} for desk in (before, after))
    kept = [(old[id], new[id]) for id in new if id in old]
    if new.keys() - old.keys():
        return "open"
    if old.keys() - new.keys():
        return "close"
    if after.menu != before.menu:
        return "menu" if after.menu else "menu_end"
    if any(a[2:] != b[2:] for a, b in kept):
        return "drag"
    if any(a.app != b.app for a, b in kept):
        rows = any(getattr(a.app, "chosen", "") != getattr(b.app, "chosen", "") for a, b in kept)
        return "choose" if rows else "button" if any(event.key in BUTTONS for event in events) else "key"
    if before.chosen != after.chosen:
        return "choose"
    return "focus" if before.focus != after.focus else ""


def _unchanged(before: Desk, events: tuple[Event, ...], after: Desk) -> str:
    """The kind of a frame that changes nothing but the pointer, what it is on and what is pressed."""
    used = {event.kind for event in events if event.key}
    if "press" in used:
        return "press" if after.grip != before.grip else "nothing"
    if used:
        return "release"
    if (before.x, before.y) == (after.x, after.y):
        return "idle"
    return "move" if np.array_equal(scene(before), scene(after)) else "hover"
