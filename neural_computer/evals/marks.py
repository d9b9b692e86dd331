"""Videos of desktops with the actions drawn over them: for people, never for a model."""

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
"""Pixels from one line of text to the next"""
MIN_HEIGHT = 384
"""Pixels that a video is enlarged to, in whole multiples, where that fits"""
HIT_FRAMES, EFFECT_FRAMES = 6, 12
"""Frames for which the box of a click and the line of its effect stay"""
RADIUS = 9
"""Of the ring at the mouse, in pixels"""
RED, GREEN, WHITE, YELLOW = (255, 60, 60), (60, 200, 60), (255, 255, 255), (255, 220, 90)


def overlay_actions(video: Video, clip: Clip) -> UInt8[np.ndarray, "t hh ww 3"]:
    """A desktop's video, enlarged, with the clip's actions drawn over it.

    A ring at the mouse fills while a button is down, and a box marks what a click hits. Three lines below are the last
    action, what it hits and what it changes. `video` is the clip's own or one generated for it.
    """
    from PIL import Image, ImageDraw, ImageFont

    height, width = video.shape[1:3]
    scale, font = max(1, MIN_HEIGHT // height), ImageFont.load_default(13)
    actions = [(schema.frame_of(a.times[0], clip.fps), a) for a in log.read(clip.events, (width, height)).actions]
    down: set[str] = set()
    out = []
    for t, frame in enumerate(video):
        image = Image.new("RGB", (width * scale, height * scale + LINE * 3 + 4))
        image.paste(Image.fromarray(media.upscale(frame, scale)))
        pen = ImageDraw.Draw(image)
        now = [e for e in clip.events if e.key in BUTTONS and schema.frame_of(e.time, clip.fps) == t]
        pressed = down | {e.key for e in now if e.kind == "press"}
        down = pressed - {e.key for e in now if e.kind == "release"}
        if clip.cursor is not None and np.isfinite(clip.cursor[t]).all():
            x, y = clip.cursor[t] * scale
            ring = (x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS)
            pen.ellipse(ring, outline=RED, width=2, fill=RED if pressed else None)
        if hits := recent(clip.meta.get("hits", {}), t, HIT_FRAMES):
            app, role, text, left, top, wide, high, _ = hits[-1]
            box = (left * scale, top * scale, (left + wide) * scale, (top + high) * scale)
            pen.rectangle(box, outline=GREEN, width=2)
            pen.text((8, height * scale + LINE + 4), f"on {app} {role} {text!r}", GREEN, font)
        last = [a for frame, a in actions if frame <= t]
        pen.text((8, height * scale + 4), describe(last[-1]) if last else "", WHITE, font)
        effects = recent(clip.meta.get("effects", {}), t, EFFECT_FRAMES)
        changed = "; ".join(effects[-1]) if effects else ""
        pen.text((8, height * scale + LINE * 2 + 4), changed, YELLOW, font)
        out.append(np.asarray(image))
    return np.stack(out)


def recent(by_frame: Mapping[str, Any], t: int, frames: int) -> list[Any]:
    """Values of frame t and the frames - 1 before it, the newest last."""
    return [x for frame, x in sorted(by_frame.items(), key=lambda item: int(item[0])) if t - frames < int(frame) <= t]


def describe(action: log.Action) -> str:
    """An action in words."""
    if action.kind == CLICK:
        return (
            f"{action.button} {'drag' if action.drag else ('', 'click', 'double click', 'triple click')[action.clicks]}"
        )
    if action.kind == SCROLL:
        return f"scroll {action.direction} {sum(action.notches)}"
    return f"type {action.text!r}" if action.kind == TEXT else f"press {log.shortcut(action.keys)}"
