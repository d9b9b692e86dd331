"""From a config's sections to the network of a computer: the DiT, what is trained with it, and the action encoder."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from neural_computer import config as schema
from neural_computer.actions.align import Alignment
from neural_computer.actions.encode import ActionEncoder, ActionEncoding
from neural_computer.conditioning import Conditioner
from neural_computer.config import at
from neural_computer.denoiser import Network
from neural_computer.errors import one_of
from neural_computer.models.attention import Causal
from neural_computer.models.dit import DiT, DiTConfig
from neural_computer.models.heads import Heads
from neural_computer.models.injection import MODES, Contextual, Injection
from neural_computer.models.text import ByteTextEncoder


def network(part: Mapping[str, Any], conditioner: Conditioner) -> Network:
    text, config, dtype = part["text"], part["network"], dtype_of(part["network"].dtype)
    dit = _dit(part, conditioner, dtype)
    with at("config.network"):
        (_, i, j, _), (height, width) = conditioner.latent_shape, conditioner.size
        if i % config.patch[1] or j % config.patch[2]:
            raise ValueError(
                f"patch={tuple(config.patch)}: must divide the latent size {i}x{j} of {height}x{width} videos"
            )
    trained = None
    if conditioner.text_encoder is None:
        trained = ByteTextEncoder(text.width, text.length, text.heads, text.depth, dtype, text.digit_places)
    heads = Heads(part["actions"].width) if part["objective"].needs_heads else None
    return Network(dit, trained, _action_encoder(part, dit.injection, conditioner.mask_channels), heads)


def _action_encoder(part: Mapping[str, Any], injection: Injection, stride: int) -> ActionEncoder | None:
    """The action encoder of a mode that has actions."""
    actions, data = part["actions"], part["data"]
    with at("config.actions"):
        align = Alignment(stride, actions.window, actions.lag)
        mouse = "xy" if actions.cursor == "xy" else "fourier"
        config = ActionEncoding(
            actions.schema, mouse, actions.width, actions.pool, actions.fourier, actions.scale, align
        )
    return None if type(injection) is Injection else ActionEncoder(config, (data.height, data.width))


def _dit(part: Mapping[str, Any], conditioner: Conditioner, dtype: Any) -> DiT:
    config, injection, channels = part["network"], part["injection"], part["codec"].channels
    with at("config.network"):
        fields = {f.name for f in dataclasses.fields(DiTConfig)} & set(vars(config))
        shape = DiTConfig(
            in_channels=2 * channels + conditioner.mask_channels,
            out_channels=channels,
            text_width=part["text"].width,
            image_width=conditioner.image_encoder.width if conditioner.image_encoder else 0,
            **{name: getattr(config, name) for name in fields},
        )
    mode = _injection(injection)
    options = {name: getattr(config, name) for name in ("attention", "remat", "lora")}
    causal = Causal(config.chunk, None if config.window < 0 else config.window) if config.causal else None
    dit = DiT(shape, mode, dtype, context=config.context_parallel, causal=causal, **options)
    with at("config.injection" if shape.layers % injection.every else "config.network"):
        dit.check()
    return dit


def _injection(config: schema.InjectionConfig) -> Injection:
    with at("config.injection"):
        one_of("mode", config.mode, MODES)
        if config.every < 1:
            raise ValueError(f"every={config.every}: must be at least 1")
        if min(config.window, config.lag) < 0:
            raise ValueError(f"window={config.window}, lag={config.lag}: must not be negative")
        mode = MODES[config.mode](config.every)
    if isinstance(mode, Contextual):
        return dataclasses.replace(mode, window=config.window, lag=config.lag)
    return mode


def dtype_of(name: str) -> Any:
    """The dtype of a config's name. Raises ValueError for another."""
    one_of("dtype", name, ("float32", "bfloat16"))
    return jnp.dtype(name)
