"""Is text readable through a codec? Screens of many font sizes and densities, encoded, decoded and read again.

    python -m launch.reconstruct --workdir=DIR --out=DIR      # what was trained there: a computer's codec, or a VAE
    python -m launch.reconstruct --init=CONVERTED --out=DIR   # the VAE in a folder that launch.convert_weights wrote

Writes OUT/metrics.json and report.html: a table, a plot a metric, and screens. Broken off, the same command goes on.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from tqdm import tqdm

from neural_computer import media, report
from neural_computer.convert import pretrained
from neural_computer.evals import evaluate, sweep
from neural_computer.evals.results import ClipResult, Journal
from neural_computer.evals.scorer import Scorer
from neural_computer.evals.sweep import Kind
from neural_computer.launch import errors
from neural_computer.types import PyTree
from neural_computer.workflows import lock, metrics, workdir
from neural_computer.workflows import trained as trained_computer

WORKDIR = flags.DEFINE_string("workdir", None, "A trained workdir.")
INIT = flags.DEFINE_string("init", None, "A converted folder with a VAE.")
FONTS = flags.DEFINE_list("fonts", ["6", "8", "10", "13", "16", "20"], "Font sizes in pixels.")
DENSITIES = flags.DEFINE_list("densities", ["0.1", "0.4", "0.8"], "How much of every line is text.")
SIZE = flags.DEFINE_string("size", "480x832", "HEIGHTxWIDTH of the screens.")
FRAMES = flags.DEFINE_integer("frames", 9, "Frames of a video, 4k + 1.", lower_bound=1)
VIDEOS = flags.DEFINE_integer("videos", 2, "Videos of every font size and density.", lower_bound=1)
OUT = flags.DEFINE_string("out", None, "Where the results go.")


def main(argv: list[str]) -> None:
    del argv
    found = re.fullmatch(r"(\d+)x(\d+)", SIZE.value)
    if not found or any(int(side) % 8 for side in found.groups()):
        raise ValueError(f"--size={SIZE.value}: must be HEIGHTxWIDTH, multiples of 8")
    size, out = (int(found[1]), int(found[2])), Path(OUT.value)
    codec, params, settings = given()
    kinds = [Kind(int(pixels), float(density)) for pixels in FONTS.value for density in DENSITIES.value]
    coded, scorer = evaluate.Coded(codec), Scorer(sweep.METRICS, "full", metrics.tesseract(out / "read"))
    with lock.held(out):
        videos = sweep.swept(
            lambda windows: coded(params, windows),
            scorer,
            kinds,
            size,
            FRAMES.value,
            VIDEOS.value,
            Journal(out / "videos.jsonl"),
            settings,
        )
        clips = list(tqdm(videos, total=len(kinds) * VIDEOS.value, desc="videos", unit="video", dynamic_ncols=True))
        rows = sweep.table(clips)
        (out / "metrics.json").write_text(json.dumps({"settings": settings, "table": rows}, indent=2) + "\n")
        html_report(rows, clips, size, codec, params).save(out / "report.html")
    print(report.plain(rows))
    print(f"{out}/report.html")


def given() -> tuple[Any, PyTree, dict[str, Any]]:
    """(codec, its parameters, what tells it from others). Raises ValueError unless the flags name one."""
    if INIT.value is not None:
        codec, params = pretrained.load_pretrained(INIT.value, "vae")
        return codec, params, {"init": INIT.value}
    if WORKDIR.value is None:
        raise ValueError("--workdir: is missing; give a trained workdir, or --init with a converted VAE")
    if (Path(WORKDIR.value) / workdir.CONFIG).exists() and workdir.trains_codec(Path(WORKDIR.value)):
        codec, params, step = workdir.load_codec(WORKDIR.value)
        return codec, params, {"workdir": WORKDIR.value, "step": step}
    trained = trained_computer.load(WORKDIR.value)
    return trained.computer.codec, trained.params.frozen.codec, {"workdir": WORKDIR.value, "step": trained.step}


def html_report(
    rows: list[dict[str, Any]],
    clips: Sequence[tuple[Kind, ClipResult]],
    size: tuple[int, int],
    codec: Any,
    params: PyTree,
) -> report.Page:
    """The page."""
    paper = report.Page(f"Text through a codec: {WORKDIR.value or INIT.value}")
    paper.text(
        "PSNR and SSIM of a whole screen are mostly those of its background. Where the text is (psnr_text, ssim_text), and "
        "by what can be read, they tell more. What Tesseract cannot read on the true screen no codec has spoilt."
    )
    paper.table(rows, f"Means over {VIDEOS.value} videos of {FRAMES.value} frames of {SIZE.value}.")
    densities = dict.fromkeys(row["full"] for row in rows)
    for name in [column for column in rows[0] if column not in ("font px", "full")]:
        lines = {f"{d:g} full": [(row["font px"], row[name]) for row in rows if row["full"] == d] for d in densities}
        curves = {label: ([x for x, _ in points], [y for _, y in points]) for label, points in lines.items()}
        paper.curve(curves, f"{name} by the font's size.", "font, pixels", name)
    paper.heading("Screens, true over decoded")
    coded = evaluate.Coded(codec)
    for kind in dict.fromkeys(kind for kind, _ in clips):
        window = sweep.video(kind, size, FRAMES.value, 0)
        pair = [video[-1:, :96, :320] for video in (window.frames, coded(params, [window])[0])]
        paper.image(media.upscale(np.concatenate(pair, axis=1)[0], 2), f"{kind.pixels} px, {kind.density:g} full")
    return paper


if __name__ == "__main__":
    flags.mark_flags_as_required(["out"])
    errors.run(main)
