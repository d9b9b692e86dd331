"""Finding 8: the cursor needs visual supervision. The paper: right in 8.7 % of frames by (x, y), 98.7 by a rendered reference.

    python -m launch.reproduce --finding=f08

The synthetic desktop of 128 pixels, clips that differ in one click, `internal` injection; three ways to say where the pointer
is. Control: the reference is withheld in the last half of every clip. Is the arrow predicted, or shown?

Nine runs of 400 steps.
"""

from ml_collections import ConfigDict

from neural_computer.configs.findings import worlds
from neural_computer.workflows.findings import Arm, Claim, Results, every

TITLE = "The cursor needs visual supervision"
ARMS = {
    "xy": "its position as two numbers",
    "fourier": "Fourier features of it",
    "reference": "a rendered arrow and its mask beside the latents",
}
SOURCE = "arXiv 2604.06425v2: cursor accuracy"
PAPER = (
    {"arm": "xy", "cursor right": 0.087},
    {"arm": "fourier", "cursor right": 0.135},
    {"arm": "reference", "cursor right": 0.987},
)
COLUMNS = {
    "open/cursor_acc": "cursor right",
    "open/click_state": "click right",
    "open/psnr": "PSNR",
    "open/cursor_acc_constant_velocity": "of one that keeps its velocity",
    "open, last half/cursor_acc": "last half",
    "withheld/cursor_acc": "last half, reference withheld",
    "codec/cursor_acc": "codec",
}
DIFFERS = ("A synthetic desktop of 128x128 pixels, clips of 9 frames, 400 steps.",)


def needs_pictures(results: Results) -> bool | None:
    """The reference is above both ways of giving numbers."""
    return every(
        *(results.above(("reference", "open/cursor_acc"), (other, "open/cursor_acc")) for other in ("xy", "fourier"))
    )


CLAIM = (
    Claim("Only with a rendered reference does the arrow stand where the mouse is.", needs_pictures),
    Claim(
        "Control: it is shown rather than predicted; without the reference in the last half it is lost there.",
        lambda results: results.above(
            ("reference", "open, last half/cursor_acc"), ("reference", "withheld/cursor_acc")
        ),
    ),
)


def arm(name: str, size: str = "micro") -> Arm:
    """An arm at a size."""
    config = worlds.desktop(size, "clicks" if size != "paper" else "goal", cursor=name)
    data = worlds.desktop_data(size, "clicks" if size != "paper" else "goal")
    return Arm(ARMS[name], config, data, seeds=3, measure="withheld")


def get_config(arm_name: str, size: str = "micro") -> ConfigDict:
    """The config of an arm at a size."""
    return arm(arm_name, size).config
