"""Actions by frame: raw flags, meta slots, the pointer; and from meta slots back to events. numpy only.

An event belongs to the frame that first shows what it did: one at time e is of frame ceil(e * fps), as frame t is what
stands on the screen at t / fps.
"""

import math
from bisect import bisect
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float

from neural_computer.actions.schema import (
    BUTTONS,
    CLICK,
    DIRECTIONS,
    FLAGS,
    MODIFIERS,
    NONE,
    NOTCH,
    OTHER,
    SCROLL,
    SHORTCUT,
    SHORTCUT_IDS,
    SHORTCUTS,
    SLOTS,
    TEXT,
)
from neural_computer.actions.schema.log import NAMES, Action, Log, shortcut
from neural_computer.types import Event, Meta

LEFT = {name: f"{keysym}_L" for keysym, name in NAMES.items()}
CLICKED = {1: "left_click", 2: "double_click", 3: "triple_click"}


def frame_of(time: float, fps: float) -> int:
    """The frame that first shows what happens at `time`."""
    return max(0, math.ceil(time * fps - 1e-6))


def mouse(log: Log, frames: int, fps: float) -> Float[np.ndarray, "t 2"]:
    """Where the pointer is in every frame, (x, y) in pixels; NaN until the log tells."""
    out = np.full((frames, 2), np.nan, np.float32)
    times = [frame_of(time, fps) for time, _, _ in log.places]
    for t in range(frames):
        if number := bisect(times, t):
            out[t] = log.places[number - 1][1:]
    return out


def raw(log: Log, frames: int, fps: float) -> Float[np.ndarray, "t 182"]:
    """Flags of what happens in every frame. A click sets its flag in the frame of its first press (a right or middle one
    has no flags of its own for double clicks and drags), the left button's edges and keys are set where they are
    pressed; modifiers are set with the key that they are held for, or alone; Shift is part of a character. mouse_move
    is set where the pointer is in another place than in the frame before."""
    out = np.zeros((frames, len(FLAGS)), np.float32)

    def flag(name: str, time: float) -> None:
        if (t := frame_of(time, fps)) < frames:
            out[t, FLAGS[name]] = 1

    places = mouse(log, frames, fps)
    out[[t for t in range(frames) if _moved(places, t)], FLAGS["mouse_move"]] = 1
    for action in log.actions:
        for name, time in _flags(action):
            flag(name, time)
    return out


def _flags(action: Action) -> Iterator[tuple[str, float]]:
    """(flag, time) of an action."""
    if action.kind == CLICK:
        left = "left_click_drag" if action.drag else CLICKED[action.clicks]
        yield (left if action.button == "left" else f"{action.button}_click"), action.times[0]
        if action.button == "left":
            for number, time in enumerate(action.times):
                yield ("left_mouse_down", "left_mouse_up")[number % 2], time
    elif action.kind == SCROLL:
        yield from ((f"scroll_{action.direction}", time) for time in action.times)
    elif action.kind == TEXT:
        yield from zip(action.text, action.times, strict=True)
    else:
        yield from ((key, action.times[0]) for key in action.keys)


def meta(log: Log, frames: int, fps: float) -> tuple[Meta, tuple[str, ...], Counter[str]]:
    """(slots (t, SLOTS), the texts they point to, what found no place: by reason)."""
    out = Meta(*(np.zeros((frames, SLOTS), np.int32) for _ in Meta._fields))
    used, texts, faults = [0] * frames, {"": 0}, Counter[str]()
    for t, fields in sorted(_slots(log, fps, texts), key=lambda slot: slot[0]):
        if t >= frames:
            faults["actions after the video"] += 1
        elif used[t] == SLOTS:
            faults[f"actions beyond {SLOTS} in a frame"] += 1
        else:
            for name, value in fields.items():
                getattr(out, name)[t, used[t]] = value
            used[t] += 1
    faults += Counter({"pointer moved after an action in its frame": _moved_after(log, fps)})
    faults += Counter({"shortcuts without an id": int(((out.kind == SHORTCUT) & (out.shortcut == 0)).sum())})
    return out, tuple(texts), faults


def _slots(log: Log, fps: float, texts: dict[str, int]) -> Iterator[tuple[int, dict[str, int]]]:
    """(frame, fields) of all actions, in the order of what happened first in a frame; new texts are added to `texts`."""
    parts = []
    for action in log.actions:
        places = [frame_of(time, fps) for time in action.times]
        for t in dict.fromkeys(places):
            first = places.index(t)
            parts.append((action.times[first], t, action, slice(first, first + places.count(t))))
    for _, t, action, part in sorted(parts, key=lambda item: item[:2]):
        yield t, _fields(action, part, texts)


def _fields(action: Action, part: slice, texts: dict[str, int]) -> dict[str, int]:
    """What a slot says of the part of an action that happens in its frame."""
    if action.kind == CLICK:
        own = {"button": BUTTONS.index(action.button), "clicks": action.clicks, "drag": int(action.drag)}
        return {"kind": CLICK, "edges": len(action.times[part]), **own}
    if action.kind == SCROLL:
        direction = DIRECTIONS.index(action.direction)
        return {"kind": SCROLL, "direction": direction, "amount": sum(action.notches[part])}
    if action.kind == TEXT:
        return {"kind": TEXT, "text": texts.setdefault(action.text[part], len(texts))}
    return {"kind": SHORTCUT, "shortcut": SHORTCUT_IDS.get(shortcut(action.keys), SHORTCUT_IDS[OTHER])}


def _moved_after(log: Log, fps: float) -> int:
    """How many clicks and scrolls are not where their frame ends: a frame has one place for the pointer."""
    times = [time for time, _, _ in log.places]
    frames = [frame_of(time, fps) for time in times]
    pointed = [time for action in log.actions if action.kind in (CLICK, SCROLL) for time in action.times]
    places = [(bisect(times, time), bisect(frames, frame_of(time, fps))) for time in pointed]
    return sum(log.places[now - 1][1:] != log.places[end - 1][1:] for now, end in places if now)


def events(
    slots: Meta, texts: tuple[str, ...], places: Float[np.ndarray, "t 2"], fps: float
) -> tuple[tuple[Event, ...], Counter[str]]:
    """(Events that do again what the slots and the pointer's places tell, what cannot be done: by reason).

    In a frame the pointer moves first; modifiers are pressed on the left side, whichever it was.
    """
    out: list[Event] = []
    faults: Counter[str] = Counter()
    down: set[str] = set()
    for t in range(len(places)):
        now = [Event(0.0, "move", x=float(places[t, 0]), y=float(places[t, 1]))] if _moved(places, t) else []
        for s in range(slots.kind.shape[1]):
            slot = {name: int(values[t, s]) for name, values in zip(Meta._fields, slots, strict=True)}
            if slot["kind"] == SHORTCUT and SHORTCUTS[slot["shortcut"]] == OTHER:
                faults["shortcuts without an id"] += 1
            now += _again(slot, texts, down)
        begin = max(0, t - 1) / fps
        out += [
            event._replace(time=begin + (number + 1) / (len(now) + 1) / fps if t else 0.0)
            for number, event in enumerate(now)
        ]
    return tuple(out), faults


def _moved(places: np.ndarray, t: int) -> bool:
    return bool(np.isfinite(places[t]).all() and (t == 0 or (places[t] != places[t - 1]).any()))


def _again(slot: dict[str, Any], texts: tuple[str, ...], down: set[str]) -> Iterator[Event]:
    """The events of one slot, untimed; `down` are the buttons held, and is kept up."""
    if slot["kind"] == CLICK:
        button = BUTTONS[slot["button"]]
        for _ in range(slot["edges"]):
            yield Event(0.0, "release" if button in down else "press", key=button)
            down ^= {button}
    elif slot["kind"] == SCROLL:
        dx, dy = NOTCH[DIRECTIONS[slot["direction"]]]
        yield Event(0.0, "scroll", dx=float(dx * slot["amount"]), dy=float(dy * slot["amount"]))
    elif slot["kind"] == TEXT:
        for char in texts[slot["text"]]:
            yield from (Event(0.0, "press", key=char), Event(0.0, "release", key=char))
    elif slot["kind"] != NONE and SHORTCUTS[slot["shortcut"]] != OTHER:
        keys = keysyms(SHORTCUTS[slot["shortcut"]])
        yield from (Event(0.0, "press", key=key) for key in keys)
        yield from (Event(0.0, "release", key=key) for key in reversed(keys))


def keysyms(name: str) -> tuple[str, ...]:
    """The keys of a shortcut, modifiers first. Raises ValueError for one that is in no table."""
    if name not in SHORTCUT_IDS:
        raise ValueError(f"shortcut {name!r}: is not in actions.schema.SHORTCUTS; take one of these")
    if name in MODIFIERS:
        return (name,)
    *held, key = name.split("+") if name[-1] != "+" else [*name[:-2].split("+"), "+"]
    return (*(LEFT[modifier] for modifier in held), key)


def letterbox(
    places: Float[np.ndarray, "*t 2"], source: tuple[int, int], target: tuple[int, int]
) -> Float[np.ndarray, "*t 2"]:
    """Pixels of a screen of size `source` (width, height) as pixels of frames that `media.letterbox` made of it: s x + p."""
    scale = min(target[0] / source[0], target[1] / source[1])
    shown = [max(1, round(side * scale)) for side in source]
    return places * np.float32(scale) + np.asarray(
        [(t - s) // 2 for t, s in zip(target, shown, strict=True)], np.float32
    )


def normalised(places: Float[Any, "*t 2"], size: tuple[int, int]) -> Float[Any, "*t 2"]:
    """Pixels of frames of `size` (width, height) as numbers in [0, 1]: (s x + p) / (w - 1), the paper's."""
    return places / np.asarray([size[0] - 1, size[1] - 1], np.float32)
