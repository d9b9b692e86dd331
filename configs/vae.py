"""A codec of one's own: the causal VAE trained from nothing (tiny), or Wan2.1's decoder fine-tuned (wan).

    python -m launch.train --config=configs/vae.py:tiny --config.data.directory=DATA --workdir=DIR
    python -m launch.convert_weights --input=DIR --output=CODEC
    python -m launch.train --config=configs/cligen.py:micro --config.data.directory=DATA --workdir=RUN \\
        --init=CODEC --config.codec.kind=wan --config.codec.channels=16

Training scores held-out videos and, beside them, a linear codec of as many channels: metrics.jsonl has both. What `tiny`
reaches on the recorded Python sessions (recipe repl, 128 held-out videos, one seed):

                              its own 5 frames                  9 frames
                              PSNR   characters  new ones       PSNR   characters  new ones
    VAE, 16 channels          21.9      .923       .30          19.9      .918       .23
    linear, 16 channels       29.9      .997       .95          30.9      .999       .995
    linear, 32 channels       36.2     1.000      1.000         38.8     1.000      1.000
    copy of the first frame   15.2      .939      0             13.7      .895      0

So on small screens nothing speaks for it: twelve minutes of a CPU core give blurred glyphs that cannot be read, where the
linear codec is fitted in a second. It was learning still (15.2 dB after 300 steps, 18.0 after 900, 21.5 after 1500, on 32
videos). `tiny` is there to be taken apart, and to be trained for longer on something faster.
"""

from ml_collections import ConfigDict

from neural_computer.configs import base


def get_config(form: str = "tiny") -> ConfigDict:
    """The `tiny` or the `wan` form."""
    if form not in FORMS:
        raise ValueError(f"configs/vae.py:{form}: unknown form; one of {', '.join(FORMS)}")
    config = base.get_config()
    for name in ("text", "image", "network", "injection", "actions", "sampling", "objective"):
        del config[name]
    config.data.captions = ConfigDict()
    config.codec.kind = "wan"
    config.vae = ConfigDict()
    # Wan2.1's report has 3, 3 and 3e-6 for L1, LPIPS and KL: the same proportion. L1 alone leaves a small VAE with the
    # median of a terminal's pixels, which is black.
    config.reconstruction = ConfigDict({"lpips": 1.0, "kl": 1e-6, "frames": 2})
    FORMS[form](config)
    return config


def tiny(config: ConfigDict) -> None:
    """5 frames of 3x16 characters, 1.9 M parameters: 2700 steps take 12 minutes of one CPU core.

    One video a step: at first it is the number of steps that counts. AlexNet judges, since VGG16 costs twenty times as much.
    """
    config.data.update(frames=5, height=48, width=128, batch_size=1)
    config.codec.update(channels=16, fit_videos=256)
    config.vae.update(width=8, multipliers=(1, 2, 4, 8), blocks=1, temporal=(False, True, True), dtype="float32")
    config.reconstruction.network = "alexnet"
    config.optimizer.update(learning_rate=2e-3, warmup_steps=20, decay_steps=3000, b2=0.98)
    config.optimizer.ema_decay = 0.99
    config.schedule.update(steps=2700, checkpoint_every=300, log_every=10, eval_every=300)


def wan(config: ConfigDict) -> None:
    """5 frames of 480x832, the published sizes, from --init=CONVERTED (or --config.init): not run here, for want of the weights.

    The decoder alone is trained, so that the latents stay those that Wan2.1's DiT knows; --config.optimizer.trainable='' trains
    all, and the DiT must then learn the new latents. By the traced gradient a video takes 66 TFLOP and 21 GiB, all included
    (train='': 88 and 32); XLA may take a quarter more. One video a device on eight.
    """
    config.data.update(frames=5, height=480, width=832, batch_size=8)
    config.codec.update(channels=16, fit_videos=256)
    config.vae.update(width=96, multipliers=(1, 2, 4, 4), blocks=2, temporal=(False, True, True), dtype="bfloat16")
    config.reconstruction.network = "vgg16"
    config.optimizer.update(learning_rate=1e-5, trainable="decoder")
    config.schedule.update(steps=10_000, checkpoint_every=1000)


FORMS = {"tiny": tiny, "wan": wan}
