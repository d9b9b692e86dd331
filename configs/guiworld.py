"""NC_GUIWorld: first frame of a desktop, mouse and keyboard to the desktop's video.

    python -m launch.prepare_data --recipe=guiworld --clips=1000 --size=128 --output=DATA
    python -m launch.train --config=configs/guiworld.py:goal,micro,internal,reference --config.data.directory=DATA --workdir=DIR

The argument names the split, random_slow, random_fast or goal; a size of configs/sizes.py; how actions are injected, none,
external, contextual, residual or internal (the default); and how the cursor is encoded, xy, fourier or reference (the
default). wan_1_3b_i2v and wan_14b_i2v have the paper's screens, 1024x768, scaled by .625 exactly to 640x480, so that nothing is
letterboxed and a cursor at (x, y) is at (.625 x, .625 y); with _768 after the size they stay 1024x768, at 2.6 times the tokens
(`neural-computer explain` says what that costs). The paper took 64 GPUs for about 15 days (23,000 GPU hours, 64,000 steps)
for each way of injecting actions, from Wan2.1's weights:

    ... --config=configs/guiworld.py:goal,wan_14b_i2v,internal --config.init=CONVERTED

Only the new modules are trained with --config.optimizer.trainable='action|heads|external'.
"""

from ml_collections import ConfigDict

from neural_computer.config import CURSORS
from neural_computer.configs import base
from neural_computer.configs.sizes import SIZES
from neural_computer.models.injection import MODES
from neural_computer.simulators import policies

SPLITS = (*policies.SPLITS, policies.CLICKS)
SCORED = "cursor_acc,cursor_acc_reference,cursor_acc_constant_velocity"
SCREENS = {
    "tiny": (16, 32),
    "micro": (128, 128),
    "wan_1_3b_i2v": (480, 640),
    "wan_14b_i2v": (480, 640),
    "wan_1_3b_i2v_768": (768, 1024),
    "wan_14b_i2v_768": (768, 1024),
}
"""(height, width) of the frames by size: micro's is that of the synthetic desktop, _768's the paper's own."""


def get_config(form: str = "random_slow,micro") -> ConfigDict:
    """GUIWorld on a split, at a size, with a mode and a cursor: "goal,micro,internal,reference"."""
    split, size, mode, cursor = (*form.split(","), *("internal", "reference")[form.count(",") - 1 :])[:4]
    if size not in SCREENS or split not in SPLITS or mode not in MODES or cursor not in CURSORS or form.count(",") > 3:
        raise ValueError(
            f"configs/guiworld.py:{form}: unknown; give SPLIT,SIZE[,MODE[,CURSOR]]; SPLIT is one of {', '.join(SPLITS)}, "
            f"SIZE of {', '.join(SCREENS)}, MODE of {', '.join(MODES)}, CURSOR of {', '.join(CURSORS)}"
        )
    config = base.get_config()
    SIZES[size.removesuffix("_768")](config)
    height, width = SCREENS[size]
    config.data.update(height=height, width=width, split=split)
    config.evaluation.update(
        split=f"{split}_test", metrics=SCORED + (",click_state" if split == policies.CLICKS else "")
    )
    config.injection.mode = mode
    # An arrow of 19 pixels at 768; the synthetic desktop's is of 10.88 at 128.
    config.actions.update(cursor=cursor, cursor_height=19.0 * height / 768 if height >= 480 else 0.085 * height)
    config.objective.cursor = 1.0
    if any(config.network.positions):
        frames, _, _ = config.network.positions
        config.network.positions = (frames, height // 16, width // 16)
    if size == "tiny":
        config.actions.width = 16
    if size == "micro":
        desk(config)
        config.text.length = 16 if split == policies.CLICKS else 64  # "a click or none"; a task in words
    return config


def desk(config: ConfigDict) -> None:
    """What learns to click on one CPU thread: 9 frames of 128x128, the network says what changes.

    On split clicks, 400 steps (six minutes alone on a core, seven beside another training) get .925 to .955 of the screens
    after a click, or after none, right: `python -m launch.evaluate --workdir=DIR` after the training above. README.md has the
    other modes. Of 400 held-out videos of another seed: .96 as it is, .88 after 300 or 340 steps, .80 with the cursor's error
    weighed 1 and not .1. While a chosen icon looked almost as one that the pointer is on, 450 steps got .92 (icons .46); .92
    with 4 heads, .91 with times shifted by 1, .86 by 30, .89 with meta-actions or Fourier frequencies half as high.
    192 channels are what it takes for a linear codec to keep an arrow of 11 pixels that moves; unequal ones, for the fine
    ones would drown what a click does.
    """
    config.data.batch_size = 16
    config.codec.update(channels=192, whiten=0.3)
    config.network.layers = 2
    config.network.predict_residual = True
    config.actions.update(schema="raw", window=2, texts=10, text_length=6)
    config.objective.cursor = 0.1
    config.optimizer.update(warmup_steps=30, decay_steps=400)
    config.schedule.update(steps=400, checkpoint_every=200, eval_every=200)
    config.evaluation.update(videos=200, eval_videos_during_training=40)
