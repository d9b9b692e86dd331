"""Finding 5: is arithmetic native? The paper's computers draw the problem, and not its answer: 4 % of 100 held-out problems.

    python -m launch.reproduce --finding=f05

Ours, of 1.7 M parameters, is trained on Python sessions of A+B, half of whose captions have the answer. Whether it then knows
sums that no caption gave it is a matter of the recipe: `computes` does, `copies`, by the recipe that is usual for such models
(AdamW, times shifted uniform), does not. `permuted` cannot: every pair's answer is another pair's.

Nine runs of 1,000 steps. The quickstart, by the recipe of `computes`, has .98 of its held-out pairs right; it had .02 by the
usual one.
"""

from ml_collections import ConfigDict

from neural_computer.configs.findings import worlds
from neural_computer.workflows.findings import Arm, Claim, Results, every

TITLE = "Arithmetic is not native"
ARMS = {
    "computes": "Muon, digit places, four in five samples at pure noise",
    "copies": "AdamW, no digit places, times shifted uniform: the usual recipe",
    "permuted": "control: as computes, every pair with another pair's answer",
}
SOURCE = "arXiv 2604.06425v2: 100 of 1,000 held-out problems"
PAPER = (
    {"arm": "Wan2.1", "no answer": 0.00},
    {"arm": "NC_CLIGen", "no answer": 0.04},
    {"arm": "Veo 3.1", "no answer": 0.02},
    {"arm": "Sora 2", "no answer": 0.71},
)
COLUMNS = {
    "without_answer/output_exact": "no answer",
    "without_answer/typed_line_exact": "typed line",
    "train/output_exact": "trained pairs",
    "larger/output_exact": "larger numbers",
    "nearest_pair/output_exact": "nearest trained pair's",
    "chance/output_exact": "chance",
}
NATIVE, CHANCE = "without_answer/output_exact", "chance/output_exact"
CURVES = ("output_exact_without_answer",)
DIFFERS = (
    "Sums of numbers up to 49, one operation; the paper's problems have five and numbers up to 999.",
    "A pair A, B is held out in both orders, one in ten.",
    "No arm generalises to longer or larger numbers than it was trained on.",
)


def usual_fails(results: Results) -> bool | None:
    """The usual recipe is near chance where it draws the typed line."""
    native, typed = results.mean("copies", NATIVE), results.mean("copies", "without_answer/typed_line_exact")
    return None if native is None or typed is None else native < 0.15 and typed > 0.9


CLAIM = (
    Claim(
        "By the usual recipe, what is typed is drawn and what it gives is not computed, as in the paper.", usual_fails
    ),
    Claim(
        "It is the recipe and not the size: with another one the same network computes sums it never saw.",
        lambda results: results.above(("computes", NATIVE), ("copies", NATIVE)),
    ),
    Claim(
        "Control: with permuted answers there is nothing to compute, and held-out pairs stay at chance.",
        lambda results: every(results.above(("computes", NATIVE), ("permuted", NATIVE)), at_chance(results)),
    ),
)


def at_chance(results: Results) -> bool | None:
    """Every seed's interval reaches down to what another problem's answer would score."""
    values, chance = results.values("permuted", NATIVE), results.values("permuted", CHANCE)
    return all(a.low <= b.high for a, b in zip(values, chance, strict=True)) if values else None


def arm(name: str, size: str = "micro") -> Arm:
    """An arm at a size."""
    config, flags = worlds.sums(size), list[str]()
    if name == "copies" and size != "paper":
        usual(config)
    if name == "permuted":
        flags = ["--source=drawn", "--answers=permuted"]
    return Arm(ARMS[name], config, worlds.repl(size, *flags), seeds=3)


def get_config(arm_name: str, size: str = "micro") -> ConfigDict:
    """The config of an arm at a size."""
    return arm(arm_name, size).config


def usual(config: ConfigDict) -> None:
    """The recipe that text-to-video models are trained by, at a rate that suits a small one."""
    config.text.update(depth=1, digit_places=False)
    config.network.scale_noisy_latents = False
    config.objective.update(pure_noise=0.0, regions=ConfigDict())
    config.optimizer.kind = "adamw"
