"""Recordings of desktops made elsewhere, read as episodes. Problems in them are named and counted; nothing is shifted.

Two formats are read: that of `recorder` (NAME.mp4, NAME.frames.jsonl with the times of the grabs, NAME.events.jsonl with the
injected events) and that of the public engine (NAME.mp4 with NAME.csv, a row a frame, or NAME.json, an entry an action).
"""

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neural_computer import media
from neural_computer.actions.schema import NOTCH
from neural_computer.actions.schema import frames as schema
from neural_computer.actions.schema.log import read as read_log
from neural_computer.recording.guiworld import engine_logs
from neural_computer.types import Episode, Event

BUTTONS = {1: "left", 2: "middle", 3: "right"}
NUMBERS = {name: number for number, name in BUTTONS.items()}
NOTCHES = {4: NOTCH["up"], 5: NOTCH["down"], 6: NOTCH["left"], 7: NOTCH["right"]}
"""X's buttons that are notches of the wheel: (dx, dy)."""


@dataclass(frozen=True)
class ImportResult:
    """An episode, and how often what was repaired in it or dropped, by reason."""

    episode: Episode
    problems: Counter[str]


def read_recording(video: Path, size: tuple[int, int], licence: str = "unknown") -> ImportResult:
    """The episode of a recording, its frames and places letterboxed to `size` (height, width) in pixels.

    Raises ValueError for a video that cannot be read, has no log beside it, or whose log is malformed.
    """
    problems: Counter[str] = Counter()
    frames, fps, screen = _read_video(video, size)
    if (grabs := video.with_suffix(".frames.jsonl")).exists():
        count, events, rate = _read_logs(video, grabs, fps, problems)
    elif (table := video.with_suffix(".csv")).exists():
        count, events, rate = engine_logs.read_rows(table, fps, problems)
    elif (table := video.with_suffix(".json")).exists():
        count, events, rate = len(frames), engine_logs.read_actions(table, len(frames) / fps, problems), fps
    else:
        raise ValueError(f"{video.name}: has no log beside it; give {video.stem}.frames.jsonl, .csv or .json")
    if abs(rate / fps - 1) > 0.02:
        problems[f"video plays at {fps:g} frames/s, it was recorded at {rate:.2f}"] += 1
    if count != len(frames):
        problems[f"{'log' if count > len(frames) else 'video'} is {abs(count - len(frames))} frames longer; cut"] += 1
    length = min(count, len(frames))
    if length < 2:
        raise ValueError(f"{video.name}: video and log have {length} frames in common; at least 2 are needed")
    inside = [event for event in sorted(events, key=lambda e: e.time) if 0 <= event.time < length / fps]
    if len(inside) < len(events):
        problems["events outside the video"] += len(events) - len(inside)
    log = read_log(inside, screen)
    cursor = schema.letterbox(schema.mouse(log, length, fps), screen, (size[1], size[0]))
    episode = Episode(
        id=video.stem,
        frames=frames[:length],
        fps=fps,
        events=tuple(_letterbox_event(event, screen, (size[1], size[0])) for event in inside),
        cursor=cursor.astype(np.float32),
        meta={"source": {"recording": video.name, "screen": list(screen)}, "licence": licence},
    )
    return ImportResult(episode, problems + log.problems)


def is_static(episode: Episode) -> bool:
    """Are all frames the same?"""
    return not (episode.frames[1:] != episode.frames[:-1]).any()


def _read_video(path: Path, size: tuple[int, int]) -> tuple[np.ndarray, float, tuple[int, int]]:
    """(frames, fps, width and height of the screen). Whole, its frames may not fit in memory."""
    import av

    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            fps, screen = float(stream.average_rate or 15), (stream.width, stream.height)
            screens = (frame.to_ndarray(format="rgb24") for frame in container.decode(stream))
            frames = list(media.letterboxed(screens, *size))
    except (av.FFmpegError, IndexError, OSError) as error:
        raise ValueError(f"{path.name}: cannot be read as a video ({error})") from error
    if not frames:
        raise ValueError(f"{path.name}: has no frames")
    return np.stack(frames), fps, screen


def _letterbox_event(event: Event, screen: tuple[int, int], size: tuple[int, int]) -> Event:
    """The event with its place in frames of `size` (width, height)."""
    x, y = schema.letterbox(np.asarray([event.x, event.y], np.float32), screen, size).tolist()
    return event._replace(x=x, y=y)


# The logs of `recorder`


def _read_logs(video: Path, grabs: Path, fps: float, problems: Counter[str]) -> tuple[int, list[Event], float]:
    """(number of frames, events, frames a second when it was recorded).

    A grab shows the pointer as it is at its end: the events before that belong to its frame.
    """
    rows = list(_read_lines(grabs))
    ends = [row["t_end"] for row in rows]
    if any(late <= early for early, late in zip(ends, ends[1:], strict=False)):
        raise ValueError(f"{grabs.name}: the grabs' times must rise; copy the recording again")
    missed = sum(b["slot"] - a["slot"] - 1 for a, b in zip(rows, rows[1:], strict=False))
    if missed:
        problems[f"{missed} frames were missed by the recorder"] += 1
    rate = (len(ends) - 1) / ((ends[-1] - ends[0]) / 1e9) if len(ends) > 1 else fps
    events, begins = [], [row["t"] for row in rows]
    for row in _read_lines(video.with_suffix(".events.jsonl")):
        if begins and bisect_right(begins, row["t"]) != bisect_right(ends, row["t"]):
            problems["events while a frame was grabbed"] += 1
        frame, now = bisect_right(ends, row["t"]), row["t"]
        low = ends[frame - 1] if frame else now - 1
        high = ends[frame] if frame < len(ends) else now + 1
        if "frame" in row and abs(row["frame"] - frame) > 1:
            problems["events that the log gives another frame"] += 1
        if event := _parse_row(row, max(0.0, (frame - 1 + (now - low) / (high - low)) / fps), problems):
            events.append(event)
    return len(rows), events, rate


def _parse_row(row: Mapping[str, Any], time: float, problems: Counter[str]) -> Event | None:
    """The event of a log's row; None for a kind that is counted as unknown, or the release of the wheel."""
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
        return Event(time, "scroll", dx=float(dx), dy=float(dy))
    if kind != "up":
        problems[f"unknown event {kind!r}"] += 1
    return None


def log_rows(event: Event, time: int) -> list[dict[str, Any]]:
    """The rows of `recorder`'s log for an event at `time` in nanoseconds.

    A text becomes its keys, a scroll its notches; only a move has a place.
    """
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


def _read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON objects of a file, one a line. Raises ValueError with the line that is none."""
    if not path.exists():
        raise ValueError(f"{path.name}: is missing; a recording has it beside its video")
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            yield dict(json.loads(line))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path.name}:{number}: is no JSON object ({error})") from error
