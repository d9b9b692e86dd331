"""Scorers made of options or of a config, and R3D-18's weights from a file that the user names."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from jax.sharding import Mesh

from neural_computer import errors
from neural_computer.convert import sources
from neural_computer.evals import ocr
from neural_computer.evals.inputs import Instruments
from neural_computer.evals.scorer import Scorer
from neural_computer.evals.text import GlyphReader
from neural_computer.experiment import Experiment
from neural_computer.models import r3d
from neural_computer.types import PyTree

READERS = ("tesseract", "glyphs")
CURSOR_HEIGHT = 19.0
"""In pixels, of videos without a computer"""


@dataclass(frozen=True)
class MetricOptions:
    """Which metrics are computed, over which frames, with what.

    Attributes:
        names: entries of `evals.METRICS`; the first one ranks the clips.
        view: "paper" (5 s, 3 frames per second, 256x256) or "full" (every frame as it is).
        reader: what reads text, "tesseract" or "glyphs" (our own font, 8x16).
        r3d18: the file of torchvision's r3d_18 weights, which fvd_r3d18 needs.
        cursor_height: height of the videos' cursor in pixels; None for that of the computer, or 19.
        mesh: devices that share the work; None for one.
    """

    names: tuple[str, ...] = ("psnr", "ssim", "lpips")
    view: str = "paper"
    reader: str = "tesseract"
    r3d18: Path | None = None
    cursor_height: float | None = None
    mesh: Mesh | None = None

    def scorer(self, cache: Path | None = None) -> Scorer:
        """The scorer; readings are kept in the folder `cache`. Raises ValueError for what is unknown or missing."""
        weights = None if self.r3d18 is None else r3d18(self.r3d18)
        reader, height = read_with(self.reader, cache), self.cursor_height or CURSOR_HEIGHT
        return Scorer(self.names, Instruments(self.view, reader, height, weights, self.mesh))


def config_options(experiment: Experiment, mesh: Mesh | None = None) -> MetricOptions | None:
    """The metrics that config.evaluation names; None for no names."""
    wanted = experiment.evaluation
    names = tuple(filter(None, wanted.metrics.split(",")))
    if not names:
        return None
    options = MetricOptions(names, wanted.view, r3d18=Path(wanted.r3d18) if wanted.r3d18 else None, mesh=mesh)
    return with_cursor_of(options, experiment)


def with_cursor_of(options: MetricOptions, experiment: Experiment) -> MetricOptions:
    """The options with the cursor height of an experiment's computer, unless they have one; a codec has no cursor."""
    if options.cursor_height is not None or experiment.trains_codec:
        return options
    return replace(options, cursor_height=experiment.computer.conditioner.cursor_height)


def read_with(name: str, cache: Path | None = None) -> ocr.Reader:
    """One of `READERS`: Tesseract in a process per core, or the exact reader of our own font. Raises ValueError."""
    errors.one_of("reader", name, READERS)
    if name == "glyphs":
        return GlyphReader(colours=True)
    return ocr.Tesseract(processes=len(os.sched_getaffinity(0)), cache=cache)


def r3d18(path: Path) -> PyTree:
    """R3D-18's parameters from .safetensors, .npz, or a state dict saved by PyTorch, of which only tensors are read.

    Nothing in the file is executed. Raises ValueError.
    """
    if not path.is_file():
        raise ValueError(f"r3d18={path}: is no file; give torchvision's r3d_18 weights")
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as stored:
                arrays = dict(stored)
            return r3d.params_from({key: x.shape for key, x in arrays.items()}, arrays.__getitem__)
        (source,), _ = sources.find(path)
        return r3d.params_from(source.shapes, source.get)
    except (ValueError, OSError, EOFError, BadZipFile) as error:
        raise ValueError(f"r3d18={path}: {str(error).removeprefix(f'{path}: ')}") from error
