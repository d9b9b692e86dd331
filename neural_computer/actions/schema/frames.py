"""Actions frame by frame: raw flags, meta slots, mouse positions; and meta slots back to events. numpy only.

An event belongs to the first frame that shows its effect: an event at time e to frame ceil(e * fps), since frame t is the
screen at t / fps.
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
    """The first frame that shows the effect of an event at `time`."""
    return max(0, math.ceil(time * fps - 1e-6))


def mouse(log: Log, frames: int, fps: float) -> Float[np.ndarray, "t 2"]:
    """Mouse position (x, y) in every frame, in pixels; NaN before the log's first position."""
    out = np.full((frames, 2), np.nan, np.float32)
    times = [frame_of(time, fps) for time, _, _ in log.places]
    for t in range(frames):
        if number := bisect(times, t):
            out[t] = log.places[number - 1][1:]
    return out


def raw(log: Log, frames: int, fps: float) -> Float[np.ndarray, "t 182"]:
    """Flags of every frame. A click sets its flag in the frame of its first press; right and middle button have no flags for
    double clicks and drags. The left button's edges and keys set theirs in their own frames. Modifiers are set with the
    key that they modify, or alone; Shift is part of a character. mouse_move is set in frames whose mouse position differs
    from the frame before."""
    out = np.zeros((frames, len(FLAGS)), np.float32)

    def flag(name: str, time: float) -> None:
        if (t := frame_of(time, fps)) < frames:
            out[t, FLAGS[name]] = 1

    places = mouse(log, frames, fps)
    out[[t for t in range(frames) if _moved(places, t)], FLAGS["mouse_move"]] = 1
    for action in log.actions:
        for name, time in _flags(action):
            flag(name, time)
    for time in log.released:
        flag("left_mouse_up", time)
    return out


def _flags(action: Action) -> Iterator[tuple[str, float]]:
    """Yields (flag, time) of an action."""
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
    """(slots (t, SLOTS), the texts that they refer to, counts of problems by reason)."""
    out = Meta(*(np.zeros((frames, SLOTS), np.int32) for _ in Meta._fields))
    used, texts, problems = [0] * frames, {"": 0}, Counter[str]()
    for t, fields in sorted(_slots(log, fps, texts), key=lambda slot: slot[0]):
        if t >= frames:
            problems["actions after the video"] += 1
        elif used[t] == SLOTS:
            problems[f"actions beyond {SLOTS} in a frame"] += 1
        else:
            for name, value in fields.items():
                getattr(out, name)[t, used[t]] = value
            used[t] += 1
    problems += Counter({"pointer moved after an action in its frame": _moved_after(log, fps)})
    problems += Counter({"shortcuts without an id": int(((out.kind == SHORTCUT) & (out.shortcut == 0)).sum())})
    return out, tuple(texts), problems


def _slots(log: Log, fps: float, texts: dict[str, int]) -> Iterator[tuple[int, dict[str, int]]]:
    """Yields (frame, fields) of all actions, in the order of their first time in a frame; adds new texts to `texts`."""
    parts = []
    for action in log.actions:
        numbers = [frame_of(time, fps) for time in action.times]
        for t in dict.fromkeys(numbers):
            first = numbers.index(t)
            parts.append((action.times[first], t, action, slice(first, first + numbers.count(t))))
    for _, t, action, part in sorted(parts, key=lambda item: item[:2]):
        yield t, _fields(action, part, texts)


def _fields(action: Action, part: slice, texts: dict[str, int]) -> dict[str, int]:
    """Fields of the slot of an action's `part`, the times in one frame."""
    if action.kind == CLICK:
        fields = {"button": BUTTONS.index(action.button), "clicks": action.clicks, "drag": int(action.drag)}
        return {"kind": CLICK, "edges": len(action.times[part]), **fields}
    if action.kind == SCROLL:
        direction = DIRECTIONS.index(action.direction)
        return {"kind": SCROLL, "direction": direction, "amount": sum(action.notches[part])}
    if action.kind == TEXT:
        return {"kind": TEXT, "text": texts.setdefault(action.text[part], len(texts))}
    return {"kind": SHORTCUT, "shortcut": SHORTCUT_IDS.get(shortcut(action.keys), SHORTCUT_IDS[OTHER])}


def _moved_after(log: Log, fps: float) -> int:
    """Number of clicks and scrolls elsewhere than their frame's one mouse position, which is its last."""
    times = [time for time, _, _ in log.places]
    frames = [frame_of(time, fps) for time in times]
    pointed = [time for action in log.actions if action.kind in (CLICK, SCROLL) for time in action.times]
    places = [(bisect(times, time), bisect(frames, frame_of(time, fps))) for time in pointed]
    return sum(log.places[now - 1][1:] != log.places[end - 1][1:] for now, end in places if now)


def events(
    slots: Meta, texts: tuple[str, ...], places: Float[np.ndarray, "t 2"], fps: float
) -> tuple[tuple[Event, ...], Counter[str]]:
    """(events that replay slots and mouse positions, counts of problems by reason).

    In a frame the mouse moves first; modifiers are pressed on the left side.
    """
    out: list[Event] = []
    problems: Counter[str] = Counter()
    down: set[str] = set()
    for t in range(len(places)):
        now = [Event(0.0, "move", x=float(places[t, 0]), y=float(places[t, 1]))] if _moved(places, t) else []
        for s in range(slots.kind.shape[1]):
            slot = {name: int(values[t, s]) for name, values in zip(Meta._fields, slots, strict=True)}
            if slot["kind"] == SHORTCUT and SHORTCUTS[slot["shortcut"]] == OTHER:
                problems["shortcuts without an id"] += 1
            now += _replay(slot, texts, down)
        begin = max(0, t - 1) / fps
        out += [
            event._replace(time=begin + (number + 1) / (len(now) + 1) / fps if t else 0.0)
            for number, event in enumerate(now)
        ]
    return tuple(out), problems


def _moved(places: np.ndarray, t: int) -> bool:
    return bool(np.isfinite(places[t]).all() and (t == 0 or (places[t] != places[t - 1]).any()))


def _replay(slot: dict[str, Any], texts: tuple[str, ...], down: set[str]) -> Iterator[Event]:
    """Yields the events of one slot, at time 0; `down` are the pressed buttons, and is updated."""
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
    """Keysyms of a shortcut, modifiers first. Raises ValueError for one that is not in SHORTCUTS."""
    if name not in SHORTCUT_IDS:
        raise ValueError(f"shortcut {name!r}: is not in actions.schema.SHORTCUTS; take one of these")
    if name in MODIFIERS:
        return (name,)
    *modifiers, key = name.split("+") if name[-1] != "+" else [*name[:-2].split("+"), "+"]
    return (*(LEFT[modifier] for modifier in modifiers), key)


def letterbox(
    places: Float[np.ndarray, "*t 2"], source: tuple[int, int], target: tuple[int, int]
) -> Float[np.ndarray, "*t 2"]:
    """Pixels of a screen of size `source` (width, height) in its letterboxed frames of size `target`: s x + p."""
    scale = min(target[0] / source[0], target[1] / source[1])
    scaled = [max(1, round(side * scale)) for side in source]
    return places * np.float32(scale) + np.asarray(
        [(t - s) // 2 for t, s in zip(target, scaled, strict=True)], np.float32
    )


def normalised(places: Float[Any, "*t 2"], size: tuple[int, int]) -> Float[Any, "*t 2"]:
    """Pixels of frames of `size` (width, height) as the paper's numbers in [0, 1]: x / (w - 1), y / (h - 1)."""
    return places / np.asarray([size[0] - 1, size[1] - 1], np.float32)
