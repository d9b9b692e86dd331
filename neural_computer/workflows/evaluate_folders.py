"""Evaluation of anybody's videos: two folders matched by clip id, every metric of the table."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from neural_computer import report
from neural_computer.evals import folders, results
from neural_computer.evals.estimates import Estimate
from neural_computer.evals.metrics import METRICS
from neural_computer.evals.pairs import ClipProblem, VideoPair
from neural_computer.evals.results import ClipResult, Journal
from neural_computer.evals.scorer import Scorer
from neural_computer.workflows import lock
from neural_computer.workflows.metrics import CURSOR_HEIGHT, MetricOptions

EVENTS, CELLS = ".events.jsonl", ".cells.json"
"""Ends of the files of a clip in the folder `actions`"""
FILE_OF = {"cells": f"ID{CELLS}", "events": f"ID{EVENTS}", "cursor": f"ID{EVENTS}", "click": "a data set's own clips"}
"""Where a metric's need comes from"""


@dataclass(frozen=True)
class FolderOptions:
    """Two folders of videos and the records beside them.

    Attributes:
        generated, reference: folders of videos with the same names.
        out: where results go.
        actions: a folder of ID.events.jsonl and ID.cells.json; None for none.
        fps: frames per second, where neither video of a clip has a rate.
    """

    generated: Path
    reference: Path
    out: Path
    actions: Path | None = None
    fps: float | None = None

    def load(self, clip: str, generated: Path, reference: Path) -> VideoPair:
        """The pair of videos of a clip. Raises VideoError."""
        return folders.load_pair(clip, generated, reference, self.actions, self.fps)

    def beside(self, clip: str) -> list[Path]:
        """The files beside a clip's videos, there or not."""
        return [self.actions / f"{clip}{end}" for end in (EVENTS, CELLS)] if self.actions else []


@dataclass(frozen=True)
class FolderResult:
    """Results of two folders."""

    options: FolderOptions
    names: tuple[str, ...]
    clips: list[ClipResult]
    estimates: dict[str, Estimate]

    @property
    def exit_code(self) -> int:
        """See `results.exit_code`."""
        return results.exit_code(self.clips)

    def summary(self) -> str:
        """The estimates and all problems, for a terminal."""
        lines = [report.text_table(results.table(self.estimates))]
        lines += [f"note  {line}" for line in results.warnings_about(self.estimates)]
        for name in (name for name in self.names if name not in self.estimates):
            needs = METRICS[name].needs
            lines.append(f"note  {name}: no clip has it" + (f"; it needs {needs} ({FILE_OF[needs]})" if needs else ""))
        lines += [f"{p['kind']}  {p['clip']}: {p['detail']}; {p['policy']}" for p in results.with_policy(self.clips)]
        excluded = results.excluded(self.clips)
        lines.append(f"{len(self.clips) - excluded} clips scored, {excluded} left out")
        return "\n".join([*lines, f"{self.options.out}/report.html"])


def evaluate_folders(options: FolderOptions, metrics: MetricOptions | None = None) -> FolderResult:
    """Scores the clips of two folders and writes metrics.json, clips.csv and report.html.

    Interrupted, the same call resumes after the last scored clip. Raises ValueError for folders without a clip in common,
    for metrics that need a missing folder `actions`, and where no clip can be scored; RuntimeError for a missing package.
    """
    metrics = metrics or MetricOptions()
    scorer, settings = metrics.scorer(options.out / "read"), _settings(options, metrics)
    for name in scorer.names:
        if (needs := METRICS[name].needs) and options.actions is None:
            raise ValueError(f"metrics: {name} needs {needs} ({FILE_OF[needs]}); give --actions, a folder of them")
    pairs, unmatched = folders.match(options.generated, options.reference)
    with lock.exclusive(options.out):
        clips = list(_score_all(scorer, settings, pairs, options))
        clips += [ClipResult(problem.clip, None, (problem,)) for problem in unmatched]
        if not any(clip.scores for clip in clips):
            raise ValueError(
                f"none of {len(clips)} clips could be scored ({clips[0].id}: {clips[0].problems[0].detail})"
            )
        estimates = results.write(options.out, settings, clips, scorer.names)
        count = len(clips) - results.excluded(clips)
        title = f"{options.generated.name} beside {options.reference.name}: {count} clips"

        def videos(clip: str) -> dict[str, Any]:
            pair = options.load(clip, *pairs[clip])
            return {"generated": pair.generated, "reference": pair.reference}

        results.html_report(title, estimates, clips, scorer.names, videos).save(options.out / "report.html")
    return FolderResult(options, scorer.names, clips, estimates)


def _settings(options: FolderOptions, metrics: MetricOptions) -> dict[str, Any]:
    """What the scores depend on beside the videos."""
    settings: dict[str, Any] = {
        "view": metrics.view,
        "reader": metrics.reader,
        "cursor_height": metrics.cursor_height or CURSOR_HEIGHT,
        "fps": options.fps,
        "metrics": metrics.names,
    }
    return settings | ({"r3d18": folders.fingerprint([metrics.r3d18])} if metrics.r3d18 else {})


def _score_all(
    scorer: Scorer, settings: Mapping[str, Any], pairs: Mapping[str, tuple[Path, Path]], options: FolderOptions
) -> Iterator[ClipResult]:
    """Every pair's result; those in the journal are not recomputed."""
    journal = Journal(options.out / "clips.jsonl")
    done = journal.load()
    keys = {
        clip: results.result_key(settings, folders.fingerprint([*paths, *options.beside(clip)]))
        for clip, paths in pairs.items()
    }
    todo = sum(key not in done for key in keys.values())
    with tqdm(total=len(pairs), initial=len(pairs) - todo, desc="scoring", unit="clip", dynamic_ncols=True) as bar:
        for clip, paths in pairs.items():
            if keys[clip] not in done:
                done[keys[clip]] = _score(scorer, options, clip, *paths)
                journal.add(keys[clip], done[keys[clip]])
                bar.update()
            yield done[keys[clip]]


def _score(scorer: Scorer, options: FolderOptions, clip: str, generated: Path, reference: Path) -> ClipResult:
    """A clip's scores, or its problem. Raises RuntimeError where a package is missing."""
    try:
        pair = options.load(clip, generated, reference)
        return ClipResult(clip, scorer([pair])[0], pair.problems)
    except folders.VideoError as error:
        return ClipResult(clip, None, (ClipProblem(clip, "unreadable", str(error)),))
    except ValueError as error:
        return ClipResult(clip, None, (ClipProblem(clip, "unscored", str(error)),))
    except ModuleNotFoundError as error:
        raise RuntimeError(str(error)) from error
