"""Videos through the frozen encoders, once, so that training reads latents and features and needs no VAE, UMT5 or CLIP.

    python -m launch.prepare_data --recipe=encode --input=DATA --output=DIR \
        --config=configs/cligen.py:general,wan_14b_i2v --init=CONVERTED

Every window of the config's frames and stride, in every split, with all tiers of its captions. `launch.train` takes the
result as config.data.directory. 81 frames of 480x832 are 4.2 MB of latents, as much of condition, .7 MB of image features
and 8 kB a token of each caption, in bfloat16 and before compression. Stopped at any moment, even by kill -9, the same
command goes on with the files that are not whole. A linear codec is fitted as `launch.train` does it.
"""

from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags
from ml_collections import config_flags

from launch.prepare_data.guiworld import SPLIT
from launch.prepare_data.videos import INPUT

# jax comes with the work: recipe repl starts this program once a worker.
if TYPE_CHECKING:
    from neural_computer.workflows.encode import Plan

CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Recipe encode: the experiment to encode for.", lock_config=True
)
INIT = flags.DEFINE_string("init", None, "Recipe encode: a converted folder with the encoders; sets config.init.")
DTYPE = flags.DEFINE_enum("dtype", "bfloat16", ["bfloat16", "float32"], "Recipe encode: what floats are stored in.")
CLIPS = flags.DEFINE_integer(
    "clips_a_file", 256, "Recipe encode: clips in a file, what a kill costs at most.", lower_bound=1
)
ROWS = flags.DEFINE_integer("rows", None, "Recipe encode: clips at a time; by default one a device.", lower_bound=1)


@cache
def plan() -> "Plan":
    """What the flags ask for. Raises ValueError where something is missing or does not fit."""
    from neural_computer import build
    from neural_computer.workflows import encode

    for flag in (INPUT, CONFIG):
        if flag.value is None:
            raise ValueError(f"--{flag.name}: is missing; recipe encode needs --input=DATA and --config=CONFIG")
    if INIT.value is not None:
        CONFIG.value.init = INIT.value
    return encode.plan(build.build(CONFIG.value), Path(INPUT.value), SPLIT.value, DTYPE.value, CLIPS.value)


def settings() -> dict[str, Any]:
    """What the data depend on."""
    return asdict(plan().info)


def make(output: Path) -> dict[str, Any]:
    """Encodes what is not there yet; returns how many clips there are. No window is refused."""
    from neural_computer.workflows import encode

    encode.tell(plan(), output)
    encode.begin(plan(), output)
    encode.write(plan(), encode.loaded(plan(), output, ROWS.value), output)
    return {"kept": sum(plan().info.splits.values()), "rejected": {}}
