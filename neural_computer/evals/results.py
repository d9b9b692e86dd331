"""What became of many clips: each clip's scores kept as they come, then means with intervals, tables and a page."""

import csv
import hashlib
import json
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from neural_computer import media, report
from neural_computer.evals import frechet
from neural_computer.evals.folders import ADAPTED, POLICY
from neural_computer.evals.pairs import Fault
from neural_computer.evals.scorer import LESS_IS_BETTER, SETS, Scores

RESAMPLES, LEVEL = 1000, 0.95
WORST = 8
"""Clips that the page shows in pictures"""
COLUMNS, WIDTH = 6, 260
"""Frames of a clip in the page, and about how wide each is in pixels"""


class ClipResult(NamedTuple):
    """A clip's scores and what was wrong with it; `scores` is None for one that could not be scored."""

    id: str
    scores: Scores | None
    faults: tuple[Fault, ...] = ()


class Figure(NamedTuple):
    """A metric over clips: its value, where it lies in `LEVEL` of the bootstrap over clips, and of how many."""

    value: float
    low: float
    high: float
    clips: int


@dataclass(frozen=True)
class Journal:
    """A file of what is done, a clip a line: a run that was broken off, by `kill -9` too, goes on after its last whole line."""

    path: Path

    def known(self) -> dict[str, ClipResult]:
        """{key: clip} of all whole lines."""
        found = {}
        for line in self.path.read_text().splitlines() if self.path.exists() else []:
            try:
                row = json.loads(line)
            except ValueError:
                continue  # cut off by a kill
            features = {name: np.asarray(rows, np.float32) for name, rows in row["features"].items()}
            scores = None if row["values"] is None else Scores(row["values"], features)
            found[row["key"]] = ClipResult(row["id"], scores, tuple(Fault(*fault) for fault in row["faults"]))
        return found

    def add(self, key: str, clip: ClipResult) -> None:
        """Writes a clip down."""
        values, features = (None, {}) if clip.scores is None else clip.scores
        rows = {name: np.asarray(x, np.float32).tolist() for name, x in features.items()}
        line = {"key": key, "id": clip.id, "values": values, "features": rows, "faults": clip.faults}
        with self.path.open("ab+") as file:
            # What a kill cut off stays a line of its own.
            file.seek(max(0, file.tell() - 1))
            start = b"" if file.read(1) in (b"", b"\n") else b"\n"
            file.write(start + json.dumps(line).encode() + b"\n")


def key(*what: Any) -> str:
    """What names a clip's result: it changes with anything that the result depends on."""
    return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:24]


# Figures


def interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """Where the mean lies in `LEVEL` of the bootstrap."""
    rows = np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.quantile(np.asarray(values)[rows].mean(1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def figures(clips: Iterable[ClipResult], names: Sequence[str]) -> dict[str, Figure]:
    """Every metric over the clips that have it; none for a metric that no clip has, or, of sets, fewer than two."""
    scored, found = [clip.scores for clip in clips if clip.scores is not None], {}
    for name in names:
        if name.split("+")[0] in SETS:
            rows = [scores.features[name] for scores in scored if name in scores.features]
            if len(rows) > 1:
                made, right = (np.stack([pair[side] for pair in rows]) for side in (0, 1))
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # the caller tells, see `warning`
                    value = frechet.frechet(made, right)
                found[name] = Figure(value, *frechet.interval(made, right), len(rows))
        elif values := [scores.values[name] for scores in scored if name in scores.values]:
            found[name] = Figure(float(np.mean(values)), *interval(values), len(values))
    return found


def warning(found: Mapping[str, Figure]) -> list[str]:
    """What is to be said of the figures."""
    few = {name: f for name, f in found.items() if name.split("+")[0] in SETS and f.clips < frechet.FEW}
    return [
        f"{name} is from {f.clips} clips: below {frechet.FEW} it is mostly their number; compare only equal numbers. Its "
        "interval lies above it, since clips drawn twice take from the covariances; its width is what it tells"
        for name, f in few.items()
    ]


def code(clips: Iterable[ClipResult]) -> int:
    """The exit code: 0, every clip was scored as it is; 2, some were adapted; 3, some were left out; 1 is an error's."""
    kinds = {fault.kind for clip in clips for fault in clip.faults}
    return 3 if kinds - set(ADAPTED) else 2 if kinds else 0


# What is written


def ranked(clips: Iterable[ClipResult], names: Sequence[str]) -> list[ClipResult]:
    """The scored clips, worst first by the first metric that clips have, then by name."""
    scored = [clip for clip in clips if clip.scores is not None]
    for name in names:
        if any(clip.scores and name in clip.scores.values for clip in scored):
            sign = -1.0 if name.startswith(LESS_IS_BETTER) else 1.0
            return sorted(
                scored, key=lambda c: (sign * c.scores.values.get(name, np.inf), c.id) if c.scores else (0, c.id)
            )
    return sorted(scored, key=lambda clip: clip.id)


def write(
    out: Path, settings: Mapping[str, Any], clips: Sequence[ClipResult], names: Sequence[str]
) -> dict[str, Figure]:
    """Writes metrics.json and clips.csv; the same videos and settings give the same bytes."""
    found = figures(clips, names)
    told = {
        "settings": dict(settings),
        "metrics": {name: figure._asdict() for name, figure in found.items()},
        "clips": {"scored": sum(clip.scores is not None for clip in clips), "left out": left_out(clips)},
        "warnings": warning(found),
        "faults": [fault._asdict() | {"policy": POLICY[fault.kind]} for clip in clips for fault in clip.faults],
    }
    _whole(out / "metrics.json", json.dumps(told, indent=2) + "\n")
    rows = [("clip", *names, "faults")]
    for clip in sorted(clips, key=lambda clip: clip.id):
        values = clip.scores.values if clip.scores else {}
        faults = "; ".join(f"{fault.kind}: {fault.what}" for fault in clip.faults)
        rows.append((clip.id, *(repr(values[n]) if n in values else "" for n in names), faults))
    with (out / "clips.partial").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    (out / "clips.partial").replace(out / "clips.csv")
    return found


def left_out(clips: Iterable[ClipResult]) -> int:
    return sum(clip.scores is None for clip in clips)


def _whole(path: Path, text: str) -> None:
    temporary = path.with_suffix(".partial")
    temporary.write_text(text)
    temporary.replace(path)


def table(found: Mapping[str, Figure]) -> list[dict[str, Any]]:
    """A row a metric."""
    return [
        {"metric": name, "value": f.value, "low": f.low, "high": f.high, "clips": f.clips} for name, f in found.items()
    ]


def html_report(
    title: str,
    found: Mapping[str, Figure],
    clips: Sequence[ClipResult],
    names: Sequence[str],
    videos: Callable[[str], dict[str, np.ndarray]],
) -> report.Page:
    """The page: figures, what was wrong, the worst clips in pictures, all clips; `videos(id)` are a clip's videos by name."""
    paper, worst = report.Page(title), ranked(clips, names)
    paper.table(
        table(found), f"Over clips; low and high: {LEVEL:.0%} of {RESAMPLES} bootstraps of the clips (fvd: 100)."
    )
    for line in warning(found):
        paper.text(line)
    faults = [fault for clip in clips for fault in clip.faults]
    if faults:
        paper.heading("What was wrong")
        paper.table([{"clip": f.clip, "what": f.what, "so": POLICY[f.kind]} for f in faults])
    paper.heading("The worst")
    for clip in worst[:WORST]:
        values = ", ".join(f"{name} {report.shown(v)}" for name, v in clip.scores.values.items()) if clip.scores else ""
        paper.image(strip(videos(clip.id)), f"{clip.id}: {values}")
    paper.heading("All clips, worst first")
    return paper.table([{"clip": clip.id, **(clip.scores.values if clip.scores else {})} for clip in worst])


def strip(videos: Mapping[str, np.ndarray]) -> np.ndarray:
    """Some frames of videos of one length and size, a row a video."""
    from neural_computer.evals.frames import resized

    count, height, width = next(iter(videos.values())).shape[:3]
    places = sorted({round(place) for place in np.linspace(0, count - 1, COLUMNS)})
    scale = min(1.0, WIDTH / width)
    size = max(1, round(height * scale)), max(1, round(width * scale))
    enlarged = max(1, WIDTH // 2 // size[1])
    return media.strip({name: resized(video[places], *size) for name, video in videos.items()}, scale=enlarged)
