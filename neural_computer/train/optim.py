"""The optimizer: AdamW or Muon with warm-up and a cosine, clipped gradients, decay on matrices only; and which parameters it
trains."""

import re
from dataclasses import dataclass
from functools import partial

import jax
import optax
from flax.traverse_util import flatten_dict, unflatten_dict
from optax.contrib import MuonDimensionNumbers, muon

from neural_computer.errors import one_of
from neural_computer.sharding import path_of
from neural_computer.types import PyTree

KINDS = ("adamw", "muon")
MUON_RMS = 0.2
"""Root mean square of Muon's updates before the learning rate: about AdamW's, so that one rate serves both (Liu et al. 2025)."""


@dataclass(frozen=True)
class Optimizer:
    """AdamW or Muon, gradient accumulation and the moving average of parameters.

    Attributes:
      kind: "adamw"; or "muon", whose updates of some matrices are orthogonal (Jordan et al. 2024), AdamW for the rest.
      muon_matrices: regex; matrices with a match in their path are those, by default the DiT's blocks'.
      learning_rate: reached after `warmup_steps`; then constant if `decay_steps` is 0, else a cosine falls to
        `final_learning_rate` at step `decay_steps`.
      grad_clip_norm: gradients of a larger global norm are scaled down to it.
      trainable: regex; parameters with a match in their path are trained, the others held: "lora", "self_attn|action".
      accumulate_steps: parts of a batch whose gradients are averaged.
      ema_decay: of the moving average of parameters, which runs and evaluations use.
    """

    learning_rate: float
    kind: str = "adamw"
    warmup_steps: int = 0
    decay_steps: int = 0
    final_learning_rate: float = 0.0
    b1: float = 0.9
    b2: float = 0.999
    weight_decay: float = 0.01
    grad_clip_norm: float = 1.0
    trainable: str = ""
    accumulate_steps: int = 1
    ema_decay: float = 0.999
    muon_matrices: str = r"blocks/.*kernel$"

    def __post_init__(self) -> None:
        one_of("kind", self.kind, KINDS)
        for name in ("learning_rate", "grad_clip_norm"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name)}: must be positive")
        if 0 < self.decay_steps <= self.warmup_steps:
            raise ValueError(
                f"decay_steps={self.decay_steps}: must exceed warmup_steps={self.warmup_steps}, or be 0 for no decay"
            )
        if self.accumulate_steps < 1:
            raise ValueError(f"accumulate_steps={self.accumulate_steps}: must be at least 1")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay={self.ema_decay}: must be in [0, 1)")
        for name in ("trainable", "muon_matrices"):
            try:
                re.compile(getattr(self, name))
            except re.error as error:
                raise ValueError(f"{name}={getattr(self, name)!r}: is no regular expression ({error})") from None

    def schedule(self) -> optax.Schedule:
        """Step -> learning rate."""
        if self.decay_steps:
            return optax.warmup_cosine_decay_schedule(
                0.0, self.learning_rate, self.warmup_steps, self.decay_steps, end_value=self.final_learning_rate
            )
        if self.warmup_steps:
            return optax.linear_schedule(0.0, self.learning_rate, self.warmup_steps)
        return optax.constant_schedule(self.learning_rate)

    def split(self, network: PyTree) -> tuple[PyTree, PyTree]:
        """(trained, held) parts of a network's parameters. Raises ValueError if nothing would be trained."""
        flat = flatten_dict(network, sep="/")
        trained = {path: leaf for path, leaf in flat.items() if re.search(self.trainable, path)}
        if not trained:
            raise ValueError(
                f"trainable={self.trainable!r}: matches none of the {len(flat)} parameters, such as {min(flat)}"
            )
        held = {path: leaf for path, leaf in flat.items() if path not in trained}
        return unflatten_dict(trained, sep="/"), unflatten_dict(held, sep="/")

    def make(self) -> optax.GradientTransformation:
        """The gradient transformation."""
        if self.kind == "adamw":
            own = optax.adamw(self.schedule(), self.b1, self.b2, weight_decay=self.weight_decay, mask=decay_mask)
        else:
            own = muon(
                self.schedule(),
                beta=self.b1,
                weight_decay=self.weight_decay,
                adam_b1=self.b1,
                adam_b2=self.b2,
                adam_weight_decay=0.0,
                muon_weight_dimension_numbers=partial(matrices, pattern=self.muon_matrices),
                consistent_rms=MUON_RMS,
            )
        return optax.chain(optax.clip_by_global_norm(self.grad_clip_norm), own)


def matrices(params: PyTree, pattern: str) -> PyTree:
    """Which axes of a parameter are a matrix's: the last two where the pattern is in its path, stacked or not; else None."""

    def axes(keys: tuple, leaf: jax.Array) -> MuonDimensionNumbers | None:
        found = leaf.ndim >= 2 and re.search(pattern, path_of(keys))
        return MuonDimensionNumbers(leaf.ndim - 2, leaf.ndim - 1) if found else None

    return jax.tree_util.tree_map_with_path(axes, params)


def decay_mask(params: PyTree) -> PyTree:
    """True for kernels: norms, biases, tables and modulations do not decay."""
    return jax.tree_util.tree_map_with_path(lambda keys, _: getattr(keys[-1], "key", "") == "kernel", params)


def join(trained: PyTree, held: PyTree | None) -> PyTree:
    """The network's parameters from `Optimizer.split`'s two parts."""
    return unflatten_dict(flatten_dict(trained, sep="/") | flatten_dict(held or {}, sep="/"), sep="/")
