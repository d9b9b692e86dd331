"""NC_CLIGen: caption and first terminal frame to the terminal's film.

python -m launch.train --config=configs/cligen.py:micro --config.data.directory=DATA --workdir=DIR
"""

from ml_collections import ConfigDict

from configs import base
from configs.sizes import SIZES


def get_config(size: str = "micro") -> ConfigDict:
    """CLIGen at a size of `configs.sizes`."""
    config = base.get_config()
    if size not in SIZES:
        raise ValueError(f"configs/cligen.py:{size}: unknown size; one of {', '.join(SIZES)}")
    SIZES[size](config)
    return config
