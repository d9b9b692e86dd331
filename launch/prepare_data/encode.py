"""Videos through the frozen encoders, once, so that training reads latents and features and needs no VAE, UMT5 or CLIP.

    neural-computer prepare_data --recipe=encode --input=DATA --out=DIR --config=cligen:general,wan_14b_i2v --init=CONVERTED

Every clip of the config's frames and stride, in every split, with all tiers of its captions. Training takes the result as
config.data.directory. 81 frames of 480x832 are 4.2 MB of latents, as much of condition, .7 MB of image features and 8 kB a
token of each caption, in bfloat16 and before compression. Stopped at any moment, even by kill -9, the same command goes on
with the files that are not whole. A linear codec is fitted as in training.
"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neural_computer.launch.flags import Flags

if TYPE_CHECKING:  # jax comes with the work
    from neural_computer.workflows.encode import EncodingPlan

FLAGS = Flags()
INPUT = FLAGS.input("The data set to encode.", required=True)
CONFIG = FLAGS.config("The experiment to encode for.", required=True)
INIT = FLAGS.init("A folder of converted weights with the encoders")
SPLIT = FLAGS.split("The splits to encode; by default all.", several=True)
DTYPE = FLAGS.dtype("bfloat16", "Of stored floats.")
CLIPS = FLAGS.integer("clips_a_file", 256, "Clips in a file, what a kill costs at most.", lower_bound=1)
ROWS = FLAGS.integer("rows", None, "Clips at a time; by default one a device.", lower_bound=1)


def plan() -> "EncodingPlan":
    """The work that the flags describe. Raises ValueError where the data do not fit the config."""
    from neural_computer import build
    from neural_computer.workflows import encode

    experiment = build.build(FLAGS.experiment())
    return encode.plan(experiment, Path(INPUT.value), SPLIT.value, DTYPE.value, CLIPS.value)


def settings() -> dict[str, Any]:
    """What the data depend on."""
    return asdict(plan().info)


def make(out: Path) -> dict[str, Any]:
    """Encodes what is not there yet and returns the number of clips."""
    from neural_computer.workflows import encode

    work = plan()
    encode.print_plan(work, out)
    encode.begin(work, out)
    encode.write(work, encode.load_encoder(work, out, ROWS.value), out)
    return {"kept": sum(work.info.splits.values()), "rejected": {}}
