"""The optimizer: AdamW with warm-up and a cosine, clipped gradients, decay on matrices only; and what it trains."""

import re
from dataclasses import dataclass

import jax
import optax
from flax.traverse_util import flatten_dict, unflatten_dict

from neural_computer.types import PyTree


@dataclass(frozen=True)
class Optimizer:
    """AdamW. `decay_steps` of 0 keeps the rate constant after `warmup` steps; else a cosine falls to `final_rate`.

    `train` is a regex: parameters with a match in their path are trained, the others held: "lora", "self_attn|action".
    """

    rate: float
    warmup: int = 0
    decay_steps: int = 0
    final_rate: float = 0.0
    b1: float = 0.9
    b2: float = 0.999
    weight_decay: float = 0.01
    clip: float = 1.0
    train: str = ""

    def __post_init__(self) -> None:
        if self.rate <= 0 or self.clip <= 0:
            raise ValueError(f"rate={self.rate}, clip={self.clip}: both must be positive")
        if 0 < self.decay_steps <= self.warmup:
            raise ValueError(f"decay_steps={self.decay_steps}: must exceed warmup={self.warmup}, or be 0 for no decay")
        try:
            re.compile(self.train)
        except re.error as error:
            raise ValueError(f"train={self.train!r}: is no regular expression ({error})") from None

    def schedule(self) -> optax.Schedule:
        """Step -> learning rate."""
        if self.decay_steps:
            return optax.warmup_cosine_decay_schedule(
                0.0, self.rate, self.warmup, self.decay_steps, end_value=self.final_rate
            )
        if self.warmup:
            return optax.linear_schedule(0.0, self.rate, self.warmup)
        return optax.constant_schedule(self.rate)

    def split(self, network: PyTree) -> tuple[PyTree, PyTree]:
        """(trained, held) parts of a network's parameters. Raises ValueError if nothing would be trained."""
        flat = flatten_dict(network, sep="/")
        trained = {path: leaf for path, leaf in flat.items() if re.search(self.train, path)}
        if not trained:
            raise ValueError(f"train={self.train!r}: matches none of the {len(flat)} parameters, such as {min(flat)}")
        held = {path: leaf for path, leaf in flat.items() if path not in trained}
        return unflatten_dict(trained, sep="/"), unflatten_dict(held, sep="/")

    def make(self) -> optax.GradientTransformation:
        """The gradient transformation."""
        return optax.chain(
            optax.clip_by_global_norm(self.clip),
            optax.adamw(self.schedule(), self.b1, self.b2, weight_decay=self.weight_decay, mask=decay_mask),
        )


def decay_mask(params):
    """True for kernels: norms, biases, tables and modulations do not decay."""
    return jax.tree_util.tree_map_with_path(lambda keys, _: getattr(keys[-1], "key", "") == "kernel", params)


def join(trained: PyTree, held: PyTree) -> PyTree:
    """The network's parameters from `Optimizer.split`'s two parts."""
    return unflatten_dict(flatten_dict(trained, sep="/") | flatten_dict(held, sep="/"), sep="/")
