"""Finding 7: goal-directed data beat much more random data. The paper: FVD 14.72 by 110 h of tasks, 20.37 by 1,000 h at random.

    python -m launch.reproduce --finding=f07

Three ways of using the synthetic desktop, `contextual` injection, as many clips and steps of each. Control: every computer is
scored on the held-out clips of all three, and not of its own alone.

Three runs of 400 steps.
"""

from ml_collections import ConfigDict

from neural_computer.configs.findings import worlds
from neural_computer.workflows.findings import Arm, Claim, Results, every

TITLE = "Goal-directed data beat more random data"
ARMS = {
    "goal": "tasks are done",
    "random_slow": "at random, slowly",
    "random_fast": "at random, fast",
}
SOURCE = "arXiv 2604.06425v2, contextual injection"
PAPER = (
    {"arm": "untrained", "FVD": 149.61, "SSIM": 0.496, "LPIPS": 0.605},
    {"arm": "random_fast", "FVD": 48.17, "SSIM": 0.695, "LPIPS": 0.483},
    {"arm": "random_slow", "FVD": 20.37, "SSIM": 0.830, "LPIPS": 0.237},
    {"arm": "goal", "FVD": 14.72, "SSIM": 0.885, "LPIPS": 0.144},
)
COLUMNS = {
    "open/ssim": "SSIM",
    "open/psnr": "PSNR",
    "goal_test/ssim": "SSIM on goal",
    "random_slow_test/ssim": "SSIM on random slow",
    "random_fast_test/ssim": "SSIM on random fast",
    "untrained/ssim": "untrained",
    "copy/ssim": "SSIM of a copy",
}
DIFFERS = (
    "As many clips of each use; in the paper goal-directed data are a tenth of the random ones.",
    "Not done: random data thinned out to the goal split's actions a second, and held-out kinds of tasks and windows.",
)
SPLITS = tuple(ARMS)


def better_everywhere(results: Results) -> bool | None:
    """Goal is above both random uses on every split's held-out clips."""
    return every(
        *(
            results.above(("goal", f"{split}_test/ssim"), (other, f"{split}_test/ssim"))
            for split in SPLITS
            for other in SPLITS[1:]
        )
    )


CLAIM = (
    Claim(
        "Scored each on its own held-out clips, goal is best, as in the paper.",
        lambda results: every(*(results.above(("goal", "open/ssim"), (other, "open/ssim")) for other in SPLITS[1:])),
    ),
    Claim("Control: scored on one another's clips too, goal is best.", better_everywhere),
)


def arm(name: str, size: str = "micro") -> Arm:
    """An arm at a size."""
    config = worlds.desktop(size, name, mode="contextual")
    config.evaluation.further_splits = ",".join(f"{split}_test" for split in SPLITS)
    return Arm(ARMS[name], config, worlds.desktop_data(size, ",".join(SPLITS)), seeds=1)


def get_config(arm_name: str, size: str = "micro") -> ConfigDict:
    """The config of an arm at a size."""
    return arm(arm_name, size).config
