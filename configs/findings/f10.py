"""Finding 10: meta-actions encode a little better than raw ones. The paper: SSIM+15 .863 to .847, FVD+15 14.5 to 16.6.

    python -m launch.reproduce --finding=f10

Finding 9's `internal`, with the two action encoders. Two runs of 400 steps.
"""

from ml_collections import ConfigDict

from neural_computer.configs.findings import f09
from neural_computer.workflows.findings import Arm, Claim, Results

TITLE = "Meta-actions encode a little better than raw ones"
ARMS = {"raw": "182 flags a frame", "meta": "two slots of typed actions a frame"}
SOURCE = "arXiv 2604.06425v2, internal injection"
PAPER = (
    {"arm": "raw", "SSIM+15": 0.847, "LPIPS+15": 0.144, "FVD+15": 16.6},
    {"arm": "meta", "SSIM+15": 0.863, "LPIPS+15": 0.141, "FVD+15": 14.5},
)
COLUMNS = f09.COLUMNS
DIFFERS = ("A synthetic desktop of 128x128 pixels, clips of one click; the paper's has typing and scrolling too.",)


def meta_better(results: Results) -> bool | None:
    """Meta's click is right more often, beyond the intervals."""
    return results.above(("meta", f09.CLICK), ("raw", f09.CLICK))


CLAIM = (Claim("Meta-actions get the click right more often than raw ones.", meta_better),)


def arm(name: str, size: str = "micro") -> Arm:
    """An arm at a size: finding 9's internal with this encoder."""
    asked = f09.arm("internal", size)
    asked.config.actions.schema = name
    return asked._replace(says=ARMS[name])


def get_config(arm_name: str, size: str = "micro") -> ConfigDict:
    """The config of an arm at a size."""
    return arm(arm_name, size).config
