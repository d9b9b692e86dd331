"""Judges a trained computer on held-out films: python -m launch.evaluate --workdir=DIR

Writes metrics.json and report.html to the workdir and prints the table. Done already for the newest checkpoint, it shows
the result again.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from launch import faults
from neural_computer import build, media, page
from neural_computer import workdir as workdirs
from neural_computer.data import encoded
from neural_computer.data.windows import WindowSource
from neural_computer.evals import evaluate
from neural_computer.train.loop import read_metrics

WORKDIR = flags.DEFINE_string("workdir", None, "A trained workdir.")
SPLIT = flags.DEFINE_string("split", None, "The films to score; by default the config's (evaluation.split).")
SEED = flags.DEFINE_integer("seed", 0, "Seed of the rollouts' noise.")
AGAIN = flags.DEFINE_boolean("again", False, "Evaluate even if it was done for this checkpoint.")

SHOWN = {
    "psnr": "PSNR dB",
    "ssim": "SSIM",
    "char_acc": "characters",
    "new_char_acc": "new characters",
    "exact_lines": "lines exact",
    "exact_last_screen": "last screen exact",
    "typed_line_exact": "typed line exact",
    "output_exact": "output exact",
    "wrong_obeyed": "wrong answer drawn",
}


def main(argv: list[str]) -> None:
    del argv
    workdir = Path(WORKDIR.value)
    begin = time.monotonic()
    trained = workdirs.load(workdir)
    asked: dict[str, Any] = {
        "step": trained.step,
        "split": SPLIT.value or trained.experiment.evaluation.split,
        "seed": SEED.value,
    }
    done = workdir / "metrics.json"
    if done.exists() and not AGAIN.value:
        metrics = json.loads(done.read_text())
        if {name: metrics.get(name) for name in asked} == asked and (workdir / "report.html").exists():
            show(workdir, metrics)
            return
    windows, arms = judged(trained, asked["split"], asked["seed"])
    metrics = evaluate.headline(arms) | {
        **asked,
        "films": len(windows),
        "table": table(arms),
        "seconds": seconds(trained, workdir) | {"evaluate": round(time.monotonic() - begin, 1)},
    }
    report(workdir, metrics, windows, arms)
    temporary = done.with_suffix(".partial")
    temporary.write_text(json.dumps(metrics, indent=2) + "\n")
    temporary.replace(done)
    show(workdir, metrics)


def judged(trained: workdirs.Trained, split: str, seed: int) -> tuple[list[evaluate.Window], dict[str, evaluate.Arm]]:
    """Windows of a split and, by arm, what became of them."""
    experiment = trained.experiment
    data, wanted = experiment.data, experiment.evaluation
    source = WindowSource(encoded.films(data.directory), split, data.frames, data.stride)
    build.check_films(experiment, source[0])
    windows = evaluate.spread(source, wanted.films)
    rollout = evaluate.Rollout(experiment.computer, experiment.tokenizer, wanted.batch_size, experiment.away())
    tier = next(iter(data.captions))
    return windows, evaluate.evaluate(rollout, evaluate.Judge(), trained.params, windows, tier, seed)


def table(arms: Mapping[str, evaluate.Arm]) -> list[dict[str, Any]]:
    """A row an arm, a column a score."""
    return [
        {"prompt": name.replace("_", " ")} | {SHOWN[k]: v for k, v in arm.means().items() if k in SHOWN}
        for name, arm in arms.items()
    ]


def seconds(trained: workdirs.Trained, workdir: Path) -> dict[str, float]:
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
    print(page.plain(metrics["table"]))
    print()
    print(page.plain([{"figure": name, "value": value} for name, value in figures.items()]))
    print(
        f"\n{metrics['films']} films of split {metrics['split']}, step {metrics['step']}; {spent}\n{workdir}/report.html"
    )


def report(
    workdir: Path, metrics: Mapping[str, Any], windows: list[evaluate.Window], arms: Mapping[str, evaluate.Arm]
) -> None:
    """report.html: tables, the loss, truth over rollout, a film."""
    paper = page.Page(f"{workdir.name}: {metrics['films']} films of split {metrics['split']}, step {metrics['step']}")
    paper.text(
        "Every film below was drawn by the model from its first frame and a caption alone. PSNR and SSIM flatter black "
        "screens, so read them beside the characters: new characters are those that are not on the first screen, and a "
        "copy of the first frame gets none of them. The codec here is a linear one, not the paper's VAE."
    )
    paper.table(metrics["table"], "Scores by what the caption said; the last two rows are a floor and a ceiling.")
    if "wrong_answer" in arms:
        paper.text(
            "If the machine computed, an answer in the caption would not matter and a wrong one would be put right. It "
            "draws what it is told: that is rendering, and half of the training captions taught it."
        )
    paper.table([{"stage": k, "seconds": v} for k, v in metrics["seconds"].items()], "Wall time.")
    curves(paper, workdir)
    paper.heading("Truth over rollout")
    truth = evaluate.truth(windows)
    made = {name: arm.films for name, arm in arms.items() if name not in ("copy of frame 0",)}
    for i in np.linspace(0, len(windows) - 1, min(4, len(windows))).astype(int):
        films = {"truth": truth[i]} | {name.replace("_", " "): films[i] for name, films in made.items()}
        paper.image(media.strip(films, scale=1), f"{windows[i].id}: {' / '.join(windows[i].captions.values())}")
    first = next(iter(made))
    paper.gif(media.upscale(made[first][0], 4), windows[0].fps, f"{windows[0].id}, {first.replace('_', ' ')}")
    paper.save(workdir / "report.html")


def curves(paper: page.Page, workdir: Path) -> None:
    """Loss and held-out figures over the steps."""
    lines = read_metrics(workdir)
    loss = [(line["step"], line["loss"]) for line in lines if "loss" in line]
    if loss:
        paper.heading("Training")
        xs, ys = zip(*loss, strict=True)
        paper.curve({"loss": (xs, ys)}, "Training loss.", "step", "loss", log=True)
    held = [line for line in lines if any(name.startswith("held_out/") for name in line)]
    shares = [n for n in (held[0] if held else {}) if n.startswith("held_out/") and "psnr" not in n and "ssim" not in n]
    if shares:
        steps = [line["step"] for line in held]
        named = {n.removeprefix("held_out/").replace("_", " "): (steps, [line[n] for line in held]) for n in shares}
        paper.curve(named, "Held-out films on the way, by the averaged parameters.", "step", "share")


if __name__ == "__main__":
    flags.mark_flags_as_required(["workdir"])
    faults.run(main)
