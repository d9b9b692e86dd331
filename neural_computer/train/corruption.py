"""What the network denoises in training, and from what: a video at one time, or frame by frame as a computer streams."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from neural_computer import flow
from neural_computer.computer import NeuralComputer
from neural_computer.denoiser import streams_of
from neural_computer.flow import fold_in_name
from neural_computer.types import Actions, Conditioning, Encoded


class Corruption(NamedTuple):
    """Noisy latents, what they are denoised from, and what they are a mixture of."""

    z: Float[Array, "b n i j c"]
    t: Float[Array, " b *n"]
    """In [0, 1], one a sample or one a latent frame"""
    conditioning: Conditioning
    x0: Float[Array, "b f i j c"]
    eps: Float[Array, "b f i j c"]
    scored: slice
    """Frames that the loss is of"""
    streams: int = 1


def whole_video(objective: Any, computer: NeuralComputer, encoded: Encoded, key: Key[Array, ""]) -> Corruption:
    """All latent frames at one time; frame 0 clean where the denoiser has it so."""
    z0, index, clean = encoded.latents, encoded.index, computer.denoiser.clean_first_frame
    t = _time(objective, key, index)
    eps = flow.noise(fold_in_name(key, "noise"), index, z0.shape[1:])
    zt = flow.interpolate(z0, eps, t)
    if clean:
        zt = zt.at[:, 0].set(z0[:, 0])
    return Corruption(zt, t, encoded.conditioning, z0, eps, slice(1 if clean else 0, None))


def teacher_forcing(objective: Any, computer: NeuralComputer, encoded: Encoded, key: Key[Array, ""]) -> Corruption:
    """Every chunk at a time of its own, after true chunks that are at most `history_noise` noisy.

    One pass over [context; noisy]: what is seen of the context are its keys and values at t = 0, as a run has them in its
    window. The network does not know of the history's noise. Without a window the context is the condition alone.
    """
    z0, index, chunk = encoded.latents, encoded.index, _chunk(computer)
    encoded = encoded._replace(actions=begun(encoded.actions))
    both = streams_of(z0, chunk)
    length = both.shape[1] // 2
    context, x0 = both[:, :length], both[:, length:]
    context = _noised_history(objective, context, index, key, chunk)
    t, eps, zt = _chunks_at_own_times(objective, x0, index, key, chunk)
    before = _before(context, chunk)
    after = jnp.repeat(context[:, chunk - 1 :: chunk], chunk, axis=1)
    mask = streams_of(encoded.cond, chunk)
    if not computer.network.dit.causal or not computer.network.dit.causal.window:
        cond = jnp.concatenate([mask[:, length:], after], axis=-1)
        return Corruption(zt, t, encoded.conditioning._replace(cond=cond), x0, eps, slice(None))
    cond = jnp.concatenate([mask, jnp.concatenate([before, after], axis=1)], axis=-1)
    z, time = jnp.concatenate([context, zt], axis=1), jnp.concatenate([jnp.zeros_like(t), t], axis=1)
    return Corruption(z, time, encoded.conditioning._replace(cond=cond), x0, eps, slice(None), streams=2)


def diffusion_forcing(objective: Any, computer: NeuralComputer, encoded: Encoded, key: Key[Array, ""]) -> Corruption:
    """Every chunk at a time of its own, after the chunks before it as noisy as they are (Chen et al. 2024).

    The first latent frame, with which a run begins, is clean and not scored.
    """
    z0, index, chunk = encoded.latents, encoded.index, _chunk(computer)
    encoded = encoded._replace(actions=begun(encoded.actions))
    t, eps, zt = _chunks_at_own_times(objective, z0[:, 1:], index, key, chunk)
    still = jnp.repeat(z0[:, :1], chunk, axis=1)
    z = jnp.concatenate([still, zt], axis=1)
    t = jnp.concatenate([jnp.zeros((len(t), chunk)), t], axis=1)
    mask = jnp.concatenate([jnp.repeat(encoded.cond[:, :1], chunk, axis=1), encoded.cond[:, 1:]], axis=1)
    cond = jnp.concatenate([mask, _before(z, chunk)], axis=-1)
    x0, eps = (jnp.concatenate([still, x], axis=1) for x in (z0[:, 1:], eps))
    return Corruption(z, t, encoded.conditioning._replace(cond=cond), x0, eps, slice(chunk, None))


KINDS: dict[str, Callable[..., Corruption]] = {
    "flow_matching": whole_video,
    "teacher_forcing": teacher_forcing,
    "diffusion_forcing": diffusion_forcing,
}
STREAMING = ("teacher_forcing", "diffusion_forcing")


def begun(actions: Actions | None) -> Actions | None:
    """A clip's actions without those of its first frame: a run begins with a still, in which nothing happens yet."""
    if actions is None:
        return None

    def cleared(x: Array, value: float = 0) -> Array:
        return jnp.asarray(x).at[:, 0].set(value)

    return actions._replace(
        raw=cleared(actions.raw), meta=jax.tree.map(cleared, actions.meta), mouse=cleared(actions.mouse, jnp.nan)
    )


def _chunk(computer: NeuralComputer) -> int:
    causal = computer.network.dit.causal
    if causal is None:
        raise ValueError("kind: a network is trained chunk by chunk if it is causal; set config.network.causal")
    return causal.chunk


def _time(objective: Any, key: Key[Array, ""], index: Int[Array, " b"], shape: tuple[int, ...] = ()) -> Array:
    """Times (b, *shape) in [0, 1]."""
    t = flow.shift_time(flow.uniform(fold_in_name(key, "time"), index, shape), objective.shift)
    if not objective.pure_noise:
        return t
    return jnp.where(flow.uniform(fold_in_name(key, "pure_noise"), index, shape) < objective.pure_noise, 1.0, t)


def _chunks_at_own_times(
    objective: Any, x0: Float[Array, "b f i j c"], index: Int[Array, " b"], key: Key[Array, ""], chunk: int
) -> tuple[Float[Array, "b f"], Float[Array, "b f i j c"], Float[Array, "b f i j c"]]:
    """(t, eps, z_t) of chunks, each at a time of its own."""
    t = jnp.repeat(_time(objective, key, index, (x0.shape[1] // chunk,)), chunk, axis=1)
    eps = flow.noise(fold_in_name(key, "noise"), index, x0.shape[1:])
    return t, eps, flow.interpolate(x0, eps, t)


def _noised_history(
    objective: Any, context: Float[Array, "b f i j c"], index: Int[Array, " b"], key: Key[Array, ""], chunk: int
) -> Float[Array, "b f i j c"]:
    """The context with up to `history_noise` of noise on half of its chunks."""
    if not objective.history_noise:
        return context
    shape = (context.shape[1] // chunk,)
    level = objective.history_noise * flow.uniform(fold_in_name(key, "history_noise"), index, shape)
    noised = flow.uniform(fold_in_name(key, "history_noised"), index, shape) < 0.5
    level = jnp.repeat(jnp.where(noised, level, 0.0), chunk, axis=1)
    return flow.interpolate(context, flow.noise(fold_in_name(key, "history"), index, context.shape[1:]), level)


def _before(x: Float[Array, "b f i j c"], chunk: int) -> Float[Array, "b f i j c"]:
    """For every frame, the last frame of the chunk before its own; the first chunk's is its own."""
    last = x[:, chunk - 1 :: chunk]
    return jnp.repeat(jnp.concatenate([last[:, :1], last[:, :-1]], axis=1), chunk, axis=1)
