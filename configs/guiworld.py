"""NC_GUIWorld: first frame of a desktop, mouse and keyboard to the desktop's film.

    python -m launch.prepare_data --recipe=guiworld --clips=1000 --size=128 --output=DATA
    python -m launch.train --config=configs/guiworld.py:goal,micro --config.data.directory=DATA --workdir=DIR

The argument names the split, random_slow, random_fast or goal, and a size of configs/sizes.py. The paper's screens are
1024x768: here they become 640x480, scaled by .625 exactly, so that nothing is letterboxed and a cursor at (x, y) stands at
(.625 x, .625 y). The paper took 64 GPUs for about 15 days (23,000 GPU hours, 64,000 steps) for each way of injecting actions.
No action enters the network yet: this is the base, mode none, that every mode is compared with.
"""

from ml_collections import ConfigDict

from configs import base
from configs.sizes import SIZES

SPLITS = ("random_slow", "random_fast", "goal")
SCREENS = {"tiny": (16, 32), "micro": (128, 128), "wan_1_3b_i2v": (480, 640), "wan_14b_i2v": (480, 640)}
"""(height, width) of the frames by size: micro's is that of the synthetic desktop."""


def get_config(form: str = "random_slow,micro") -> ConfigDict:
    """GUIWorld on a split and at a size, "goal,micro"."""
    split, _, size = form.rpartition(",")
    if size not in SIZES or split not in SPLITS:
        raise ValueError(
            f"configs/guiworld.py:{form}: unknown; give SPLIT,SIZE; SPLIT is one of {', '.join(SPLITS)}, SIZE one of "
            f"{', '.join(SIZES)}"
        )
    config = base.get_config()
    SIZES[size](config)
    height, width = SCREENS[size]
    config.data.update(height=height, width=width, split=split)
    config.evaluation.split = f"{split}_test"
    if any(config.network.positions):
        frames, _, _ = config.network.positions
        config.network.positions = (frames, height // 16, width // 16)
    return config
