"""From a ConfigDict to frozen dataclasses and objects: the only reader of configs.

Every section of a config is a dataclass here or in its room; an unknown, missing or impossible value raises ConfigError
with its path, its value, the rule and the way out, before anything is compiled.
"""

import dataclasses
import difflib
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, UInt8
from ml_collections import ConfigDict

from neural_computer import sharding
from neural_computer.actions.align import Alignment
from neural_computer.actions.encode import ActionEncoder, Encoding
from neural_computer.computer import Network, NeuralComputer
from neural_computer.convert import pretrained
from neural_computer.data.encoded import Info
from neural_computer.data.inputs import ActionFeaturizer
from neural_computer.data.tokens import ByteTokenizer, UMT5Tokenizer
from neural_computer.evals.scorer import NAMES, VIEWS
from neural_computer.models import vae, weights
from neural_computer.models.dit import DiT, DiTConfig
from neural_computer.models.heads import Heads
from neural_computer.models.injection import MODES, Contextual, Injection
from neural_computer.models.linear_codec import STRIDE, LinearCodec, latent_size
from neural_computer.models.text import ByteTextEncoder
from neural_computer.train.loop import LoopConfig
from neural_computer.train.objective import Objective
from neural_computer.train.optim import Optimizer
from neural_computer.train.reconstruction import Autoencoder, Reconstruction
from neural_computer.train.update import Trainer
from neural_computer.types import Clip, PyTree


class ConfigError(ValueError):
    """A config value cannot be used."""


@dataclass(frozen=True)
class DataConfig:
    """Where the videos are, or the clips that were encoded from them, and what is read of them. `captions` gives caption
    tiers and how often each is drawn, `split` is trained on."""

    directory: str
    frames: int
    height: int
    width: int
    stride: int
    batch_size: int
    captions: Mapping[str, float]
    split: str


@dataclass(frozen=True)
class TextConfig:
    """The text encoder. `kind` "bytes" is a small one, trained with the network, to which heads and depth belong; "umt5" is
    Wan2.1's, frozen, its sizes those of `init`'s or the published ones. `negative` is the prompt that guidance leads
    away from."""

    kind: str
    width: int
    length: int
    heads: int
    depth: int
    negative: str

    def __post_init__(self) -> None:
        _one_of("kind", self.kind, ("bytes", "umt5"))
        if self.width % self.heads:
            raise ValueError(f"heads={self.heads}: must divide width={self.width}")


@dataclass(frozen=True)
class ImageConfig:
    """The image encoder: "none", or Wan2.1's "clip"."""

    kind: str

    def __post_init__(self) -> None:
        _one_of("kind", self.kind, ("none", "clip"))


@dataclass(frozen=True)
class CodecConfig:
    """`kind` "linear": fitted to `fit_videos` videos of the training split, and whitened as far as `whiten` says. "wan": the
    causal VAE, its sizes those of `init`'s or the published ones; `chunk` and `tile` bound its memory (see
    `models.vae.WanVAE`). Where the VAE is itself trained, the mean and variance of its latents are measured on `fit_videos`
    videos."""

    kind: str
    channels: int
    whiten: float
    fit_videos: int
    chunk: int
    tile: int

    def __post_init__(self) -> None:
        _one_of("kind", self.kind, ("linear", "wan"))


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name}={value!r}: unknown; one of {', '.join(known)}")


@dataclass(frozen=True)
class VAEConfig:
    """The sizes of a VAE that is itself trained (see `models.vae.WanVAEConfig`); its channels are the codec's."""

    width: int
    multipliers: tuple[int, ...]
    blocks: int
    temporal: tuple[bool, ...]
    dtype: str


@dataclass(frozen=True)
class NetworkConfig:
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
    context: str
    causal: bool
    remat: str
    lora: int


CURSORS = ("xy", "fourier", "reference")


@dataclass(frozen=True)
class ActionConfig:
    """How actions are encoded (see `actions.encode.Encoding`; `window` in latent frames and `lag` in video frames are
    `actions.align.Alignment`'s), and what tells of the cursor: its place as two numbers ("xy"), in Fourier features
    ("fourier"), or these and pictures of an arrow `arrow` pixels high ("reference"). A window has room for `texts` texts of
    `text_length` tokens, one a frame and slot."""

    schema: str
    cursor: str
    width: int
    pool: str
    fourier: int
    scale: float
    window: int
    lag: int
    texts: int
    text_length: int
    cursor_height: float

    def __post_init__(self) -> None:
        _one_of("cursor", self.cursor, CURSORS)
        if self.texts < 1 or self.text_length < 1 or self.cursor_height <= 0:
            raise ValueError(
                f"texts={self.texts}, text_length={self.text_length}, cursor_height={self.cursor_height}: must be positive"
            )


@dataclass(frozen=True)
class InjectionConfig:
    """Where actions enter (`models.injection.MODES`). `window` and `lag`, in latent frames, are contextual's mask."""

    mode: str
    every: int
    window: int
    lag: int


@dataclass(frozen=True)
class SamplingConfig:
    """`NeuralComputer`'s own fields."""

    prediction_type: str
    condition_layout: str
    clean_first_frame: bool
    predict_residual: bool
    solver: str
    steps: int
    shift: float
    guidance: float


@dataclass(frozen=True)
class Average:
    """Gradient accumulation and the moving average of parameters."""

    ema: float
    accumulate: int


@dataclass(frozen=True)
class EvaluationConfig:
    """How many held-out videos are scored: in the final evaluation, and on the way, then by `metrics` too, names of
    `evals.scorer` with commas between, over the frames of `view`; `r3d18` is the file of the weights that fvd_r3d18 needs."""

    videos: int
    eval_videos_during_training: int
    batch_size: int
    split: str
    metrics: str
    view: str
    r3d18: str

    def __post_init__(self) -> None:
        for name in filter(None, self.metrics.split(",")):
            _one_of("metrics", name, NAMES)
        _one_of("view", self.view, VIEWS)
        if "fvd_r3d18" in self.metrics and not self.r3d18:
            raise ValueError("metrics=fvd_r3d18: needs r3d18, the file of torchvision's r3d_18 weights")


@dataclass(frozen=True)
class Experiment:
    """Everything a config stands for."""

    config: ConfigDict
    seed: int
    init: str
    """The converted folder that training starts from; "" for none."""
    data: DataConfig
    codec: CodecConfig
    negative: str
    trainer: Trainer
    schedule: LoopConfig
    evaluation: EvaluationConfig
    tokenizer: ByteTokenizer | UMT5Tokenizer
    inputs: ActionFeaturizer | None
    """What makes actions of a window's events; None where none enter"""
    mesh: Mapping[str, int]

    @property
    def computer(self) -> NeuralComputer:
        """Raises ConfigError where it is a codec that is trained."""
        if self.trains_codec:
            raise ConfigError(
                "config.vae: makes a codec, not a computer; convert the trained one (python -m launch.convert_weights) "
                "and train a computer with config.codec.kind='wan' and it as config.init"
            )
        return self.trainer.computer

    @property
    def trains_codec(self) -> bool:
        return isinstance(self.trainer.computer, Autoencoder)

    def negative_prompt_ids(self, negative: str | None = None) -> Int[np.ndarray, "1 l"] | None:
        """Token ids of what guidance leads away from, by default config.text.negative_prompt; None where there is no guidance.

        "" is nothing at all, not the encoding of an empty text: what dropout trains.
        """
        if self.computer.guidance == 1:
            return None
        negative = self.negative if negative is None else negative
        return self.tokenizer([negative]) if negative else np.zeros((1, self.tokenizer.length), np.int32)


SECTIONS = {
    "data": DataConfig,
    "text": TextConfig,
    "image": ImageConfig,
    "codec": CodecConfig,
    "network": NetworkConfig,
    "injection": InjectionConfig,
    "actions": ActionConfig,
    "sampling": SamplingConfig,
    "objective": Objective,
    "optimizer": Optimizer,
    "average": Average,
    "schedule": LoopConfig,
    "evaluation": EvaluationConfig,
}
CODEC_SECTIONS = {
    **{name: SECTIONS[name] for name in ("data", "codec", "optimizer", "average", "schedule", "evaluation")},
    "vae": VAEConfig,
    "reconstruction": Reconstruction,
}
"""Of a config that has a section `vae`: it trains a codec."""


def build(config: ConfigDict) -> Experiment:
    """The experiment of a config. Raises ConfigError, and CheckpointError for an `init` that is no converted folder."""
    sections, make = (CODEC_SECTIONS, _codec_trainer) if "vae" in config else (SECTIONS, _trainer)
    _known(config, [*sections, "seed", "init", "mesh"], "config")
    part = {name: read(cls, config[name], f"config.{name}") for name, cls in sections.items()}
    mesh, init = dict(config.mesh), _typed(config.init, str, "config.init")
    _known(mesh, sharding.AXES, "config.mesh")
    trainer = make(part, pretrained.networks(init) if init else {})
    return Experiment(
        config=config,
        seed=_typed(config.seed, int, "config.seed"),
        init=init,
        data=part["data"],
        codec=part["codec"],
        negative=part["text"].negative if "text" in part else "",
        trainer=trainer,
        schedule=part["schedule"],
        evaluation=part["evaluation"],
        tokenizer=_tokenizer(part["text"], init) if "text" in part else ByteTokenizer(0),
        inputs=_inputs(part, trainer, init) if "actions" in part else None,
        mesh=mesh,
    )


def _tokenizer(text: TextConfig, init: str) -> ByteTokenizer | UMT5Tokenizer:
    if text.kind == "bytes":
        return ByteTokenizer(text.length)
    # Wan2.1 itself cuts longer captions off.
    return UMT5Tokenizer(str(Path(init) / "tokenizer") if init else "google/umt5-xxl", text.length, truncate=True)


def _inputs(part: Mapping[str, Any], trainer: Trainer, init: str) -> ActionFeaturizer | None:
    computer, acting = trainer.computer, part["actions"]
    if computer.network.actions is None and not computer.cursor_reference and not part["objective"].cursor:
        return None
    with _at("config.actions"):
        if acting.text_length > part["text"].length:
            raise ValueError(
                f"text_length={acting.text_length}: must not exceed config.text.length={part['text'].length}"
            )
    short = dataclasses.replace(part["text"], length=acting.text_length)
    return ActionFeaturizer(_tokenizer(short, init), acting.texts)


def _trainer(part: Mapping[str, Any], preset: Mapping[str, Any]) -> Trainer:
    data, size = part["data"], part["network"]
    with _at("config.network"):
        dtype = _dtype(size.dtype)
    encoders = _encoders(part, preset, dtype)
    with _at("config.data"):
        if not data.captions:
            raise ValueError("captions={}: a computer is asked by captions; give at least one tier")
        grid = latent_size(data.frames, data.height, data.width)
    dit = _dit(part, encoders["vision"].width if encoders["vision"] else 0, dtype)
    actions, acting = _action_encoder(part, dit.injection), part["actions"]
    with _at("config.objective"):
        if part["objective"].compares and actions is None:
            raise ValueError(
                "contrastive, future: compare the video with actions; set config.injection.mode to one that has them"
            )
    with _at("config.network"):
        if grid[1] % size.patch[1] or grid[2] % size.patch[2]:
            raise ValueError(
                f"patch={tuple(size.patch)}: must divide the latent size {grid[1]}x{grid[2]} of "
                f"{data.height}x{data.width} videos"
            )
    text = part["text"]
    along = None if encoders["words"] else ByteTextEncoder(text.width, text.length, text.heads, text.depth, dtype)
    with _at("config.sampling"):
        computer = NeuralComputer(
            Network(dit, along, actions, Heads(acting.width) if part["objective"].compares else None),
            frames=data.frames,
            size=(data.height, data.width),
            cursor_height=acting.cursor_height,
            cursor_reference=acting.cursor == "reference",
            **encoders,
            **vars(part["sampling"]),
        )
    return _updating(computer, part["objective"], part)


def _action_encoder(part: Mapping[str, Any], injection: Injection) -> ActionEncoder | None:
    """The action encoder of a mode that has actions."""
    acting, data = part["actions"], part["data"]
    with _at("config.actions"):
        align = Alignment(STRIDE[0], acting.window, acting.lag)
        mouse = "xy" if acting.cursor == "xy" else "fourier"
        how = Encoding(acting.schema, mouse, acting.width, acting.pool, acting.fourier, acting.scale, align)
    return None if type(injection) is Injection else ActionEncoder(how, (data.height, data.width))


def _updating(computer: NeuralComputer | Autoencoder, objective: Any, part: Mapping[str, Any]) -> Trainer:
    """The trainer of a computer, or of a codec."""
    data = part["data"]
    with _at("config.average"):
        trainer = Trainer(computer, objective, part["optimizer"], **vars(part["average"]))
        if data.batch_size % trainer.accumulate:
            raise ValueError(f"accumulate={trainer.accumulate}: must divide config.data.batch_size={data.batch_size}")
    return trainer


def _codec_trainer(part: Mapping[str, Any], preset: Mapping[str, Any]) -> Trainer:
    data, codec, sizes = part["data"], part["codec"], part["vae"]
    with _at("config.vae"):
        dtype = _dtype(sizes.dtype)
        shape = vae.WanVAEConfig(
            channels=codec.channels, **{name: x for name, x in vars(sizes).items() if name != "dtype"}
        )
        if "vae" in preset and (found := weights.module("vae", preset["vae"]["config"]).shape) != shape:
            raise ValueError(
                f"width={sizes.width}, ...: config.init holds a VAE of other sizes, {found}; set these to its"
            )
    with _at("config.codec"):
        if codec.kind != "wan" or codec.tile:
            raise ValueError(f"kind={codec.kind!r}, tile={codec.tile}: a VAE is trained as 'wan', without tiles")
        made = vae.WanVAE(shape, dtype, codec.chunk)
    with _at("config.data"):
        latent_size(data.frames, data.height, data.width)
        if data.captions:
            raise ValueError(f"captions={dict(data.captions)}: a VAE reads none; leave it empty")
    with _at("config.reconstruction"):
        coder = Autoencoder(made, part["reconstruction"].judge)
    return _updating(coder, part["reconstruction"], part)


def _dtype(name: str) -> Any:
    if name not in ("float32", "bfloat16"):
        raise ValueError(f"dtype={name!r}: must be float32 or bfloat16")
    return jnp.dtype(name)


def _encoders(part: Mapping[str, Any], preset: Mapping[str, Any], dtype: Any) -> dict[str, Any]:
    """The codec and the frozen encoders, with the sizes of those that are in the converted folder, else the published."""

    def frozen(network: str, precision: Any) -> Any:
        return weights.module(network, preset.get(network, {}).get("config", {}), precision)

    codec, text = part["codec"], part["text"]
    with _at("config.codec"):
        if codec.kind == "linear":
            made: Any = LinearCodec(codec.channels, codec.whiten)
        else:
            made = dataclasses.replace(frozen("vae", jnp.float32), chunk=codec.chunk, tile=codec.tile)
            if made.channels != codec.channels:
                raise ValueError(f"channels={codec.channels}: this VAE has {made.channels}")
    with _at("config.text"):
        words = frozen("umt5", dtype) if text.kind == "umt5" else None
        if words and words.width != text.width:
            raise ValueError(f"width={text.width}: this UMT5 has {words.width}")
    return {"codec": made, "words": words, "vision": frozen("clip", dtype) if part["image"].kind == "clip" else None}


def _dit(part: Mapping[str, Any], image_width: int, dtype: Any) -> DiT:
    size, injection, channels = part["network"], part["injection"], part["codec"].channels
    with _at("config.network"):
        fields = {f.name for f in dataclasses.fields(DiTConfig)} & set(vars(size))
        shape = DiTConfig(
            in_channels=2 * channels + STRIDE[0],
            out_channels=channels,
            text_width=part["text"].width,
            image_width=image_width,
            **{name: getattr(size, name) for name in fields},
        )
    with _at("config.injection"):
        if injection.mode not in MODES:
            raise ValueError(f"mode={injection.mode!r}: unknown; one of {', '.join(MODES)}")
        if injection.every < 1:
            raise ValueError(f"every={injection.every}: must be at least 1")
        how = {name: getattr(size, name) for name in ("attention", "remat", "context", "causal", "lora")}
        if min(injection.window, injection.lag) < 0:
            raise ValueError(f"window={injection.window}, lag={injection.lag}: must not be negative")
        mode = MODES[injection.mode](injection.every)
        if isinstance(mode, Contextual):
            mode = dataclasses.replace(mode, window=injection.window, lag=injection.lag)
        dit = DiT(shape, mode, dtype, **how)
        if shape.layers % injection.every:
            dit.check()
    with _at("config.network"):
        dit.check()
    return dit


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


def check_videos(experiment: Experiment, window: Clip) -> None:
    """Raises ConfigError where the videos on disk are not of the config's size."""
    data, found = experiment.data, window.frames.shape
    if found[:3] != (data.frames, data.height, data.width):
        raise ConfigError(
            f"config.data: frames={data.frames}, height={data.height}, width={data.width}; the videos in {data.directory} "
            f"are {found[1]}x{found[2]}: set height and width to theirs, or prepare the data anew"
        )


ENCODING = (
    *("data.frames", "data.height", "data.width", "data.stride", "codec.kind", "codec.channels", "codec.whiten"),
    *("text.kind", "text.length", "image.kind", "network.condition_layout"),
)
"""What clips are encoded by: configs that agree in it can be trained on the same ones."""


def encoding(experiment: Experiment) -> dict[str, Any]:
    """The values of `ENCODING`, by their paths, and of config.actions what tells which actions clips have, and how."""
    config = experiment.config.to_dict()
    paths = list(ENCODING)
    if experiment.inputs is not None:
        paths += ["actions.texts", "actions.text_length"]
    found = {path: config[section][name] for path in paths for section, name in [path.split(".")]}
    return found | (
        {"actions.cursor_height": config["actions"]["arrow"]} if experiment.computer.cursor_reference else {}
    )


def check_encoded(experiment: Experiment, info: Info) -> None:
    """Raises ConfigError where the clips on disk were encoded for another config."""
    if "vae" in experiment.config:
        raise ConfigError(
            f"config.data.directory={experiment.data.directory}: holds encoded clips, a VAE is trained on videos; give those "
            f"they were made from, {info.videos}"
        )
    needed, anew = encoding(experiment), "encode the videos anew (python -m launch.prepare_data --recipe=encode)"
    if "actions.cursor_height" in info.config and "actions.cursor_height" not in needed:
        raise ConfigError(
            f"config.actions.cursor={experiment.config.actions.cursor!r}: the clips in {experiment.data.directory} were "
            f"encoded with 'reference'; set it to that, or {anew}"
        )
    for path, wanted in needed.items():
        if info.config.get(path) != wanted:
            raise ConfigError(
                f"config.{path}={wanted!r}: the clips in {experiment.data.directory} were encoded with "
                f"{info.config.get(path, 'none')!r}; set it to that, or {anew}"
            )


def fit_codec(experiment: Experiment, videos: Any) -> PyTree:
    """The linear codec, fitted to config.codec.fit_videos of a source of videos; nothing for a codec with weights of its own."""
    codec = experiment.trainer.computer.codec
    return codec.fit(codec_fit_videos(experiment, videos)) if isinstance(codec, LinearCodec) else {}


def codec_fit_videos(experiment: Experiment, videos: Any) -> Iterator[UInt8[np.ndarray, "t h w 3"]]:
    """config.codec.fit_videos of a source of videos, evenly spread."""
    for place in np.linspace(0, len(videos) - 1, min(experiment.codec.fit_videos, len(videos))).astype(int):
        yield videos[int(place)].frames
