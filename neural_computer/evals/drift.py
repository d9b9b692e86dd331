"""Does a streaming terminal stay right? Runs and single steps against the true machine, read cell by cell.

An open-loop run goes by the computer's own frames from the first one on, a closed loop by the true ones; a single step begins
with the true screen and remembers nothing. What a run gets wrong first, by kind of transition, says what has not been learned:
an average hides a kind that is always wrong.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from neural_computer.conditioning import normalize_pixels, to_uint8
from neural_computer.data.inputs import ActionFeaturizer, stacked
from neural_computer.simulators.tty import drawing, kinds
from neural_computer.simulators.tty.machine import KEYS
from neural_computer.simulators.tty.reading import read
from neural_computer.simulators.tty.sessions import CAPTIONS, FPS, Session
from neural_computer.streaming import StreamingComputer
from neural_computer.types import Actions, Event, Params, State, TokenIds

SEGMENT = 100
"""Frames that are run before they are read: a long run need not be in memory as pictures"""
HORIZONS = (50, 200, 500, 1000)
BRIGHTEST = 100.0
"""Decibels of a picture without any error"""


class Played(NamedTuple):
    """A run beside its session, the first frame included."""

    cells: UInt8[np.ndarray, "n t r c"]
    psnr: Float[np.ndarray, "n t"]


@dataclass(frozen=True)
class TerminalRuns:
    """Runs of one computer's terminal; compiled once a number of frames and of rows."""

    computer: StreamingComputer
    params: Params
    tokenizer: Callable[[Sequence[str]], Int[np.ndarray, "n l"]]
    inputs: ActionFeaturizer

    def __post_init__(self) -> None:
        if self.computer.frames > 1:
            raise ValueError(
                f"temporal_stride, chunk: a chunk has {self.computer.frames} frames; keys are looked up one frame at a time"
            )

    def boot(self, cells: UInt8[np.ndarray, "n r c"]) -> State:
        """States of computers that show these screens."""
        text = TokenIds(np.repeat(self.tokenizer([CAPTIONS["plain"]]), len(cells), axis=0))
        return _boot(self.computer, self.params, drawing.draw(cells), text)

    def run(
        self,
        state: State,
        keys: UInt8[np.ndarray, "n t"],
        seed: int = 0,
        observed: UInt8[np.ndarray, "n t r c"] | None = None,
    ) -> tuple[State, UInt8[np.ndarray, "n t h w 3"]]:
        """The state after some keys, and a frame a key. With screens `observed` before every key, each frame follows those."""
        u = jax.tree.map(lambda x: x[keys.T], key_table(self.inputs, self.computer.size))
        seen = None if observed is None else drawing.draw(np.moveaxis(observed, 0, 1))
        state, frames = _run(self.computer, self.params, state, u, seen, jax.random.key(seed))
        return state, np.asarray(frames)

    def play(self, session: Session, seed: int = 0, closed: bool = False) -> Played:
        """What the computer draws for sessions (n, t) from their first frames and keys; in a `closed` loop, from all frames."""
        state, cells, psnr = self.boot(session.cells[:, 0]), [session.cells[:, :1]], []
        for first in range(1, session.keys.shape[1], SEGMENT):
            part = slice(first, first + SEGMENT)
            truth = session.cells[:, part]
            before = session.cells[:, first - 1 : first - 1 + truth.shape[1]] if closed else None
            state, frames = self.run(state, session.keys[:, part], seed, before)
            cells.append(read(frames))
            psnr.append(_psnr(frames, drawing.draw(truth)))
        return Played(
            np.concatenate(cells, axis=1), np.concatenate([np.full_like(psnr[0][:, :1], BRIGHTEST), *psnr], axis=1)
        )

    def one_step(
        self, before: UInt8[np.ndarray, "n r c"], keys: UInt8[np.ndarray, " n"], seed: int = 0
    ) -> UInt8[np.ndarray, "n r c"]:
        """Cells after one key on a computer that was booted with the true screen: nothing else is remembered."""
        return read(self.run(self.boot(before), keys[:, None], seed)[1])[:, 0]


@functools.partial(jax.jit, static_argnums=0)
def _boot(computer: StreamingComputer, params: Params, first: Any, text: TokenIds) -> State:
    return computer.boot(params, first, text)


@functools.partial(jax.jit, static_argnums=0)
def _run(computer: StreamingComputer, params: Params, state: State, u: Actions, seen: Any, key: Any) -> Any:
    """The state after all chunks, and uint8 frames (n, t, h, w, 3)."""

    def advance(state: State, now: tuple[Actions, Any]) -> tuple[State, Any]:
        u, seen = now
        x = None if seen is None else normalize_pixels(seen)
        state = computer.step(params, state, x, u, jax.random.fold_in(key, state.time))
        state, frames = computer.render(params, state)
        return state, to_uint8(frames[:, 0])

    state, frames = jax.lax.scan(advance, state, (u, seen))
    return state, jnp.moveaxis(frames, 0, 1)


def _psnr(shown: UInt8[np.ndarray, "n t h w 3"], truth: UInt8[np.ndarray, "n t h w 3"]) -> Float[np.ndarray, "n t"]:
    """Decibels of every frame, at most BRIGHTEST."""
    error = np.stack([np.square(a.astype(np.float32) - b).mean((1, 2, 3)) for a, b in zip(shown, truth, strict=True)])
    return np.minimum(BRIGHTEST, 10 * np.log10(255**2 / np.maximum(error, 1e-9)))


@functools.cache
def key_table(inputs: ActionFeaturizer, size: tuple[int, int], keys: Sequence[str] = KEYS) -> Actions:
    """Actions of one frame, (keys, 1, ...), in which a key is pressed; "" is none."""

    def one(key: str) -> Actions:
        events = [Event(0.5 / FPS, "press", key)] if key else []
        both = inputs.of(key, events, None, 2, FPS, size)
        return both._replace(raw=both.raw[1:], meta=jax.tree.map(lambda x: x[1:], both.meta), mouse=both.mouse[1:])

    return stacked([one(key) for key in keys])


def report(played: Played, session: Session) -> dict[str, Any]:
    """Shares of screens and glyphs that are right, in all, by quarter and to horizons, and the kinds of first errors.

    A screen is right if all its cells are; glyphs are cells that are inked, or should be.
    """
    shown, truth = played.cells, session.cells
    right = shown == truth
    glyphs = _inked(shown) | _inked(truth)
    screens: Bool[np.ndarray, "n t"] = right.all((2, 3))
    quarters = np.array_split(np.arange(1, screens.shape[1]), 4)
    return {
        "screens": float(screens[:, 1:].mean()),
        "glyphs": float(right[:, 1:][glyphs[:, 1:]].mean()),
        "quarters": [float(screens[:, part].mean()) for part in quarters],
        "horizons": dict(_horizons(screens, played.psnr)),
        "first_errors": first_errors(screens, session),
    }


def _inked(cells: UInt8[np.ndarray, "*n"]) -> Bool[np.ndarray, "*n"]:
    return ((cells & 127) != ord(" ")) | (cells > 127)


def _horizons(
    screens: Bool[np.ndarray, "n t"], psnr: Float[np.ndarray, "n t"]
) -> Iterator[tuple[str, dict[str, float]]]:
    """Yields, by number of the frame, the share of runs that are right in the 25 frames up to it, and their decibels."""
    for horizon in HORIZONS:
        if horizon <= screens.shape[1]:
            last = slice(horizon - 25, horizon)
            yield str(horizon), {"screens": float(screens[:, last].mean()), "psnr": float(psnr[:, last].mean())}


def first_errors(screens: Bool[np.ndarray, "n t"], session: Session) -> Mapping[str, int]:
    """How many runs have their first wrong screen in a frame of each kind; "none" where all are right."""
    found = dict.fromkeys(("none", *kinds.KINDS), 0)
    for row, labels in zip(screens, session.kinds, strict=True):
        found["none" if row.all() else kinds.KINDS[labels[row.argmin()]]] += 1
    return {name: count for name, count in found.items() if count}


def exactness(runs: TerminalRuns, session: Session, most: int = 256, seed: int = 0) -> dict[str, float]:
    """Share of single steps from the true screen that are right, by kind; of `most` of a kind, drawn."""
    rng, found = np.random.default_rng(seed), {}
    for kind, name in enumerate(kinds.KINDS):
        places = np.argwhere(session.kinds[:, 1:] == kind)
        if not len(places):
            continue
        numbers, frames = places[rng.choice(len(places), most, replace=len(places) < most)].T
        shown = runs.one_step(session.cells[numbers, frames], session.keys[numbers, frames + 1], seed)
        found[name] = float((shown == session.cells[numbers, frames + 1]).all((1, 2)).mean())
    return found
