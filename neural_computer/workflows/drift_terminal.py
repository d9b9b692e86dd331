"""What is measured of a streaming terminal: long runs by several typists, single steps, and what it remembers.

Keys come from typists that no training session knows, who enter held-out sums. Every run with a memory has controls beside it
(`evals.recall`).
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np

from neural_computer import media
from neural_computer.config import ConfigError
from neural_computer.evals import drift, recall
from neural_computer.evals.drift import TerminalRuns
from neural_computer.flow import TIME_SCALE
from neural_computer.models import window
from neural_computer.simulators.tty import drawing, kinds, sessions
from neural_computer.simulators.tty.sessions import Session
from neural_computer.simulators.tty.typists import TYPISTS
from neural_computer.streaming import StreamingComputer
from neural_computer.workflows.kept import Result, Task

RUNS = ("words", "sums", "bursts", "mash", "recalls")
"""Typists of the long runs"""
STEPS = {"everything": "held-out sums", "trained_sums": "trained sums"}
"""Typists of the single steps"""
MOST, FRAMES, SESSIONS = 256, 1500, 64
"""Single steps of a kind, and the sessions that they are drawn from"""
LETTERS = (0, 1, 2, 4, 8, 16)
"""Typed between `clear` and Up, in probes of the memory"""
FIRST = 1_000_000
"""Number of the first session: none of these is among a data set's"""
CLOSED = 200
"""Frames of the closed loops, which cannot drift"""


def tasks(terminal: TerminalRuns, frames: int, count: int, seed: int) -> list[Task]:
    """All that is measured, in runs of so many frames by so many typists."""
    size = terminal.computer.size
    rows, cols = (side // cell for side, cell in zip(size, drawing.CELL, strict=True))

    def typed(typist: str, frames: int, count: int) -> Session:
        each = [sessions.session(TYPISTS[typist], (seed, FIRST + n), frames, rows, cols) for n in range(count)]
        return Session(*map(np.stack, zip(*each, strict=True)))

    def played(typist: str, frames: int, runs: TerminalRuns = terminal, closed: bool = False) -> Task:
        def run() -> Result:
            session = typed(typist, 1 + frames, count)
            played = runs.play(session, seed, closed)
            right = (played.cells == session.cells).all((2, 3)).mean(0).tolist()
            return Result(drift.report(played, session), right, _strip(session, played.cells))

        return Task(f"{'closed' if closed else 'open'} loop, {typist}", count * frames, run)

    def steps(typist: str, name: str) -> Task:
        most = min(MOST, 8 * count)

        def run() -> Result:
            session = typed(typist, FRAMES, min(SESSIONS, 2 * count))
            return Result(drift.exactness(terminal, session, most, seed))

        return Task(f"one step, {name}", len(kinds.KINDS) * most, run)

    out = [played(typist, frames) for typist in RUNS]
    out += [played("sums", min(frames, CLOSED), closed=True), *(steps(*each) for each in STEPS.items())]
    causal = terminal.computer.causal
    if causal.window:
        # Beyond the window one figure will do: nothing is left of the line.
        asked = [letters for letters in LETTERS if letters <= max(causal.window, LETTERS[0])]
        out += [_recalled(terminal, letters, min(recall.COUNT, 3 * count), seed) for letters in asked]
        unwritten = dataclasses.replace(terminal, computer=_unwritten(terminal.computer))
        control = played("words", min(frames, CLOSED), unwritten)
        out.append(control._replace(name=f"{control.name}, window not rewritten"))
    return out


def _recalled(terminal: TerminalRuns, letters: int, count: int, seed: int) -> Task:
    frames = count * (20 + (letters + 1) * (1 + recall.IDLE))
    return Task(f"recall, {letters}", frames, lambda: Result(recall.recall(terminal, letters, count, seed=seed)))


def _strip(session: Session, cells: np.ndarray) -> np.ndarray:
    """Frames of the first session: the true ones above the computer's, as read."""
    places = np.linspace(0, session.keys.shape[1] - 1, 12).astype(int)
    pair = {"true": drawing.draw(session.cells[0, places]), "computer": drawing.draw(cells[0, places])}
    return media.strip(pair, scale=1)


class Unwritten(StreamingComputer):
    """A control: what enters the window are keys and values of the pass from pure noise, not of a pass over what it made."""

    def remember(self, params: Any, state: Any, conditioning: Any, enters: Any) -> Any:
        if state.cache is None:
            return None
        noise, time = jnp.zeros_like(state.latents), jnp.full(state.latents.shape[0], TIME_SCALE)
        _, own = self.denoiser.predict_chunk(params.network, noise, time, conditioning, state.cache)
        assert own is not None
        return window.write(state.cache, own, enters)


def _unwritten(computer: StreamingComputer) -> Unwritten:
    if not computer.denoiser.scale_noisy_latents:
        raise ConfigError("config.network.scale_noisy_latents=False: the control without a clean pass needs it")
    return Unwritten(computer.conditioner, computer.denoiser, computer.sampler, computer.entries)
