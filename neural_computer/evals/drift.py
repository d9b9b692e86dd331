"""Does a streaming terminal stay right? Runs and single steps against the true machine, read cell by cell (`evals.runs`)."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, UInt8

from neural_computer.data.inputs import ActionFeaturizer, stacked
from neural_computer.evals import runs
from neural_computer.evals.runs import BRIGHTEST, Runs
from neural_computer.simulators.tty import drawing, kinds
from neural_computer.simulators.tty.machine import KEYS
from neural_computer.simulators.tty.reading import read
from neural_computer.simulators.tty.sessions import CAPTIONS, FPS, Session
from neural_computer.types import Actions, Event, State

HORIZONS = (50, 200, 500, 1000)


class Played(NamedTuple):
    """A run beside its session, the first frame included."""

    cells: UInt8[np.ndarray, "n t r c"]
    psnr: Float[np.ndarray, "n t"]


class TerminalRuns(Runs):
    """Runs of a computer that was trained on the simulated terminal."""

    def boot(self, cells: UInt8[np.ndarray, "n r c"]) -> State:
        """States of computers that show these screens."""
        return self.start(drawing.draw(cells), CAPTIONS["plain"])

    def run(
        self,
        state: State,
        keys: UInt8[np.ndarray, "n t"],
        seed: int = 0,
        observed: UInt8[np.ndarray, "n t r c"] | None = None,
    ) -> tuple[State, UInt8[np.ndarray, "n t h w 3"]]:
        """The state after some keys, and a frame a key. With screens `observed` before every key, each frame follows those."""
        u = jax.tree.map(lambda x: x[keys.T], key_table(self.inputs, self.computer.size))
        return self.follow(state, u, seed, None if observed is None else drawing.draw(np.moveaxis(observed, 0, 1)))

    def play(self, session: Session, seed: int = 0, closed: bool = False) -> Played:
        """What the computer draws for sessions (n, t) from their first frames and keys; in a `closed` loop, from all frames."""
        state, cells, psnr = self.boot(session.cells[:, 0]), [session.cells[:, :1]], []
        for part in runs.segments(session.keys.shape[1]):
            before = session.cells[:, part.start - 1 : part.stop - 1] if closed else None
            state, frames = self.run(state, session.keys[:, part], seed, before)
            cells.append(read(frames))
            psnr.append(runs.decibels(frames, drawing.draw(session.cells[:, part])))
        return Played(
            np.concatenate(cells, axis=1), np.concatenate([np.full_like(psnr[0][:, :1], BRIGHTEST), *psnr], axis=1)
        )

    def one_step(
        self, before: UInt8[np.ndarray, "n r c"], keys: UInt8[np.ndarray, " n"], seed: int = 0
    ) -> UInt8[np.ndarray, "n r c"]:
        """Cells after one key on a computer that was booted with the true screen: nothing else is remembered."""
        return read(self.run(self.boot(before), keys[:, None], seed)[1])[:, 0]


@functools.cache
def key_table(inputs: ActionFeaturizer, size: tuple[int, int], keys: Sequence[str] = KEYS) -> Actions:
    """Actions of one frame, (keys, 1, ...), in which a key is pressed; "" is none."""

    def one(key: str) -> Actions:
        events = [Event(0.5 / FPS, "press", key)] if key else []
        both = inputs.of(key, events, None, 2, FPS, size)
        return both._replace(raw=both.raw[1:], meta=jax.tree.map(lambda x: x[1:], both.meta), mouse=both.mouse[1:])

    return stacked([one(key) for key in keys])


def report(played: Played, session: Session) -> dict[str, Any]:
    """What `runs.report` counts of screens, and the share of glyphs that are right.

    A screen is right if all its cells are; glyphs are cells that are inked, or should be.
    """
    shown, truth = played.cells, session.cells
    right = shown == truth
    glyphs = _inked(shown) | _inked(truth)
    counted = runs.report(right.all((2, 3)), played.psnr, session.kinds, kinds.KINDS, HORIZONS)
    return {"screens": counted.pop("screens"), "glyphs": float(right[:, 1:][glyphs[:, 1:]].mean()), **counted}


def _inked(cells: UInt8[np.ndarray, "*n"]) -> Bool[np.ndarray, "*n"]:
    return ((cells & 127) != ord(" ")) | (cells > 127)


def exactness(terminal: TerminalRuns, session: Session, most: int = 256, seed: int = 0) -> dict[str, float]:
    """Share of single steps from the true screen that are right, by kind; of `most` of a kind, drawn."""

    def right(numbers: np.ndarray, frames: np.ndarray) -> np.ndarray:
        shown = terminal.one_step(session.cells[numbers, frames - 1], session.keys[numbers, frames], seed)
        return (shown == session.cells[numbers, frames]).all((1, 2))

    return runs.exactness(session.kinds, kinds.KINDS, right, most, seed)
