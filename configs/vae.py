"""A codec of one's own: trains the causal VAE, from nothing (tiny) or from Wan2.1's (wan).

python -m launch.train --config=configs/vae.py:tiny --config.data.directory=DATA --workdir=DIR
python -m launch.convert_weights --input=DIR --output=CODEC
python -m launch.train --config=configs/cligen.py:micro --init=CODEC --config.codec.kind=wan --config.codec.channels=16 ...
"""

from ml_collections import ConfigDict

from configs import base


def get_config(form: str = "tiny") -> ConfigDict:
    """The `tiny` or the `wan` form."""
    if form not in FORMS:
        raise ValueError(f"configs/vae.py:{form}: unknown form; one of {', '.join(FORMS)}")
    config = base.get_config()
    for name in ("text", "image", "network", "injection", "sampling", "objective"):
        del config[name]
    config.data.captions = ConfigDict()
    config.codec.kind = "wan"
    config.vae = ConfigDict()
    config.reconstruction = ConfigDict({"lpips": 1.0, "kl": 1e-6})
    FORMS[form](config)
    return config


def tiny(config: ConfigDict) -> None:
    """3x16 characters, 5 frames."""
    config.data.update(frames=5, height=48, width=128, batch_size=2)
    config.codec.update(channels=16, fit_films=256)
    config.vae.update(width=8, multipliers=(1, 2, 4, 8), blocks=1, temporal=(False, True, True), dtype="float32")
    config.reconstruction.update(network="alexnet", frames=2)
    config.optimizer.update(rate=2e-3, warmup=20, b2=0.99)
    config.average.ema = 0.99
    config.schedule.update(steps=700, checkpoint_every=100, log_every=10, eval_every=100)


def wan(config: ConfigDict) -> None:
    """5 frames of 480x832."""
    config.data.update(frames=5, height=480, width=832, batch_size=8)
    config.codec.update(channels=16, fit_films=256)
    config.vae.update(width=96, multipliers=(1, 2, 4, 4), blocks=2, temporal=(False, True, True), dtype="bfloat16")
    config.reconstruction.update(network="vgg16", frames=2)
    config.optimizer.update(rate=1e-5, train="decoder")
    config.schedule.update(steps=10_000, checkpoint_every=1000)


FORMS = {"tiny": tiny, "wan": wan}
