"""A page of clips to look at: films, captions and input events, a few of every split."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neural_computer import media
from neural_computer.actions.schema import BUTTONS, CLICK, SCROLL, TEXT, log
from neural_computer.actions.schema import frames as schema
from neural_computer.data.windows import WindowSource, locate, splits
from neural_computer.page import Page
from neural_computer.types import Event, Window


def page_of(output: Path, clips: int) -> Page:
    """`clips` clips of every split of a finished dataset, evenly spread over it."""
    report = json.loads((output / "summary.json").read_text())
    settings = report["settings"]
    length = settings.get("frames") or settings.get("window") or 9
    page = Page(f"{settings['recipe']}: {report['kept']} clips")
    page.table([{"": name, "count": value} for name, value in report.items() if isinstance(value, int | float)])
    for split, _, _ in splits(locate(output)):
        source = WindowSource(output, split, length, stride=length)
        page.heading(split)
        for index in np.unique(np.linspace(0, len(source) - 1, min(clips, len(source))).astype(int)):
            show(page, source[int(index)])
    return page


def show(page: Page, window: Window) -> None:
    """A clip: its film, then what is known of it."""
    page.gif(window.frames if window.cursor is None else marked(window), window.fps, window.id)
    rows = [{"": f"caption, {tier}", "text": text} for tier, text in window.captions.items()]
    if window.events:
        rows.append({"": f"{len(window.events)} events", "text": told(window.events)})
    page.table([*rows, {"": "meta", "text": json.dumps(dict(window.meta))}])


def marked(window: Window) -> np.ndarray:
    """A desktop's film, larger, with a ring at the pointer that fills while a button is down, the box that was hit, and
    below it what was done last and what that changed."""
    from PIL import Image, ImageDraw, ImageFont

    height, width = window.frames.shape[1:3]
    scale, font = max(1, 384 // height), ImageFont.load_default(13)
    actions = [(schema.frame_of(a.times[0], window.fps), a) for a in log.read(window.events, (width, height)).actions]
    down: set[str] = set()
    out = []
    for t, frame in enumerate(window.frames):
        image = Image.new("RGB", (width * scale, height * scale + 40))
        image.paste(Image.fromarray(media.upscale(frame, scale)))
        pen = ImageDraw.Draw(image)
        now = [e for e in window.events if e.key in BUTTONS and schema.frame_of(e.time, window.fps) == t]
        held = down | {e.key for e in now if e.kind == "press"}
        down = held - {e.key for e in now if e.kind == "release"}
        x, y = window.cursor[t] * scale if window.cursor is not None else (0, 0)
        ring = (x - 9, y - 9, x + 9, y + 9)
        pen.ellipse(ring, outline=(255, 60, 60), width=2, fill=(255, 60, 60) if held else None)
        for app, role, text, left, top, wide, high, _ in lately(window.meta.get("hits", {}), t, 6):
            box = (left * scale, top * scale, (left + wide) * scale, (top + high) * scale)
            pen.rectangle(box, outline=(60, 200, 60), width=2)
            pen.text((8, height * scale + 22), f"on {app} {role} {text!r}", (60, 200, 60), font)
        last = [a for frame, a in actions if frame <= t]
        pen.text((8, height * scale + 4), said(last[-1]) if last else "", (255, 255, 255), font)
        effects = lately(window.meta.get("effects", {}), t, 12)
        pen.text(
            (width * scale // 2, height * scale + 4), "; ".join(effects[-1]) if effects else "", (255, 220, 90), font
        )
        out.append(np.asarray(image))
    return np.stack(out)


def lately(by_frame: Mapping[str, Any], t: int, frames: int) -> list[Any]:
    """What belongs to frame t or one of the few before it, the newest last."""
    return [x for frame, x in sorted(by_frame.items(), key=lambda item: int(item[0])) if t - frames < int(frame) <= t]


def said(action: log.Action) -> str:
    """An action in words."""
    if action.kind == CLICK:
        return (
            f"{action.button} {'drag' if action.drag else ('', 'click', 'double click', 'triple click')[action.clicks]}"
        )
    if action.kind == SCROLL:
        return f"scroll {action.direction} {sum(action.notches)}"
    return f"type {action.text!r}" if action.kind == TEXT else f"press {log.shortcut(action.keys)}"


def told(events: tuple[Event, ...]) -> str:
    """Events as one line: time and what happened."""
    return "  ".join(f"{e.time:.2f} {e.kind} {e.key or e.text}" for e in events[:60]) + (" ..." if events[60:] else "")
