"""Results of many clips: scores in a journal as they come, then estimates, tables and a report."""

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from neural_computer import files, media, report
from neural_computer.evals import frechet
from neural_computer.evals.estimates import LEVEL, RESAMPLES, Estimate
from neural_computer.evals.folders import ADAPTED, POLICY
from neural_computer.evals.frames import resize
from neural_computer.evals.metrics import METRICS, SetMetric
from neural_computer.evals.pairs import ClipProblem
from neural_computer.evals.scorer import Scores

WORST = 8
"""Clips that a report shows as images"""
COLUMNS, WIDTH = 6, 260
"""Frames of a clip in a report, and about how wide each is in pixels"""


class ClipResult(NamedTuple):
    """A clip's scores and problems; `scores` is None for a clip that could not be scored."""

    id: str
    scores: Scores | None
    problems: tuple[ClipProblem, ...] = ()

    @property
    def values(self) -> dict[str, float]:
        """Values by metric; {} for a clip that could not be scored."""
        return self.scores.values if self.scores else {}


@dataclass(frozen=True)
class Journal:
    """A file with a line per scored clip: a run that was interrupted, by `kill -9` too, resumes after its last whole line."""

    path: Path

    def load(self) -> dict[str, ClipResult]:
        """{key: result} of all whole lines."""
        results = {}
        for line in self.path.read_text().splitlines() if self.path.exists() else []:
            try:
                row = json.loads(line)
                features = {name: np.asarray(rows, np.float32) for name, rows in row["features"].items()}
                scores = None if row["values"] is None else Scores(row["values"], features)
                problems = tuple(ClipProblem(*problem) for problem in row["problems"])
            except (ValueError, KeyError, TypeError):
                continue  # cut off by a kill, or of an older version
            results[row["key"]] = ClipResult(row["id"], scores, problems)
        return results

    def add(self, key: str, clip: ClipResult) -> None:
        """Appends a clip's result."""
        values, features = (None, {}) if clip.scores is None else clip.scores
        rows = {name: np.asarray(x, np.float32).tolist() for name, x in features.items()}
        line = {"key": key, "id": clip.id, "values": values, "features": rows, "problems": clip.problems}
        with self.path.open("ab+") as file:
            # What a kill cut off stays a line of its own.
            file.seek(max(0, file.tell() - 1))
            start = b"" if file.read(1) in (b"", b"\n") else b"\n"
            file.write(start + json.dumps(line).encode() + b"\n")


def result_key(*inputs: Any) -> str:
    """Key of a clip's result in a journal: a hash of everything that the result depends on."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, default=str).encode()).hexdigest()[:24]


def estimates(clips: Iterable[ClipResult], names: Sequence[str]) -> dict[str, Estimate]:
    """Every metric's estimate over the clips that have it; a metric of too few clips has none."""
    scored, by_name = [clip.scores for clip in clips if clip.scores is not None], {}
    for name in names:
        metric = METRICS[name]
        if isinstance(metric, SetMetric):
            estimate = metric.estimate([scores.features[name] for scores in scored if name in scores.features])
        else:
            estimate = metric.estimate([scores.values[name] for scores in scored if name in scores.values])
        if estimate is not None:
            by_name[name] = estimate
    return by_name


def warnings_about(by_name: Mapping[str, Estimate]) -> list[str]:
    """Warnings about set metrics of few clips."""
    return [
        f"{name} is from {estimate.clips} clips: below {frechet.FEW} it is mostly their number; compare only equal "
        "numbers. Its interval lies above it, since repeated clips shrink the covariances; only its width is meaningful"
        for name, estimate in by_name.items()
        if isinstance(METRICS[name], SetMetric) and estimate.clips < frechet.FEW
    ]


def exit_code(clips: Iterable[ClipResult]) -> int:
    """0: every clip was scored as it is; 2: some were adapted; 3: some were left out. (1 is an error's.)"""
    kinds = {problem.kind for clip in clips for problem in clip.problems}
    return 3 if kinds - set(ADAPTED) else 2 if kinds else 0


def excluded(clips: Iterable[ClipResult]) -> int:
    """Number of clips that could not be scored."""
    return sum(clip.scores is None for clip in clips)


def worst_first(clips: Iterable[ClipResult], names: Sequence[str]) -> list[ClipResult]:
    """The scored clips, worst first by the first metric that any clip has a value of, then by id; those without it last."""
    scored = [clip for clip in clips if clip.scores is not None]
    name = next((name for name in names if any(name in clip.values for clip in scored)), None)
    if name is None:
        return sorted(scored, key=lambda clip: clip.id)
    sign = -1.0 if METRICS[name].lower_is_better else 1.0
    return sorted(scored, key=lambda clip: (name not in clip.values, sign * clip.values.get(name, 0), clip.id))


def with_policy(clips: Iterable[ClipResult]) -> list[dict[str, str]]:
    """Every problem of the clips and what is done about it, as JSON objects."""
    return [problem._asdict() | {"policy": POLICY[problem.kind]} for clip in clips for problem in clip.problems]


def write(
    out: Path, settings: Mapping[str, Any], clips: Sequence[ClipResult], names: Sequence[str]
) -> dict[str, Estimate]:
    """Writes metrics.json and clips.csv and returns the estimates; equal videos and settings give equal bytes."""
    by_name = estimates(clips, names)
    content = {
        "settings": dict(settings),
        "metrics": {name: estimate._asdict() for name, estimate in by_name.items()},
        "clips": {"scored": len(clips) - excluded(clips), "excluded": excluded(clips)},
        "warnings": warnings_about(by_name),
        "problems": with_policy(clips),
    }
    files.write_whole(out / "metrics.json", json.dumps(content, indent=2) + "\n")
    table = io.StringIO(newline="")
    rows = csv.writer(table)
    rows.writerow(("clip", *names, "problems"))
    for clip in sorted(clips, key=lambda clip: clip.id):
        problems = "; ".join(f"{problem.kind}: {problem.detail}" for problem in clip.problems)
        rows.writerow((clip.id, *(repr(clip.values[n]) if n in clip.values else "" for n in names), problems))
    files.write_whole(out / "clips.csv", table.getvalue())
    return by_name


def table(by_name: Mapping[str, Estimate]) -> list[dict[str, Any]]:
    """A row per metric."""
    return [{"metric": name, **estimate._asdict()} for name, estimate in by_name.items()]


def html_report(
    title: str,
    by_name: Mapping[str, Estimate],
    clips: Sequence[ClipResult],
    names: Sequence[str],
    videos: Callable[[str], dict[str, np.ndarray]],
) -> report.Page:
    """The report: estimates, problems, the worst clips as images, all clips; `videos(id)` are a clip's videos by name."""
    page, worst = report.Page(title), worst_first(clips, names)
    page.table(
        table(by_name),
        f"Over clips; low and high: {LEVEL:.0%} of {RESAMPLES} bootstraps of the clips (fvd: {frechet.RESAMPLES}).",
    )
    for line in warnings_about(by_name):
        page.text(line)
    if problems := with_policy(clips):
        page.heading("Problems")
        page.table(problems)
    page.heading("The worst")
    for clip in worst[:WORST]:
        values = ", ".join(f"{name} {report.format_cell(value)}" for name, value in clip.values.items())
        page.image(strip(videos(clip.id)), f"{clip.id}: {values}")
    page.heading("All clips, worst first")
    return page.table([{"clip": clip.id, **clip.values} for clip in worst])


def strip(videos: Mapping[str, np.ndarray]) -> np.ndarray:
    """An image with a row per video: `COLUMNS` frames of videos of one length and size."""
    count, height, width = next(iter(videos.values())).shape[:3]
    places = sorted({round(place) for place in np.linspace(0, count - 1, COLUMNS)})
    scale = min(1.0, WIDTH / width)
    size = max(1, round(height * scale)), max(1, round(width * scale))
    enlarged = max(1, WIDTH // 2 // size[1])
    return media.strip({name: resize(video[places], *size) for name, video in videos.items()}, scale=enlarged)
