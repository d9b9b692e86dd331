"""Finding 9: deeper injection is better. The paper: SSIM+15 .746 external, .813 contextual, .857 residual, .863 internal.

    python -m launch.reproduce --finding=f09

The synthetic desktop of 128 pixels, pairs of clips that differ in one click: only through the actions can it be known. Controls:
no actions at all, `none` and `external` of as many parameters as `internal`, and `internal` with action dropout, run with and
without guidance over the actions.

Eight runs of 400 steps, one of them finding 10's. Of an earlier round at equal widths: clicks right residual .985, external .960,
internal .945, contextual .905.
"""

from ml_collections import ConfigDict

from neural_computer.configs.findings import worlds
from neural_computer.workflows.findings import Arm, Claim, every

TITLE = "Deeper injection is better"
MODES = ("none", "external", "contextual", "residual", "internal")
ARMS = {
    "none": "no actions",
    "external": "a residual on the input latents",
    "contextual": "action tokens in the self-attention",
    "residual": "a branch beside some blocks",
    "internal": "a cross-attention in every block",
    "none_equal": "control: no actions, wider, as many parameters as internal",
    "external_equal": "control: external, narrower, as many parameters as internal",
    "guided": "internal, actions dropped in a tenth of the samples, guidance 2 over them",
}
SOURCE = "arXiv 2604.06425v2: over the 15 frames after every action"
PAPER = (
    {"arm": "untrained", "SSIM+15": 0.326, "LPIPS+15": 0.649, "FVD+15": 184.3},
    {"arm": "external", "SSIM+15": 0.746, "LPIPS+15": 0.251, "FVD+15": 33.4},
    {"arm": "contextual", "SSIM+15": 0.813, "LPIPS+15": 0.190, "FVD+15": 24.8},
    {"arm": "residual", "SSIM+15": 0.857, "LPIPS+15": 0.138, "FVD+15": 18.8},
    {"arm": "internal", "SSIM+15": 0.863, "LPIPS+15": 0.141, "FVD+15": 14.5},
)
COLUMNS = {
    "open/click_state": "click right",
    "open/ssim+15": "SSIM+15",
    "open/psnr": "PSNR",
    "open/cursor_acc": "cursor right",
    "untrained/ssim+15": "SSIM+15 untrained",
    "copy/ssim+15": "SSIM+15 of a copy",
    "codec/click_state": "click right, codec",
}
EQUAL = {"none_equal": 176, "external_equal": 88}
"""Widths at which an arm has about as many parameters as `internal` at 128: 1.96 M; at 128 `none` has 1.25, `external` 2.41"""
DIFFERS = (
    "A synthetic desktop of 128x128 pixels, clips of 9 frames, 400 steps, one seed an arm but for internal.",
    "FVD and LPIPS of so few small videos say little; the click's effect and the changed frames are measured instead.",
)
CLICK = "open/click_state"

CLAIM = (
    Claim(
        "Control: without actions the click cannot be known.",
        lambda results: every(*(results.above((mode, CLICK), ("none", CLICK)) for mode in MODES[1:])),
    ),
    Claim(
        "Internal and residual are above external, as in the paper.",
        lambda results: every(
            *(results.above((mode, CLICK), ("external", CLICK)) for mode in ("internal", "residual"))
        ),
    ),
)


def arm(name: str, size: str = "micro") -> Arm:
    """An arm at a size."""
    split = "clicks" if size != "paper" else "goal"
    config = worlds.desktop(size, split, mode=name.split("_")[0] if name != "guided" else "internal")
    if name in EQUAL:
        resized(config, EQUAL[name])
    if name == "guided":
        config.objective.dropout_actions = 0.1
        config.sampling.action_guidance = 2.0
    config.evaluation.metrics = ",".join(filter(None, (config.evaluation.metrics, "ssim+15" if size != "tiny" else "")))
    return Arm(ARMS[name], config, worlds.desktop_data(size, split), seeds=1)


def resized(config: ConfigDict, width: int) -> None:
    """Gives the network a width, as it would be at size micro."""
    even = 2 * config.network.heads  # the width of a head
    width = -(-config.network.width * width // 128 // even) * even
    config.network.update(width=width, ffn=4 * width)


def get_config(arm_name: str, size: str = "micro") -> ConfigDict:
    """The config of an arm at a size."""
    return arm(arm_name, size).config
