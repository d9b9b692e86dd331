"""The loss: named terms, each weighted by config and reported apart.

flow         flow matching
cursor       the same error where the mouse pointer is (the paper's cursor supervision)
contrastive  InfoNCE between a latent frame's features and its actions and mouse
future       the mean square error of those features as its actions foretell them
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from neural_computer import flow
from neural_computer.actions import cursor
from neural_computer.actions.align import Alignment
from neural_computer.actions.schema import FLAGS
from neural_computer.computer import NeuralComputer
from neural_computer.types import Actions, Encoded, Metrics, PyTree

MOVE = FLAGS["mouse_move"]


@dataclass(frozen=True)
class Objective:
    """Flow matching at times u ~ U(0, 1) shifted by `shift`.

    With probability `dropout_text` (and _image, _cond) a sample's text (image, condition) is zeroed, each on its own, as
    in the paper. Every sample's randomness comes from the key and its own index: neither its batch nor the number of
    devices can change it. `cursor`, `contrastive` and `future` weigh those terms, 0 leaves a term out; the contrastive one
    compares all latent frames of a batch at `temperature`, so what is in a batch matters to it alone.
    """

    shift: float = 3.0
    dropout_text: float = 0.0
    dropout_image: float = 0.0
    dropout_cond: float = 0.0
    cursor: float = 0.0
    contrastive: float = 0.0
    future: float = 0.0
    temperature: float = 0.07

    def __post_init__(self) -> None:
        if self.shift <= 0:
            raise ValueError(f"shift={self.shift}: must be positive; 1 leaves the times as they are")
        for name in ("dropout_text", "dropout_image", "dropout_cond"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: must be in [0, 1)")
        for name in ("cursor", "contrastive", "future"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)}: is a weight, must not be negative")
        if self.temperature <= 0:
            raise ValueError(f"temperature={self.temperature}: must be positive")

    @property
    def compares(self) -> bool:
        """Whether hidden states are compared with actions."""
        return self.contrastive > 0 or self.future > 0

    def __call__(
        self, computer: NeuralComputer, network: PyTree, encoded: Encoded, key: Key[Array, ""]
    ) -> tuple[Float[Array, ""], Metrics]:
        """The loss of a batch and its terms."""
        keys = {name: jax.random.fold_in(key, i) for i, name in enumerate(("time", "noise", "text", "image", "cond"))}
        z0, index = encoded.latents, encoded.index
        t = flow.shift_time(flow.uniform(keys["time"], index), self.shift)
        eps = flow.noise(keys["noise"], index, z0.shape[1:])
        zt = flow.interpolate(z0, eps, t)
        if computer.clean_first_frame:
            zt = zt.at[:, 0].set(z0[:, 0])
        text = condition_dropout(encoded.text, self.dropout_text, keys["text"], index)
        image = condition_dropout(encoded.image, self.dropout_image, keys["image"], index)
        cond = condition_dropout(encoded.cond, self.dropout_cond, keys["cond"], index)
        told = computer.predict(network, zt, t * flow.TIME_SCALE, cond, text, image, encoded.actions, self.compares)
        out, seen = told if self.compares else (told, None)
        error = jnp.square(out.astype(jnp.float32) - flow.PREDICTION_TYPES[computer.prediction_type].of(z0, eps))
        generated = slice(1 if computer.clean_first_frame else 0, None)
        terms = {"flow": (1.0, error[:, generated].mean())}
        if self.cursor:
            terms["cursor"] = (self.cursor, cursor_loss(computer, error, encoded.actions, generated))
        if seen is not None:
            terms |= self._compared(computer.network.actions, encoded.actions, *seen)
        loss = jnp.asarray(sum(weight * value for weight, value in terms.values() if weight))
        return loss, {"loss": loss} | {f"loss_{name}": value for name, (weight, value) in terms.items() if weight}

    def _compared(
        self, encoder: Any, actions: Any, video: Array, told: Array, foretold: Array, features: Array
    ) -> dict[str, tuple[float, Array]]:
        """The weights and terms that hidden states have a part in."""
        acted = active(actions, encoder.how.align)
        missed = jnp.square(foretold - jax.lax.stop_gradient(features)).mean(axis=-1)
        return {
            "contrastive": (self.contrastive, info_nce(video, told, acted, self.temperature)),
            "future": (self.future, average(missed, acted[..., 0])),
        }


def cursor_loss(
    computer: NeuralComputer, error: Float[Array, "b f i j c"], actions: Actions | None, frames: slice
) -> Float[Array, ""]:
    """The mean error of some latent frames where the pointer is, by how much of a place it covers. Raises ValueError."""
    if actions is None:
        raise ValueError(
            "objective.cursor: needs to know where the mouse is; train on videos with actions, or set it to 0"
        )
    _, masks = cursor.stamp(cursor.template(computer.cursor_height), jnp.asarray(actions.mouse), *computer.size)
    share = cursor.tags(masks).mean(axis=-1)[:, frames]
    return average(error.mean(axis=-1)[:, frames], share)


def active(actions: Actions, align: Alignment) -> Bool[Array, "b f 2"]:
    """Whether a latent frame's window holds an action, and whether the mouse moves in it."""
    flags = jnp.asarray(actions.raw)
    done = (flags.sum(axis=-1) - flags[..., MOVE] > 0) | (jnp.asarray(actions.meta.kind) > 0).any(axis=-1)
    both = jnp.stack([done, flags[..., MOVE] > 0], axis=-1).astype(jnp.float32)
    return (align.windows(both) > 0).any(axis=2)


def info_nce(
    video: Float[Array, "b f d"], told: Float[Array, "b f n d"], valid: Bool[Array, "b f n"], temperature: float
) -> Float[Array, ""]:
    """Symmetric InfoNCE of unit vectors, a latent frame of the video with its own action (n = 0) and mouse (n = 1).

    The windows of the alignment lag already: frame t meets the actions up to t - lag. Frames without an action (without a
    move) are neither asked nor offered as an answer.
    """
    rows = video.reshape(-1, video.shape[-1])

    def one(other: Float[Array, "m d"], known: Bool[Array, " m"]) -> Float[Array, ""]:
        logits = jnp.matmul(rows, other.T) / temperature
        logits = jnp.where(known[None] & known[:, None], logits, -1e9)
        ways = [-jnp.diagonal(jax.nn.log_softmax(logits, axis=axis)) for axis in (0, 1)]
        return average(sum(ways) / 2, known)

    kinds = range(told.shape[2])
    return jnp.stack([one(told[:, :, n].reshape(rows.shape), valid[:, :, n].reshape(-1)) for n in kinds]).mean()


def average(x: Float[Array, "*s"], weight: Any) -> Float[Array, ""]:
    """The weighted mean; 0 where there is no weight."""
    weight = weight.astype(jnp.float32)
    return (x * weight).sum() / jnp.maximum(weight.sum(), 1e-6)


def condition_dropout(x: Array | None, rate: float, key: Key[Array, ""], index: Int[Array, " b"]) -> Array | None:
    """`x` (b, ...) with whole samples zeroed at `rate` (for token ids, zero is padding)."""
    if x is None or rate == 0:
        return x
    keep = flow.uniform(key, index) >= rate
    return jnp.where(flow.expand_like(keep, x), x, jnp.zeros_like(x))
