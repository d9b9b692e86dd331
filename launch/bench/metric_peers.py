"""The metrics as PyTorch's libraries have them, with our weights: what the suite `evals` runs beside ours."""

import importlib.util
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from neural_computer.models.lpips import LPIPS

CHUNK = 9
"""Frames that PyTorch's networks and its SSIM take at once: of more it keeps more than fits the cache"""
SLICES = ("slice1.0", "slice2.3", "slice3.6", "slice4.8", "slice5.10")
"""AlexNet's convolutions, as lpips names them"""


def missing() -> list[str]:
    """What the suite needs that is not installed."""
    return [
        name for name in ("torch", "torchmetrics", "lpips", "torchvision") if importlib.util.find_spec(name) is None
    ]


@cache
def torchvision() -> Any:
    """The package; where its operators are built for CUDA and cannot load, they are declared, for its networks use none."""
    import torch

    try:
        torch.ops.load_library(str(next(_home().glob("_C*.so"))))
    except (OSError, StopIteration):
        operators = torch.library.Library("torchvision", "DEF")
        source = (_home() / "_meta_registrations.py").read_text()
        for name in sorted(set(re.findall(r'torchvision::(\w+)"|register_meta\("(\w+)"', source))):
            operators.define("".join(name) + "() -> ()")
        _kept.append(operators)
    import torchvision

    return torchvision


_kept: list[Any] = []
"""Operators are declared as long as what declared them lives"""


def _home() -> Path:
    spec = importlib.util.find_spec("torchvision")
    return Path(spec.origin).parent if spec and spec.origin else Path()


def frames_of(video: np.ndarray) -> Any:
    """A video as torch has it, (t, 3, h, w) in [0, 1]."""
    import torch

    return torch.from_numpy(video).permute(0, 3, 1, 2).float() / 255


def pixels(generated: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """(PSNR, SSIM) by torchmetrics."""
    from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

    x, y = frames_of(generated), frames_of(reference)
    ssim: Any = structural_similarity_index_measure
    parts = [float(ssim(a, b, data_range=1.0)) * len(a) for a, b in zip(x.split(CHUNK), y.split(CHUNK), strict=True)]
    return float(peak_signal_noise_ratio(x, y, data_range=1.0)), sum(parts) / len(x)


def lpips() -> Callable[[np.ndarray, np.ndarray], float]:
    """LPIPS by its authors' package, with the published weights as ours reads them."""
    import torch

    torchvision()
    import lpips

    network, params = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).eval(), LPIPS("alexnet").load()
    state: dict[str, Any] = {}
    for i, name in enumerate(SLICES):
        conv = params["AlexNet_0"][f"Conv_{i}"]
        state |= {f"net.{name}.weight": conv["kernel"].transpose(3, 2, 0, 1), f"net.{name}.bias": conv["bias"]}
        head = params[f"NetLinLayer_{i}"]["Conv_0"]["kernel"].transpose(3, 2, 0, 1)
        state |= {f"lin{i}.model.1.weight": head, f"lins.{i}.model.1.weight": head}
    network.load_state_dict({key: torch.tensor(np.asarray(value)) for key, value in state.items()}, strict=False)

    def run(generated: np.ndarray, reference: np.ndarray) -> float:
        with torch.no_grad():
            pairs = zip(frames_of(generated).split(CHUNK), frames_of(reference).split(CHUNK), strict=True)
            return float(torch.cat([network(2 * x - 1, 2 * y - 1).flatten() for x, y in pairs]).mean())

    return run


def r3d18() -> tuple[dict[str, np.ndarray], Callable[[np.ndarray], np.ndarray]]:
    """torchvision's network with random weights: (its tensors, what gives the features of a clip of 16 frames)."""
    import torch

    from neural_computer.models import r3d

    torch.manual_seed(0)
    network = torchvision().models.video.r3d_18(weights=None).eval()
    tensors = {key: value.numpy() for key, value in network.state_dict().items()}
    network.fc = torch.nn.Identity()
    mean, std = (torch.tensor(x)[:, None, None, None] for x in (r3d.MEAN, r3d.STD))

    def run(clip: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return network(((frames_of(clip).transpose(0, 1) - mean) / std)[None]).numpy()[0]

    return tensors, run
