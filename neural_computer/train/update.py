"""Update: the only function that returns parameters.

update : (TrainState, Batch) -> (TrainState, Metrics)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from neural_computer import sharding
from neural_computer.train.optim import Optimizer, join
from neural_computer.types import Batch, Encoded, Metrics, Params, PyTree, TrainState


@dataclass(frozen=True)
class Trainer:
    """What an update is made of. `accumulate` splits a batch into as many parts, whose gradients are averaged."""

    computer: Any
    """What is trained, by its `init` and `encode`: a NeuralComputer, or an Autoencoder."""
    objective: Callable[..., tuple[Any, Metrics]]
    """(computer, network, encoded batch, key) -> loss and metrics: an Objective, or a Reconstruction."""
    optimizer: Optimizer
    ema: float = 0.999
    accumulate: int = 1

    def __post_init__(self) -> None:
        if self.accumulate < 1:
            raise ValueError(f"accumulate={self.accumulate}: must be at least 1")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema={self.ema}: must be in [0, 1)")

    def init(self, seed: int) -> TrainState:
        """The state before the first update, from scratch."""
        return self.start(self.network(seed))

    def network(self, seed: int) -> PyTree:
        """Fresh parameters of the whole network."""
        return self.computer.init(jax.random.fold_in(jax.random.key(seed), 0))

    def start(self, network: PyTree) -> TrainState:
        """The state before the first update of a network's trained part, which is float32 from here on."""
        trained = jax.tree.map(lambda x: x.astype(jnp.float32), self.optimizer.split(network)[0])
        copy = jax.tree.map(jnp.copy, trained)
        return TrainState(jnp.zeros((), jnp.int32), trained, copy, self.optimizer.make().init(trained))

    def params(self, trained: PyTree, frozen: PyTree) -> Params:
        """What the computer runs with: the trained part, averaged or not, and what is frozen["network"] as one."""
        rest = {name: tree for name, tree in frozen.items() if name != "network"}
        return Params(join(trained, frozen.get("network", {})), rest)

    def encode(self, frozen: PyTree, batch: Batch | Encoded) -> Any:
        """The batch as the objective takes it, after the frozen encoders; one from the encoded cache is that already."""
        return batch if isinstance(batch, Encoded) else self.computer.encode(frozen, batch)

    def gradients(self, network: PyTree, frozen: PyTree, batch: Batch | Encoded, seed: int) -> tuple[PyTree, Metrics]:
        """Mean gradients and metrics of a batch, part by part."""
        key = jax.random.fold_in(jax.random.key(seed), 1)

        def loss(network: PyTree, part: Batch | Encoded):
            whole = self.params(network, frozen).network
            return self.objective(self.computer, whole, self.encode(frozen, part), key)

        grad = jax.grad(loss, has_aux=True)
        if self.accumulate == 1:
            return grad(network, batch)
        parts = jax.tree.map(lambda x: _parts(x, self.accumulate), batch)

        def add(total, part):
            return jax.tree.map(jnp.add, total, grad(network, part)), None

        zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(grad, network, batch))
        total, _ = jax.lax.scan(add, zero, parts)
        return jax.tree.map(lambda x: x / self.accumulate, total)

    def update(
        self, state: TrainState, frozen: PyTree, batch: Batch | Encoded, seed: int
    ) -> tuple[TrainState, Metrics]:
        """One optimizer step. All randomness is folded from the seed and the samples' own indices."""
        optimizer = self.optimizer.make()
        grads, metrics = self.gradients(state.network, frozen, batch, seed)
        updates, moments = optimizer.update(grads, state.optimizer, state.network)
        network = optax.apply_updates(state.network, updates)
        # A young average must not be held back by its start: the decay rises to `ema` with the step.
        decay = jnp.minimum(self.ema, (1 + state.step) / (10 + state.step))
        ema = jax.tree.map(lambda old, new: old * decay + new * (1 - decay), state.ema, network)
        metrics = metrics | {
            "gradient_norm": optax.tree.norm(grads),
            "learning_rate": self.optimizer.schedule()(state.step),
        }
        return TrainState(state.step + 1, network, ema, moments), metrics

    def compile(self, mesh: Mesh, state: PyTree, frozen: PyTree, seed: int) -> Any:
        """`update` as (state, frozen, batch) jitted on a mesh, the state donated. Shapes suffice for `state`, `frozen`.

        To be called, or lowered, under `jax.set_mesh(mesh)`: attention looks there for the axes that split tokens.
        """
        state_at, frozen_at = sharding.shardings(state, mesh), sharding.shardings(frozen, mesh)
        return jax.jit(
            lambda state, frozen, batch: self.update(state, frozen, batch, seed),
            in_shardings=(state_at, frozen_at, jax.sharding.NamedSharding(mesh, sharding.BATCH)),
            out_shardings=(state_at, sharding.replicated(mesh)),
            donate_argnums=0,
        )


def _parts(x: jax.Array, parts: int) -> jax.Array:
    """(b, ...) as (parts, b / parts, ...), taking every parts-th row so that each device keeps its own rows."""
    if x.shape[0] % parts:
        raise ValueError(f"accumulate={parts}: must divide batch_size={x.shape[0]}")
    return jnp.moveaxis(x.reshape(x.shape[0] // parts, parts, *x.shape[1:]), 1, 0)
