"""A terminal that runs frame by frame: the frame before, the key pressed in this one, and a window of earlier ones -> the frame.

    python -m launch.prepare_data --recipe=tty --sessions=512 --frames=1500 --out=DATA
    python -m launch.train --config=configs/tty.py:small --config.data.directory=DATA --workdir=DIR

    python -m launch.prepare_data --recipe=tty --typist=memory --sessions=512 --frames=1500 --out=DATA2
    python -m launch.train --config=configs/tty.py:small,memory --config.data.directory=DATA2 --init=DIR --workdir=DIR2

The argument names a size, and what is learned:

small    3x16 characters, 1.6 M parameters, half an hour of one CPU thread
medium   8x40 characters, 3.4 M parameters, not trained yet; hours, by operations (--rows=8 --cols=40 of the recipe)
gpu      24x80 characters, 41 M parameters, a GPU (--rows=24 --cols=80)

typing   what is on the screen: from single transitions, without a window
memory   what is on the screen no more: goes on from a machine that types, with a window of four frames in which a key was
         pressed; `memory16` has one of sixteen

What matters to learning, each measured without it (docs/streaming.md): transitions drawn by kind (half of them Returns), noise
on the frame before (else errors stay), Muon, one latent frame a video frame, and three in four times at pure noise, where a
run's only denoising step begins.
"""

from ml_collections import ConfigDict

from neural_computer.configs import base, sizes
from neural_computer.simulators.tty.kinds import MEMORY_SHARES, SHARES

SIZES = {
    "small": {"rows": 3, "cols": 16, "width": 128, "layers": 4, "batch_size": 32, "steps": 3500},
    "medium": {"rows": 8, "cols": 40, "width": 192, "layers": 4, "batch_size": 16, "steps": 7000},
    "gpu": {"rows": 24, "cols": 80, "width": 512, "layers": 8, "batch_size": 64, "steps": 20_000},
}
WINDOWS = {"typing": 0, "memory": 4, "memory16": 16}
"""What is learned -> frames in the window"""


def get_config(form: str = "small") -> ConfigDict:
    """The streaming terminal of a size, SIZE or SIZE,WHAT. Raises ValueError for another form."""
    size, _, what = form.partition(",")
    what = what or "typing"
    if size not in SIZES or what not in WINDOWS:
        raise ValueError(
            f"configs/tty.py:{form}: unknown; SIZE or SIZE,WHAT of {', '.join(SIZES)}; {', '.join(WINDOWS)}"
        )
    config = _typing(**SIZES[size])
    if what != "typing":
        _memory(config, WINDOWS[what])
    return config


def _typing(rows: int, cols: int, width: int, layers: int, batch_size: int, steps: int) -> ConfigDict:
    """Single transitions: a frame, a key, and the frame after it."""
    config = base.get_config()
    config.data.update(height=16 * rows, width=8 * cols, batch_size=batch_size, shares=ConfigDict(SHARES))
    config.codec.update(channels=24, temporal_stride=1, fit_videos=512)
    config.network.update(width=width, ffn=4 * width, heads=width // 64, layers=layers)
    # A token is a character's cell; none but their age tells frames apart.
    config.network.update(patch=(1, 2, 1), positions=(0, rows, cols))
    sizes.transitions(config, steps)
    config.network.entries = "events"
    config.actions.update(schema="raw", cursor="xy", width=128, texts=1, text_length=4)
    config.schedule.checkpoint_every = 500
    return config


def _memory(config: ConfigDict, window: int) -> None:
    """Clips as long as the window, of sessions in which lines are cleared away and recalled."""
    frames, steps = window + 2, 2 * config.schedule.steps // 3
    config.data.update(
        frames=frames, batch_size=max(1, 2 * config.data.batch_size // frames), shares=ConfigDict(MEMORY_SHARES)
    )
    config.network.window = window
    config.optimizer.update(learning_rate=1e-3, final_learning_rate=2e-5, decay_steps=steps)
    config.schedule.update(steps=steps, checkpoint_every=100)
