"""The metrics that a config asks for, and R3D-18's weights from a file that the user names."""

import os
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from jax.sharding import Mesh

from neural_computer.convert import sources
from neural_computer.evals import ocr
from neural_computer.evals.scorer import Scorer
from neural_computer.experiment import Experiment
from neural_computer.models import r3d
from neural_computer.types import PyTree


def scorer(experiment: Experiment, mesh: Mesh | None = None) -> Scorer | None:
    """What config.evaluation.metrics names, None for nothing; its work split among a mesh's devices."""
    wanted = experiment.evaluation
    names = tuple(filter(None, wanted.metrics.split(",")))
    if not names:
        return None
    weights = r3d18(Path(wanted.r3d18)) if wanted.r3d18 else None
    arrow = 19.0 if experiment.trains_codec else experiment.computer.conditioner.cursor_height  # a codec has no mouse
    return Scorer(names, wanted.view, tesseract(), arrow, weights, mesh)


def tesseract(cache: Path | None = None) -> ocr.Tesseract:
    """Tesseract in a process a core."""
    return ocr.Tesseract(processes=len(os.sched_getaffinity(0)), cache=cache)


def r3d18(path: Path) -> PyTree:
    """The network's parameters: of .safetensors, .npz, or a state dict that PyTorch saved, of which tensors are read and
    nothing is run. Raises ValueError."""
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
