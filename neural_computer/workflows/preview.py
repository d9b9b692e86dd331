"""A page of clips to look at: videos, captions and input events, a few of every split."""

import json
from pathlib import Path

import numpy as np

from neural_computer.data.windows import ClipSource, locate, splits
from neural_computer.evals.marks import overlay_actions
from neural_computer.report import Page
from neural_computer.types import Clip, Event


def preview(output: Path, count: int) -> Page:
    """A page with `count` clips of every split of a finished data set, evenly spread over it."""
    report = json.loads((output / "summary.json").read_text())
    settings = report["settings"]
    length = settings.get("frames") or settings.get("window") or 9
    page = Page(f"{settings['recipe']}: {report['kept']} clips")
    page.table([{"": name, "count": value} for name, value in report.items() if isinstance(value, int | float)])
    for split, _, _ in splits(locate(output)):
        source = ClipSource(output, split, length, stride=length)
        page.heading(split)
        for index in np.unique(np.linspace(0, len(source) - 1, min(count, len(source))).astype(int)):
            show(page, source[int(index)])
    return page


def show(page: Page, clip: Clip) -> None:
    """Adds a clip: its video, captions, events and origin."""
    page.gif(clip.frames if clip.cursor is None else overlay_actions(clip.frames, clip), clip.fps, clip.id)
    rows = [{"": f"caption, {tier}", "text": text} for tier, text in clip.captions.items()]
    if clip.events:
        rows.append({"": f"{len(clip.events)} events", "text": event_line(clip.events)})
    page.table([*rows, {"": "meta", "text": json.dumps(dict(clip.meta))}])


def event_line(events: tuple[Event, ...]) -> str:
    """Events as one line: time, kind, key."""
    return "  ".join(f"{e.time:.2f} {e.kind} {e.key or e.text}" for e in events[:60]) + (" ..." if events[60:] else "")
