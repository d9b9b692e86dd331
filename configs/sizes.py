"""Sizes: overlays on a config that make it as large as a machine allows."""

from ml_collections import ConfigDict


def micro(config: ConfigDict) -> None:
    """3x16 characters, 9 frames, 1.5 M parameters: learns in minutes on one CPU thread.

    The target, the clean first frame and the repeated condition are what learns at a width no larger than a patch;
    the paper's own ("v", "wan", False) stay the base's.
    """
    config.data.update(frames=9, height=48, width=128, batch_size=32)
    config.text.update(kind="bytes", width=128, length=40, heads=2, depth=1)
    config.image.kind = "none"
    config.codec.update(kind="linear", channels=32, fit_videos=256)
    config.network.update(width=128, ffn=512, heads=2, layers=4, positions=(3, 3, 8), dtype="float32", remat="none")
    config.network.update(attention="xla", time_width=256)
    config.network.update(prediction_type="x0", condition_layout="repeat", clean_first_frame=True)
    config.sampling.update(solver="euler", num_steps=8, shift=3.0)
    config.objective.update(dropout_text=0.0, dropout_image=0.0, dropout_cond=0.0)
    config.optimizer.update(learning_rate=2e-3, warmup_steps=50, b2=0.98, ema_decay=0.99)


def tiny(config: ConfigDict) -> None:
    """The smallest that still has every part: for tests, which shrink every config to it."""
    micro(config)
    config.data.update(frames=5, height=16, width=32, batch_size=8)
    config.text.update(width=16)
    config.codec.update(channels=4, fit_videos=4)
    config.network.update(width=16, ffn=32, heads=2, layers=2, positions=(2, 1, 2), time_width=16)
    config.sampling.update(num_steps=2)


def streaming(config: ConfigDict, window: int, chunk: int = 1) -> None:
    """Of any size: a computer that runs `chunk` latent frames at a time and sees `window` chunks before them.

    Teacher forcing on clips; the history is noised, or errors stay.
    """
    config.network.update(causal=True, window=window, chunk=chunk, condition_layout="previous", clean_first_frame=False)
    config.network.positions = (0, *config.network.positions[1:])
    config.objective.update(kind="teacher_forcing", history_noise=0.6)
    config.sampling.guidance = 1.0


def transitions(config: ConfigDict, steps: int) -> None:
    """Of any size: a computer without a window, learned in so many steps from single transitions drawn by kind.

    Three in four begin at pure noise, as a run's only denoising step does (docs/streaming.md has what each value matters).
    """
    streaming(config, window=0)
    config.data.frames = 2
    config.text.update(width=16, length=16, heads=2, depth=1)
    config.network.update(prediction_type="x0", scale_noisy_latents=True)
    config.injection.mode = "internal"
    config.sampling.update(solver="euler", num_steps=1, shift=3.0)
    config.objective.update(shift=3.0, pure_noise=0.75)
    config.objective.update(dropout_text=0.0, dropout_image=0.0, dropout_cond=0.0)
    config.optimizer.update(kind="muon", learning_rate=2e-3, warmup_steps=50, decay_steps=steps, b2=0.98)
    config.optimizer.update(final_learning_rate=4e-5, weight_decay=0.0, ema_decay=0.99)
    config.schedule.update(steps=steps, log_every=20)


def wan_1_3b_i2v(config: ConfigDict) -> None:
    """81 frames of 480x832, 1.564 B parameters: Wan2.1's 1.3B made image-to-video, from its text-to-video weights."""
    _wan(config)
    config.network.update(width=1536, ffn=8960, heads=12, layers=30)


def wan_14b_i2v(config: ConfigDict) -> None:
    """81 frames of 480x832, 16.395 B parameters: the paper's network."""
    _wan(config)
    config.network.update(width=5120, ffn=13824, heads=40, layers=40)


def _wan(config: ConfigDict) -> None:
    """What Wan2.1's sizes share; guidance 5 and shift 3 are the release's for image-to-video at 480p.

    Guidance leads away from no text at all, which dropout trains. The release's negative prompt, for videos of people and
    places, is in its wan/configs/shared_config.py: text.negative_prompt takes it.
    """
    config.data.update(frames=81, height=480, width=832, batch_size=8)
    config.text.update(kind="umt5", width=4096, length=512, heads=64)
    config.image.kind = "clip"
    config.codec.update(kind="wan", channels=16, chunk=1)
    config.network.update(time_width=256, positions=(0, 0, 0), dtype="bfloat16", remat="full", attention="blockwise")
    config.network.update(prediction_type="v", condition_layout="wan", clean_first_frame=False)
    config.sampling.update(solver="unipc", num_steps=40, shift=3.0, guidance=5.0)
    config.objective.update(dropout_text=0.1, dropout_image=0.1, dropout_cond=0.1)
    config.optimizer.update(learning_rate=5e-5, warmup_steps=0, b2=0.999, weight_decay=0.01, grad_clip_norm=1.0)
    config.optimizer.ema_decay = 0.999


SIZES = {"micro": micro, "tiny": tiny, "wan_1_3b_i2v": wan_1_3b_i2v, "wan_14b_i2v": wan_14b_i2v}
