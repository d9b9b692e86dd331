"""The loss: named terms, each weighted by config and reported apart."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from neural_computer import flow
from neural_computer.computer import NeuralComputer
from neural_computer.types import Encoded, Metrics, PyTree


@dataclass(frozen=True)
class Objective:
    """Flow matching at times u ~ U(0, 1) shifted by `shift`.

    With probability `dropout_text` (and _image, _cond) a sample's text (image, condition) is zeroed, each on its own, as
    in the paper. Every sample's randomness comes from the key and its own index: neither its batch nor the number of
    devices can change it.
    """

    shift: float = 3.0
    dropout_text: float = 0.0
    dropout_image: float = 0.0
    dropout_cond: float = 0.0

    def __post_init__(self) -> None:
        if self.shift <= 0:
            raise ValueError(f"shift={self.shift}: must be positive; 1 leaves the times as they are")
        for name in ("dropout_text", "dropout_image", "dropout_cond"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: must be in [0, 1)")

    def __call__(
        self, computer: NeuralComputer, network: PyTree, encoded: Encoded, key: Key[Array, ""]
    ) -> tuple[Float[Array, ""], Metrics]:
        """The loss of a batch and its terms."""
        keys = {name: jax.random.fold_in(key, i) for i, name in enumerate(("time", "noise", "text", "image", "cond"))}
        z0, index = encoded.latents, encoded.index
        t = flow.shift_time(flow.uniform(keys["time"], index), self.shift)
        eps = flow.noise(keys["noise"], index, z0.shape[1:])
        zt = flow.interpolate(z0, eps, t)
        if computer.clean_first:
            zt = zt.at[:, 0].set(z0[:, 0])
        text = drop(encoded.text, self.dropout_text, keys["text"], index)
        image = drop(encoded.image, self.dropout_image, keys["image"], index)
        cond = drop(encoded.cond, self.dropout_cond, keys["cond"], index)
        out = computer.answer(network, zt, t * flow.TIME_SCALE, cond, text, image)
        error = jnp.square(out.astype(jnp.float32) - flow.TARGETS[computer.target].of(z0, eps))
        if computer.clean_first:
            error = error[:, 1:]
        loss = error.mean()
        return loss, {"loss": loss, "loss_flow": loss}


def drop(x: Array | None, rate: float, key: Key[Array, ""], index: Int[Array, " b"]) -> Array | None:
    """`x` (b, ...) with whole samples zeroed at `rate` (for token ids, zero is padding)."""
    if x is None or rate == 0:
        return x
    keep = flow.uniform(key, index) >= rate
    return jnp.where(flow.per_sample(keep, x), x, jnp.zeros_like(x))
