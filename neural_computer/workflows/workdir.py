"""A workdir: what training writes beside its checkpoints, and what is read back from it."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jax.sharding import Mesh
from ml_collections import ConfigDict

from neural_computer import sharding
from neural_computer.build import build as build_config
from neural_computer.config import ConfigError
from neural_computer.convert import pretrained
from neural_computer.experiment import Experiment
from neural_computer.files import write_whole
from neural_computer.formats import check_format
from neural_computer.models.linear_codec import LinearCodec
from neural_computer.models.vae import WanVAE
from neural_computer.train.checkpoint import CheckpointError, Checkpoints, load_arrays, read_json, save_arrays
from neural_computer.types import Clip, FrozenParams, Params, PyTree

CONFIG = "config.json"
WEIGHTS, META = "model.safetensors", "trained.json"
"""Of a machine that was saved to be shared, in place of checkpoints"""
SETUP = "setup.npz"
LATENTS = "latents.npz"
OVERRIDDEN = "overridden"
"""Key of config.json: parts of the experiment that were replaced in code"""


def save_setup(experiment: Experiment, workdir: Path, codec: PyTree, clip: Clip) -> None:
    """Writes what a run needs beside a checkpoint: the config, a codec fitted here, a clip's first frame, rate and caption."""
    tier = next(iter(experiment.data.captions), "")
    prompt = clip.captions.get(tier, "") if isinstance(clip.captions.get(tier, ""), str) else ""
    clip_arrays = {"first_frame": clip.frames[0], "fps": np.asarray(clip.fps), "prompt": np.asarray(prompt)}
    save_arrays(workdir / SETUP, codec | clip_arrays)
    write_config(experiment, workdir)


def write_config(experiment: Experiment, folder: Path) -> None:
    """Writes config.json."""
    config = ConfigDict(
        experiment.config.to_dict() | ({OVERRIDDEN: experiment.overridden} if experiment.overridden else {})
    )
    write_whole(folder / CONFIG, config.to_json(indent=2) + "\n")


def read_config(folder: Path, build: Any = None) -> Experiment:
    """The experiment of config.json, by `build` (config -> Experiment) if given.

    Raises CheckpointError for a folder without config, ConfigError for parts replaced in code without `build`.
    """
    path = folder / CONFIG
    if not path.exists():
        raise CheckpointError(
            f"{folder}: no {CONFIG} there; train first (neural-computer train --config=... --workdir={folder})"
        )
    values = read_json(path)
    overridden = values.pop(OVERRIDDEN, ())
    if overridden and build is None:
        raise ConfigError(
            f"{path}: {', '.join(overridden)} were replaced in code when it was trained; give nc.load the same: "
            "build=lambda config: nc.build(config).replace(...)"
        )
    try:
        return (build or build_config)(ConfigDict(values))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def load_setup(workdir: Path) -> dict[str, np.ndarray]:
    """What `save_setup` wrote: first_frame, fps, prompt and the arrays of the codec. Raises CheckpointError."""
    return load_arrays(workdir / SETUP)


def encoders(experiment: Experiment, workdir: Path | None, mesh: Mesh | None = None) -> FrozenParams:
    """Parameters of codec and frozen encoders, from the workdir or config.init. Raises CheckpointError, ConfigError."""
    conditioner, init = experiment.computer.conditioner, experiment.init

    def converted(network: str, of: str) -> PyTree:
        if not init:
            raise ConfigError(f"{of}: needs the weights of {network}; give config.init a converted folder")
        if pretrained.is_machine(init):
            return getattr(read(Path(init), mesh).params.frozen, pretrained.PREFIX[network])
        return pretrained.load_pretrained(init, network, mesh=mesh)[1]

    if not isinstance(conditioner.codec, LinearCodec):
        codec = converted("vae", "config.codec.kind='wan'")
    elif workdir is None:
        raise ConfigError(
            "config.codec.kind='linear': is fitted to videos, so it needs a trained workdir; or use 'wan'"
        )
    else:
        codec = _fitted(conditioner.codec, workdir)
    return FrozenParams(
        codec=codec,
        text_encoder=converted("umt5", "config.text.kind='umt5'") if conditioner.text_encoder else None,
        image_encoder=converted("clip", "config.image.kind='clip'") if conditioner.image_encoder else None,
    )


def _fitted(codec: LinearCodec, workdir: Path) -> PyTree:
    arrays, blank = load_setup(workdir), codec.init()
    for name, value in blank.items():
        if name not in arrays or arrays[name].shape != value.shape:
            shape = "absent" if name not in arrays else f"of shape {arrays[name].shape}"
            raise CheckpointError(
                f"{workdir / SETUP}: {name} is {shape}, config.codec.channels={codec.channels} needs "
                f"{value.shape}; use the config it was fitted with, or a new workdir"
            )
    return {name: arrays[name] for name in blank}


def init_params(experiment: Experiment, mesh: Mesh | None = None) -> PyTree:
    """The network's parameters before training: fresh ones, or those of config.init with fresh ones for what it lacks.

    config.init is a converted folder, or a trained machine, whose network must be the config's. Raises ConfigError.
    """
    trainer, init = experiment.trainer, experiment.init
    if init and pretrained.is_machine(init):
        return _machine_params(experiment, mesh)
    if init:
        return pretrained.initial(init, trainer, experiment.seed, mesh)
    return pretrained.fresh(trainer, experiment.seed, mesh)


def _machine_params(experiment: Experiment, mesh: Mesh | None) -> PyTree:
    """The network of the machine that config.init names. Raises ConfigError where it is not the config's."""
    network = read(Path(experiment.init), mesh).params.network
    found, wanted = (
        flatten_dict(network, sep="/"),
        flatten_dict(jax.eval_shape(lambda: experiment.trainer.network(0)), sep="/"),
    )
    for path in sorted(found.keys() | wanted.keys()):
        here, there = (getattr(each.get(path), "shape", "absent") for each in (wanted, found))
        if here != there:
            raise ConfigError(
                f"config.init={experiment.init}: its {path} is {there}, the config's is {here}; set config.network, text "
                "and actions to the machine's, which are in its config.json"
            )
    return network


def held_params(experiment: Experiment, mesh: Mesh | None = None) -> PyTree | None:
    """The part of the network's initial parameters that is not trained; None where all of it is."""
    if not experiment.trainer.optimizer.trainable:
        return None
    return experiment.trainer.optimizer.split(init_params(experiment, mesh))[1] or None


def restored(workdir: Path, mesh: Mesh | None = None, build: Any = None) -> tuple[Experiment, int, PyTree]:
    """(experiment, step, averaged trained part of the network) of a workdir's newest checkpoint."""
    experiment = read_config(workdir, build)
    trainer = experiment.trainer
    abstract = jax.eval_shape(lambda: trainer.init(experiment.seed))
    at = None if mesh is None else sharding.shardings(abstract, mesh, trainer.rules)
    checkpoints = Checkpoints(workdir / "checkpoints", experiment.schedule.max_to_keep)
    newest = checkpoints.restore(abstract, at, only="ema")
    checkpoints.close()
    if newest is None:
        raise CheckpointError(f"{workdir}: no checkpoint there yet; give the training command again")
    return experiment, newest[0], newest[1]


class Machine(NamedTuple):
    """What is read from the folder of a trained computer."""

    experiment: Experiment
    params: Params
    step: int
    first_frame: np.ndarray
    fps: float
    prompt: str


def read(folder: Path, mesh: Mesh | None = None, build: Any = None) -> Machine:
    """A computer with its averaged parameters, from the workdir it was trained in or a folder that it was saved to.

    Raises CheckpointError, ConfigError.
    """
    if (folder / META).exists():
        return _read_saved(folder, mesh, build)
    experiment, step, average = restored(folder, mesh, build)
    setup = load_setup(folder)
    frozen = encoders(experiment, folder, mesh)._replace(network_held=held_params(experiment, mesh))
    params = experiment.trainer.params(average, frozen)
    return Machine(experiment, params, step, setup["first_frame"], float(setup["fps"]), str(setup.get("prompt", "")))


def _read_saved(folder: Path, mesh: Mesh | None, build: Any) -> Machine:
    from safetensors.numpy import load_file

    meta = read_json(folder / META)
    check_format(meta.get("format"), folder)
    experiment = read_config(folder, build)
    try:
        flat = load_file(folder / WEIGHTS)
    except Exception as error:
        raise CheckpointError(f"{folder / WEIGHTS}: cannot be read ({error}); copy it again") from error
    first_frame = flat.pop("first_frame")
    tree = unflatten_dict(flat, sep="/")
    params = Params(tree["network"], FrozenParams(**tree["frozen"]))
    params = sharding.place(params, mesh, experiment.trainer.rules) if mesh else jax.tree.map(jnp.asarray, params)
    return Machine(experiment, params, meta["step"], first_frame, meta["fps"], meta.get("prompt", ""))


# A codec that is itself trained


def trains_codec(workdir: Path) -> bool:
    """Whether a workdir trained a codec."""
    return "vae" in read_json(workdir / CONFIG)


def load_codec(workdir: str | Path) -> tuple[WanVAE, PyTree, int]:
    """(VAE, its averaged parameters, step) of a workdir that trained one. Raises CheckpointError, ConfigError."""
    workdir = Path(workdir)
    experiment, step, average = restored(workdir)
    trainer = experiment.trainer
    if not experiment.trains_codec:
        raise ConfigError(f"{workdir}: its config has no section vae; it trained a computer, not a codec")
    latents = load_arrays(workdir / LATENTS) if (workdir / LATENTS).exists() else {}
    if latents.pop("step", None) != step:
        raise CheckpointError(
            f"{workdir / LATENTS}: is not of step {step}, the newest; it is written when training ends: give the training "
            "command again"
        )
    frozen = FrozenParams(network_held=held_params(experiment))
    return trainer.model.codec, trainer.params(average, frozen).network["codec"] | latents, step
