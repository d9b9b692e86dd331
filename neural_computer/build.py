"""From a ConfigDict to an Experiment: the networks, the trainer and what reads the data. The only reader of configs.

`neural_computer.build` may be called like the function it is named after: nc.build(config).
"""

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import jax.numpy as jnp
from ml_collections import ConfigDict

from neural_computer import config as schema
from neural_computer import sharding
from neural_computer.build_network import dtype_of, network
from neural_computer.computer import NeuralComputer
from neural_computer.conditioning import Conditioner
from neural_computer.config import TextConfig, at
from neural_computer.convert import pretrained
from neural_computer.data.inputs import ActionFeaturizer
from neural_computer.data.regions import RegionMasks
from neural_computer.data.tokens import ByteTokenizer, UMT5Tokenizer
from neural_computer.denoiser import Denoiser
from neural_computer.experiment import Experiment
from neural_computer.flow import Sampler
from neural_computer.models import vae, weights
from neural_computer.models.linear_codec import LinearCodec, latent_size
from neural_computer.streaming import StreamingComputer
from neural_computer.train.corruption import STREAMING
from neural_computer.train.reconstruction import Autoencoder
from neural_computer.train.update import Trainer


def build(config: ConfigDict) -> Experiment:
    """The experiment of a config. Raises ConfigError, and CheckpointError for an `init` that is no converted folder."""
    part = schema.read(config)
    init = schema.typed(config.init, str, "config.init")
    mesh = dict(config.mesh)
    schema.check_keys(mesh, sharding.AXES, "config.mesh")
    preset = pretrained.networks(init) if init and not pretrained.is_machine(init) else {}
    trainer = _codec_trainer(part, preset) if "vae" in part else _trainer(part, preset)
    return Experiment(
        config=config,
        seed=schema.typed(config.seed, int, "config.seed"),
        init=init,
        data=part["data"],
        codec=part["codec"],
        negative_prompt=part["text"].negative_prompt if "text" in part else "",
        trainer=trainer,
        schedule=part["schedule"],
        evaluation=part["evaluation"],
        tokenizer=_tokenizer(part["text"], init) if "text" in part else ByteTokenizer(0),
        inputs=_inputs(part, trainer.model, init) if "actions" in part else None,
        mesh=mesh,
        regions=_regions(part, trainer.model) if "actions" in part else None,
    )


def _tokenizer(text: TextConfig, init: str) -> ByteTokenizer | UMT5Tokenizer:
    if text.kind == "bytes":
        return ByteTokenizer(text.length)
    # Wan2.1 itself cuts longer captions off.
    return UMT5Tokenizer(str(Path(init) / "tokenizer") if init else "google/umt5-xxl", text.length, truncate=True)


def _inputs(part: Mapping[str, Any], computer: NeuralComputer, init: str) -> ActionFeaturizer | None:
    actions = part["actions"]
    cursor = computer.conditioner.cursor_reference or part["objective"].cursor
    if computer.network.actions is None and not cursor:
        return None
    with at("config.actions"):
        if actions.text_length > part["text"].length:
            raise ValueError(
                f"text_length={actions.text_length}: must not exceed config.text.length={part['text'].length}"
            )
    short = dataclasses.replace(part["text"], length=actions.text_length)
    return ActionFeaturizer(_tokenizer(short, init), actions.texts, typed=actions.schema != "raw")


def _regions(part: Mapping[str, Any], computer: NeuralComputer) -> RegionMasks | None:
    names = tuple(part["objective"].regions)
    with at("config.objective"):
        return RegionMasks(names, computer.codec.stride) if names else None


# A computer


def _trainer(part: Mapping[str, Any], preset: Mapping[str, Any]) -> Trainer:
    conditioner, config, objective = _conditioner(part, preset), part["network"], part["objective"]
    with at("config.objective"):
        if objective.needs_heads and part["injection"].mode == "none":
            raise ValueError(
                "contrastive, future: compare the video with actions; set config.injection.mode to one that has them"
            )
    with at("config.sampling"):
        sampler = Sampler(**vars(part["sampling"]))
    with at("config.network"):
        fields = ("prediction_type", "predict_residual", "clean_first_frame", "scale_noisy_latents")
        denoiser = Denoiser(network(part, conditioner), **{name: getattr(config, name) for name in fields})
        computer = NeuralComputer(conditioner, denoiser, sampler)
        if objective.kind in STREAMING:
            computer = StreamingComputer(conditioner, denoiser, sampler, config.entries)
    return _updating(computer, objective, part)


def _conditioner(part: Mapping[str, Any], preset: Mapping[str, Any]) -> Conditioner:
    """The codec and the frozen encoders, with the sizes of those that are in the converted folder, else the published."""
    data, codec, text, actions = part["data"], part["codec"], part["text"], part["actions"]
    with at("config.network"):
        dtype = dtype_of(part["network"].dtype)

    def published(network: str, precision: Any) -> Any:
        return weights.module(network, preset.get(network, {}).get("config", {}), precision)

    with at("config.codec"):
        linear = codec.kind == "linear"
        module: Any = (
            LinearCodec(codec.channels, codec.whiten, codec.temporal_stride)
            if linear
            else published("vae", jnp.float32)
        )
        if not linear:
            if codec.temporal_stride != module.stride[0]:
                raise ValueError(f"temporal_stride={codec.temporal_stride}: this VAE's is {module.stride[0]}")
            module = dataclasses.replace(module, chunk=codec.chunk, tile=codec.tile)
        if module.channels != codec.channels:
            raise ValueError(f"channels={codec.channels}: this VAE has {module.channels}")
    with at("config.text"):
        text_encoder = published("umt5", dtype) if text.kind == "umt5" else None
        if text_encoder and text_encoder.width != text.width:
            raise ValueError(f"width={text.width}: this UMT5 has {text_encoder.width}")
    with at("config.data"):
        if not data.captions:
            raise ValueError("captions={}: a computer is prompted by captions; give at least one tier")
        latent_size(data.frames, data.height, data.width, stride=module.stride)
    with at("config.network"):
        return Conditioner(
            codec=module,
            frames=data.frames,
            size=(data.height, data.width),
            text_encoder=text_encoder,
            image_encoder=published("clip", dtype) if part["image"].kind == "clip" else None,
            condition_layout=part["network"].condition_layout,
            cursor_height=actions.cursor_height,
            cursor_reference=actions.cursor == "reference",
        )


def _updating(model: NeuralComputer | Autoencoder, objective: Any, part: Mapping[str, Any]) -> Trainer:
    """The trainer of a computer, or of a codec."""
    batch_size, optimizer = part["data"].batch_size, part["optimizer"]
    with at("config.optimizer"):
        if batch_size % (steps := optimizer.accumulate_steps):
            raise ValueError(f"accumulate_steps={steps}: must divide config.data.batch_size={batch_size}")
    return Trainer(model, objective, optimizer)


# A codec


def _codec_trainer(part: Mapping[str, Any], preset: Mapping[str, Any]) -> Trainer:
    data, codec, sizes = part["data"], part["codec"], part["vae"]
    with at("config.vae"):
        dtype = dtype_of(sizes.dtype)
        shape = {name: value for name, value in vars(sizes).items() if name != "dtype"}
        config = vae.WanVAEConfig(channels=codec.channels, **shape)
        if "vae" in preset and (converted := weights.module("vae", preset["vae"]["config"]).shape) != config:
            raise ValueError(
                f"width={sizes.width}, ...: config.init has a VAE of other sizes, {converted}; set these to its"
            )
    with at("config.codec"):
        if codec.kind != "wan" or codec.tile:
            raise ValueError(f"kind={codec.kind!r}, tile={codec.tile}: a VAE is trained as 'wan', without tiles")
        module = vae.WanVAE(config, dtype, codec.chunk)
    with at("config.data"):
        latent_size(data.frames, data.height, data.width)
        if data.captions:
            raise ValueError(f"captions={dict(data.captions)}: a VAE reads none; leave it empty")
    with at("config.reconstruction"):
        model = Autoencoder(module, part["reconstruction"].lpips_network)
    return _updating(model, part["reconstruction"], part)


class _Callable(ModuleType):
    """Importing a submodule binds its name in the package, so `nc.build` is this module: it does what its name says."""

    def __call__(self, config: ConfigDict) -> Experiment:
        return build(config)


sys.modules[__name__].__class__ = _Callable
