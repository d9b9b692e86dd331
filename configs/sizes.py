"""Sizes: overlays on a config that make it as large as a machine allows."""

from ml_collections import ConfigDict


def micro(config: ConfigDict) -> None:
    """3x16 characters, 9 frames, 1.5 M parameters: learns in minutes on one CPU thread.

    The target, the clean first frame and the repeated condition are what learns at a width no larger than a patch;
    the paper's own ("v", "wan", False) stay the base's.
    """
    config.data.update(frames=9, height=48, width=128, batch_size=32)
    config.text.update(width=128, length=40, heads=2, depth=1)
    config.codec.update(channels=32, fit_films=256)
    config.network.update(width=128, ffn=512, heads=2, layers=4, positions=(3, 3, 8))
    config.sampling.update(target="x", condition="repeat", clean_first=True, steps=8, shift=3.0)
    config.objective.update(dropout_text=0.0, dropout_image=0.0, dropout_cond=0.0)
    config.optimizer.update(rate=2e-3, warmup=50, b2=0.98)
    config.average.update(ema=0.99)


def tiny(config: ConfigDict) -> None:
    """The smallest that still has every part: for tests, which shrink every config to it."""
    micro(config)
    config.data.update(frames=5, height=16, width=32, batch_size=8)
    config.text.update(width=16)
    config.codec.update(channels=4, fit_films=4)
    config.network.update(width=16, ffn=32, heads=2, layers=2, positions=(2, 1, 2), time_width=16)
    config.sampling.update(steps=2)


SIZES = {"micro": micro, "tiny": tiny}
