"""The denoiser: what the network predicts from noisy latents, a timestep and the conditioning."""

from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from neural_computer import flow
from neural_computer.actions.encode import ActionEncoder
from neural_computer.conditioning import MASK_CHANNELS
from neural_computer.errors import one_of
from neural_computer.models.dit import DiT
from neural_computer.models.heads import Heads
from neural_computer.models.text import ByteTextEncoder, masked_mean_pool
from neural_computer.types import Actions, Conditioning, Output, PyTree, TokenIds


class Network(nn.Module):
    """Everything that is trained: the DiT, the action encoder, a text encoder small enough to be trained with them, and the
    heads of auxiliary losses."""

    dit: DiT
    text: ByteTextEncoder | None = None
    actions: ActionEncoder | None = None
    heads: Heads | None = None

    def __call__(
        self, z: Float[Array, "b f i j e"], t: Float[Array, "b g"], conditioning: Conditioning, heads: bool = False
    ) -> Output:
        """Prediction for latents z, whose channels hold the condition already; with `heads`, their outputs too."""
        _, text, image, actions = conditioning
        u = None
        if self.actions is not None and actions is not None:
            u = self.actions(actions, self._action_texts(actions))
        if isinstance(text, TokenIds):
            if self.text is None:
                raise ValueError("text: token ids reach a network without a text encoder; encode them first")
            text = self.text(text.ids)
        prediction, features, _ = self.dit(z, t, text, image, u)
        if not heads or self.heads is None or u is None:
            return Output(prediction)
        return Output(prediction, self.heads(features, u))

    def _action_texts(self, actions: Actions) -> Float[Array, "b u d"]:
        if not isinstance(actions.texts, TokenIds):
            return actions.texts
        if self.text is None:
            raise ValueError("actions.texts: token ids reach a network without a text encoder; encode them first")
        return masked_mean_pool(self.text, actions.texts.ids)


@dataclass(frozen=True)
class Denoiser:
    """A network and how its output is read; holds no parameters.

    Attributes:
      prediction_type: "v" (velocity eps - z0) or "x0" (`flow.PREDICTION_TYPES`).
      predict_residual: for "x0" alone, the condition latents are added to the output: where nothing happens the network
        may predict zero.
      clean_first_frame: latent frame 0 is the given frame at t = 0 and is not generated.
    """

    network: Network
    prediction_type: str = "v"
    predict_residual: bool = False
    clean_first_frame: bool = False

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
        t: Float[Array, " b"],
        conditioning: Conditioning,
        *,
        heads: bool = False,
    ) -> Output:
        """Velocity or x0 from noisy latents z at timesteps t in [0, 1000]; with `heads`, the heads' outputs too."""
        timesteps = t[:, None]
        if self.clean_first_frame:
            timesteps = jnp.repeat(timesteps, z.shape[1], axis=1).at[:, 0].set(0.0)
        x = jnp.concatenate([z, conditioning.cond], axis=-1)
        output: Any = self.network.apply({"params": params}, x, timesteps, conditioning, heads=heads)
        if not self.predict_residual:
            return output
        return output._replace(prediction=output.prediction + conditioning.cond[..., MASK_CHANNELS:])

    def guided_prediction(
        self,
        params: PyTree,
        z: Float[Array, "b f i j c"],
        t: Float[Array, " b"],
        conditioning: Conditioning,
        negative_prompt: TokenIds | Float[Array, "b l d"] | None,
        scale: float,
    ) -> Float[Array, "b f i j c"]:
        """Classifier-free guidance (CFG): uncond + scale (cond - uncond), both predicted in one batch.

        `uncond` sees the negative prompt in place of the text; everything else alike. Raises ValueError without one.
        """
        if scale == 1:
            return self.predict(params, z, t, conditioning).prediction
        if negative_prompt is None:
            raise ValueError(f"guidance={scale}: needs a negative prompt; boot with one, an empty one perhaps")
        both = (conditioning, conditioning._replace(text=negative_prompt))
        z, t = jnp.concatenate([z, z]), jnp.concatenate([t, t])
        cond, uncond = jnp.split(
            self.predict(params, z, t, jax.tree.map(lambda *x: jnp.concatenate(x), *both)).prediction, 2
        )
        return uncond + scale * (cond - uncond)

    def to_x0(
        self, prediction: Float[Array, "b f i j c"], z: Float[Array, "b f i j c"], time: Float[Array, " b"]
    ) -> Float[Array, "b f i j c"]:
        """x0 from a prediction at noisy latents z of a time in [0, 1]."""
        return flow.PREDICTION_TYPES[self.prediction_type].to_x0(prediction, z, time)
