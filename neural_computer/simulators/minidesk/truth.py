"""The ground truth of a frame: where everything is, what it says, and what an action does."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from neural_computer.actions import cursor
from neural_computer.simulators.desktop import Target
from neural_computer.simulators.minidesk import step as steps
from neural_computer.simulators.minidesk.drawing import arrow
from neural_computer.simulators.minidesk.scene import hit, layers, topmost
from neural_computer.simulators.minidesk.state import Desk
from neural_computer.types import Event


class Truth(NamedTuple):
    """A frame's ground truth. `cursor` is (x, y) in pixels, `mask` the cursor's opacity, `hit` the target under the pointer,
    `focus` the title of the window that gets the keys."""

    cursor: tuple[float, float]
    mask: Float[np.ndarray, "h w 1"]
    hit: Target | None
    widgets: tuple[Target, ...]
    texts: tuple[str, ...]
    focus: str


def truth(desk: Desk) -> Truth:
    """The ground truth of a desk's picture."""
    place = np.asarray([desk.x, desk.y], np.float32)
    _, mask = cursor.stamp(arrow(desk.size), place, desk.size, desk.size)
    widgets = targets(desk)
    focused = steps.find(desk, desk.focus)
    return Truth(
        (desk.x, desk.y),
        mask,
        under(desk),
        widgets,
        tuple(w.text for w in widgets if w.text),
        focused.app.title if focused else "",
    )


def targets(desk: Desk) -> tuple[Target, ...]:
    """All widgets, from the lowest to the topmost."""
    all_layers, out = layers(desk), []
    for layer in all_layers:
        app = owner(desk, layer.id)
        for number, (role, text, x, y, w, h, _) in enumerate(layer.widgets):
            x, y = x + layer.x, y + layer.y
            place = x + w // 2, y + h // 2
            on_screen = 0 <= place[0] < desk.size and 0 <= place[1] < desk.size
            clear = on_screen and topmost(all_layers, *place)[1] == (layer.id, number)
            out.append(Target(app, role, text, x, y, w, h, clear))
    return tuple(out)


def under(desk: Desk) -> Target | None:
    """The target under the pointer."""
    layer, where = hit(desk, desk.x, desk.y)
    if where.number is None:
        return None
    role, text, x, y, w, h, _ = layer.widgets[where.number]
    return Target(owner(desk, layer.id), role, text, x + layer.x, y + layer.y, w, h, True)


def owner(desk: Desk, id: int) -> str:
    """Name of the app of a layer, or "desk"."""
    window = steps.find(desk, id)
    return window.app.name if window else "desk"


def effect(desk: Desk, events: Iterable[Event]) -> tuple[str, ...]:
    """The changes, in words, that a frame with these events would make to a desk."""
    return changes(desk, steps.step(desk, events))


def changes(before: Desk, after: Desk) -> tuple[str, ...]:
    """The differences between two desks in words, the pointer's place apart."""
    old, new = ({window.id: window for window in desk.windows} for desk in (before, after))
    texts = [f"opens {new[id].app.title}" for id in new if id not in old]
    texts += [f"closes {old[id].app.title}" for id in old if id not in new]
    for id in (id for id in new if id in old):
        a, b = old[id], new[id]
        if (a.x, a.y) != (b.x, b.y):
            texts.append(f"moves {b.app.title} by {b.x - a.x},{b.y - a.y}")
        if (a.w, a.h) != (b.w, b.h):
            texts.append(f"resizes {b.app.title} to {b.w}x{b.h}")
        texts += differences(b.app.name, a.app, b.app)
    waits = {due: due.frame - after.frame for due in after.due if due not in before.due}
    texts += [f"will open {due.path or due.app} in {wait} frames" for due, wait in waits.items()]
    files = dict(before.disk), dict(after.disk)
    texts += [f"writes {path}" for path, text in files[1].items() if path not in files[0] or files[0][path] != text]
    texts += [f"deletes {path}" for path in files[0] if path not in files[1]]
    if before.focus != after.focus:
        texts.append(f"focuses {new[after.focus].app.title if after.focus in new else 'the desk'}")
    if before.menu != after.menu:
        texts.append(f"opens menu {' '.join(after.menu.items)}" if after.menu else "closes menu")
    if before.chosen != after.chosen:
        texts.append(f"chooses {after.chosen or 'nothing'}")
    return tuple(texts)


def differences(name: str, before: Any, after: Any) -> list[str]:
    """The fields of an app that differ."""
    if type(before) is not type(after):
        return [f"{name} becomes {type(after).__name__}"]
    pairs = zip(before._fields, before, after, strict=True)
    return [f"{name} {field}: {a!r} -> {b!r}" for field, a, b in pairs if a != b]
