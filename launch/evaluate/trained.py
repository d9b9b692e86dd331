"""A trained computer on held-out videos: python -m launch.evaluate --workdir=DIR [--metrics=lpips,fvd]

Writes metrics.json and report.html to the workdir and prints the table. --metrics adds some of the folders' metrics, by
default those of config.evaluation.metrics. Done already for the newest checkpoint, it shows the result again.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from neural_computer import media, report
from neural_computer.data import encoded
from neural_computer.data.windows import ClipSource
from neural_computer.evals import evaluate, results
from neural_computer.evals.marks import overlay_actions
from neural_computer.evals.scorer import Scorer
from neural_computer.launch.evaluate import folders
from neural_computer.models.linear_codec import LinearCodec
from neural_computer.train.metrics_log import read_metrics
from neural_computer.workflows import checks
from neural_computer.workflows import metrics as metrics_of
from neural_computer.workflows import trained as trained_computer

WORKDIR = flags.DEFINE_string("workdir", None, "A trained workdir.")
SPLIT = flags.DEFINE_string("split", None, "The videos to score; by default the config's (evaluation.split).")
SEED = flags.DEFINE_integer("seed", 0, "Seed of the rollouts' noise.")
AGAIN = flags.DEFINE_boolean("again", False, "Evaluate even if it was done for this checkpoint.")

SHOWN = {
    "psnr": "PSNR dB",
    "ssim": "SSIM",
    "cell_acc": "characters",
    "new_char_acc": "new characters",
    "exact_lines": "lines exact",
    "exact_last_screen": "last screen exact",
    "typed_line_exact": "typed line exact",
    "output_exact": "output exact",
    "wrong_obeyed": "wrong answer drawn",
}


def run() -> None:
    """Judges the workdir that the flag names."""
    workdir = Path(WORKDIR.value)
    begin = time.monotonic()
    trained = trained_computer.load(workdir)
    asked: dict[str, Any] = {
        "step": trained.step,
        "split": SPLIT.value or trained.experiment.evaluation.split,
        "seed": SEED.value,
        "metrics": list(folders.METRICS.value),
    }
    done = workdir / "metrics.json"
    if done.exists() and not AGAIN.value:
        metrics = json.loads(done.read_text())
        if {name: metrics.get(name) for name in asked} == asked and (workdir / "report.html").exists():
            show(workdir, metrics)
            return
    windows, arms = judged(trained, asked["split"], asked["seed"])
    judge = folders.scorer() if folders.METRICS.value else metrics_of.scorer(trained.experiment)
    further = {name: measured(judge, arm.videos, windows) for name, arm in arms.items()} if judge else {}
    metrics = evaluate.headline(arms) | {
        **asked,
        "videos": len(windows),
        "table": table(arms, further),
        "further": {name: {m: f._asdict() for m, f in found.items()} for name, found in further.items()},
        "seconds": seconds(trained, workdir) | {"evaluate": round(time.monotonic() - begin, 1)},
    }
    html_report(workdir, metrics, windows, arms, isinstance(trained.computer.codec, LinearCodec))
    temporary = done.with_suffix(".partial")
    temporary.write_text(json.dumps(metrics, indent=2) + "\n")
    temporary.replace(done)
    show(workdir, metrics)


def judged(
    trained: trained_computer.Trained, split: str, seed: int
) -> tuple[list[evaluate.Clip], dict[str, evaluate.Arm]]:
    """Windows of a split and, by arm, what became of them."""
    experiment = trained.experiment
    data, wanted = experiment.data, experiment.evaluation
    source = ClipSource(encoded.videos(data.directory), split, data.frames, data.stride)
    checks.check_videos(experiment, source[0])
    windows = evaluate.spread(source, wanted.videos)
    rollout = evaluate.Rollout(
        experiment.computer,
        experiment.tokenizer,
        wanted.batch_size,
        experiment.negative_prompt_ids(),
        experiment.inputs,
    )
    tier = next(iter(data.captions))
    return windows, evaluate.evaluate(rollout, evaluate.Judge(), trained.params, windows, tier, seed)


def measured(judge: Scorer, videos: evaluate.Videos, windows: list[evaluate.Clip]) -> dict[str, results.Figure]:
    """The further metrics of some videos, with their intervals."""
    return results.figures(evaluate.scored(judge, videos, windows), judge.names)


def table(
    arms: Mapping[str, evaluate.Arm], further: Mapping[str, Mapping[str, results.Figure]]
) -> list[dict[str, Any]]:
    """A row an arm, a column a score; the further ones have their view's name, for PSNR of all frames is no other's."""
    view = folders.VIEW.value
    return [
        {"prompt": name.replace("_", " ")}
        | {SHOWN[k]: v for k, v in arm.means().items() if k in SHOWN}
        | {f"{metric} ({view})": figure.value for metric, figure in further.get(name, {}).items()}
        for name, arm in arms.items()
    ]


def seconds(trained: trained_computer.Trained, workdir: Path) -> dict[str, float]:
    """Wall time of the stages before this one, as they wrote it down."""
    spent = {}
    summary = Path(trained.experiment.data.directory) / "summary.json"
    if summary.exists():
        spent["prepare_data"] = json.loads(summary.read_text())["seconds"]
    lines = read_metrics(workdir)
    if lines:
        spent["train"] = lines[-1]["seconds"]
    return spent


def show(workdir: Path, metrics: Mapping[str, Any]) -> None:
    """The tables on the terminal."""
    figures = {k: v for k, v in metrics.items() if isinstance(v, float)}
    spent = ", ".join(f"{stage} {value:.0f} s" for stage, value in metrics["seconds"].items())
    print(report.plain(metrics["table"]))
    print()
    print(report.plain([{"figure": name, "value": value} for name, value in figures.items()]))
    print(
        f"\n{metrics['videos']} videos of split {metrics['split']}, step {metrics['step']}; {spent}\n{workdir}/report.html"
    )


def html_report(
    workdir: Path,
    metrics: Mapping[str, Any],
    windows: list[evaluate.Clip],
    arms: Mapping[str, evaluate.Arm],
    linear: bool,
) -> None:
    """report.html: tables, the loss, truth over rollout, a video; `linear` is the codec."""
    paper = report.Page(
        f"{workdir.name}: {metrics['videos']} videos of split {metrics['split']}, step {metrics['step']}"
    )
    desktop = windows[0].cursor is not None
    paper.text(
        f"Every video below was drawn by the model from its first frame and {'what was done' if desktop else 'a caption'} "
        f"alone.{' The codec here is a linear one, not the VAE of the paper.' if linear else ''}"
    )
    if not desktop:
        paper.text(
            "PSNR and SSIM flatter black screens, so read them beside the characters: new characters are those that are not "
            "on the first screen, and a copy of the first frame gets none of them."
        )
    paper.table(metrics["table"], "Scores by what the caption said; the last two rows are a floor and a ceiling.")
    if "wrong_answer" in arms:
        paper.text(
            "If the machine computed, an answer in the caption would not matter and a wrong one would be put right. One "
            "that draws what it is told, as half of the captions of recipe repl teach, is right with the answer and draws the "
            "wrong one: that is rendering."
        )
    paper.table([{"stage": k, "seconds": v} for k, v in metrics["seconds"].items()], "Wall time.")
    curves(paper, workdir)
    paper.heading("Truth over rollout")
    truth = evaluate.truth(windows)
    made = {name: arm.videos for name, arm in arms.items() if name != "copy of frame 0"}
    for i in np.linspace(0, len(windows) - 1, min(4, len(windows))).astype(int):
        videos = {"truth": truth[i]} | {name.replace("_", " "): videos[i] for name, videos in made.items()}
        if desktop:
            videos = {name: overlay_actions(video, windows[i]) for name, video in videos.items()}
        paper.image(media.strip(videos, scale=1), f"{windows[i].id}: {' / '.join(windows[i].captions.values())}")
    first = next(iter(made))
    paper.gif(media.upscale(made[first][0], 4), windows[0].fps, f"{windows[0].id}, {first.replace('_', ' ')}")
    paper.save(workdir / "report.html")


def curves(paper: report.Page, workdir: Path) -> None:
    """Loss and held-out figures over the steps."""
    lines = read_metrics(workdir)
    loss = [(line["step"], line["loss"]) for line in lines if "loss" in line]
    if loss:
        paper.heading("Training")
        xs, ys = zip(*loss, strict=True)
        paper.curve({"loss": (xs, ys)}, "Training loss.", "step", "loss", log=True)
    held = [line for line in lines if any(name.startswith("held_out/") for name in line)]
    known = [name for name in (held[0] if held else {}) if name.startswith("held_out/")]
    for name in (name for name in known if name.startswith("held_out/metrics/")):
        points = [(line["step"], line[name]) for line in held if name in line]
        xs, ys = zip(*points, strict=True)
        paper.curve({name: (xs, ys)}, "Held-out videos on the way.", "step", name.split("/")[-1])
    shares = [name for name in known if not any(other in name for other in ("psnr", "ssim", "metrics/"))]
    if shares:
        steps = [line["step"] for line in held]
        named = {n.removeprefix("held_out/").replace("_", " "): (steps, [line[n] for line in held]) for n in shares}
        paper.curve(named, "Held-out videos on the way, by the averaged parameters.", "step", "share")
