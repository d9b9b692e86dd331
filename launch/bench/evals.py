"""The metrics beside torchmetrics, lpips and torchvision: terminal videos of 81 frames of 832x480, every frame.

    taskset -c 0 neural-computer bench --suite=evals

A turn is a clip, ten with the first that warms up. Weights are the same on both sides (R3D-18's are random), and so must
the results be. I3D and LPIPS by VGG have no peer of these libraries that can be installed. Frames are in memory.
"""

import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from neural_computer.evals import frames
from neural_computer.evals.features import R3D18
from neural_computer.evals.inputs import Instruments
from neural_computer.evals.pairs import VideoPair
from neural_computer.evals.scorer import Scorer
from neural_computer.launch.bench import metric_peers
from neural_computer.launch.bench.case import Case
from neural_computer.models import r3d
from neural_computer.screens.terminal import Atlas, blank

CLIPS, FRAMES, FPS = 10, 81, 15.0
CLOSE = {"psnr": 1e-4, "ssim": 1e-5, "lpips": 1e-5, "fvd_r3d18": 1e-4}
"""How far results may differ, relative to their magnitude"""
AGAINST = {
    "psnr": "torchmetrics",
    "ssim": "torchmetrics",
    "lpips": "lpips",
    "fvd_r3d18": "torchvision",
}
SLOWER = "PyTorch's convolutions (oneDNN) are a little faster on a CPU than XLA's, of which R3D-18 consists"


def cases() -> Iterator[Case]:
    """One after the other. Raises RuntimeError without the peers, and where results differ."""
    if lacking := metric_peers.missing():
        raise RuntimeError(
            f"--suite=evals: needs {lacking[0]}, which is not installed: pip install torch torchmetrics lpips torchvision"
        )
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    pairs = videos()
    tensors, features = metric_peers.r3d18()
    params = r3d.params_from({key: x.shape for key, x in tensors.items()}, tensors.__getitem__)
    far = metric_peers.lpips()

    def clip(video: np.ndarray) -> np.ndarray:
        return frames.resize(video[frames.sixteen_frames(len(video))], R3D18().size)

    def peer(pair: VideoPair, names: tuple[str, ...]) -> dict[str, Any]:
        scores: dict[str, Any] = {}
        if "ssim" in names:
            scores["psnr"], scores["ssim"] = metric_peers.pixels(pair.generated, pair.reference)
        if "lpips" in names:
            scores["lpips"] = far(pair.generated, pair.reference)
        if "fvd_r3d18" in names:
            scores["fvd_r3d18"] = np.stack([features(clip(video)) for video in (pair.generated, pair.reference)])
        return scores

    for names in (("psnr", "ssim"), ("lpips",), ("fvd_r3d18",), tuple(CLOSE)):
        scorer = Scorer(names, Instruments("full", r3d18=params))
        yield compared(names, scorer, pairs, peer)
    yield turns("fvd by I3D", "", Scorer(("fvd",), Instruments("full")), pairs, None)
    yield turns("lpips_vgg, the paper's view", "", Scorer(("lpips_vgg",)), pairs, None)


def videos() -> list[VideoPair]:
    """Screens that fill with words; the generated ones are noisy and lag."""
    rng, atlas, pairs = np.random.default_rng(0), Atlas(), []
    for number in range(CLIPS):
        cells = blank(30, 104)
        cells.chars[:] = rng.integers(33, 127, cells.chars.shape) * (rng.random(cells.chars.shape) < 0.4)
        cells.chars[cells.chars == 0] = ord(" ")
        screen, empty = atlas.draw(cells), atlas.draw(blank(30, 104))
        rows = np.minimum(np.arange(FRAMES) * 6, 480)
        reference = np.stack([np.concatenate([screen[:row], empty[row:]]) for row in rows])
        noise = rng.integers(-12, 13, reference.shape, np.int16)
        generated = np.clip(reference[np.maximum(np.arange(FRAMES) - 2, 0)] + noise, 0, 255).astype(np.uint8)
        pairs.append(VideoPair(f"clip {number}", generated, reference, FPS))
    return pairs


def compared(
    names: tuple[str, ...],
    scorer: Scorer,
    pairs: list[VideoPair],
    peer: Callable[[VideoPair, tuple[str, ...]], dict[str, Any]],
) -> Case:
    """The case of metrics whose results are the same on the first clip."""
    (ours,), theirs, apart = scorer(pairs[:1]), peer(pairs[0], names), 0.0
    for name, value in (ours.values | ours.features).items():
        gap = float(np.abs(value - theirs[name]).max() / np.abs(theirs[name]).max())
        if gap > CLOSE[name]:
            raise RuntimeError(f"{name}: results are {gap:.1e} apart; rounding explains {CLOSE[name]:.0e}")
        apart = max(apart, gap)
    against = ", ".join(dict.fromkeys(AGAINST[name] for name in names))
    why = SLOWER if "fvd_r3d18" in names else ""
    return turns(", ".join(names), against, scorer, pairs, lambda pair: peer(pair, names), why, apart)


def turns(
    name: str,
    against: str,
    scorer: Scorer,
    pairs: list[VideoPair],
    peer: Callable[[VideoPair], Any] | None,
    why: str = "",
    apart: float | None = None,
) -> Case:
    """A case of which every call takes the next clip; both take the same."""
    ours, theirs = itertools.cycle(pairs), itertools.cycle(pairs)
    run = (lambda: peer(next(theirs))) if peer else None
    return Case(name, against, "clips/min", 60, lambda: scorer([next(ours)]), run, why, apart)
