"""Finding 1: the codec keeps terminal text readable at 13 px; at 6 px it blurs while PSNR and SSIM stay high.

    python -m launch.reproduce --finding=f01

Screens of random words at six font sizes, encoded, decoded and read again, by glyphs and by OCR. `linear` is the codec of the
small computers, fitted to such screens; `vae` is configs/vae.py's, trained here for 2,700 steps: the VAE that Wan2.1 released,
which the paper used, could not be had.
"""

from ml_collections import ConfigDict

from neural_computer.configs import vae
from neural_computer.configs.findings import worlds
from neural_computer.workflows.findings import Arm, Claim, Results, every
from neural_computer.workflows.measures import FONTS

TITLE = "Text that the codec keeps readable, by its height"
ARMS = {"linear": "the linear codec, 32 channels", "vae": "our own trained VAE, 16 channels"}
SOURCE = "arXiv 2604.06425v2, its first experiment: Wan2.1's VAE at 13 px"
PAPER = ({"arm": "Wan2.1's VAE, 13 px", "13 px, PSNR": 40.77, "13 px, SSIM": 0.989},)
COLUMNS = {
    f"{pixels} px/{metric}": f"{pixels} px, {heading}"
    for pixels in (6, 13)
    for metric, heading in (
        ("psnr", "PSNR"),
        ("ssim", "SSIM"),
        ("cell_acc", "characters"),
        ("char_acc_buffer", "characters by OCR"),
    )
} | {f"{pixels} px/cell_acc": f"{pixels} px, characters" for pixels in FONTS}
DIFFERS = ("The codec is not the paper's, whose weights could not be had here; sizes and reading are.",)


def blurs(results: Results) -> bool | None:
    """At 6 px fewer characters are read than at 13."""
    return results.above(("linear", "13 px/cell_acc"), ("linear", "6 px/cell_acc"))


def looks_alike(results: Results) -> bool | None:
    """SSIM at 6 px is within .05 of that at 13."""
    small, large = (results.mean("linear", f"{pixels} px/ssim") for pixels in (6, 13))
    return None if small is None or large is None else small > large - 0.05


CLAIM = (
    Claim("Text of 6 px is read less well than text of 13.", blurs),
    Claim("SSIM hardly says so.", lambda results: every(blurs(results), looks_alike(results))),
)


def arm(name: str, size: str = "micro") -> Arm:
    """An arm at a size."""
    if name == "vae":
        config = vae.get_config("tiny" if size != "paper" else "wan")
        if size == "tiny":
            config.schedule.update(steps=1, checkpoint_every=1, eval_every=0)
            config.codec.fit_videos = 4
            config.vae.width = 4
            config.reconstruction.lpips = 0.0
        return Arm(ARMS[name], config, worlds.repl(size), seeds=1, measure="codec")
    config = worlds.sums(size)
    if size != "paper":
        # It is the codec that is measured: of the computer one step will do.
        config.schedule.update(steps=1, checkpoint_every=1, eval_every=0, log_every=1)
        config.optimizer.update(warmup_steps=0, decay_steps=0)
    return Arm(ARMS[name], config, worlds.repl(size), seeds=3, measure="codec")


def get_config(arm_name: str, size: str = "micro") -> ConfigDict:
    """The config of an arm at a size."""
    return arm(arm_name, size).config
