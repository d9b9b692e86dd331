"""Does a codec keep text readable? Screens of many font sizes and densities, encoded, decoded and read again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from neural_computer import files, media, report
from neural_computer.convert import pretrained
from neural_computer.evals import sweep
from neural_computer.evals.evaluate import CodecReconstruction
from neural_computer.evals.inputs import Instruments
from neural_computer.evals.results import Journal
from neural_computer.evals.scorer import Scorer
from neural_computer.evals.sweep import SweepPoint
from neural_computer.types import Clip, PyTree
from neural_computer.workflows import lock
from neural_computer.workflows import trained as trained_computer
from neural_computer.workflows import workdir as workdirs
from neural_computer.workflows.metrics import read_with


@dataclass(frozen=True)
class SweepOptions:
    """Which screens are encoded.

    Attributes:
        fonts: font sizes in pixels.
        densities: shares of every line that are text.
        size: (height, width) of the screens in pixels, multiples of 8.
        frames: frames of a video, 4k + 1.
        videos: videos of every font size and density.
    """

    fonts: tuple[int, ...] = (6, 8, 10, 13, 16, 20)
    densities: tuple[float, ...] = (0.1, 0.4, 0.8)
    size: tuple[int, int] = (480, 832)
    frames: int = 9
    videos: int = 2

    def __post_init__(self) -> None:
        if any(side % 8 for side in self.size):
            raise ValueError(f"size={self.size[0]}x{self.size[1]}: must be HEIGHTxWIDTH, multiples of 8")

    @property
    def points(self) -> list[SweepPoint]:
        """Every font size with every density."""
        return [SweepPoint(pixels, density) for pixels in self.fonts for density in self.densities]


@dataclass(frozen=True)
class Codec:
    """A codec with its parameters, and what names it in results."""

    codec: Any
    params: PyTree
    settings: Mapping[str, Any]

    def __call__(self, clips: Sequence[Clip]) -> np.ndarray:
        """The clips' videos, encoded and decoded."""
        return self._reconstruction(self.params, clips)

    @cached_property
    def _reconstruction(self) -> CodecReconstruction:
        return CodecReconstruction(self.codec)


def load_codec(workdir: str | Path | None = None, init: str | Path | None = None) -> Codec:
    """The codec trained in a workdir or used by the computer trained there, or the VAE of a converted folder.

    Raises CheckpointError, and ValueError without either.
    """
    if init is not None:
        codec, params = pretrained.load_pretrained(init, "vae")
        return Codec(codec, params, {"init": str(init)})
    if workdir is None:
        raise ValueError("--machine: is missing; give a trained machine, or --init with a converted VAE")
    if (Path(workdir) / workdirs.CONFIG).exists() and workdirs.trains_codec(Path(workdir)):
        codec, params, step = workdirs.load_codec(workdir)
        return Codec(codec, params, {"workdir": str(workdir), "step": step})
    trained = trained_computer.load(workdir)
    settings = {"workdir": str(workdir), "step": trained.step}
    return Codec(trained.computer.codec, trained.params.frozen.codec, settings)


def reconstruct(codec: Codec, out: Path, options: SweepOptions | None = None) -> list[dict[str, Any]]:
    """A row of mean scores per font size and density; writes metrics.json and report.html.

    Interrupted, the same call resumes after the last scored video.
    """
    options = options or SweepOptions()
    scorer = Scorer(sweep.METRICS, Instruments("full", read_with("tesseract", out / "read")))
    with lock.exclusive(out):
        results = sweep.sweep(
            codec,
            scorer,
            options.points,
            options.size,
            options.frames,
            options.videos,
            Journal(out / "videos.jsonl"),
            codec.settings,
        )
        count = len(options.points) * options.videos
        rows = sweep.table(list(tqdm(results, total=count, desc="videos", unit="video", dynamic_ncols=True)))
        content = {"settings": dict(codec.settings), "table": rows}
        files.write_whole(out / "metrics.json", json.dumps(content, indent=2) + "\n")
        _html_report(rows, codec, options).save(out / "report.html")
    return rows


def _html_report(rows: list[dict[str, Any]], codec: Codec, options: SweepOptions) -> report.Page:
    """The report: the table, a plot per score, screens before and after."""
    page = report.Page(f"Text through a codec: {codec.settings.get('workdir') or codec.settings['init']}")
    page.text(
        "PSNR and SSIM of a whole screen are mostly those of its background. Scores of the text's pixels (psnr_text, ssim_text) "
        "and of what can be read say more. What Tesseract cannot read on the true screen is no fault of the codec."
    )
    height, width = options.size
    page.table(rows, f"Means over {options.videos} videos of {options.frames} frames of {height}x{width}.")
    densities = dict.fromkeys(row["full"] for row in rows)
    for name in [column for column in rows[0] if column not in ("font px", "full")]:
        lines = {f"{d:g} full": [(row["font px"], row[name]) for row in rows if row["full"] == d] for d in densities}
        curves = {label: ([x for x, _ in points], [y for _, y in points]) for label, points in lines.items()}
        page.curve(curves, f"{name} by the font's size.", "font, pixels", name)
    page.heading("Screens, true beside decoded")
    for point in options.points:
        clip = sweep.video(point, options.size, options.frames, 0)
        pair = [video[-1:, :96, :320] for video in (clip.frames, codec([clip])[0])]
        page.image(media.upscale(np.concatenate(pair, axis=1)[0], 2), f"{point.pixels} px, {point.density:g} full")
    return page
