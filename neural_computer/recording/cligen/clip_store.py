"""Clips before they are drawn: masked screens, keys, captions. Small on disk, so a dataset is drawn from them at any size."""

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neural_computer.recording.terminal.replay import Replay
from neural_computer.screens.terminal import Atlas, Cells
from neural_computer.types import Episode, Event

FIELDS = (*Cells._fields, "index")


@dataclass(frozen=True)
class Footage:
    """One clip."""

    id: str
    clip: Replay
    captions: Mapping[str, str] = field(default_factory=dict)
    """By tier"""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """JSON values: where it comes from, what was measured of it, what a task needs to score it"""


def rank(name: str) -> bytes:
    """What orders names as if by chance, and the same everywhere."""
    return hashlib.sha256(name.encode()).digest()


def drawn(footage: Footage, atlas: Atlas, size: tuple[int, int]) -> Episode:
    """The clip as an episode with frames of `size` (height, width), letterboxed."""
    clip, (height, width) = footage.clip, size
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
    info = {**footage.meta.get("data_info", {}), **geometry}
    return Episode(
        id=footage.id,
        frames=clip.video(atlas, size),
        fps=clip.fps,
        captions=footage.captions,
        cells=clip.texts,
        events=clip.events,
        meta={**footage.meta, "data_info": info},
    )


def save(path: Path, footages: Iterable[Footage], report: Mapping[str, Any]) -> None:
    """Writes clips and what there is to tell of their making into one file, whole or not at all."""
    arrays: dict[str, Any] = {}
    told = []
    for number, each in enumerate(footages):
        clip = each.clip
        arrays |= {f"{number}/{name}": x for name, x in zip(FIELDS, (*clip.screens, clip.index), strict=True)}
        rest = {name: getattr(clip, name) for name in ("fps", "markers", "start", "speed")}
        events = [[None if x != x else x for x in event] for event in clip.events]
        told.append({"id": each.id, "captions": dict(each.captions), "meta": dict(each.meta), "events": events, **rest})
    text = json.dumps({"clips": told, "report": dict(report)})
    file = io.BytesIO()
    np.savez_compressed(file, told=np.frombuffer(text.encode(), np.uint8), **arrays)
    temporary = path.with_suffix(".partial")
    temporary.write_bytes(file.getvalue())
    temporary.replace(path)


def load(path: Path) -> Iterator[Footage]:
    """The clips in a file. Raises ValueError for one that is damaged."""
    told, arrays = _opened(path)
    for number, each in enumerate(told["clips"]):
        *cells, index = (arrays[f"{number}/{name}"] for name in FIELDS)
        nan: Any = float("nan")
        events = tuple(Event(*(nan if x is None else x for x in event)) for event in each["events"])
        markers = tuple((time, name) for time, name in each["markers"])
        clip = Replay(Cells(*cells), index, each["fps"], events, markers, each["start"], each["speed"])
        yield Footage(each["id"], clip, each["captions"], each["meta"])


def report(path: Path) -> dict[str, Any]:
    """What was told of the making of a file's clips. Raises ValueError for one that is damaged."""
    return _opened(path)[0]["report"]


def _opened(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = dict(stored)
        return json.loads(arrays.pop("told").tobytes()), arrays
    except Exception as error:
        raise ValueError(f"{path}: cannot be read ({error}); delete it and it is made again") from error
