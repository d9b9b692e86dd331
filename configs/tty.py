"""A terminal that runs frame by frame: the frame before, the key pressed in this one, and a window of earlier ones -> the frame.

    python -m launch.train --config=configs/tty.py:small --config.data.directory=DATA --workdir=DIR

on data of `python -m launch.prepare_data --recipe=tty --out=DATA`. The argument names a size:

small   3x16 characters, 1.1 M parameters, minutes of one CPU thread

What matters to learning, each measured without it: transitions drawn by kind (half of them Returns), noise on the frame before
(else errors stay), Muon, one latent frame a video frame, and three in four times at pure noise, where a run's only denoising
step begins.
"""

from ml_collections import ConfigDict

from neural_computer.configs import base


def get_config(form: str = "small") -> ConfigDict:
    """The streaming terminal of a size."""
    if form != "small":
        raise ValueError(f"configs/tty.py:{form}: unknown; small")
    config = base.get_config()
    config.data.update(frames=2, height=48, width=128, batch_size=32)
    config.text.update(width=16, length=16, heads=2, depth=1)
    config.codec.update(channels=24, temporal_stride=1, fit_videos=512)
    config.network.update(width=128, ffn=512, heads=2, layers=4, patch=(1, 2, 1), positions=(0, 3, 16))
    config.network.update(causal=True, window=0, condition_layout="previous", entries="events")
    config.network.update(prediction_type="x0", scale_noisy_latents=True)
    config.injection.mode = "internal"
    config.actions.update(schema="raw", cursor="xy", width=128, texts=4, text_length=4)
    config.sampling.update(solver="euler", num_steps=1, shift=3.0)
    config.objective.update(kind="teacher_forcing", shift=3.0, pure_noise=0.75, history_noise=0.6)
    config.objective.update(dropout_text=0.0, dropout_image=0.0, dropout_cond=0.0)
    steps = 3500
    config.optimizer.update(kind="muon", learning_rate=2e-3, warmup_steps=50, decay_steps=steps, b2=0.98)
    config.optimizer.update(final_learning_rate=4e-5, weight_decay=0.0, ema_decay=0.99)
    config.schedule.update(steps=steps, checkpoint_every=500, log_every=20)
    return config
