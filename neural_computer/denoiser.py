"""The denoiser: what the network predicts from noisy latents, a timestep and the conditioning."""

from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from neural_computer import flow
from neural_computer.actions.encode import ActionEncoder
from neural_computer.errors import one_of
from neural_computer.models.dit import DiT
from neural_computer.models.heads import Heads
from neural_computer.models.text import ByteTextEncoder, masked_mean_pool
from neural_computer.models.window import Cache, KeyValue
from neural_computer.types import Actions, Conditioning, Output, PyTree, TokenIds


class Network(nn.Module):
    """Everything that is trained: the DiT, the action encoder, a text encoder small enough to be trained with them, and the
    heads of auxiliary losses."""

    dit: DiT
    text: ByteTextEncoder | None = None
    actions: ActionEncoder | None = None
    heads: Heads | None = None

    def __call__(
        self,
        z: Float[Array, "b f i j e"],
        t: Float[Array, "b g"],
        conditioning: Conditioning,
        heads: bool = False,
        cache: Cache | None = None,
        streams: int = 1,
    ) -> tuple[Output, KeyValue | None]:
        """Prediction for latents z, whose channels hold the condition already; with `heads`, their outputs too.

        Then keys and values of z's frames, where the cache of those before was passed. Actions may be those of more frames: z's
        are the last. With two `streams`, z is [context; noisy] (`streams_of`).
        """
        _, text, image, actions = conditioning
        u = None
        if self.actions is not None and actions is not None:
            u = self.actions(actions, self._action_texts(actions))
            chunk = self.dit.causal.chunk if self.dit.causal else 1
            u = streams_of(u, chunk) if streams == 2 else u[:, -z.shape[1] :]
        if isinstance(text, TokenIds):
            if self.text is None:
                raise ValueError("text: token ids reach a network without a text encoder; encode them first")
            text = self.text(text.ids)
        prediction, features, own = self.dit(z, t, text, image, u, cache, streams)
        if not heads or self.heads is None or u is None:
            return Output(prediction), own
        return Output(prediction, self.heads(features, u[:, -prediction.shape[1] :])), own

    def _action_texts(self, actions: Actions) -> Float[Array, "b u d"]:
        if not isinstance(actions.texts, TokenIds):
            return actions.texts
        if self.text is None:
            raise ValueError("actions.texts: token ids reach a network without a text encoder; encode them first")
        return masked_mean_pool(self.text, actions.texts.ids)


def streams_of(x: Shaped[Array, "b f *s"], chunk: int) -> Shaped[Array, "b g *s"]:
    """[context; noisy] of a video's latent frames: context and noisy stream of f - 1 frames each, one chunk apart.

    The first context chunk is frame 0, repeated: a run begins with a still.
    """
    still = jnp.repeat(x[:, :1], chunk, axis=1)
    return jnp.concatenate([still, x[:, 1 : x.shape[1] - chunk], x[:, 1:]], axis=1)


@dataclass(frozen=True)
class Denoiser:
    """A network and how its output is read; holds no parameters.

    Attributes:
      prediction_type: "v" (velocity eps - z0) or "x0" (`flow.PREDICTION_TYPES`).
      predict_residual: for "x0" alone, the condition latents are added to the output: where nothing happens the network
        may predict zero.
      clean_first_frame: latent frame 0 is the given frame at t = 0 and is not generated.
      scale_noisy_latents: noisy latents are multiplied by (1 - t) / ((1 - t)^2 + t^2), which makes them the best linear
        guess of unit-variance clean ones; at t = 1 pure noise does not enter at all.
    """

    network: Network
    prediction_type: str = "v"
    predict_residual: bool = False
    clean_first_frame: bool = False
    scale_noisy_latents: bool = False

    def __post_init__(self) -> None:
        one_of("prediction_type", self.prediction_type, flow.PREDICTION_TYPES)
        if self.predict_residual and self.prediction_type != "x0":
            raise ValueError(
                f"predict_residual=True: adds the condition latents to x0; set prediction_type={self.prediction_type!r} "
                "to 'x0'"
            )

    def predict(
        self,
        params: PyTree,
        z: Float[Array, "b f i j c"],
        t: Float[Array, " b *f"],
        conditioning: Conditioning,
        *,
        heads: bool = False,
        streams: int = 1,
    ) -> Output:
        """Velocity or x0 from noisy latents z at timesteps t in [0, 1000], one a sample or one a latent frame.

        With `heads`, the heads' outputs too; with two `streams`, of the noisy half of z = [context; noisy].
        """
        return self.predict_chunk(params, z, t, conditioning, None, heads=heads, streams=streams)[0]

    def predict_chunk(
        self,
        params: PyTree,
        z: Float[Array, "b f i j c"],
        t: Float[Array, " b *f"],
        conditioning: Conditioning,
        cache: Cache | None,
        *,
        heads: bool = False,
        streams: int = 1,
    ) -> tuple[Output, KeyValue | None]:
        """`predict` of a chunk that follows those in the cache, and the chunk's own keys and values."""
        timesteps = t if t.ndim == 2 else t[:, None]
        if self.clean_first_frame:
            timesteps = jnp.broadcast_to(timesteps, z.shape[:2]).at[:, 0].set(0.0)
        if self.scale_noisy_latents:
            time = timesteps[..., None, None, None] / flow.TIME_SCALE
            z = z * (1 - time) / ((1 - time) ** 2 + time**2)
        x = jnp.concatenate([z, conditioning.cond], axis=-1)
        result: Any = self.network.apply({"params": params}, x, timesteps, conditioning, heads, cache, streams)
        output, own = result
        if self.predict_residual:
            frames, channels = output.prediction.shape[1], output.prediction.shape[-1]
            output = output._replace(prediction=output.prediction + conditioning.cond[:, -frames:, ..., -channels:])
        return output, own

    def guided_prediction(
        self,
        params: PyTree,
        z: Float[Array, "b f i j c"],
        t: Float[Array, " b"],
        conditioning: Conditioning,
        negative_prompt: TokenIds | Float[Array, "b l d"] | None,
        scale: float,
        action_scale: float = 1.0,
    ) -> Float[Array, "b f i j c"]:
        """Classifier-free guidance (CFG): cond + (scale - 1) (cond - uncond) + (action_scale - 1) (cond - idle), in one batch.

        `uncond` sees the negative prompt in place of the text, `idle` no actions, which action dropout trains; everything else
        alike. A scale of 1 leaves its part out. Raises ValueError for one without a negative prompt, or without actions.
        """
        others: list[tuple[float, Conditioning]] = []
        if scale != 1:
            if negative_prompt is None:
                raise ValueError(f"guidance={scale}: needs a negative prompt; boot with one, an empty one perhaps")
            others.append((scale, conditioning._replace(text=negative_prompt)))
        if action_scale != 1:
            if (u := conditioning.actions) is None:
                raise ValueError(f"action_guidance={action_scale}: needs actions; give some, or set it to 1")
            idle = u._replace(valid=jnp.zeros_like(jnp.asarray(u.valid)))
            others.append((action_scale, conditioning._replace(actions=idle)))
        if not others:
            return self.predict(params, z, t, conditioning).prediction
        count, every = 1 + len(others), [conditioning, *(other for _, other in others)]
        batch = jax.tree.map(lambda *x: jnp.concatenate(x), *every)
        z, t = jnp.concatenate([z] * count), jnp.concatenate([t] * count)
        cond, *without = jnp.split(self.predict(params, z, t, batch).prediction, count)
        return cond + sum((w - 1) * (cond - each) for (w, _), each in zip(others, without, strict=True))

    def to_x0(
        self, prediction: Float[Array, "b f i j c"], z: Float[Array, "b f i j c"], time: Float[Array, " b"]
    ) -> Float[Array, "b f i j c"]:
        """x0 from a prediction at noisy latents z of a time in [0, 1]."""
        return flow.PREDICTION_TYPES[self.prediction_type].to_x0(prediction, z, time)
