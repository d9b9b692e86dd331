"""What the findings share: data as flags of prepare_data, and configs, by size.

tiny    what tests take one step of
micro   screens of 3x16 characters or 128x128 pixels, minutes of one CPU thread
small   screens of 320x192 or 256x256 pixels, an afternoon of one GPU of 80 GB
paper   Wan2.1's screens and network, from its weights: --config.init=CONVERTED
"""

from ml_collections import ConfigDict

from neural_computer.configs import arithmetic, cligen, guiworld, sizes

SMALL = {"width": 512, "layers": 12, "heads": 8}
"""Of the networks of size small, about 60 M parameters"""
PAPER = "wan_14b_i2v"


def repl(size: str, *flags: str) -> tuple[str, ...]:
    """Python sessions of one sum each: recorded in a pseudo-terminal, pasted; for the paper's size the probe, in a sandbox."""
    if size == "paper":
        return ("--recipe=arithmetic", "--clips=50000", "--held_out=1000", "--size=480x832")
    shown = {"tiny": ("1,9", "8"), "micro": ("1,49", "240"), "small": ("0,199", "1000")}[size]
    return ("--recipe=repl", f"--operands={shown[0]}", f"--larger={shown[1]}", "--paste", *flags)


def sums(size: str, steps: int = 1000) -> ConfigDict:
    """Computes sums: half of the captions have the answer (configs/arithmetic.py)."""
    if size == "paper":
        config = cligen.get_config(f"clean,{PAPER}")
        config.evaluation.videos = 1000
        return config
    config = arithmetic.get_config("sums")
    arithmetic.computing(config, steps if size != "small" else 20_000)
    config.data.captions = ConfigDict({"plain": 0.5, "answered": 0.5})
    config.evaluation.update(videos=256, eval_videos_during_training=64)
    config.schedule.update(eval_every=100, checkpoint_every=100)
    if size == "small":
        arithmetic.resized(config, **SMALL)
        config.data.batch_size = 256
    return tiny(config) if size == "tiny" else config


def number_files(size: str) -> tuple[str, ...]:
    """Bash sessions that print a file of numbers, recorded; for the paper's size its General data, from a folder of casts."""
    if size == "paper":
        return ("--recipe=cligen_general", "--input=casts", "--size=480x832")
    return ("--recipe=number_files", f"--clips={ {'tiny': 60, 'micro': 1500, 'small': 4000}[size] }")


def terminal(size: str, caption: str, steps: int) -> ConfigDict:
    """NC_CLIGen on those sessions, with captions of one tier."""
    if size == "paper":
        config = cligen.get_config(f"general,{PAPER}")
    else:
        config = cligen.get_config("micro")
        arithmetic.computing(config, steps if size != "small" else 20_000)
        config.objective.update(pure_noise=0.5, regions=ConfigDict())
        config.text.update(length=256, depth=1)
        config.data.update(height=96, batch_size=16)
        config.network.positions = (3, 6, 8)
        config.evaluation.update(videos=128, eval_videos_during_training=64, further_splits="")
        config.schedule.update(eval_every=50, checkpoint_every=100)
        if size == "small":
            arithmetic.resized(config, **SMALL)
            config.data.batch_size = 128
    config.data.captions = ConfigDict({caption: 1.0})
    return tiny(config) if size == "tiny" else config


def desktop_data(size: str, split: str) -> tuple[str, ...]:
    """The synthetic desktop with its mouse and keys; for the paper's size a real one, recorded."""
    if size == "paper":
        return ("--recipe=guiworld", "--source=rig", f"--split={split}", "--minutes=6000", "--size=480x640")
    clips = {"tiny": 40, "micro": 3000, "small": 30_000}[size]
    side = {"tiny": 64, "micro": 128, "small": 256}[size]
    frames = 5 if size == "tiny" else 9
    return ("--recipe=guiworld", f"--split={split}", f"--clips={clips}", f"--size={side}", f"--frames={frames}")


def desktop(size: str, split: str, mode: str = "internal", cursor: str = "reference") -> ConfigDict:
    """NC_GUIWorld with an injection mode and a cursor."""
    if size == "paper":
        return guiworld.get_config(f"{split},{PAPER},{mode},{cursor}")
    config = guiworld.get_config(f"{split},micro,{mode},{cursor}")
    if size == "small":
        config.data.update(height=256, width=256, batch_size=128)
        config.network.update(positions=(3, 16, 16), width=512, ffn=2048, layers=12, heads=8)
        config.actions.cursor_height = 0.085 * 256
        config.optimizer.update(decay_steps=20_000)
        config.schedule.update(steps=20_000, checkpoint_every=1000, eval_every=2000)
    return tiny(config) if size == "tiny" else config


def tiny(config: ConfigDict) -> ConfigDict:
    """The config at the least that its data allow: two steps, for tests."""
    own = config.sampling.to_dict()
    height, width, frames = config.data.height, config.data.width, config.data.frames
    text = config.text.length
    sizes.tiny(config)
    config.sampling.update(own | {"num_steps": 2})
    if height > 96:
        height = width = 64
        frames = 5
    config.data.update(height=height, width=width, frames=frames, batch_size=4)
    config.text.update(length=text, width=16)
    config.network.positions = ((frames - 1) // 4 + 1, height // 16, width // 16)
    config.codec.update(channels=8, fit_videos=8)
    config.actions.update(width=16)
    config.optimizer.update(kind="adamw", warmup_steps=0, decay_steps=0)
    config.schedule.update(steps=1, checkpoint_every=1, eval_every=0, log_every=1)
    config.evaluation.update(videos=4, batch_size=4, metrics="")
    return config
