"""Update: the only function that returns parameters.

update : (TrainState, Batch) -> (TrainState, Metrics)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Key

from neural_computer import sharding
from neural_computer.flow import fold_in_name
from neural_computer.train.optim import Optimizer, join
from neural_computer.types import Batch, Encoded, FrozenParams, Metrics, Params, PyTree, TrainState


@runtime_checkable
class Trainable(Protocol):
    """What a Trainer needs of a model: a NeuralComputer, an Autoencoder, or anything like them."""

    @property
    def rules(self) -> sharding.Rules:
        """Sharding rules of its parameters."""

    def init(self, key: Key[Array, ""]) -> PyTree:
        """Freshly initialised parameters."""

    def encode(self, frozen: FrozenParams, batch: Batch) -> Any:
        """The batch as the objective takes it, after the frozen encoders."""


Model = TypeVar("Model", bound=Trainable)


@dataclass(frozen=True)
class Trainer(Generic[Model]):
    """What an update is made of."""

    model: Model
    objective: Callable[..., tuple[Any, Metrics]]
    """(model, network parameters, encoded batch, key) -> loss and metrics: an Objective, or a Reconstruction"""
    optimizer: Optimizer

    @property
    def rules(self) -> sharding.Rules:
        return self.model.rules

    def init(self, seed: int) -> TrainState:
        """The state before the first update, freshly initialised."""
        return self.start(self.network(seed))

    def network(self, seed: int) -> PyTree:
        """Freshly initialised parameters of the whole network."""
        return self.model.init(fold_in_name(jax.random.key(seed), "init"))

    def start(self, network: PyTree) -> TrainState:
        """The state before the first update of a network's trained part, which is float32 from here on."""
        trained = jax.tree.map(lambda x: x.astype(jnp.float32), self.optimizer.split(network)[0])
        copy = jax.tree.map(jnp.copy, trained)
        return TrainState(jnp.zeros((), jnp.int32), trained, copy, self.optimizer.make().init(trained))

    def params(self, trained: PyTree, frozen: FrozenParams) -> Params:
        """Parameters to run with: the trained part, averaged or not, joined with the held part."""
        return Params(join(trained, frozen.network_held), frozen._replace(network_held=None))

    def encode(self, frozen: FrozenParams, batch: Batch | Encoded) -> Any:
        """The batch as the objective takes it, after the frozen encoders; one from the encoded cache is that already."""
        return batch if isinstance(batch, Encoded) else self.model.encode(frozen, batch)

    def gradients(
        self, network: PyTree, frozen: FrozenParams, batch: Batch | Encoded, seed: int
    ) -> tuple[PyTree, Metrics]:
        """Mean gradients and metrics of a batch, accumulated over its parts."""
        key, parts = fold_in_name(jax.random.key(seed), "update"), self.optimizer.accumulate_steps

        def loss(network: PyTree, part: Batch | Encoded):
            whole = self.params(network, frozen).network
            return self.objective(self.model, whole, self.encode(frozen, part), key)

        grad = jax.grad(loss, has_aux=True)
        if parts == 1:
            return grad(network, batch)

        def add(total, part):
            return jax.tree.map(jnp.add, total, grad(network, part)), None

        zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(grad, network, batch))
        total, _ = jax.lax.scan(add, zero, jax.tree.map(lambda x: _parts(x, parts), batch))
        return jax.tree.map(lambda x: x / parts, total)

    def update(
        self, state: TrainState, frozen: FrozenParams, batch: Batch | Encoded, seed: int
    ) -> tuple[TrainState, Metrics]:
        """One optimizer step. All randomness is folded from the seed and the samples' own indices."""
        optimizer = self.optimizer.make()
        grads, metrics = self.gradients(state.network, frozen, batch, seed)
        updates, moments = optimizer.update(grads, state.optimizer, state.network)
        network = optax.apply_updates(state.network, updates)
        # A young average must not be held back by its start: the decay rises to `ema_decay` with the step.
        decay = jnp.minimum(self.optimizer.ema_decay, (1 + state.step) / (10 + state.step))
        ema = jax.tree.map(lambda old, new: old * decay + new * (1 - decay), state.ema, network)
        metrics = metrics | {
            "gradient_norm": optax.tree.norm(grads),
            "learning_rate": self.optimizer.schedule()(state.step),
        }
        return TrainState(state.step + 1, network, ema, moments), metrics

    def compile(self, mesh: Mesh, state: TrainState, frozen: FrozenParams, seed: int) -> Any:
        """`update` as (state, frozen, batch) jitted on a mesh, the state donated. Shapes suffice for `state`, `frozen`.

        To be called, or lowered, under `jax.set_mesh(mesh)`: attention looks there for the axes that split tokens.
        """
        state_at, frozen_at = (sharding.shardings(tree, mesh, self.rules) for tree in (state, frozen))
        return jax.jit(
            lambda state, frozen, batch: self.update(state, frozen, batch, seed),
            in_shardings=(state_at, frozen_at, jax.sharding.NamedSharding(mesh, sharding.BATCH)),
            out_shardings=(state_at, sharding.replicated(mesh)),
            donate_argnums=0,
        )


def _parts(x: jax.Array, parts: int) -> jax.Array:
    """(b, ...) as (parts, b / parts, ...), taking every parts-th row so that each device keeps its own rows."""
    if x.shape[0] % parts:
        raise ValueError(f"accumulate_steps={parts}: must divide batch_size={x.shape[0]}")
    return jnp.moveaxis(x.reshape(x.shape[0] // parts, parts, *x.shape[1:]), 1, 0)
