"""From a ConfigDict to frozen dataclasses and objects: the only reader of configs.

Every section of a config is a dataclass here or in its room; an unknown, missing or impossible value raises ConfigError
with its path, its value, the rule and the way out, before anything is compiled.
"""

import dataclasses
import difflib
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from neural_computer import sharding
from neural_computer.computer import Network, NeuralComputer
from neural_computer.data.tokens import ByteTokenizer
from neural_computer.models.codec import STRIDE, LinearCodec, latent_size
from neural_computer.models.dit import DiT, Shape
from neural_computer.models.injection import MODES
from neural_computer.models.text import ByteText
from neural_computer.train.checkpoint import CheckpointError, Checkpoints, load_arrays, read_json, save_arrays
from neural_computer.train.loop import Schedule
from neural_computer.train.objective import Objective
from neural_computer.train.optim import Optimizer
from neural_computer.train.update import Trainer
from neural_computer.types import Params, PyTree, Window


class ConfigError(ValueError):
    """A config value cannot be used."""


@dataclass(frozen=True)
class Data:
    """Where the films are and what is read of them. `captions` gives caption tiers and how often each is drawn."""

    directory: str
    frames: int
    height: int
    width: int
    stride: int
    batch_size: int
    captions: Mapping[str, float]


@dataclass(frozen=True)
class Text:
    """The byte text encoder."""

    width: int
    length: int
    heads: int
    depth: int

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"heads={self.heads}: must divide width={self.width}")


@dataclass(frozen=True)
class Codec:
    """The linear codec: latent channels, and how many films of the training split it is fitted to."""

    channels: int
    fit_films: int


@dataclass(frozen=True)
class Size:
    """The DiT's sizes; its channels and text width follow from codec and text."""

    width: int
    ffn: int
    heads: int
    layers: int
    patch: tuple[int, ...]
    time_width: int
    positions: tuple[int, ...]
    dtype: str
    attention: str
    remat: str


@dataclass(frozen=True)
class InjectionMode:
    mode: str
    every: int


@dataclass(frozen=True)
class Sampling:
    """`NeuralComputer`'s own fields."""

    target: str
    condition: str
    clean_first: bool
    steps: int
    shift: float


@dataclass(frozen=True)
class Average:
    """Gradient accumulation and the moving average of parameters."""

    ema: float
    accumulate: int


@dataclass(frozen=True)
class Evaluation:
    """How many held-out films are scored: in the final evaluation, and on the way."""

    films: int
    films_on_the_way: int
    batch_size: int
    split: str


@dataclass(frozen=True)
class Experiment:
    """Everything a config stands for."""

    config: ConfigDict
    seed: int
    data: Data
    codec: Codec
    trainer: Trainer
    schedule: Schedule
    evaluation: Evaluation
    tokenizer: ByteTokenizer
    mesh: Mapping[str, int]

    @property
    def computer(self) -> NeuralComputer:
        return self.trainer.computer


SECTIONS = {
    "data": Data,
    "text": Text,
    "codec": Codec,
    "network": Size,
    "injection": InjectionMode,
    "sampling": Sampling,
    "objective": Objective,
    "optimizer": Optimizer,
    "average": Average,
    "schedule": Schedule,
    "evaluation": Evaluation,
}


def build(config: ConfigDict) -> Experiment:
    """The experiment of a config. Raises ConfigError."""
    _known(config, [*SECTIONS, "seed", "mesh"], "config")
    part = {name: read(cls, config[name], f"config.{name}") for name, cls in SECTIONS.items()}
    mesh = dict(config.mesh)
    _known(mesh, sharding.AXES, "config.mesh")
    return Experiment(
        config=config,
        seed=_typed(config.seed, int, "config.seed"),
        data=part["data"],
        codec=part["codec"],
        trainer=_trainer(part),
        schedule=part["schedule"],
        evaluation=part["evaluation"],
        tokenizer=ByteTokenizer(part["text"].length),
        mesh=mesh,
    )


def _trainer(part: Mapping[str, Any]) -> Trainer:
    data, text, size, injection = part["data"], part["text"], part["network"], part["injection"]
    channels = part["codec"].channels
    with _at("config.data"):
        grid = latent_size(data.frames, data.height, data.width)
    with _at("config.network"):
        if size.dtype not in ("float32", "bfloat16"):
            raise ValueError(f"dtype={size.dtype!r}: must be float32 or bfloat16")
        fields = {f.name for f in dataclasses.fields(Shape)} & set(vars(size))
        shape = Shape(
            in_channels=2 * channels + STRIDE[0],
            out_channels=channels,
            text_width=text.width,
            **{name: getattr(size, name) for name in fields},
        )
        if grid[1] % size.patch[1] or grid[2] % size.patch[2]:
            raise ValueError(
                f"patch={tuple(size.patch)}: must divide the latent size {grid[1]}x{grid[2]} of "
                f"{data.height}x{data.width} films"
            )
    with _at("config.injection"):
        if injection.mode not in MODES:
            raise ValueError(f"mode={injection.mode!r}: unknown; one of {', '.join(MODES)}")
        if injection.every < 1:
            raise ValueError(f"every={injection.every}: must be at least 1")
        dit = DiT(shape, MODES[injection.mode](injection.every), jnp.dtype(size.dtype), size.attention, size.remat)
        dit.check()
    with _at("config.codec"):
        codec = LinearCodec(channels)
    encoder = ByteText(text.width, text.length, text.heads, text.depth, jnp.dtype(size.dtype))
    with _at("config.sampling"):
        computer = NeuralComputer(
            Network(dit, encoder), codec, data.frames, (data.height, data.width), **vars(part["sampling"])
        )
    with _at("config.average"):
        trainer = Trainer(computer, part["objective"], part["optimizer"], **vars(part["average"]))
        if data.batch_size % trainer.accumulate:
            raise ValueError(f"accumulate={trainer.accumulate}: must divide config.data.batch_size={data.batch_size}")
    return trainer


# Reading one section


def read(cls: type, section: ConfigDict, path: str) -> Any:
    """A section as the dataclass `cls`: every field given, known and of its type."""
    fields = {field.name: field for field in dataclasses.fields(cls)}
    hints = typing.get_type_hints(cls)
    _known(section, fields, path)
    missing = [n for n, f in fields.items() if n not in section and f.default is dataclasses.MISSING]
    if missing:
        raise ConfigError(f"{path}.{missing[0]}: missing; configs/base.py shows every value")
    values = {name: _typed(section[name], hints[name], f"{path}.{name}") for name in fields if name in section}
    with _at(path):
        return cls(**values)


def _known(section: Mapping[str, Any] | ConfigDict, names: Any, path: str) -> None:
    for name in section:
        if name not in names:
            near = difflib.get_close_matches(name, list(names), 1)
            hint = f"did you mean {path}.{near[0]}?" if near else f"the keys are {', '.join(sorted(names))}"
            raise ConfigError(f"{path}.{name}={section[name]!r}: unknown key; {hint}")
    if isinstance(names, list):
        for name in names:
            if name not in section:
                raise ConfigError(f"{path}.{name}: missing; configs/base.py shows every value")


def _typed(value: Any, hint: Any, path: str) -> Any:
    origin = typing.get_origin(hint)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if origin is tuple and isinstance(value, list | tuple) and all(isinstance(x, int) for x in value):
        return tuple(value)
    if origin is not None and origin is not tuple and isinstance(value, Mapping | ConfigDict):
        return dict(value)
    if origin is None and isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    expected = getattr(hint, "__name__", str(hint)) if origin is None else str(hint)
    raise ConfigError(f"{path}={value!r}: must be {expected}, is {type(value).__name__}")


class _at:
    """Puts a config path before the ValueErrors of a block."""

    def __init__(self, path: str):
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, ValueError) and not isinstance(error, ConfigError):
            raise ConfigError(f"{self.path}.{error}") from error


def check_films(experiment: Experiment, window: Window) -> None:
    """Raises ConfigError where the films on disk are not of the config's size."""
    data, found = experiment.data, window.frames.shape
    if found[:3] != (data.frames, data.height, data.width):
        raise ConfigError(
            f"config.data: frames={data.frames}, height={data.height}, width={data.width}; the films in {data.directory} "
            f"are {found[1]}x{found[2]}: set height and width to theirs, or prepare the data anew"
        )


# A trained workdir


@dataclass(frozen=True)
class Trained:
    """A computer with its parameters: what a notebook needs to run it."""

    experiment: Experiment
    params: Params
    step: int
    first_frame: np.ndarray
    """uint8 (h, w, 3): the first frame of a training film, a screen the computer knows."""
    fps: float
    """Frames per second of the training films."""

    @property
    def computer(self) -> NeuralComputer:
        return self.experiment.computer


def save_setup(experiment: Experiment, workdir: Path, codec: PyTree, window: Window) -> None:
    """Writes what a run needs beside a checkpoint: the config, the codec, a window's first frame and its rate."""
    save_arrays(workdir / "codec.npz", codec | {"first_frame": window.frames[0], "fps": np.asarray(window.fps)})
    (workdir / "config.json").write_text(experiment.config.to_json(indent=2) + "\n")


def load_setup(experiment: Experiment, workdir: Path) -> tuple[PyTree, np.ndarray, float]:
    """(frozen parameters, first frame, frames per second) written by `save_setup`. Raises CheckpointError."""
    arrays = load_arrays(workdir / "codec.npz")
    blank = experiment.computer.codec.init()
    for name, value in blank.items():
        if name not in arrays or arrays[name].shape != value.shape:
            found = "absent" if name not in arrays else f"of shape {arrays[name].shape}"
            raise CheckpointError(
                f"{workdir / 'codec.npz'}: {name} is {found}, config.codec.channels={experiment.codec.channels} needs "
                f"{value.shape}; use the config it was fitted with, or a new workdir"
            )
    return {"codec": {name: arrays[name] for name in blank}}, arrays["first_frame"], float(arrays["fps"])


def load(workdir: str | Path) -> Trained:
    """The computer trained in a workdir, with its averaged parameters. Raises CheckpointError, ConfigError."""
    workdir = Path(workdir)
    if not (workdir / "config.json").exists():
        raise CheckpointError(
            f"{workdir}: no config.json there; train first (python -m launch.train --config=... --workdir={workdir})"
        )
    experiment = build(ConfigDict(read_json(workdir / "config.json")))
    frozen, first_frame, fps = load_setup(experiment, workdir)
    text = jnp.zeros((1, experiment.tokenizer.length), jnp.int32)
    abstract = jax.eval_shape(lambda: experiment.trainer.init(experiment.seed, text))
    checkpoints = Checkpoints(workdir / "checkpoints", experiment.schedule.keep)
    found = checkpoints.restore(abstract)
    checkpoints.close()
    if found is None:
        raise CheckpointError(f"{workdir}: no checkpoint there yet; give the training command again")
    step, state, _ = found
    return Trained(experiment, Params(state.ema, frozen), step, first_frame, fps)
