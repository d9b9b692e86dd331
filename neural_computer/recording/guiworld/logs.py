"""Recordings of desktops made elsewhere, as episodes: what is wrong with them is named and counted, nothing is shifted.

Two forms are read: a rig's (NAME.mp4, NAME.frames.jsonl with the grabs' times, NAME.events.jsonl with what was injected)
and that of the public engine (NAME.mp4 with NAME.csv, a row a frame, or NAME.json, an entry an action).
"""

import ast
import csv
import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neural_computer import media
from neural_computer.actions.schema import CHARACTERS, MODIFIERS
from neural_computer.actions.schema import frames as schema
from neural_computer.actions.schema.log import read as read_log
from neural_computer.types import Episode, Event

BUTTONS = {1: "left", 2: "middle", 3: "right"}
NUMBERS = {name: number for number, name in BUTTONS.items()}
NOTCHES = {4: (0.0, -1.0), 5: (0.0, 1.0), 6: (-1.0, 0.0), 7: (1.0, 0.0)}
"""X's buttons that are notches of the wheel: (dx, dy)."""
TIGHT = 0.5
"""Seconds within which the engine's two clicks and a double click on one place are one double click."""


@dataclass(frozen=True)
class Imported:
    """An episode, and what was repaired or dropped on the way, by reason."""

    episode: Episode
    faults: Counter[str]


def read(video: Path, size: tuple[int, int], licence: str = "unknown") -> Imported:
    """A recording, its frames letterboxed to `size` (height, width), places with them. Raises ValueError where no log is."""
    faults: Counter[str] = Counter()
    frames, fps, screen = _video(video, size)
    if (grabs := video.with_suffix(".frames.jsonl")).exists():
        count, events = _rig(video, grabs, fps, faults)
    elif (table := video.with_suffix(".csv")).exists():
        count, events = _engine_rows(table, fps, faults)
    elif (table := video.with_suffix(".json")).exists():
        count, events = len(frames), _engine_actions(table, len(frames) / fps, faults)
    else:
        raise ValueError(f"{video.name}: has no log beside it; give {video.stem}.frames.jsonl, .csv or .json")
    if count != len(frames):
        faults[f"{'log' if count > len(frames) else 'video'} is {abs(count - len(frames))} frames longer; cut"] += 1
    length = min(count, len(frames))
    if length < 2:
        raise ValueError(f"{video.name}: video and log have {length} frames in common; at least 2 are needed")
    events = [event for event in sorted(events, key=lambda e: e.time) if _kept(event, screen, length / fps, faults)]
    log = read_log(events, screen)
    cursor = schema.letterbox(schema.mouse(log, length, fps), screen, (size[1], size[0]))
    episode = Episode(
        id=video.stem,
        frames=frames[:length],
        fps=fps,
        events=tuple(_scaled(event, screen, (size[1], size[0])) for event in events),
        cursor=cursor.astype(np.float32),
        meta={"source": {"recording": video.name, "screen": list(screen)}, "licence": licence},
    )
    return Imported(episode, faults + log.faults)


def frozen(episode: Episode) -> bool:
    """Does nothing ever change in it?"""
    return not (episode.frames[1:] != episode.frames[:-1]).any()


def _video(path: Path, size: tuple[int, int]) -> tuple[np.ndarray, float, tuple[int, int]]:
    """(frames, fps, the screen's width and height); letterboxed one at a time, since a video may not fit in memory."""
    import av

    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            fps, screen = float(stream.average_rate or 15), (stream.width, stream.height)
            frames = [media.letterbox(f.to_ndarray(format="rgb24")[None], *size)[0] for f in container.decode(stream)]
    except (av.FFmpegError, IndexError, OSError) as error:
        raise ValueError(f"{path.name}: cannot be read as a video ({error})") from error
    if not frames:
        raise ValueError(f"{path.name}: has no frames")
    return np.stack(frames), fps, screen


def _kept(event: Event, screen: tuple[int, int], seconds: float, faults: Counter[str]) -> bool:
    """Is the event in the video? Places that cannot be are counted when the log is read."""
    del screen
    if 0 <= event.time < seconds:
        return True
    faults["events outside the video"] += 1
    return False


def _scaled(event: Event, screen: tuple[int, int], size: tuple[int, int]) -> Event:
    x, y = schema.letterbox(np.asarray([event.x, event.y], np.float32), screen, size).tolist()
    return event._replace(x=x, y=y)


# A rig's


def _rig(video: Path, grabs: Path, fps: float, faults: Counter[str]) -> tuple[int, list[Event]]:
    """(frames, events). A grab has the pointer as it is at its end: what was injected before that is of its frame."""
    rows = list(_lines(grabs))
    ends = [row["t_end"] for row in rows]
    if any(late <= early for early, late in zip(ends, ends[1:], strict=False)):
        raise ValueError(f"{grabs.name}: the grabs' times must rise; copy the recording again")
    missed = sum(b["slot"] - a["slot"] - 1 for a, b in zip(rows, rows[1:], strict=False))
    if missed:
        faults[f"{missed} frames were missed by the recorder"] += 1
    rate = (len(ends) - 1) / ((ends[-1] - ends[0]) / 1e9) if len(ends) > 1 else fps
    if abs(rate / fps - 1) > 0.02:
        faults[f"video plays at {fps:g} frames/s, it was recorded at {rate:.2f}"] += 1
    events, begins = [], [row["t"] for row in rows]
    for row in _lines(video.with_suffix(".events.jsonl")):
        if begins and bisect_right(begins, row["t"]) != bisect_right(ends, row["t"]):
            faults["events while a frame was grabbed"] += 1
        frame, now = bisect_right(ends, row["t"]), row["t"]
        low = ends[frame - 1] if frame else now - 1
        high = ends[frame] if frame < len(ends) else now + 1
        if "frame" in row and abs(row["frame"] - frame) > 1:
            faults["events that the log gives another frame"] += 1
        if found := _rig_event(row, max(0.0, (frame - 1 + (now - low) / (high - low)) / fps), faults):
            events.append(found)
    return len(rows), events


def _rig_event(row: Mapping[str, Any], time: float, faults: Counter[str]) -> Event | None:
    kind = row["kind"]
    if kind == "move":
        return Event(time, "move", x=float(row["x"]), y=float(row["y"]))
    if kind in ("key_down", "key_up"):
        return Event(time, "press" if kind == "key_down" else "release", key=row["key"])
    button = row.get("button")
    if kind in ("down", "up") and button in BUTTONS:
        return Event(time, "press" if kind == "down" else "release", key=BUTTONS[button])
    if kind == "down" and button in NOTCHES:
        dx, dy = NOTCHES[button]
        return Event(time, "scroll", dx=dx, dy=dy)
    if kind != "up":
        faults[f"unknown event {kind!r}"] += 1
    return None


def written(event: Event, time: int) -> list[dict[str, Any]]:
    """An event as rows of a rig's log, at `time` in nanoseconds: a text is its keys, a scroll its notches; only a move has
    a place."""
    kind, when = event.kind, {"t": time, "t_done": time}
    if kind == "move":
        return [{"kind": kind, **when, "x": event.x, "y": event.y}]
    if kind == "text":
        return [{"kind": f"key_{way}", **when, "key": char} for char in event.text for way in ("down", "up")]
    if kind == "scroll":
        notch = next(n for n, (dx, dy) in NOTCHES.items() if dx * event.dx > 0 or dy * event.dy > 0)
        times = round(abs(event.dx) + abs(event.dy))
        return [{"kind": way, **when, "button": notch} for _ in range(times) for way in ("down", "up")]
    way = {"press": "down", "release": "up"}[kind]
    if event.key in NUMBERS:
        return [{"kind": way, **when, "button": NUMBERS[event.key]}]
    return [{"kind": f"key_{way}", **when, "key": event.key}]


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file, one a line. Raises ValueError with the line that is none."""
    if not path.exists():
        raise ValueError(f"{path.name}: is missing; a recording has it beside its video")
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            yield dict(json.loads(line))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path.name}:{number}: is no JSON object ({error})") from error


# The public engine's


def _engine_rows(path: Path, fps: float, faults: Counter[str]) -> tuple[int, list[Event]]:
    """(frames, events) of a table with a row a frame: row k's actions are those that frame k first shows."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    needed = ("X", "Y", "Left Click", "Right Click", "Key Events")
    if not rows or any(name not in rows[0] for name in needed):
        raise ValueError(f"{path.name}:1: must have the columns {', '.join(needed)} and a row a frame")
    _rate(rows, fps, faults)
    events, place, down = [], (float("nan"),) * 2, set[str]()
    for k, row in enumerate(rows):
        here, keys = (float(row["X"]), float(row["Y"])), _keys(path, k, row["Key Events"])
        now: list[Event] = []
        if here == (0, 0) and k and place != here:
            faults["pointer at (0, 0) where it was not"] += 1
            here = place
        if here != place:
            now.append(Event(0, "move", x=here[0], y=here[1]))
            place = here
        held = {name for name in ("left", "right") if row[f"{name.title()} Click"].strip().lower() in ("1", "true")}
        if held == {"left", "right"}:
            faults["right clicks that set the left flag too"] += 1
            held = {"right"}
        now += [Event(0, "press", key=name, x=place[0], y=place[1]) for name in sorted(held - down)]
        now += [Event(0, "release", key=name, x=place[0], y=place[1]) for name in sorted(down - held)]
        down = held
        now += [Event(0, "press" if kind == "keydown" else "release", key=key) for kind, key in keys]
        begin = max(0, k - 1) / fps
        events += [e._replace(time=begin + (n + 1) / (len(now) + 1) / fps if k else 0.0) for n, e in enumerate(now)]
    return len(rows), events


def _rate(rows: list[dict[str, str]], fps: float, faults: Counter[str]) -> None:
    """Counts a video that plays at another rate than its rows were made at."""
    try:
        times = [float(row["Timestamp"]) for row in rows]
    except (KeyError, ValueError):
        return
    if len(times) > 1 and times[-1] > times[0]:
        rate = (len(times) - 1) / (times[-1] - times[0])
        if abs(rate / fps - 1) > 0.02:
            faults[f"video plays at {fps:g} frames/s, it was recorded at {rate:.2f}"] += 1


def _keys(path: Path, row: int, text: str) -> list[tuple[str, str]]:
    """("keydown" or "keyup", key) of a cell that holds a Python list of them. Raises ValueError with its row."""
    if not text.strip():
        return []
    try:
        return [(str(kind), str(key)) for kind, key in ast.literal_eval(text)]
    except (ValueError, SyntaxError, TypeError) as error:
        raise ValueError(f"{path.name}:{row + 2}: Key Events holds no list of (kind, key): {text[:60]!r}") from error


def _engine_actions(path: Path, seconds: float, faults: Counter[str]) -> list[Event]:
    """Events of a list of actions. Times that are no seconds of the video count from the first action."""
    try:
        rows = [dict(row) for row in json.loads(path.read_text())]
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path.name}: holds no list of actions ({error})") from error
    if not rows:
        return []
    first = float(rows[0]["timestamp"])
    begin = first if first > seconds else 0.0
    if begin:
        faults["times that count from the first action"] += 1
    events: list[Event] = []
    for row in _repaired(rows, faults):
        events += _acted(row, float(row["timestamp"]) - begin, faults)
    return events


def _repaired(rows: list[dict[str, Any]], faults: Counter[str]) -> list[dict[str, Any]]:
    """The actions that were done, each once."""
    kept: list[dict[str, Any]] = []
    for row in rows:
        if str(row.get("action", "")).endswith("_success"):
            faults["echoes of actions"] += 1
        elif row.get("success") is False or row.get("error"):
            faults["actions that failed"] += 1
        else:
            if row.get("action") == "double_click":
                while kept and kept[-1]["action"] == "left_click" and _same(kept[-1], row):
                    kept.pop()
                    faults["clicks counted beside their double click"] += 1
            kept.append(row)
    return kept


def _same(one: Mapping[str, Any], two: Mapping[str, Any]) -> bool:
    near = abs(float(one["timestamp"]) - float(two["timestamp"])) <= TIGHT
    return near and (one.get("x"), one.get("y")) == (two.get("x"), two.get("y"))


def _acted(row: Mapping[str, Any], time: float, faults: Counter[str]) -> Iterator[Event]:
    """The events of one action."""
    action, x, y = row.get("action"), row.get("x"), row.get("y")
    placed = x is not None and y is not None and (x, y) != (0, 0)
    at: dict[str, Any] = {"x": float(x), "y": float(y)} if placed and x is not None and y is not None else {}
    if at:
        yield Event(time, "move", **at)
    clicks = {"left_click": 1, "right_click": 1, "middle_click": 1, "double_click": 2, "triple_click": 3}
    if action in clicks:
        button = str(action).split("_")[0] if clicks[str(action)] == 1 else "left"
        for n in range(clicks[str(action)]):
            yield Event(time + 0.05 * (2 * n + 1), "press", key=button, **at)
            yield Event(time + 0.05 * (2 * n + 2), "release", key=button, **at)
    elif action in ("type", "text"):
        for n, char in enumerate(str(row.get("text") or "")):
            if char in CHARACTERS:
                yield Event(time + 0.02 * n, "press", key=char)
            else:
                faults[f"unknown key {char!r}"] += 1
    elif action == "key":
        *held, key = _chord(str(row.get("key") or row.get("text") or ""))
        yield from (Event(time, "press", key=name) for name in (*held, key))
        yield from (Event(time + 0.02, "release", key=name) for name in (key, *reversed(held)))
    elif action == "scroll":
        up_down = {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}
        dx, dy = up_down.get(str(row.get("scroll_direction")), (0, 1))
        amount = int(row.get("scroll_amount") or 1)
        yield Event(time, "scroll", dx=float(dx * amount), dy=float(dy * amount), **at)
    elif action not in ("mouse_move", "wait", "screenshot"):
        faults[f"unknown action {action!r}"] += 1


def _chord(text: str) -> list[str]:
    """The keys of "ctrl+shift+s", modifiers as left keysyms."""
    sided = {keysym.split("_")[0].lower(): keysym for keysym in MODIFIERS if keysym.endswith("_L")} | {
        "ctrl": "Control_L"
    }
    *held, key = text.split("+") if len(text) > 1 and not text.endswith("+") else [text]
    return [*(sided.get(name.lower(), name) for name in held), key]
