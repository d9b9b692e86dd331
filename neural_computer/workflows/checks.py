"""What a config and the data on disk must agree in, and the codec that is fitted to the data."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import UInt8

from neural_computer.build import Experiment
from neural_computer.config import ConfigError
from neural_computer.data.encoded import Info
from neural_computer.models.linear_codec import LinearCodec
from neural_computer.types import Clip, PyTree


def check_videos(experiment: Experiment, clip: Clip) -> None:
    """Raises ConfigError where the videos on disk are not of the config's size."""
    data, shape = experiment.data, clip.frames.shape
    if shape[:3] != (data.frames, data.height, data.width):
        raise ConfigError(
            f"config.data: frames={data.frames}, height={data.height}, width={data.width}; the videos in {data.directory} "
            f"are {shape[1]}x{shape[2]}: set height and width to theirs, or prepare the data anew"
        )


ENCODING = (
    *("data.frames", "data.height", "data.width", "data.stride", "codec.kind", "codec.channels", "codec.whiten"),
    "codec.temporal_stride",
    *("text.kind", "text.length", "image.kind", "network.condition_layout"),
)
"""What clips are encoded by: configs that agree in it can be trained on the same ones."""


BEFORE = {"codec.temporal_stride": 4}
"""Values of what is younger than some encoded clips"""


def encoding(experiment: Experiment) -> dict[str, Any]:
    """The values of `ENCODING`, by their paths, and of config.actions the keys that decide which actions clips have."""
    config = experiment.config.to_dict()
    paths = list(ENCODING)
    if experiment.inputs is not None:
        paths += ["actions.texts", "actions.text_length"]
    values = {
        path: config[section].get(name, BEFORE.get(path)) for path in paths for section, name in [path.split(".")]
    }
    return values | (
        {"actions.cursor_height": config["actions"]["cursor_height"]}
        if experiment.computer.conditioner.cursor_reference
        else {}
    )


def check_encoded(experiment: Experiment, info: Info) -> None:
    """Raises ConfigError where the clips on disk were encoded for another config."""
    if "vae" in experiment.config:
        raise ConfigError(
            f"config.data.directory={experiment.data.directory}: holds encoded clips, a VAE is trained on videos; give those "
            f"they were made from, {info.videos}"
        )
    if experiment.regions is not None:
        raise ConfigError(
            f"config.objective.regions={dict(experiment.config.objective.regions)}: encoded clips have no masks of regions; give "
            f"config.data.directory={info.videos}, or set it to {{}}"
        )
    needed, anew = encoding(experiment), "encode the videos anew (neural-computer prepare_data --recipe=encode)"
    if "actions.cursor_height" in info.config and "actions.cursor_height" not in needed:
        raise ConfigError(
            f"config.actions.cursor={experiment.config.actions.cursor!r}: the clips in {experiment.data.directory} were "
            f"encoded with 'reference'; set it to that, or {anew}"
        )
    for path, wanted in needed.items():
        if info.config.get(path, BEFORE.get(path)) != wanted:
            raise ConfigError(
                f"config.{path}={wanted!r}: the clips in {experiment.data.directory} were encoded with "
                f"{info.config.get(path, 'none')!r}; set it to that, or {anew}"
            )


def fit_codec(experiment: Experiment, videos: Any) -> PyTree:
    """The linear codec, fitted to config.codec.fit_videos of a source of videos; nothing for a codec with weights of its own."""
    codec = experiment.trainer.model.codec
    return codec.fit(codec_fit_videos(experiment, videos)) if isinstance(codec, LinearCodec) else {}


def codec_fit_videos(experiment: Experiment, videos: Any) -> Iterator[UInt8[np.ndarray, "t h w 3"]]:
    """config.codec.fit_videos of a source of videos, evenly spread."""
    for place in np.linspace(0, len(videos) - 1, min(experiment.codec.fit_videos, len(videos))).astype(int):
        yield videos[int(place)].frames
