"""Clip stores: files of clips before they are drawn, as redacted screens, keys and captions.

They are small, so datasets of any size and font can be drawn from the same clip stores.
"""

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neural_computer.files import write_whole
from neural_computer.recording.terminal.replay import Replay
from neural_computer.screens.terminal import Atlas, Cells
from neural_computer.types import Episode, Event

FIELDS = (*Cells._fields, "index")


@dataclass(frozen=True)
class StoredClip:
    """One clip: its screens and keys, its captions and its meta."""

    id: str
    clip: Replay
    captions: Mapping[str, str] = field(default_factory=dict)
    """{tier: caption}"""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """JSON values: source, licence, measurements, and what a task needs to score the clip"""


def episode(stored: StoredClip, atlas: Atlas, size: tuple[int, int]) -> Episode:
    """The clip as an episode, its frames letterboxed to `size` (height, width)."""
    clip, (height, width) = stored.clip, size
    rows, cols = clip.screens.chars.shape[1:]
    original = (rows * atlas.cell[0], cols * atlas.cell[1])
    scale = min(height / original[0], width / original[1])
    scaled = [max(1, round(side * scale)) for side in original]
    geometry = {
        "original_size": original,
        "target_size": (height, width),
        "scaled_size": scaled,
        "padding": ((height - scaled[0]) // 2, (width - scaled[1]) // 2),
    }
    info = {**stored.meta.get("data_info", {}), **geometry}
    return Episode(
        id=stored.id,
        frames=clip.video(atlas, size),
        fps=clip.fps,
        captions=stored.captions,
        cells=clip.texts,
        events=clip.events,
        meta={**stored.meta, "data_info": info},
    )


def save(path: Path, clips: Iterable[StoredClip], report: Mapping[str, Any]) -> None:
    """Writes clips and the report of their recording to one file, whole or not at all."""
    arrays: dict[str, Any] = {}
    entries = []
    for number, stored in enumerate(clips):
        clip = stored.clip
        arrays |= {f"{number}/{name}": x for name, x in zip(FIELDS, (*clip.screens, clip.index), strict=True)}
        rest = {name: getattr(clip, name) for name in ("fps", "markers", "start", "speed")}
        events = [[None if x != x else x for x in event] for event in clip.events]
        meta = {"id": stored.id, "captions": dict(stored.captions), "meta": dict(stored.meta)}
        entries.append({**meta, "events": events, **rest})
    text = json.dumps({"clips": entries, "report": dict(report)})
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, header=np.frombuffer(text.encode(), np.uint8), **arrays)
    write_whole(path, file.getvalue())


def load(path: Path) -> Iterator[StoredClip]:
    """Clips of a file. Raises ValueError for a damaged one."""
    header, arrays = _read(path)
    for number, entry in enumerate(header["clips"]):
        *cells, index = (arrays[f"{number}/{name}"] for name in FIELDS)
        nan: Any = float("nan")
        events = tuple(Event(*(nan if x is None else x for x in event)) for event in entry["events"])
        markers = tuple((time, name) for time, name in entry["markers"])
        clip = Replay(Cells(*cells), index, entry["fps"], events, markers, entry["start"], entry["speed"])
        yield StoredClip(entry["id"], clip, entry["captions"], entry["meta"])


def report(path: Path) -> dict[str, Any]:
    """Report that `save` was given. Raises ValueError for a damaged file."""
    return _read(path)[0]["report"]


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(header, arrays) of a file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        return json.loads(arrays.pop("header").tobytes()), arrays
    except Exception as error:
        raise ValueError(f"{path}: cannot be read ({error}); delete it and it is made again") from error
