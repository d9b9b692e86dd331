"""Finding 4: text accuracy grows with training. The paper: characters .03 at the start, .18 at 10k steps, .54 at 60k.

    python -m launch.reproduce --finding=f04

One long run on the terminal sessions of finding 3, with the captions that its data engine calls regular, scored every fifty
steps. Finding 2 reads other columns of the same runs.

Three runs of 1,200 steps.
"""

from ml_collections import ConfigDict

from neural_computer.configs.findings import worlds
from neural_computer.workflows.findings import Arm, Claim, Results, every

TITLE = "Text accuracy grows with training"
ARMS = {"long": "one long run, scored every fifty steps"}
SOURCE = "arXiv 2604.06425v2: characters and exact lines by OCR over training"
PAPER = tuple(
    {"arm": f"{step}k steps", "characters": chars, "exact lines": lines}
    for step, chars, lines in (
        (0, 0.03, 0.01),
        (10, 0.18, 0.05),
        (20, 0.33, 0.12),
        (30, 0.41, 0.18),
        (40, 0.52, 0.26),
        (50, 0.52, 0.27),
        (60, 0.54, 0.31),
    )
)
COLUMNS = {
    "open/new_char_acc": "new characters",
    "open/exact_lines": "exact lines",
    "open/exact_last_screen": "last screen exact",
    "open/psnr": "PSNR",
    "untrained/new_char_acc": "untrained",
    "codec/new_char_acc": "codec",
}
CURVES = ("new_char_acc", "exact_lines", "exact_last_screen")
STEPS = 1200
DIFFERS = (
    "Characters are those that the first screen has not, read by their glyphs; the paper reads whole screens by OCR.",
    "Screens of 6x16 characters and 1,200 steps, where the paper has whole terminals and 60,000.",
)


def at(results: Results, curve: str, share: float) -> list[float] | None:
    """Every seed's value after a share of the steps; None without results."""
    points = results.curve("long", curve)
    return points[min(points, key=lambda step: abs(step - share * max(points)))] if points else None


def grows(results: Results, curve: str) -> bool | None:
    """Whether in every seed the value after a quarter is below that after a half, and that below the last."""
    quarter, half, last = (at(results, curve, share) for share in (0.25, 0.5, 1.0))
    if quarter is None or half is None or last is None:
        return None
    return all(a < b < c for a, b, c in zip(quarter, half, last, strict=True))


CLAIM = (
    Claim("Characters go on getting better, past the quarter and past the half.", lambda r: grows(r, "new_char_acc")),
    Claim("So do exact lines, later.", lambda r: every(grows(r, "exact_lines"), later(r))),
)


def later(results: Results) -> bool | None:
    """After a quarter of the steps, lines have a smaller share of what they reach than characters have."""
    found = [(at(results, name, 0.25), at(results, name, 1.0)) for name in ("exact_lines", "new_char_acc")]
    if any(a is None or b is None for a, b in found):
        return None
    lines, chars = ([x / y for x, y in zip(a or [], b or [], strict=True)] for a, b in found)
    return sum(lines) < sum(chars)


def arm(name: str, size: str = "micro") -> Arm:
    """An arm at a size."""
    return Arm(ARMS[name], worlds.terminal(size, "regular", STEPS), worlds.number_files(size), seeds=3)


def get_config(arm_name: str, size: str = "micro") -> ConfigDict:
    """The config of an arm at a size."""
    return arm(arm_name, size).config
