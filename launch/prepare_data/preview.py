"""A page of clips to look at: videos, captions and input events, a few of every split."""

import json
from pathlib import Path

import numpy as np

from neural_computer.data.windows import ClipSource, locate, splits
from neural_computer.evals.marks import overlay_actions
from neural_computer.report import Page
from neural_computer.types import Clip, Event


def page_of(output: Path, clips: int) -> Page:
    """`clips` clips of every split of a finished dataset, evenly spread over it."""
    report = json.loads((output / "summary.json").read_text())
    settings = report["settings"]
    length = settings.get("frames") or settings.get("window") or 9
    page = Page(f"{settings['recipe']}: {report['kept']} clips")
    page.table([{"": name, "count": value} for name, value in report.items() if isinstance(value, int | float)])
    for split, _, _ in splits(locate(output)):
        source = ClipSource(output, split, length, stride=length)
        page.heading(split)
        for index in np.unique(np.linspace(0, len(source) - 1, min(clips, len(source))).astype(int)):
            show(page, source[int(index)])
    return page


def show(page: Page, window: Clip) -> None:
    """A clip: its video, then what is known of it."""
    page.gif(window.frames if window.cursor is None else overlay_actions(window.frames, window), window.fps, window.id)
    rows = [{"": f"caption, {tier}", "text": text} for tier, text in window.captions.items()]
    if window.events:
        rows.append({"": f"{len(window.events)} events", "text": told(window.events)})
    page.table([*rows, {"": "meta", "text": json.dumps(dict(window.meta))}])


def told(events: tuple[Event, ...]) -> str:
    """Events as one line: time and what happened."""
    return "  ".join(f"{e.time:.2f} {e.kind} {e.key or e.text}" for e in events[:60]) + (" ..." if events[60:] else "")
