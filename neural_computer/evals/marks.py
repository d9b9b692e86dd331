"""Videos of desktops with what was done drawn over them: for people, never for a model."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import UInt8

from neural_computer import media
from neural_computer.actions.schema import BUTTONS, CLICK, SCROLL, TEXT, log
from neural_computer.actions.schema import frames as schema
from neural_computer.media import Video
from neural_computer.types import Clip

LINE = 18
"""Pixels from one line of words to the next"""


def overlay_actions(video: Video, window: Clip) -> UInt8[np.ndarray, "t hh ww 3"]:
    """A desktop's video, larger, with a ring at the pointer that fills while a button is down, the box that was hit, and
    below it, a line each, what was done last, on what, and what that changed.

    `window` tells what was done; `video` are its frames or what was made of them.
    """
    from PIL import Image, ImageDraw, ImageFont

    height, width = video.shape[1:3]
    scale, font = max(1, 384 // height), ImageFont.load_default(13)
    actions = [(schema.frame_of(a.times[0], window.fps), a) for a in log.read(window.events, (width, height)).actions]
    down: set[str] = set()
    out = []
    for t, frame in enumerate(video):
        image = Image.new("RGB", (width * scale, height * scale + LINE * 3 + 4))
        image.paste(Image.fromarray(media.upscale(frame, scale)))
        pen = ImageDraw.Draw(image)
        now = [e for e in window.events if e.key in BUTTONS and schema.frame_of(e.time, window.fps) == t]
        held = down | {e.key for e in now if e.kind == "press"}
        down = held - {e.key for e in now if e.kind == "release"}
        if window.cursor is not None and np.isfinite(window.cursor[t]).all():
            x, y = window.cursor[t] * scale
            pen.ellipse(
                (x - 9, y - 9, x + 9, y + 9), outline=(255, 60, 60), width=2, fill=(255, 60, 60) if held else None
            )
        if hits := lately(window.meta.get("hits", {}), t, 6):
            app, role, text, left, top, wide, high, _ = hits[-1]
            box = (left * scale, top * scale, (left + wide) * scale, (top + high) * scale)
            pen.rectangle(box, outline=(60, 200, 60), width=2)
            pen.text((8, height * scale + LINE + 4), f"on {app} {role} {text!r}", (60, 200, 60), font)
        last = [a for frame, a in actions if frame <= t]
        pen.text((8, height * scale + 4), said(last[-1]) if last else "", (255, 255, 255), font)
        effects = lately(window.meta.get("effects", {}), t, 12)
        changed = "; ".join(effects[-1]) if effects else ""
        pen.text((8, height * scale + LINE * 2 + 4), changed, (255, 220, 90), font)
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
