"""The schema of a config: every section a dataclass, every value checked before anything is compiled.

An unknown, missing or impossible value raises ConfigError with its path, its value, the rule and the way out.
"""

import dataclasses
import difflib
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ml_collections import ConfigDict

from neural_computer.errors import Error, one_of
from neural_computer.evals import metrics
from neural_computer.evals.inputs import VIEWS
from neural_computer.formats import FormatError, check_format
from neural_computer.train.loop import LoopConfig
from neural_computer.train.objective import Objective
from neural_computer.train.optim import Optimizer
from neural_computer.train.reconstruction import Reconstruction

RENAMED = {
    "average.accumulate": "optimizer.accumulate_steps",
    "average.ema": "optimizer.ema_decay",
    "actions.arrow": "actions.cursor_height",
    "codec.fit_films": "codec.fit_videos",
    "evaluation.films": "evaluation.videos",
    "evaluation.films_on_the_way": "evaluation.eval_videos_during_training",
    "network.context": "network.context_parallel",
    "optimizer.clip": "optimizer.grad_clip_norm",
    "optimizer.final_rate": "optimizer.final_learning_rate",
    "optimizer.rate": "optimizer.learning_rate",
    "optimizer.train": "optimizer.trainable",
    "optimizer.warmup": "optimizer.warmup_steps",
    "sampling.clean_first": "network.clean_first_frame",
    "sampling.condition": "network.condition_layout",
    "sampling.skip": "network.predict_residual",
    "sampling.steps": "sampling.num_steps",
    "sampling.target": "network.prediction_type",
    "schedule.keep": "schedule.max_to_keep",
    "text.negative": "text.negative_prompt",
}
"""Paths that configs had before format 1, and those they have now."""


class ConfigError(Error, ValueError):
    """A config value cannot be used."""


@dataclass(frozen=True)
class DataConfig:
    """The data set, videos or clips that were encoded from them. `captions` gives the share of every caption tier; `split` is
    trained on; a clip is `frames` frames, and clips begin `stride` frames apart. `shares`, by kind of transition, are those of
    clips whose last frame shows it (`data.balanced`); empty, all clips are drawn alike. `stages`, by step, are the shares
    from that step on: a curriculum."""

    directory: str
    frames: int
    height: int
    width: int
    stride: int
    batch_size: int
    captions: Mapping[str, float]
    split: str
    shares: Mapping[str, float] = field(default_factory=dict)
    stages: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.shares and self.stages:
            raise ValueError("stages: have shares of their own; leave shares empty")


@dataclass(frozen=True)
class TextConfig:
    """The text encoder. `kind` "bytes" is a small one, trained with the network, to which heads, depth and `digit_places` belong
    (`models.text.ByteTextEncoder`); "umt5" is Wan2.1's, frozen, its sizes those of `init`'s or the published ones.
    `negative_prompt` is what classifier-free guidance leads away from."""

    kind: str
    width: int
    length: int
    heads: int
    depth: int
    negative_prompt: str
    digit_places: bool = False

    def __post_init__(self) -> None:
        one_of("kind", self.kind, ("bytes", "umt5"))
        if self.digit_places and self.kind == "umt5":
            raise ValueError(
                "digit_places=True: of the small encoder alone (kind='bytes'); UMT5 has its own vocabulary"
            )
        if self.width % self.heads:
            raise ValueError(f"heads={self.heads}: must divide width={self.width}")


@dataclass(frozen=True)
class ImageConfig:
    """The image encoder: "none", or Wan2.1's "clip"."""

    kind: str

    def __post_init__(self) -> None:
        one_of("kind", self.kind, ("none", "clip"))


@dataclass(frozen=True)
class CodecConfig:
    """`kind` "linear": fitted to `fit_videos` videos of the training split, whitened to the degree `whiten`, with
    `temporal_stride` (1 or 4) video frames a latent frame. "wan": the
    causal VAE, its sizes those of `init`'s or the published ones; `chunk` and `tile` bound its memory (see
    `models.vae.WanVAE`). Where the VAE is itself trained, mean and variance of its latents are measured on `fit_videos`
    videos."""

    kind: str
    channels: int
    whiten: float
    fit_videos: int
    chunk: int
    tile: int
    temporal_stride: int = 4

    def __post_init__(self) -> None:
        one_of("kind", self.kind, ("linear", "wan"))


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
    """The DiT's sizes and computation (`models.dit`; its channels and text width follow from codec and text), and how its
    output is read: the fields of `Denoiser`, and `Conditioner.condition_layout`. A `causal` network works in chunks of `chunk`
    latent frames, each of which sees `window` chunks before it (-1: all in the clip; it cannot stream then); what `entries`
    enter the window when it runs is "chunks", all, or "events" alone (`StreamingComputer`)."""

    width: int
    ffn: int
    heads: int
    layers: int
    patch: tuple[int, ...]
    time_width: int
    positions: tuple[int, ...]
    dtype: str
    attention: str
    context_parallel: str
    causal: bool
    remat: str
    lora: int
    prediction_type: str
    condition_layout: str
    clean_first_frame: bool
    predict_residual: bool
    scale_noisy_latents: bool = False
    window: int = -1
    chunk: int = 1
    entries: str = "chunks"

    def __post_init__(self) -> None:
        if self.window < -1 or self.chunk < 1:
            raise ValueError(f"window={self.window}, chunk={self.chunk}: at least -1 (all) and 1")
        if not self.causal and (self.window, self.chunk) != (-1, 1):
            raise ValueError(f"window={self.window}, chunk={self.chunk}: of a causal network alone; set causal=True")


CURSORS = ("xy", "fourier", "reference")


@dataclass(frozen=True)
class ActionConfig:
    """The action encoder (see `actions.encode.ActionEncoding`; `window` in latent frames and `lag` in video frames are
    `actions.align.Alignment`'s). `cursor`: "xy", its position as two numbers; "fourier", Fourier features of it;
    "reference", these and a rendered cursor of `cursor_height` pixels. A clip has room for `texts` typed texts of
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
        one_of("cursor", self.cursor, CURSORS)
        for name in ("texts", "text_length", "cursor_height"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name)}: must be positive")


@dataclass(frozen=True)
class InjectionConfig:
    """Where actions enter (`models.injection.MODES`). `window` and `lag`, in latent frames, are contextual's mask."""

    mode: str
    every: int
    window: int
    lag: int


@dataclass(frozen=True)
class SamplingConfig:
    """The fields of `flow.Sampler`."""

    solver: str
    num_steps: int
    shift: float
    guidance: float
    action_guidance: float = 1.0


@dataclass(frozen=True)
class EvaluationConfig:
    """How many held-out videos are scored, in the final evaluation (`videos`) and during training; then by `metrics` too,
    names of `evals.METRICS` with commas between, over the frames of `view`; `r3d18` is the weights' file that fvd_r3d18 needs.
    `further_splits`, with commas between, are scored beside `split` in the final evaluation, where the data have them. A video
    that a finding measures is `chunks` chunks long.
    """

    videos: int
    eval_videos_during_training: int
    batch_size: int
    split: str
    metrics: str
    view: str
    r3d18: str
    further_splits: str = ""
    chunks: int = 1

    def __post_init__(self) -> None:
        for name in filter(None, self.metrics.split(",")):
            metrics.check(name, "metrics")
        one_of("view", self.view, VIEWS)
        if self.chunks < 1:
            raise ValueError(f"chunks={self.chunks}: must be at least 1")
        if "fvd_r3d18" in self.metrics and not self.r3d18:
            raise ValueError("metrics=fvd_r3d18: needs r3d18, the file of torchvision's r3d_18 weights")


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
    "schedule": LoopConfig,
    "evaluation": EvaluationConfig,
}
CODEC_SECTIONS = {
    **{name: SECTIONS[name] for name in ("data", "codec", "optimizer", "schedule", "evaluation")},
    "vae": VAEConfig,
    "reconstruction": Reconstruction,
}
"""Of a config that has a section `vae`: it trains a codec."""
SCALARS = ("format", "seed", "init", "mesh")


def read(config: ConfigDict) -> dict[str, Any]:
    """Every section as its dataclass, by name. Raises ConfigError."""
    check_names(config)
    sections = CODEC_SECTIONS if "vae" in config else SECTIONS
    check_keys(config, [*sections, *SCALARS], "config")
    return {name: read_section(cls, config[name], f"config.{name}") for name, cls in sections.items()}


def check_names(config: ConfigDict) -> None:
    """Raises ConfigError for a key that was renamed, and for a config of another format."""
    for path, now in RENAMED.items():
        section, name = path.split(".")
        if section in config and name in config[section]:
            raise ConfigError(f"config.{path}: renamed to config.{now}")
    try:
        check_format(config.get("format"), "config.format")
    except FormatError as error:
        raise ConfigError(str(error)) from error


def read_section(cls: type, section: ConfigDict, path: str) -> Any:
    """A section as the dataclass `cls`: every field given, known and of its type."""
    fields = {field.name: field for field in dataclasses.fields(cls)}
    hints = typing.get_type_hints(cls)
    check_keys(section, fields, path)
    missing = [
        n for n, f in fields.items() if n not in section and f.default is f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"{path}.{missing[0]}: missing; neural_computer.configs.base has every value")
    values = {name: typed(section[name], hints[name], f"{path}.{name}") for name in fields if name in section}
    with at(path):
        return cls(**values)


def check_keys(section: Mapping[str, Any] | ConfigDict, names: Any, path: str) -> None:
    """Raises ConfigError for a key that is not among `names`, and, where these are a list, for one that is missing."""
    for name in section:
        if name not in names:
            near = difflib.get_close_matches(name, list(names), 1)
            hint = f"did you mean {path}.{near[0]}?" if near else f"the keys are {', '.join(sorted(names))}"
            raise ConfigError(f"{path}.{name}={section[name]!r}: unknown key; {hint}")
    if isinstance(names, list):
        for name in names:
            if name not in section:
                raise ConfigError(f"{path}.{name}: missing; neural_computer.configs.base has every value")


def typed(value: Any, hint: Any, path: str) -> Any:
    """The value as its type. Raises ConfigError for one of another type."""
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


@contextmanager
def at(path: str) -> Iterator[None]:
    """Puts a config path before the ValueErrors of a block, as ConfigErrors."""
    try:
        yield
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"{path}.{error}") from error
