"""The loss: named terms, each weighted by config and reported apart.

What is denoised, from what, is the objective's kind (`train.corruption`).

flow         flow matching
cursor       the same error where the mouse pointer is (the paper's cursor supervision)
contrastive  InfoNCE between a latent frame's features and its actions and mouse
future       mean square error of those features as predicted from the actions
region_NAME  the flow error in a region of the video, the answer of a sum for one
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax.core import FrozenDict
from jaxtyping import Array, Bool, Float, Int, Key

from neural_computer import flow
from neural_computer.actions import cursor
from neural_computer.actions.align import Alignment
from neural_computer.actions.schema import FLAGS
from neural_computer.computer import NeuralComputer
from neural_computer.conditioning import happens
from neural_computer.errors import one_of
from neural_computer.flow import fold_in_name
from neural_computer.models.heads import HeadOutputs
from neural_computer.train.corruption import KINDS, Corruption
from neural_computer.types import Actions, Conditioning, Encoded, Metrics, PyTree


@dataclass(frozen=True)
class Objective:
    """Flow matching at times u ~ U(0, 1) shifted by `shift`, or with probability `pure_noise` at t = 1.

    `kind` is "flow_matching", with one time a sample, or for a computer that streams "teacher_forcing" or
    "diffusion_forcing" (`train.corruption`); `history_noise` is the most noise on the history of teacher forcing, on half of
    it. With probability `dropout_text` (and _image, _cond, _actions) a sample's text (image, condition, actions) is zeroed,
    each on its own, as in the paper. Every sample's randomness comes from the key and its own index: neither its batch nor
    the number of devices can change it. `cursor`, `contrastive` and `future` weigh those terms, 0 leaves a term out; the
    contrastive one compares all latent frames of a batch at `temperature`, so what is in a batch matters to it alone.
    `regions` weighs the mean error in regions of a video (`data.regions`), beside that of all of it.
    """

    kind: str = "flow_matching"
    shift: float = 3.0
    pure_noise: float = 0.0
    history_noise: float = 0.0
    dropout_text: float = 0.0
    dropout_image: float = 0.0
    dropout_cond: float = 0.0
    dropout_actions: float = 0.0
    cursor: float = 0.0
    contrastive: float = 0.0
    future: float = 0.0
    temperature: float = 0.07
    regions: Mapping[str, float] = FrozenDict()

    def __post_init__(self) -> None:
        if self.shift <= 0:
            raise ValueError(f"shift={self.shift}: must be positive; 1 leaves the times as they are")
        one_of("kind", self.kind, KINDS)
        for name in ("dropout_text", "dropout_image", "dropout_cond", "dropout_actions", "pure_noise", "history_noise"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: must be in [0, 1)")
        for name in ("cursor", "contrastive", "future"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)}: is a weight, must not be negative")
        object.__setattr__(self, "regions", FrozenDict(self.regions))  # hashable, as the rest is
        for name, weight in self.regions.items():
            if weight < 0:
                raise ValueError(f"regions[{name!r}]={weight}: is a weight, must not be negative")
        if self.temperature <= 0:
            raise ValueError(f"temperature={self.temperature}: must be positive")

    @property
    def needs_heads(self) -> bool:
        """Whether a term reads the network's heads."""
        return self.contrastive > 0 or self.future > 0

    def __call__(
        self, computer: NeuralComputer, network: PyTree, encoded: Encoded, key: Key[Array, ""]
    ) -> tuple[Float[Array, ""], Metrics]:
        """The loss of a batch and its terms."""
        denoiser = computer.denoiser
        noisy: Corruption = KINDS[self.kind](
            self, computer, encoded._replace(**self.dropped(encoded, key)._asdict()), key
        )
        output = denoiser.predict(
            network,
            noisy.z,
            noisy.t * flow.TIME_SCALE,
            noisy.conditioning,
            heads=self.needs_heads,
            streams=noisy.streams,
        )
        target = flow.PREDICTION_TYPES[denoiser.prediction_type].target(noisy.x0, noisy.eps)
        error = jnp.square(output.prediction.astype(jnp.float32) - target)[:, noisy.scored]
        terms = {"flow": (1.0, error.mean())}
        if self.cursor:
            terms["cursor"] = (self.cursor, cursor_loss(computer, error, encoded.actions))
        for number, (name, weight) in enumerate(self.regions.items()):
            terms[f"region_{name}"] = (weight, region_loss(error, encoded.regions, number))
        encoder, actions = computer.network.actions, encoded.actions
        if output.heads is not None and encoder is not None and actions is not None:
            terms |= self._head_losses(encoder.align, actions, HeadOutputs(*output.heads))
        loss = jnp.asarray(sum(weight * value for weight, value in terms.values() if weight))
        return loss, {"loss": loss} | {f"loss_{name}": value for name, (weight, value) in terms.items() if weight}

    def dropped(self, encoded: Encoded, key: Key[Array, ""]) -> Conditioning:
        """The conditioning with text, image and condition latents of some samples zeroed: what guidance needs."""
        cond, text, image, actions = encoded.conditioning

        def drop(name: str, rate: float, x: Any) -> Any:
            return condition_dropout(x, rate, fold_in_name(key, name), encoded.index)

        return Conditioning(
            cond=drop("cond", self.dropout_cond, cond),
            text=drop("text", self.dropout_text, text),
            image=drop("image", self.dropout_image, image),
            actions=actions
            if actions is None
            else actions._replace(valid=drop("actions", self.dropout_actions, actions.valid)),
        )

    def _head_losses(self, align: Alignment, actions: Actions, heads: HeadOutputs) -> dict[str, tuple[float, Array]]:
        """Weights and values of the terms that compare hidden states with actions."""
        valid = active(actions, align)
        error = jnp.square(heads.predicted_features - jax.lax.stop_gradient(heads.features)).mean(axis=-1)
        contrastive = info_nce(heads.video_embedding, heads.action_embedding, valid, self.temperature)
        return {
            "contrastive": (self.contrastive, contrastive),
            "future": (self.future, weighted_mean(error, valid[..., 0])),
        }


def cursor_loss(
    computer: NeuralComputer, error: Float[Array, "b f i j c"], actions: Actions | None
) -> Float[Array, ""]:
    """Mean error of a video's last latent frames at the mouse cursor, weighted by the share of a cell that it covers.

    Raises ValueError without actions.
    """
    if actions is None:
        raise ValueError("objective.cursor: needs the mouse position; train on videos with actions, or set it to 0")
    template = cursor.template(computer.conditioner.cursor_height)
    _, masks = cursor.stamp(template, jnp.asarray(actions.mouse), *computer.size)
    share = cursor.tags(masks, computer.conditioner.mask_channels).mean(axis=-1)[:, -error.shape[1] :]
    return weighted_mean(error.mean(axis=-1), share * actions.valid[:, None, None, None])


def region_loss(
    error: Float[Array, "b f i j c"], regions: Float[Array, "b r g i j"] | None, number: int
) -> Float[Array, ""]:
    """Mean error of a video's last latent frames in its region of that number. Raises ValueError without masks."""
    if regions is None:
        raise ValueError("objective.regions: need masks of the videos, which encoded clips have not; train on videos")
    return weighted_mean(error.mean(axis=-1), jnp.asarray(regions)[:, number, -error.shape[1] :])


def active(actions: Actions, align: Alignment) -> Bool[Array, "b f 2"]:
    """Whether a latent frame's window holds an action, and whether the mouse moves in it; False in rows without actions."""
    moves = jnp.asarray(actions.raw)[..., FLAGS["mouse_move"]] > 0
    both = jnp.stack([happens(actions), moves], axis=-1).astype(jnp.float32)
    return (align.windows(both) > 0).any(axis=2) & actions.valid[:, None, None]


def info_nce(
    video: Float[Array, "b f d"], acts: Float[Array, "b f n d"], valid: Bool[Array, "b f n"], temperature: float
) -> Float[Array, ""]:
    """Symmetric InfoNCE of unit vectors: a latent frame of the video with its own action (n = 0) and mouse (n = 1).

    The windows of the alignment lag already: frame t meets the actions up to t - lag. Frames without an action (n = 0) or
    without mouse motion (n = 1) are masked, both as anchors and as negatives.
    """
    rows = video.reshape(-1, video.shape[-1])

    def one(other: Float[Array, "m d"], valid: Bool[Array, " m"]) -> Float[Array, ""]:
        logits = jnp.matmul(rows, other.T) / temperature
        logits = jnp.where(valid[None] & valid[:, None], logits, -1e9)
        both = [-jnp.diagonal(jax.nn.log_softmax(logits, axis=axis)) for axis in (0, 1)]
        return weighted_mean(sum(both) / 2, valid)

    kinds = range(acts.shape[2])
    return jnp.stack([one(acts[:, :, n].reshape(rows.shape), valid[:, :, n].reshape(-1)) for n in kinds]).mean()


def weighted_mean(x: Float[Array, "*s"], weight: Any) -> Float[Array, ""]:
    """The weighted mean; 0 where all weights are."""
    weight = weight.astype(jnp.float32)
    return (x * weight).sum() / jnp.maximum(weight.sum(), 1e-6)


def condition_dropout(x: PyTree, rate: float, key: Key[Array, ""], index: Int[Array, " b"]) -> PyTree:
    """`x`, arrays (b, ...), with whole samples zeroed at `rate`; of token ids zero is padding."""
    if rate == 0:
        return x
    keep = flow.uniform(key, index) >= rate
    return jax.tree.map(lambda leaf: jnp.where(flow.expand_like(keep, leaf), leaf, jnp.zeros_like(leaf)), x)
