"""The logs of the public engine as events: NAME.csv, a row a frame, and NAME.json, an entry an action.

The engine's known mistakes are repaired and counted, by reason.
"""

import ast
import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from neural_computer.actions.schema import CHARACTERS, MODIFIERS, NOTCH
from neural_computer.types import Event

COLUMNS = ("X", "Y", "Left Click", "Right Click", "Key Events")
CLICKS = {"left_click": 1, "right_click": 1, "middle_click": 1, "double_click": 2, "triple_click": 3}
TIGHT = 0.5
"""Seconds within which the engine logs a double click beside its two clicks."""


def read_rows(path: Path, fps: float, problems: Counter[str]) -> tuple[int, list[Event], float]:
    """(number of frames, events, frames a second when it was recorded) of a table.

    Row k has the actions that frame k is the first to show. Raises ValueError with the row that is malformed.
    """
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or any(name not in rows[0] for name in COLUMNS):
        raise ValueError(f"{path.name}:1: must have the columns {', '.join(COLUMNS)} and a row a frame")
    events, place, down = [], (float("nan"),) * 2, set[str]()
    for k, row in enumerate(rows):
        here, keys = (float(row["X"]), float(row["Y"])), _parse_keys(path, k, row["Key Events"])
        now: list[Event] = []
        if here == (0, 0) and k and place != here:
            problems["pointer at (0, 0) where it was not"] += 1
            here = place
        if here != place:
            now.append(Event(0, "move", x=here[0], y=here[1]))
            place = here
        pressed = {name for name in ("left", "right") if row[f"{name.title()} Click"].strip().lower() in ("1", "true")}
        if pressed == {"left", "right"}:
            problems["right clicks that set the left flag too"] += 1
            pressed = {"right"}
        now += [Event(0, "press", key=name, x=place[0], y=place[1]) for name in sorted(pressed - down)]
        now += [Event(0, "release", key=name, x=place[0], y=place[1]) for name in sorted(down - pressed)]
        down = pressed
        now += [Event(0, "press" if kind == "keydown" else "release", key=key) for kind, key in keys]
        begin = max(0, k - 1) / fps
        events += [e._replace(time=begin + (n + 1) / (len(now) + 1) / fps if k else 0.0) for n, e in enumerate(now)]
    return len(rows), events, _rate(rows) or fps


def _rate(rows: list[dict[str, str]]) -> float | None:
    """Rows a second by their timestamps; None without any."""
    try:
        times = [float(row["Timestamp"]) for row in rows]
    except (KeyError, ValueError):
        return None
    return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 and times[-1] > times[0] else None


def _parse_keys(path: Path, row: int, text: str) -> list[tuple[str, str]]:
    """("keydown" or "keyup", key) of a cell that holds a Python list of them. Raises ValueError with the row."""
    if not text.strip():
        return []
    try:
        return [(str(kind), str(key)) for kind, key in ast.literal_eval(text)]
    except (ValueError, SyntaxError, TypeError) as error:
        raise ValueError(f"{path.name}:{row + 2}: Key Events holds no list of (kind, key): {text[:60]!r}") from error


def read_actions(path: Path, seconds: float, problems: Counter[str]) -> list[Event]:
    """The events of a list of actions for a video of so many seconds. Raises ValueError for a file that is no such list.

    Times that lie beyond the video are counted from the first action.
    """
    try:
        rows = [dict(row) for row in json.loads(path.read_text())]
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path.name}: holds no list of actions ({error})") from error
    if not rows:
        return []
    first = float(rows[0]["timestamp"])
    begin = first if first > seconds else 0.0
    if begin:
        problems["times that count from the first action"] += 1
    events: list[Event] = []
    for row in _deduplicate(rows, problems):
        events += _action_events(row, float(row["timestamp"]) - begin, problems)
    return events


def _deduplicate(rows: list[dict[str, Any]], problems: Counter[str]) -> list[dict[str, Any]]:
    """The actions that succeeded, each once."""
    kept: list[dict[str, Any]] = []
    for row in rows:
        if str(row.get("action", "")).endswith("_success"):
            problems["echoes of actions"] += 1
        elif row.get("success") is False or row.get("error"):
            problems["actions that failed"] += 1
        else:
            if row.get("action") == "double_click":
                while kept and kept[-1]["action"] == "left_click" and _coincide(kept[-1], row):
                    kept.pop()
                    problems["clicks counted beside their double click"] += 1
            kept.append(row)
    return kept


def _coincide(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Are two actions at one place within TIGHT seconds?"""
    near = abs(float(one["timestamp"]) - float(other["timestamp"])) <= TIGHT
    return near and (one.get("x"), one.get("y")) == (other.get("x"), other.get("y"))


def _action_events(row: Mapping[str, Any], time: float, problems: Counter[str]) -> Iterator[Event]:
    """The events of one action at `time` in seconds."""
    action, x, y = row.get("action"), row.get("x"), row.get("y")
    at: dict[str, Any] = {}
    if x is not None and y is not None and (x, y) != (0, 0):
        at = {"x": float(x), "y": float(y)}
    if at:
        yield Event(time, "move", **at)
    if action in CLICKS:
        yield from _clicks(str(action), time, at)
    elif action in ("type", "text"):
        for n, char in enumerate(str(row.get("text") or "")):
            if char in CHARACTERS:
                yield Event(time + 0.02 * n, "press", key=char)
            else:
                problems[f"unknown key {char!r}"] += 1
    elif action == "key":
        *modifiers, key = _parse_shortcut(str(row.get("key") or row.get("text") or ""))
        yield from (Event(time, "press", key=name) for name in (*modifiers, key))
        yield from (Event(time + 0.02, "release", key=name) for name in (key, *reversed(modifiers)))
    elif action == "scroll":
        dx, dy = NOTCH.get(str(row.get("scroll_direction")), NOTCH["down"])
        amount = int(row.get("scroll_amount") or 1)
        yield Event(time, "scroll", dx=float(dx * amount), dy=float(dy * amount), **at)
    elif action not in ("mouse_move", "wait", "screenshot"):
        problems[f"unknown action {action!r}"] += 1


def _clicks(action: str, time: float, at: Mapping[str, Any]) -> Iterator[Event]:
    """A click's presses and releases, each 0.05 seconds after the one before."""
    button = action.split("_")[0] if CLICKS[action] == 1 else "left"
    for n in range(CLICKS[action]):
        yield Event(time + 0.05 * (2 * n + 1), "press", key=button, **at)
        yield Event(time + 0.05 * (2 * n + 2), "release", key=button, **at)


def _parse_shortcut(text: str) -> list[str]:
    """The keys of "ctrl+shift+s", modifiers as left keysyms."""
    left = {keysym.split("_")[0].lower(): keysym for keysym in MODIFIERS if keysym.endswith("_L")}
    left["ctrl"] = "Control_L"
    *modifiers, key = text.split("+") if len(text) > 1 and not text.endswith("+") else [text]
    return [*(left.get(name.lower(), name) for name in modifiers), key]
