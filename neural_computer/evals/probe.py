"""The arithmetic probe on anybody's videos: what a video of a problem shows; native and conditioned accuracy in a table.

A folder holds videos by prompt variant: native (the prompt has no answer), conditioned (it has the answer), wrong (it has
a wrong one): DIR/native/ID.mp4. A model that computes scores alike with all three; one that renders its prompt follows
the answer it is given.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from neural_computer import errors
from neural_computer.evals import estimates, text
from neural_computer.evals.estimates import Estimate
from neural_computer.evals.ocr import Reader
from neural_computer.evals.results import ClipResult
from neural_computer.evals.tasks import PROMPT_VARIANTS, Arithmetic, ends_with, typed_line

SCORES = ("answer", "answer_anywhere", "expression", "wrong_answer")
"""answer: the line under the expression is what Python prints; answer_anywhere: some line is; expression: it is on the
screen; wrong_answer: the line under it is the wrong answer of the third variant's prompt"""


def read_problems(path: Path) -> dict[str, Arithmetic]:
    """Problems by id, from a file with a list of {"id", "expression", "answer"} and, optionally, "prompt".

    Raises ValueError for any other file.
    """
    try:
        rows = json.loads(path.read_text())
        return {
            str(r["id"]): Arithmetic(str(r["expression"]), str(r["answer"]), str(r.get("prompt", ""))) for r in rows
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f'{path}: is no list of {{"id", "expression", "answer"}} ({type(error).__name__}: {errors.first_line(error)}); '
            "recipe arithmetic of neural-computer prepare_data writes one"
        ) from error


def prompts(problems: Mapping[str, Arithmetic]) -> dict[str, dict[str, str]]:
    """{variant: {id: prompt}}: the prompts that the videos of every variant are generated from."""
    by_id = {clip: problem.prompts() for clip, problem in problems.items()}
    return {variant: {clip: each[name] for clip, each in by_id.items()} for variant, name in PROMPT_VARIANTS.items()}


def score(video: UInt8[np.ndarray, "t h w 3"], problem: Arithmetic, read: Reader) -> dict[str, float]:
    """The `SCORES` of a video, on the last of five sampled frames that shows the expression, else on the last frame."""
    screens = [text.lines(screen) for screen in read(video[text.sample_frames(len(video))])]
    typed = [lines for lines in screens if any(ends_with(line, problem.expression) for line in lines)]
    lines = (typed or screens)[-1]
    place = typed_line(lines, problem.expression)
    below = lines[place + 1] if place + 1 < len(lines) else ""
    return {
        "answer": float(below == problem.answer),
        "answer_anywhere": float(problem.answer in lines),
        "expression": float(bool(typed)),
        "wrong_answer": float(below == problem.wrong_answer),
    }


def estimate(variants: Mapping[str, Sequence[ClipResult]]) -> dict[str, dict[str, Estimate]]:
    """{variant: {score: estimate}} over the clips that were scored; a variant without any is left out."""
    scored = {variant: [clip.values for clip in clips if clip.scores] for variant, clips in variants.items()}
    return {
        variant: {name: estimates.mean([values[name] for values in rows]) for name in SCORES}
        for variant, rows in scored.items()
        if rows
    }


def by_group(clips: Sequence[ClipResult], tasks: Mapping[str, Arithmetic]) -> dict[str, dict[str, Estimate]]:
    """Share of right answers among scored clips, by what their problems are like: {kind of group: {group: estimate}}.

    A clip's id is its problem's, after that of its variant.
    """
    values: dict[str, dict[str, list[float]]] = {}
    for clip in clips:
        task = tasks.get(clip.id.split("/", 1)[1])
        for kind, group in (task.groups() if task and clip.scores else {}).items():
            values.setdefault(kind, {}).setdefault(group, []).append(clip.values["answer"])
    return {
        kind: {group: estimates.mean(rows) for group, rows in sorted(groups.items())} for kind, groups in values.items()
    }


def table(by_variant: Mapping[str, Mapping[str, Estimate]]) -> list[dict[str, Any]]:
    """A row per variant; the wrong answer has a column only where the prompt has it."""
    rows = []
    for variant, scores in by_variant.items():
        answer = scores["answer"]
        row = {"prompt": variant, "videos": answer.clips, "answer right": answer.value}
        row |= {"low": answer.low, "high": answer.high}
        row |= {"answer anywhere": scores["answer_anywhere"].value, "expression there": scores["expression"].value}
        rows.append(row | ({"wrong answer followed": scores["wrong_answer"].value} if variant == "wrong" else {}))
    return rows
