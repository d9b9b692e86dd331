"""Finding 2: PSNR and SSIM plateau early. The paper: at 25,000 of 460,000 steps, while text goes on getting better.

    python -m launch.reproduce --finding=f02

The runs are finding 4's.
"""

from ml_collections import ConfigDict

from neural_computer.configs.findings import f04
from neural_computer.workflows.findings import Arm, Claim, Results

TITLE = "PSNR and SSIM flatten while text goes on"
ARMS = f04.ARMS
SOURCE = "arXiv 2604.06425v2, a curve: flat from about 25,000 steps of 460,000 on"
PAPER = ()
COLUMNS = {
    "open/psnr": "PSNR",
    "open/ssim": "SSIM",
    "open/new_char_acc": "new characters",
    "open/exact_last_screen": "last screen exact",
    "copy/ssim": "SSIM of a copy",
    "codec/psnr": "PSNR of the codec",
}
CURVES = ("psnr", "ssim", "new_char_acc", "exact_last_screen")
DIFFERS = f04.DIFFERS


def gained(results: Results, curve: str, share: float) -> float | None:
    """Of all that a value gains from its first measure to its last, what it has after a share of the steps; mean of seeds."""
    points = results.curve("long", curve)
    if not points:
        return None
    first, last = points[min(points)], points[max(points)]
    then = f04.at(results, curve, share) or []
    gains = [(b - a) / (c - a) for a, b, c in zip(first, then, last, strict=True) if c != a]
    return sum(gains) / len(gains) if gains else None


def flattens(results: Results, curve: str) -> bool | None:
    """At half of the steps the pixels have nine tenths of what they reach, and whole screens less than the pixels."""
    pixels, screens = gained(results, curve, 0.5), gained(results, "exact_last_screen", 0.5)
    return None if pixels is None or screens is None else pixels > 0.9 and screens < pixels - 0.1


CLAIM = (
    Claim(
        "PSNR has nine tenths of its gain at half of the steps; exact screens are well behind.",
        lambda r: flattens(r, "psnr"),
    ),
    Claim("So has SSIM.", lambda r: flattens(r, "ssim")),
)


def arm(name: str, size: str = "micro") -> Arm:
    """An arm at a size: finding 4's."""
    return f04.arm(name, size)


def get_config(arm_name: str, size: str = "micro") -> ConfigDict:
    """The config of an arm at a size."""
    return arm(arm_name, size).config
