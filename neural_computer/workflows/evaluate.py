"""Evaluation of a trained workdir: rollouts on held-out clips, their scores, a table and a report.

evaluate("runs/quickstart")["new_char_acc"]
evaluate("runs/quickstart", metrics=MetricOptions(("lpips", "fvd")), again=True)
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging
from ml_collections import ConfigDict

from neural_computer import files, media, report
from neural_computer.data import encoded
from neural_computer.data.windows import ClipSource
from neural_computer.evals import evaluate as evals
from neural_computer.evals.estimates import Estimate
from neural_computer.evals.evaluate import ScreenScorer, Variant
from neural_computer.evals.marks import overlay_actions
from neural_computer.experiment import Experiment
from neural_computer.models.linear_codec import LinearCodec
from neural_computer.train.metrics_log import read_metrics
from neural_computer.types import Clip
from neural_computer.workflows import checks
from neural_computer.workflows.metrics import MetricOptions, config_options, with_cursor_of
from neural_computer.workflows.task import batched_rollout
from neural_computer.workflows.trained import Trained, load

METRICS, REPORT = "metrics.json", "report.html"
COLUMNS = {
    "psnr": "PSNR dB",
    "ssim": "SSIM",
    "cell_acc": "characters",
    "new_char_acc": "new characters",
    "exact_lines": "lines exact",
    "exact_last_screen": "last screen exact",
    "typed_line_exact": "typed line exact",
    "output_exact": "output exact",
    "wrong_answer_exact": "wrong answer",
}
"""Scores in the table, and what their columns are called"""
SHOWN = 4
"""Clips in the report"""


def evaluate(
    workdir: str | Path,
    *,
    split: str | None = None,
    seed: int = 0,
    metrics: MetricOptions | None = None,
    again: bool = False,
    build: Callable[[ConfigDict], Experiment] | None = None,
) -> dict[str, Any]:
    """Scores of the computer trained in a workdir, as JSON values; writes them and a report to metrics.json, report.html.

    A result that is there already, of the newest checkpoint and the same options, is returned as it is.

    Args:
        split: whose clips are used; by default config.evaluation.split.
        seed: of the rollouts' noise.
        metrics: further metrics of every prompt variant; by default those of config.evaluation.metrics.
        again: evaluate even if a result is there.
        build: the experiment of a config, where parts were replaced in code (see `trained.load`).

    Raises CheckpointError, ConfigError, and ValueError for an unknown metric.
    """
    workdir, begin = Path(workdir), time.monotonic()
    trained = load(workdir, build=build)
    experiment = trained.experiment
    options = with_cursor_of(metrics, experiment) if metrics else config_options(experiment)
    settings: dict[str, Any] = {
        "step": trained.step,
        "split": split or experiment.evaluation.split,
        "seed": seed,
        "metrics": list(options.names) if options else [],
        "view": options.view if options else experiment.evaluation.view,
    }
    if not again and (earlier := _earlier(workdir, settings)):
        return earlier
    scorer = options.scorer() if options else None
    clips, variants = evaluate_split(trained, settings["split"], seed)
    further = evaluate_further(trained, seed)
    estimates = {name: evals.with_intervals(scorer, v.videos, clips) for name, v in variants.items()} if scorer else {}
    result = evals.headline(variants) | {
        **settings,
        "videos": len(clips),
        "table": table(variants, estimates, settings["view"]) + further_rows(further),
        "further_splits": {split: variant.means() for split, variant in further.items()},
        "native_by": native_by(variants, clips),
        "estimates": {name: {m: e._asdict() for m, e in each.items()} for name, each in estimates.items()},
        "seconds": stage_seconds(trained, workdir) | {"evaluate": round(time.monotonic() - begin, 1)},
    }
    html_report(workdir, result, clips, variants, isinstance(trained.computer.codec, LinearCodec))
    files.write_whole(workdir / METRICS, json.dumps(result, indent=2) + "\n")
    return result


def _earlier(workdir: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The result in a workdir, if it is of these settings; else {}."""
    path = workdir / METRICS
    result = json.loads(path.read_text()) if path.exists() and (workdir / REPORT).exists() else {}
    return result if {name: result.get(name) for name in settings} == settings else {}


def evaluate_split(trained: Trained, split: str, seed: int) -> tuple[list[Clip], dict[str, Variant]]:
    """Clips of a split, evenly spaced, and their videos and scores by prompt variant."""
    experiment = trained.experiment
    data, wanted = experiment.data, experiment.evaluation
    source = ClipSource(encoded.videos(data.directory), split, data.frames, data.stride)
    checks.check_videos(experiment, source[0])
    clips = evals.evenly_spaced(source, wanted.videos)
    tier = next(iter(data.captions))
    return clips, evals.evaluate(batched_rollout(experiment), ScreenScorer(), trained.params, clips, tier, seed)


def evaluate_further(trained: Trained, seed: int) -> dict[str, Variant]:
    """One prompt variant of the further splits that config.evaluation names, by split; those that the data lack are left out."""
    experiment, scored = trained.experiment, {}
    data, wanted = experiment.data, experiment.evaluation
    for split in filter(None, wanted.further_splits.split(",")):
        try:
            source = ClipSource(encoded.videos(data.directory), split, data.frames, data.stride)
        except ValueError as error:
            logging.warning("split %s is not scored: %s", split, error)
            continue
        clips, tier = evals.evenly_spaced(source, wanted.videos), next(iter(data.captions))
        scored[split] = evals.evaluate_native(
            batched_rollout(experiment), ScreenScorer(), trained.params, clips, tier, seed
        )
    return scored


def further_rows(further: Mapping[str, Variant]) -> list[dict[str, Any]]:
    """Rows of further splits for the table."""
    return [
        {"prompt": f"split {split}, no answer"}
        | {COLUMNS[score]: value for score, value in variant.means().items() if score in COLUMNS}
        for split, variant in further.items()
    ]


def native_by(variants: Mapping[str, Variant], clips: Sequence[Clip]) -> dict[str, Any]:
    """Of arithmetic without the answer, how often the output is exact, by operation, digits and carries; else {}."""
    if evals.NATIVE not in variants:
        return {}
    groups = evals.by_group(variants[evals.NATIVE], clips)
    return {kind: {group: e._asdict() for group, e in each.items()} for kind, each in groups.items()}


def table(
    variants: Mapping[str, Variant], estimates: Mapping[str, Mapping[str, Estimate]], view: str
) -> list[dict[str, Any]]:
    """A row per variant, a column per score; estimates have the view in their column's name."""
    return [
        {"prompt": name.replace("_", " ")}
        | {COLUMNS[score]: value for score, value in variant.means().items() if score in COLUMNS}
        | {f"{metric} ({view})": estimate.value for metric, estimate in estimates.get(name, {}).items()}
        for name, variant in variants.items()
    ]


def stage_seconds(trained: Trained, workdir: Path) -> dict[str, float]:
    """Wall time of preparing the data and of training, from what they wrote."""
    seconds = {}
    summary = Path(trained.experiment.data.directory) / "summary.json"
    if summary.exists():
        seconds["prepare_data"] = json.loads(summary.read_text())["seconds"]
    if lines := read_metrics(workdir):
        seconds["train"] = lines[-1]["seconds"]
    return seconds


def summary(workdir: str | Path, result: Mapping[str, Any]) -> str:
    """A result of `evaluate` as tables for a terminal."""
    values = [{"value of": name, "value": value} for name, value in result.items() if isinstance(value, float)]
    seconds = ", ".join(f"{stage} {value:.0f} s" for stage, value in result["seconds"].items())
    return "\n".join(
        [
            report.text_table(result["table"]),
            "",
            report.text_table(values),
            "",
            f"{result['videos']} videos of split {result['split']}, step {result['step']}; {seconds}",
            f"{workdir}/{REPORT}",
        ]
    )


def html_report(
    workdir: Path,
    result: Mapping[str, Any],
    clips: Sequence[Clip],
    variants: Mapping[str, Variant],
    linear_codec: bool,
) -> None:
    """Writes report.html: tables, curves of the training, references beside rollouts, a video."""
    page = report.Page(f"{workdir.name}: {result['videos']} videos of split {result['split']}, step {result['step']}")
    desktop = clips[0].cursor is not None
    page.text(
        f"The model generates every video below from its first frame and {'the actions' if desktop else 'a caption'} "
        f"alone.{' The codec here is a linear one, not the VAE of the paper.' if linear_codec else ''}"
    )
    if not desktop:
        page.text(
            "PSNR and SSIM flatter black screens, so read them beside the characters: new characters are those that the first "
            "screen has not, and a copy of the first frame gets none of them."
        )
    page.table(
        result["table"],
        "Scores by prompt. The last two rows need no model: the first frame repeated, a lower bound, and the codec's "
        "reconstruction of the reference, an upper bound.",
    )
    if "wrong_answer" in variants:
        page.text(
            "A model that computes is right whatever the caption says. A model that renders its caption, as half of the "
            "captions of recipe repl teach, is right with the answer and shows the wrong one."
        )
    for kind, groups in result.get("native_by", {}).items():
        page.table(
            [{kind: group, **each} for group, each in groups.items()], f"Exact outputs without the answer, by {kind}."
        )
    page.table([{"stage": stage, "seconds": value} for stage, value in result["seconds"].items()], "Wall time.")
    training_curves(page, workdir)
    page.heading("References beside rollouts")
    reference = evals.reference_videos(clips)
    shown = {name: variant.videos for name, variant in variants.items() if name != "first_frame_baseline"}
    for i in np.linspace(0, len(clips) - 1, min(SHOWN, len(clips))).astype(int):
        videos = {"reference": reference[i]} | {name.replace("_", " "): videos[i] for name, videos in shown.items()}
        if desktop:
            videos = {name: overlay_actions(video, clips[i]) for name, video in videos.items()}
        page.image(media.strip(videos, scale=1), f"{clips[i].id}: {' / '.join(clips[i].captions.values())}")
    first = next(iter(shown))
    page.gif(media.upscale(shown[first][0], 4), clips[0].fps, f"{clips[0].id}, {first.replace('_', ' ')}")
    page.save(workdir / REPORT)


def training_curves(page: report.Page, workdir: Path) -> None:
    """Adds the loss and the held-out values over the steps."""
    lines, prefix = read_metrics(workdir), "held_out/"
    if loss := _points(lines, "loss"):
        page.heading("Training")
        page.curve({"loss": loss}, "Training loss.", "step", "loss", log=True)
    names = dict.fromkeys(name for line in lines for name in line if name.startswith(prefix))
    for name in (name for name in names if name.startswith(f"{prefix}metrics/")):
        if points := _points(lines, name):
            page.curve({name: points}, "Held-out videos during training.", "step", name.split("/")[-1])
    shares = [name for name in names if not any(other in name for other in ("psnr", "ssim", "metrics/"))]
    named = {name.removeprefix(prefix).replace("_", " "): _points(lines, name) for name in shares}
    if curves := {name: points for name, points in named.items() if points}:
        page.curve(curves, "Held-out videos during training, by the averaged parameters.", "step", "share")


def _points(lines: Sequence[Mapping[str, Any]], name: str) -> tuple[list[float], list[float]] | None:
    """(steps, values) of a name in metrics.jsonl; None for none that is finite."""
    points = [(line["step"], line[name]) for line in lines if line.get(name) is not None]
    return ([step for step, _ in points], [value for _, value in points]) if points else None
