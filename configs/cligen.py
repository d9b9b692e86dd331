"""NC_CLIGen: caption and first terminal frame to the terminal's video.

    python -m launch.train --config=configs/cligen.py:general,wan_14b_i2v --config.data.directory=DATA --init=CONVERTED \\
        --workdir=DIR

The argument names the data, general (recordings of others, three tiers of captions) or clean (scripted terminals, the
script as caption), and a size of configs/sizes.py: wan_14b_i2v, wan_1_3b_i2v, micro or tiny. The recipe is the paper's:
AdamW 5e-5, weight decay .01, clip 1, dropout .1 on the outputs of the three encoders, bfloat16, gradient checkpointing, one
video a device. The paper took about 15,000 H100 hours for general and 7,000 for clean; `launch.explain` says what a step costs.

The paper projects the condition through a zero-initialised layer. In Wan2.1's image-to-video layout that layer is the
condition's part of the patch embedding: zeros when training starts from text-to-video weights (wan_1_3b_i2v), and learned
already, so kept, when it starts from image-to-video weights (wan_14b_i2v).
"""

from ml_collections import ConfigDict

from neural_computer.configs import base
from neural_computer.configs.sizes import SIZES

TIERS = {"general": ("semantic", "regular", "detailed"), "clean": ("script",)}
"""Caption tiers by data, drawn evenly."""


def get_config(form: str = "micro") -> ConfigDict:
    """CLIGen on data and at a size, "general,tiny"; a size alone takes one plain caption a video."""
    data, _, size = form.rpartition(",")
    if size not in SIZES or data not in ("", *TIERS):
        raise ValueError(
            f"configs/cligen.py:{form}: unknown; give DATA,SIZE or SIZE; DATA is one of {', '.join(TIERS)}, SIZE one of "
            f"{', '.join(SIZES)}"
        )
    config = base.get_config()
    SIZES[size](config)
    if data:
        config.data.captions = ConfigDict(dict.fromkeys(TIERS[data], 1.0))
    return config
