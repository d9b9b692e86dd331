"""A desktop that runs frame by frame: the frame before, and the mouse and keys of this one -> the frame.

    python -m launch.prepare_data --recipe=desk --sessions=256 --frames=600 --out=DATA
    python -m launch.train --config=configs/desk_stream.py --config.data.directory=DATA --workdir=DIR
    python -m launch.evaluate --machine=DIR --drift=300

The synthetic desktop of 64 pixels, whose apps open at once: all that a frame follows from is on the screen, so there is no
window of earlier frames. 1.6 M parameters, 2,200 steps of 1,536 tokens, half an hour of one CPU thread. It learns from single
transitions, drawn by kind, as the terminal does (configs/tty.py). Of the clicks in runs of 300 frames that go by its own
frames, .87 do what they should; without actions .47 (docs/streaming.md).
"""

from ml_collections import ConfigDict

from neural_computer.configs import base, sizes
from neural_computer.simulators.minidesk.kinds import SHARES

SIDE, STEPS = 64, 2200


def get_config() -> ConfigDict:
    """The streaming desktop."""
    config = base.get_config()
    config.data.update(height=SIDE, width=SIDE, batch_size=24, shares=ConfigDict(SHARES))
    # An arrow that moves takes more components than text does; of unequal variances, as fine ones would drown the rest.
    config.codec.update(channels=64, whiten=0.5, temporal_stride=1, fit_videos=512)
    # A token is a block of 8x8 pixels.
    config.network.update(width=128, ffn=512, heads=2, layers=4, patch=(1, 1, 1), positions=(0, SIDE // 8, SIDE // 8))
    sizes.transitions(config, STEPS)
    config.actions.update(schema="raw", cursor="reference", cursor_height=9.0, width=128, texts=1, text_length=4)
    config.schedule.checkpoint_every = 300
    return config
