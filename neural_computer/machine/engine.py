"""The program that advances sessions: one dispatch a tick, of one fixed shape, whatever the number of sessions.

A row of the batch is a whole run of its own, so a session's frames do not depend on who else is there: together equals alone bit
for bit. On a CPU the rows are advanced one after another and a free row costs nothing; elsewhere all of them at once.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Integer, UInt8

from neural_computer.conditioning import to_uint8
from neural_computer.config import ConfigError
from neural_computer.data.inputs import ActionFeaturizer
from neural_computer.errors import Error
from neural_computer.machine.worlds import Screen
from neural_computer.streaming import StreamingComputer
from neural_computer.types import Actions, Params, PyTree, State, TokenIds
from neural_computer.workflows.trained import Trained

States = PyTree
"""A `State` with a leading axis of rows on every array, each of a run of its own"""


class StepError(Error, RuntimeError):
    """A step failed; nothing has advanced."""


@dataclass(frozen=True)
class Engine:
    """Advances up to `rows` sessions of one machine, each with a seed of its own. Hashable: its programs are compiled once.

    Raises ConfigError for a machine that does not stream.
    """

    trained: Trained
    rows: int = 1
    at_once: bool = False
    """Whether the rows are advanced at once: faster on an accelerator, slower for few sessions"""

    def __post_init__(self) -> None:
        if not isinstance(self.trained.computer, StreamingComputer):
            raise ConfigError(
                f"config.objective.kind={self.trained.experiment.config.objective.kind!r}: this machine makes whole clips; "
                "a live one streams (configs/tty.py, or --machine=terminal)"
            )
        if self.rows < 1:
            raise ValueError(f"sessions={self.rows}: must be at least 1")

    def __hash__(self) -> int:
        return id(self.trained) + self.rows

    @property
    def computer(self) -> StreamingComputer:
        computer = self.trained.computer
        assert isinstance(computer, StreamingComputer)
        return computer

    @property
    def inputs(self) -> ActionFeaturizer | None:
        return self.trained.experiment.inputs

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the screen."""
        return self.computer.size

    @property
    def frames(self) -> int:
        """Video frames of a step."""
        return self.computer.frames

    def boot(self, frame: Screen) -> State:
        """The state, of one row, of a machine that shows this screen."""
        text = TokenIds(self.trained.experiment.tokenizer([self.trained.prompt]))
        return _boot(self.computer, self.trained.params, frame[None], text)

    def empty(self, state: State) -> States:
        """States of all rows, each of them this one."""
        return jax.tree.map(lambda x: jnp.repeat(jnp.asarray(x)[None], self.rows, axis=0), state)

    def put(self, states: States, row: int, state: State) -> States:
        """The states with one row replaced."""
        return _put(states, np.int32(row), state)

    def get(self, states: States, row: int) -> State:
        """One row's state."""
        return _get(states, np.int32(row))

    def step(
        self, states: States, actions: Mapping[int, Actions | None], seeds: Mapping[int, int]
    ) -> tuple[States, dict[int, UInt8[np.ndarray, "t h w 3"]]]:
        """(states after a step of the rows that have actions, the frames of each of these rows).

        A row whose latents are no longer finite stays as it was, and has no frames. Raises StepError where the program fails; the
        states given are still good.
        """
        order = sorted(actions)
        given = [actions[row] for row in order]
        blank = given[0]
        every = [actions.get(row, blank) for row in range(self.rows)]
        u = None if blank is None else jax.tree.map(lambda *x: np.stack(x), *every)
        numbers = np.asarray([seeds.get(row, 0) for row in range(self.rows)], np.uint32)
        padded = np.asarray([*order, *[0] * (self.rows - len(order))], np.int32)
        try:
            after, frames, finite = _advance(
                self.computer, self.at_once, self.trained.params, states, u, numbers, padded, np.int32(len(order))
            )
            shown, good = np.asarray(frames), np.asarray(finite)
        except Exception as error:
            raise StepError(f"step: failed ({error}); nothing has advanced") from error
        return after, {row: shown[row] for row in order if good[row]}


@functools.partial(jax.jit, static_argnums=0)
def _boot(computer: StreamingComputer, params: Params, frame: Any, text: TokenIds) -> State:
    return computer.boot(params, frame, text)


@jax.jit
def _put(states: States, row: Any, state: State) -> States:
    return jax.tree.map(lambda x, new: jax.lax.dynamic_update_index_in_dim(x, new, row, 0), states, state)


@jax.jit
def _get(states: States, row: Any) -> State:
    return jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, row, 0, keepdims=False), states)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _advance(
    computer: StreamingComputer,
    at_once: bool,
    params: Params,
    states: States,
    u: PyTree,
    seeds: Integer[Array, " r"],
    order: Int[Array, " r"],
    count: Int[Array, ""],
) -> Any:
    """(states, frames (r, t, h, w, 3), whether they are finite (r,)) after a step of the first `count` rows of `order`."""
    rows = len(seeds)

    def one(state: State, u: Actions | None, seed: Any) -> tuple[State, Any, Any]:
        key = jax.random.fold_in(jax.random.key(seed), state.time)
        after, frames = computer.render(params, computer.step(params, state, None, u, key))
        finite = jnp.isfinite(after.latents).all()
        return jax.tree.map(lambda new, old: jnp.where(finite, new, old), after, state), to_uint8(frames[0]), finite

    if at_once:
        return _where_active(states, jax.vmap(one)(states, u, seeds), order, count)

    def body(number: Any, carry: Any) -> Any:
        row = order[number]
        states, frames, finite = carry
        new = one(*(jax.tree.map(lambda x: x[row], part) for part in (states, u, seeds)))
        return jax.tree.map(lambda old, new: old.at[row].set(new), (states, frames, finite), new)

    blank = jnp.zeros((rows, computer.frames, *computer.size, 3), jnp.uint8)
    return jax.lax.fori_loop(0, count, body, (states, blank, jnp.ones(rows, bool)))


def _where_active(states: States, after: Any, order: Any, count: Any) -> Any:
    """The result of a step of all rows, with the states of those that are not to advance as they were."""
    new, frames, finite = after
    rows = len(order)
    active = jnp.zeros(rows, bool).at[order].max(jnp.arange(rows) < count)

    def choose(old: Array, new: Array) -> Array:
        return jnp.where(active.reshape(rows, *[1] * (old.ndim - 1)), new, old)

    return jax.tree.map(choose, states, new), frames, finite
