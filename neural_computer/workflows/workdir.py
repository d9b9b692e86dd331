"""A workdir: what training writes beside its checkpoints, and the trained computer read back from it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from neural_computer import sharding
from neural_computer.build import ConfigError, Experiment, build, codec_fit_videos
from neural_computer.computer import NeuralComputer
from neural_computer.convert import pretrained
from neural_computer.models.linear_codec import LinearCodec
from neural_computer.models.vae import WanVAE
from neural_computer.train.checkpoint import CheckpointError, Checkpoints, load_arrays, read_json, save_arrays
from neural_computer.train.update import Trainer
from neural_computer.types import Clip, Params, PyTree

CONFIG = "config.json"
SETUP = "setup.npz"
LATENTS = "latents.npz"


@dataclass(frozen=True)
class Trained:
    """A computer with its parameters: what a notebook needs to run it."""

    experiment: Experiment
    params: Params
    step: int
    first_frame: np.ndarray
    """uint8 (h, w, 3): the first frame of a training video, a screen the computer knows."""
    fps: float
    """Frames per second of the training videos."""

    @property
    def computer(self) -> NeuralComputer:
        return self.experiment.computer


def save_setup(experiment: Experiment, workdir: Path, codec: PyTree, window: Clip) -> None:
    """Writes what a run needs beside a checkpoint: the config, a codec that was fitted here, a window's first frame and rate."""
    save_arrays(workdir / SETUP, codec | {"first_frame": window.frames[0], "fps": np.asarray(window.fps)})
    (workdir / CONFIG).write_text(experiment.config.to_json(indent=2) + "\n")


def load_setup(workdir: Path) -> dict[str, np.ndarray]:
    """What `save_setup` wrote: first_frame, fps and the arrays of the codec. Raises CheckpointError."""
    return load_arrays(workdir / SETUP)


def encoders(experiment: Experiment, workdir: Path | None, mesh: Mesh | None = None) -> PyTree:
    """The frozen codec and encoders, from the workdir or the folder that training starts from. Raises CheckpointError."""
    computer, frozen = experiment.computer, dict[str, PyTree]()
    if isinstance(computer.codec, LinearCodec):
        if workdir is None:
            raise ConfigError(
                "config.codec.kind='linear': is fitted to videos, so it needs a trained workdir; or use 'wan'"
            )
        frozen["codec"] = _fitted(computer.codec, workdir)
    elif not experiment.init:
        raise ConfigError("config.codec.kind='wan': needs its weights; give config.init a converted folder")
    else:
        _, frozen["codec"] = pretrained.load_pretrained(experiment.init, "vae", mesh=mesh)
    for name, module in (("umt5", computer.text_encoder), ("clip", computer.image_encoder)):
        if module is not None:
            if not experiment.init:
                raise ConfigError(f"config.init: is empty; {name} needs its weights from a converted folder")
            _, frozen[name] = pretrained.load_pretrained(experiment.init, name, mesh=mesh)
    return frozen


def _fitted(codec: LinearCodec, workdir: Path) -> PyTree:
    arrays, blank = load_setup(workdir), codec.init()
    for name, value in blank.items():
        if name not in arrays or arrays[name].shape != value.shape:
            found = "absent" if name not in arrays else f"of shape {arrays[name].shape}"
            raise CheckpointError(
                f"{workdir / SETUP}: {name} is {found}, config.codec.channels={codec.channels} needs "
                f"{value.shape}; use the config it was fitted with, or a new workdir"
            )
    return {name: arrays[name] for name in blank}


def init_params(experiment: Experiment, mesh: Mesh | None = None) -> PyTree:
    """The network's parameters before training: fresh ones, or those of config.init with fresh ones for what it lacks."""
    trainer = experiment.trainer
    if experiment.init and experiment.trains_codec:
        _, given = pretrained.load_pretrained(experiment.init, "vae", mesh=mesh)
        return {"codec": {name: given[name] for name in ("encoder", "decoder")}}
    if experiment.init and "dit" in pretrained.networks(experiment.init):
        return pretrained.merged(experiment.init, trainer, experiment.seed, mesh)
    return pretrained.fresh(trainer, experiment.seed, mesh)


def held_params(trainer: Trainer, network: PyTree) -> PyTree:
    """The held part of a network as part of the frozen parameters; nothing where all is trained."""
    _, rest = trainer.optimizer.split(network)
    return {"network": rest} if rest else {}


def load(workdir: str | Path, mesh: Mesh | None = None) -> Trained:
    """The computer trained in a workdir, with its averaged parameters, on a mesh if one is given.

    Raises CheckpointError, ConfigError.
    """
    workdir = Path(workdir)
    experiment, step, average = restored(workdir, mesh)
    trainer, setup = experiment.trainer, load_setup(workdir)
    frozen = encoders(experiment, workdir, mesh)
    if trainer.optimizer.trainable:
        frozen |= held_params(trainer, init_params(experiment, mesh))
    return Trained(experiment, trainer.params(average, frozen), step, setup["first_frame"], float(setup["fps"]))


def restored(workdir: Path, mesh: Mesh | None = None) -> tuple[Experiment, int, PyTree]:
    """(experiment, step, averaged trained part of the network) of a workdir's newest checkpoint."""
    if not (workdir / CONFIG).exists():
        raise CheckpointError(
            f"{workdir}: no {CONFIG} there; train first (python -m launch.train --config=... --workdir={workdir})"
        )
    experiment = build(ConfigDict(read_json(workdir / CONFIG)))
    abstract = jax.eval_shape(lambda: experiment.trainer.init(experiment.seed))
    at = None if mesh is None else sharding.shardings(abstract, mesh)
    checkpoints = Checkpoints(workdir / "checkpoints", experiment.schedule.max_to_keep)
    found = checkpoints.restore(abstract, at, only="ema")
    checkpoints.close()
    if found is None:
        raise CheckpointError(f"{workdir}: no checkpoint there yet; give the training command again")
    return experiment, found[0], found[1]


# A codec that is itself trained


def codec_loss_params(experiment: Experiment) -> PyTree:
    """What is frozen while a codec is trained: LPIPS' parameters, if it judges."""
    lpips = experiment.trainer.computer.judge
    return {"lpips": lpips.load()} if lpips else {}


def save_latents(experiment: Experiment, workdir: Path, step: int, network: PyTree, videos: Any) -> None:
    """Measures the latents of a trained codec's network on training videos and writes what they are normalised by.

    An encoder that was held keeps what it came with: whatever reads its latents still may.
    """
    encoder_trained = "encoder" in experiment.trainer.optimizer.split(network)[0]["codec"]
    if experiment.init and not encoder_trained:
        _, given = pretrained.load_pretrained(experiment.init, "vae")
        found = {name: np.asarray(given[name]) for name in ("mean", "std")}
    else:
        found = experiment.trainer.computer.statistics(network["codec"], codec_fit_videos(experiment, videos))
    save_arrays(workdir / LATENTS, found | {"step": np.asarray(step)})


def trains_codec(workdir: Path) -> bool:
    """Is what a workdir trained a codec?"""
    return "vae" in read_json(workdir / CONFIG)


def load_codec(workdir: str | Path) -> tuple[WanVAE, PyTree, int]:
    """(VAE, its averaged parameters, step) of a workdir that trained one. Raises CheckpointError, ConfigError."""
    workdir = Path(workdir)
    experiment, step, average = restored(workdir)
    trainer = experiment.trainer
    if not experiment.trains_codec:
        raise ConfigError(f"{workdir}: its config has no section vae; it trained a computer, not a codec")
    frozen = held_params(trainer, init_params(experiment)) if trainer.optimizer.trainable else {}
    latents = load_arrays(workdir / LATENTS) if (workdir / LATENTS).exists() else {}
    if latents.pop("step", None) != step:
        raise CheckpointError(
            f"{workdir / LATENTS}: is not of step {step}, the newest; it is written when training ends: give the training "
            "command again"
        )
    return trainer.computer.codec, trainer.params(average, frozen).network["codec"] | latents, step


def untrained(config: ConfigDict, first_frame: np.ndarray, fps: float, mesh: Mesh | None = None) -> Trained:
    """The computer of a config as config.init holds it, without any training of ours."""
    experiment = build(config)
    if not experiment.init:
        raise ConfigError("config.init: is empty; give a converted folder, or train first")
    return Trained(
        experiment, Params(init_params(experiment, mesh), encoders(experiment, None, mesh)), 0, first_frame, fps
    )
