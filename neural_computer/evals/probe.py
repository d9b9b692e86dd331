"""The arithmetic probe over anybody's videos: what a video of a problem shows, and a table of native and conditioned accuracy.

A folder holds videos by arm: native (the prompt asks), conditioned (it tells the answer too), wrong (it tells another):
DIR/native/ID.mp4. A model that computes has the last two like the first; one that draws what it is told obeys both.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from neural_computer.evals import text
from neural_computer.evals.ocr import Reader
from neural_computer.evals.results import ClipResult, Figure, interval
from neural_computer.evals.tasks import ARMS, Arithmetic, ends_with, typed

SCORES = ("answer", "shown", "typed", "obeyed")
"""answer: the line under the expression is what Python prints; shown: some line is; typed: the expression stands there;
obeyed: the line under it is the wrong answer that the third arm tells"""


def problems(path: Path) -> dict[str, Arithmetic]:
    """The problems in a file by id: a list of {"id", "expression", "answer", and, if there is one, "prompt"}.

    Raises ValueError for anything else.
    """
    try:
        rows = json.loads(path.read_text())
        return {
            str(r["id"]): Arithmetic(str(r["expression"]), str(r["answer"]), str(r.get("prompt", ""))) for r in rows
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f'{path}: is no list of {{"id", "expression", "answer"}} ({type(error).__name__}: {error}); recipe arithmetic of '
            "neural-computer prepare_data writes one"
        ) from error


def prompts(asked: Mapping[str, Arithmetic]) -> dict[str, dict[str, str]]:
    """{arm: {id: prompt}}: what a model is to be asked for the videos of every arm."""
    told = {clip: task.prompts() for clip, task in asked.items()}
    return {arm: {clip: each[prompt] for clip, each in told.items()} for arm, prompt in ARMS.items()}


def score(video: UInt8[np.ndarray, "t h w 3"], task: Arithmetic, read: Reader) -> dict[str, float]:
    """The SCORES of a video: by the last of its five sampled frames on which the expression stands, else by its last frame."""
    screens = [text.lines(screen) for screen in read(video[text.sampled(len(video))])]
    there = [lines for lines in screens if any(ends_with(line, task.expression) for line in lines)]
    lines = (there or screens)[-1]
    place = typed(lines, task.expression)
    below = lines[place + 1] if place + 1 < len(lines) else ""
    return {
        "answer": float(below == task.answer),
        "shown": float(task.answer in lines),
        "typed": float(bool(there)),
        "obeyed": float(below == task.wrong),
    }


def figures(arms: Mapping[str, Sequence[ClipResult]]) -> dict[str, dict[str, Figure]]:
    """Every score over the clips of every arm, with its interval."""
    found: dict[str, dict[str, Figure]] = {}
    for arm, clips in arms.items():
        scored = [clip.scores.values for clip in clips if clip.scores is not None]
        if scored:
            columns = {name: [values[name] for values in scored] for name in SCORES}
            found[arm] = {n: Figure(float(np.mean(v)), *interval(v), len(v)) for n, v in columns.items()}
    return found


def table(found: Mapping[str, Mapping[str, Figure]]) -> list[dict[str, Any]]:
    """A row an arm; what of the wrong answer is only told where it was given."""
    rows = []
    for arm, scores in found.items():
        answer = scores["answer"]
        row = {"arm": arm, "videos": answer.clips, "answer right": answer.value, "low": answer.low, "high": answer.high}
        row |= {"answer anywhere": scores["shown"].value, "expression there": scores["typed"].value}
        rows.append(row | ({"wrong answer obeyed": scores["obeyed"].value} if arm == "wrong" else {}))
    return rows
