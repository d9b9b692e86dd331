"""Finding 3: literal captions drive fidelity. The paper: 21.90, 23.63 and 26.89 dB with semantic, regular and detailed ones.

    python -m launch.reproduce --finding=f03

Sessions of a real bash that print a file of numbers; the three captions are those that the library's data engine writes of any
terminal: semantic has neither the command nor a number, regular the command and the first and last rows of what it printed,
detailed all that is on the last screen.

Nine runs of 700 steps.
"""

from ml_collections import ConfigDict

from neural_computer.configs.findings import worlds
from neural_computer.workflows.findings import Arm, Claim, Results, every

TITLE = "Literal captions drive fidelity"
ARMS = {
    "semantic": "what kind of activity, no word of what is on the screen",
    "regular": "the command, the first and the last rows of its output",
    "detailed": "all text of the last screen",
}
SOURCE = "arXiv 2604.06425v2, three tiers of captions"
PAPER = (
    {"arm": "semantic", "PSNR": 21.90, "SSIM": 0.813},
    {"arm": "regular", "PSNR": 23.63, "SSIM": 0.843},
    {"arm": "detailed", "PSNR": 26.89, "SSIM": 0.867},
)
COLUMNS = {
    "open/psnr": "PSNR",
    "open/ssim": "SSIM",
    "open/new_char_acc": "new characters",
    "open/exact_last_screen": "last screen exact",
    "copy/psnr": "PSNR of a copy",
    "untrained/psnr": "untrained",
    "codec/psnr": "codec",
}
CURVES = ("psnr", "new_char_acc")
STEPS = 700
DIFFERS = (
    "Captions of the last screen's text are given by templates, where the paper's are a language model's.",
    "Screens of 6x16 characters, where the paper's are whole terminals; a video is one chunk, so open and closed loop are one.",
)


def in_order(results: Results, metric: str) -> bool | None:
    """The three tiers in the paper's order, their intervals not crossing."""
    return every(
        results.above(("detailed", metric), ("regular", metric)),
        results.above(("regular", metric), ("semantic", metric)),
    )


CLAIM = (
    Claim("PSNR rises with what a caption says.", lambda results: in_order(results, "open/psnr")),
    Claim("So do the characters that can be read.", lambda results: in_order(results, "open/new_char_acc")),
)


def arm(name: str, size: str = "micro") -> Arm:
    """An arm at a size."""
    return Arm(ARMS[name], worlds.terminal(size, name, STEPS), worlds.number_files(size), seeds=3)


def get_config(arm_name: str, size: str = "micro") -> ConfigDict:
    """The config of an arm at a size."""
    return arm(arm_name, size).config
