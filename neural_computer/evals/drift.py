"""Does a streaming terminal stay right? Open-loop runs and single steps against the true machine, read cell by cell.

A run goes by the computer's own frames from the first one on; a single step begins with the true screen. What a run gets
wrong first, by kind of transition, says what has not been learned: an average hides a kind that is always wrong.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int, UInt8

from neural_computer.conditioning import to_uint8
from neural_computer.data.inputs import ActionFeaturizer, stacked
from neural_computer.simulators.tty import drawing, kinds
from neural_computer.simulators.tty.machine import KEYS
from neural_computer.simulators.tty.reading import read
from neural_computer.simulators.tty.sessions import CAPTIONS, FPS, Session
from neural_computer.streaming import StreamingComputer
from neural_computer.types import Actions, Event, Params, TokenIds


@dataclass(frozen=True)
class TerminalRuns:
    """Runs of one computer's terminal, compiled once a length and a number of rows."""

    computer: StreamingComputer
    params: Params
    tokenizer: Callable[[Sequence[str]], Int[np.ndarray, "n l"]]
    inputs: ActionFeaturizer

    def open_loop(self, session: Session, seed: int = 0) -> UInt8[np.ndarray, "n t r c"]:
        """Cells of what the computer draws for sessions (n, t) from their first frames and keys, the first frame included."""
        u = self.actions(session.keys[:, 1:])
        first = drawing.draw(session.cells[:, 0])
        shown = np.asarray(
            self._run(self.computer, self.params, first, self._text(len(first)), u, jax.random.key(seed))
        )
        return np.concatenate([session.cells[:, :1], read(shown)], axis=1)

    def one_step(
        self, before: UInt8[np.ndarray, "n r c"], keys: Int[np.ndarray, " n"], seed: int = 0
    ) -> UInt8[np.ndarray, "n r c"]:
        """Cells after one key on a computer that was booted with the true screen: nothing else is remembered."""
        u = self.actions(keys[:, None])
        first, text = drawing.draw(before), self._text(len(before))
        return read(np.asarray(self._run(self.computer, self.params, first, text, u, jax.random.key(seed))))[:, 0]

    def actions(self, keys: Int[np.ndarray, "n t"]) -> Actions:
        """Actions of keys, chunk by chunk: (chunks, n, frames, ...)."""
        frames = self.computer.frames
        if keys.shape[1] % frames:
            raise ValueError(f"frames={keys.shape[1]}: must be a multiple of the {frames} frames of a chunk")
        if frames > 1:
            raise ValueError(
                f"temporal_stride, chunk: a chunk has {frames} frames; keys are looked up one frame at a time"
            )
        table = key_table(self.inputs, KEYS, self.computer.size)
        return jax.tree.map(lambda x: x[keys.T], table)

    def _text(self, rows: int) -> TokenIds:
        return TokenIds(np.repeat(self.tokenizer([CAPTIONS["plain"]]), rows, axis=0))

    @staticmethod
    @functools.partial(jax.jit, static_argnums=0)
    def _run(computer: StreamingComputer, params: Params, first: Any, text: TokenIds, u: Actions, key: Any) -> Any:
        """uint8 frames (n, t, h, w, 3) after the first."""
        state = computer.boot(params, first, text)

        def advance(state: Any, u: Actions) -> tuple[Any, Any]:
            state = computer.step(params, state, None, u, jax.random.fold_in(key, state.time))
            state, frames = computer.render(params, state)
            return state, to_uint8(frames)

        _, frames = jax.lax.scan(advance, state, u)
        return jnp.moveaxis(frames, 0, 1).reshape(first.shape[0], -1, *first.shape[1:])


def key_table(inputs: ActionFeaturizer, keys: Sequence[str], size: tuple[int, int]) -> Actions:
    """Actions of one frame, (keys, 1, ...), in which a key is pressed; "" is none."""

    def one(key: str) -> Actions:
        events = [Event(0.5 / FPS, "press", key)] if key else []
        both = inputs.of(key, events, None, 2, FPS, size)
        return both._replace(raw=both.raw[1:], meta=jax.tree.map(lambda x: x[1:], both.meta), mouse=both.mouse[1:])

    return stacked([one(key) for key in keys])


def report(shown: UInt8[np.ndarray, "n t r c"], session: Session) -> dict[str, Any]:
    """Shares of screens and glyphs that are right, in all and by quarter of the run, and the kinds of first errors."""
    right = shown == session.cells
    ink = (shown & 127) != ord(" ")
    glyphs = ink | ((session.cells & 127) != ord(" ")) | (session.cells > 127) | (shown > 127)
    screens: Bool[np.ndarray, "n t"] = right.all((2, 3))
    quarters = np.array_split(np.arange(1, screens.shape[1]), 4)
    return {
        "screens": float(screens[:, 1:].mean()),
        "glyphs": float(right[:, 1:][glyphs[:, 1:]].mean()),
        "quarters": [float(screens[:, part].mean()) for part in quarters],
        "first_errors": first_errors(screens, session),
    }


def first_errors(screens: Bool[np.ndarray, "n t"], session: Session) -> Mapping[str, int]:
    """How many runs have their first wrong screen in a frame of each kind; "none" where all are right."""
    found = dict.fromkeys(("none", *kinds.KINDS), 0)
    for row, labels in zip(screens, session.kinds, strict=True):
        found["none" if row.all() else kinds.KINDS[labels[row.argmin()]]] += 1
    return {name: count for name, count in found.items() if count}


def exactness(runs: TerminalRuns, session: Session, most: int = 256, seed: int = 0) -> dict[str, float]:
    """Share of single steps from the true screen that are right, by kind; at most `most` of a kind, drawn."""
    rng, found = np.random.default_rng(seed), {}
    for kind, name in enumerate(kinds.KINDS):
        places = np.argwhere(session.kinds[:, 1:] == kind)
        if not len(places):
            continue
        numbers, frames = places[rng.choice(len(places), most, replace=len(places) < most)].T
        shown = runs.one_step(session.cells[numbers, frames], session.keys[numbers, frames + 1], seed)
        found[name] = float((shown == session.cells[numbers, frames + 1]).all((1, 2)).mean())
    return found
