"""Evaluation of videos generated for arithmetic problems: does a model compute, or render its prompt?"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from neural_computer import files, media, report
from neural_computer.evals import folders, probe, results
from neural_computer.evals.estimates import LEVEL, Estimate
from neural_computer.evals.ocr import Reader, Tesseract
from neural_computer.evals.pairs import ClipProblem
from neural_computer.evals.results import ClipResult, Journal
from neural_computer.evals.scorer import Scores
from neural_computer.evals.tasks import PROMPT_VARIANTS, Arithmetic
from neural_computer.types import Clip
from neural_computer.workflows import lock
from neural_computer.workflows.metrics import read_with
from neural_computer.workflows.task import batched_rollout
from neural_computer.workflows.trained import Trained


@dataclass(frozen=True)
class ProblemResult:
    """Results of the videos of arithmetic problems, by prompt variant."""

    out: Path
    variants: dict[str, list[ClipResult]]
    estimates: dict[str, dict[str, Estimate]]
    groups: dict[str, dict[str, Estimate]]
    """Right answers of the first variant, by operation, digits and carries"""

    @property
    def clips(self) -> list[ClipResult]:
        """The clips of all variants."""
        return [clip for clips in self.variants.values() for clip in clips]

    @property
    def exit_code(self) -> int:
        """See `results.exit_code`."""
        return results.exit_code(self.clips)

    def summary(self) -> str:
        """The table and all problems, for a terminal."""
        lines = [report.text_table(probe.table(self.estimates))]
        lines += [f"\n{report.text_table(rows)}" for rows in self.group_rows().values()]
        lines += [f"{p['kind']}  {p['clip']}: {p['detail']}; {p['policy']}" for p in results.with_policy(self.clips)]
        return "\n".join([*lines, f"{self.out}/report.html"])

    def group_rows(self) -> dict[str, list[dict[str, Any]]]:
        """Tables of the groups, by their kind."""

        def row(kind: str, group: str, e: Estimate) -> dict[str, Any]:
            return {kind: group, "answer right": e.value, "low": e.low, "high": e.high, "videos": e.clips}

        return {kind: [row(kind, *each) for each in groups.items()] for kind, groups in self.groups.items()}


def roll_out(trained: Trained, problems: Path, out: Path, seed: int = 0) -> Path:
    """Writes a machine's videos of every problem and prompt variant; returns their folder. Those that are there stay.

    A video begins with the machine's first frame. Raises ValueError for prompts that it cannot read.
    """
    tasks, folder = probe.read_problems(problems), out / "videos"
    rollout = batched_rollout(trained.experiment)
    still = trained.first_frame[None].repeat(trained.computer.video_frames(trained.computer.clip_chunks), axis=0)
    for variant, prompts in probe.prompts(tasks).items():
        missing = [clip for clip in tasks if not (folder / variant / f"{clip}.mp4").exists()]
        parts = [missing[i : i + rollout.batch_size] for i in range(0, len(missing), rollout.batch_size)]
        for part in tqdm(parts, desc=variant, unit="batch", dynamic_ncols=True):
            clips = [Clip(clip, still, trained.fps) for clip in part]
            videos = rollout(trained.params, clips, [prompts[clip] for clip in part], seed)
            for clip, video in zip(part, videos, strict=True):
                path = folder / variant / f"{clip}.mp4"
                path.parent.mkdir(parents=True, exist_ok=True)
                with files.replacing(path) as partial:
                    media.write_video(partial, video, trained.fps)
    return folder


def write_prompts(problems: Path, out: Path) -> int:
    """Writes OUT/prompts.json, the prompts of every variant; returns the number of problems. Raises ValueError."""
    tasks = probe.read_problems(problems)
    out.mkdir(parents=True, exist_ok=True)
    files.write_whole(out / "prompts.json", json.dumps(probe.prompts(tasks), indent=1) + "\n")
    return len(tasks)


def evaluate_problems(problems: Path, generated: Path, out: Path, reader: str = "tesseract") -> ProblemResult:
    """Scores the videos of every prompt variant and writes metrics.json and report.html.

    `generated` has the folders native, conditioned and wrong, as many as there are; a folder of videos alone is native.
    Interrupted, the same call resumes. Raises ValueError where no video can be scored, RuntimeError for a missing package.
    """
    tasks = probe.read_problems(problems)
    named = {name: generated / name for name in PROMPT_VARIANTS if (generated / name).is_dir()}
    places = named or {"native": generated}
    with lock.exclusive(out):
        run = _Run(problems, tasks, _reader(reader, out / "read"), reader, Journal(out / "probe.jsonl"))
        variants = {name: list(run.score_all(name, folder)) for name, folder in places.items()}
        groups = probe.by_group(next(iter(variants.values())), tasks)
        result = ProblemResult(out, variants, probe.estimate(variants), groups)
        if not result.estimates:
            detail = result.clips[0].problems[0].detail
            raise ValueError(f"{generated}: none of {len(result.clips)} videos could be scored ({detail})")
        content = {
            "variants": {name: {n: e._asdict() for n, e in each.items()} for name, each in result.estimates.items()},
            f"{next(iter(variants))}_by": {k: {n: e._asdict() for n, e in each.items()} for k, each in groups.items()},
            "problems": results.with_policy(result.clips),
        }
        files.write_whole(out / "metrics.json", json.dumps(content, indent=2) + "\n")
        _html_report(result, places).save(out / "report.html")
    return result


def _reader(name: str, cache: Path) -> Reader:
    """The reader of the videos; as one block of text, twice as large, Tesseract misreads fewer lone digits."""
    reader = read_with(name, cache)
    return replace(reader, scale=2, segmentation=6) if isinstance(reader, Tesseract) else reader


@dataclass(frozen=True)
class _Run:
    problems: Path
    tasks: Mapping[str, Arithmetic]
    read: Reader
    reader: str
    journal: Journal

    def score_all(self, variant: str, folder: Path) -> Iterator[ClipResult]:
        """The results of a variant's videos; those in the journal are not recomputed."""
        done = self.journal.load()
        for clip, paths in tqdm(folders.find_videos(folder).items(), desc=variant, unit="video", dynamic_ncols=True):
            name = f"{variant}/{clip}"
            if clip not in self.tasks:
                yield ClipResult(name, None, (ClipProblem(name, "missing", f"is no problem of {self.problems}"),))
                continue
            task = vars(self.tasks[clip])
            key = results.result_key(variant, task, self.reader, folders.fingerprint(paths))
            if key not in done:
                done[key] = self.score(name, paths, self.tasks[clip])
                self.journal.add(key, done[key])
            yield done[key]

    def score(self, name: str, paths: list[Path], task: Arithmetic) -> ClipResult:
        """A video's scores, or its problem. Raises RuntimeError where a package is missing."""
        if len(paths) > 1:
            detail = f"is there as {' and '.join(path.name for path in paths)}"
            return ClipResult(name, None, (ClipProblem(name, "twice", detail),))
        try:
            return ClipResult(name, Scores(probe.score(folders.read_video(paths[0])[0], task, self.read), {}))
        except ValueError as error:
            return ClipResult(name, None, (ClipProblem(name, "unreadable", str(error)),))
        except ModuleNotFoundError as error:
            raise RuntimeError(str(error)) from error


def _html_report(result: ProblemResult, places: Mapping[str, Path]) -> report.Page:
    """The report: the table, how to read it, and the videos with a wrong answer."""
    page = report.Page("Arithmetic")
    page.table(probe.table(result.estimates), f"low, high: {LEVEL:.0%} of the bootstraps over videos.")
    page.text(
        "A model that computes is right with every prompt. A model that renders its prompt is right where the prompt has the "
        "answer (conditioned) and follows a wrong one. Native accuracy is the one that means arithmetic."
    )
    for kind, rows in result.group_rows().items():
        page.table(rows, f"{next(iter(result.variants))}, by {kind}.")
    for name, clips in result.variants.items():
        page.heading(f"{name}: videos with a wrong answer")
        wrong = [clip for clip in clips if clip.scores and not clip.scores.values["answer"]]
        for clip in wrong[: results.WORST]:
            (path,) = folders.find_videos(places[name])[clip.id.removeprefix(f"{name}/")]
            page.image(results.strip({"video": folders.read_video(path)[0]}), clip.id)
    return page
