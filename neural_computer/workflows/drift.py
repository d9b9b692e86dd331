"""Drift of a streaming machine: long runs against the true machine it was trained on, scored, tabled and shown.

A terminal's keys come from typists that no training session knows, who enter held-out sums. Every run with a memory has
controls beside it (`evals.recall`).
"""

import dataclasses
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from neural_computer import files, media, report
from neural_computer.config import ConfigError
from neural_computer.evals import drift
from neural_computer.evals.drift import Played, TerminalRuns
from neural_computer.evals.recall import recall
from neural_computer.flow import TIME_SCALE
from neural_computer.models import window
from neural_computer.simulators.tty import drawing, sessions
from neural_computer.simulators.tty.sessions import Session
from neural_computer.simulators.tty.typists import TYPISTS
from neural_computer.streaming import StreamingComputer
from neural_computer.workflows.trained import Trained

RESULT, REPORT = "drift.json", "drift.html"
RUNS = ("words", "sums", "bursts", "mash", "recalls")
"""Typists of the long runs"""
SESSIONS = 32
STEPS = {"everything": "held-out sums", "trained_sums": "trained sums"}
"""Typists of the single steps"""
LETTERS = (0, 1, 2, 4, 8, 16)
"""Typed between `clear` and Up, in probes of the memory"""
FIRST = 1_000_000
"""Number of the first session: none of these is among a data set's"""
CLOSED = 200
"""Frames of the closed loops, which cannot drift"""


def evaluate(trained: Trained, frames: int, out: Path, seed: int = 0) -> dict[str, Any]:
    """Scores of a machine's runs of so many frames; writes them to drift.json and drift.html in `out`.

    Raises ConfigError for a machine that does not stream, or that is no terminal of `--recipe=tty`.
    """
    begin, runs = time.monotonic(), terminal(trained)
    rows, cols = (side // cell for side, cell in zip(trained.computer.size, drawing.CELL, strict=True))

    def played(typist: str, frames: int, count: int = SESSIONS) -> Session:
        each = [sessions.session(TYPISTS[typist], (seed, FIRST + n), frames, rows, cols) for n in range(count)]
        return Session(*map(np.stack, zip(*each, strict=True)))

    result: dict[str, Any] = {"step": trained.step, "frames": frames, "sessions": SESSIONS, "seed": seed}
    shown: dict[str, tuple[Session, Played]] = {}
    for typist in RUNS:
        session = played(typist, 1 + frames)
        shown[typist] = session, runs.play(session, seed)
        result[f"open loop, {typist}"] = drift.report(shown[typist][1], session)
    session = played("sums", 1 + min(frames, CLOSED))
    result["closed loop, sums"] = drift.report(runs.play(session, seed, closed=True), session)
    for typist, name in STEPS.items():
        result[f"one step, {name}"] = drift.exactness(runs, played(typist, 1500, 64), seed=seed)
    causal = runs.computer.causal
    if causal.window:
        # Beyond the window one figure will do: nothing is left of the line.
        asked = [letters for letters in LETTERS if letters <= max(causal.window, LETTERS[0])]
        result["recall"] = {str(letters): recall(runs, letters, seed=seed) for letters in asked}
        unwritten = dataclasses.replace(runs, computer=_unwritten(runs.computer))
        session = played("words", 1 + min(frames, CLOSED))
        result["open loop, words, window not rewritten"] = drift.report(unwritten.play(session, seed), session)
    result["seconds"] = round(time.monotonic() - begin, 1)
    out.mkdir(parents=True, exist_ok=True)
    files.write_whole(out / RESULT, json.dumps(result, indent=2) + "\n")
    _page(out, trained, result, shown)
    return result


def terminal(trained: Trained) -> TerminalRuns:
    """Runs of a trained terminal. Raises ConfigError for another machine."""
    computer, inputs = trained.computer, trained.experiment.inputs
    if not isinstance(computer, StreamingComputer):
        raise ConfigError(
            "config.objective.kind='flow_matching': this machine makes whole clips; drift is of one that streams (configs/tty.py)"
        )
    if inputs is None:
        raise ConfigError(
            "config.injection.mode='none': this machine takes no keys, so it has no true machine to drift from"
        )
    return TerminalRuns(computer, trained.params, trained.experiment.tokenizer, inputs)


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


# Tables and pictures


def tables(result: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """A result as tables, by their captions."""
    out = {
        "Runs: shares of screens and of glyphs that are right, by quarter; what the first wrong screen of a run shows.": [
            _run_row(name, value) for name, value in result.items() if "loop" in name
        ],
        "Single steps from the true screen: the share that is right, by kind of transition.": [
            {"after": name.removeprefix("one step, ")} | value for name, value in result.items() if "one step" in name
        ],
    }
    if "recall" in result:
        caption = (
            "Memory: the share of cleared lines that Up brings back, with 30 idle frames before every key. The fourth column "
            "cannot succeed; the last counts the other session's line."
        )
        out[caption] = [{"letters since clear": letters} | value for letters, value in result["recall"].items()]
    return out


def _run_row(name: str, value: Mapping[str, Any]) -> dict[str, Any]:
    quarters = {f"quarter {n}": share for n, share in enumerate(value["quarters"], 1)}
    first = ", ".join(f"{kind} {count}" for kind, count in value["first_errors"].items())
    return {"run": name, "screens": value["screens"], "glyphs": value["glyphs"], **quarters, "first errors": first}


def summary(out: Path, result: Mapping[str, Any]) -> str:
    """A result as tables for a terminal."""
    parts = [f"{caption}\n{report.text_table(rows)}" for caption, rows in tables(result).items()]
    end = f"{result['frames']} frames, {result['sessions']} sessions; {result['seconds']:.0f} s; {out}/{REPORT}"
    return "\n\n".join([*parts, end])


def _page(out: Path, trained: Trained, result: Mapping[str, Any], shown: Mapping[str, tuple[Session, Played]]) -> None:
    """Writes drift.html: tables, the share of right screens over the run, and frames of the truth beside the computer's."""
    page = report.Page(f"Drift over {result['frames']} frames, step {result['step']}")
    page.text("Every run goes on from the computer's own frames alone; the true machine is fed the same keys.")
    for caption, rows in tables(result).items():
        page.table(rows, caption)
    curves = {}
    for typist, (session, played) in shown.items():
        right = (played.cells == session.cells).all((2, 3)).mean(0)
        width = max(1, len(right) // 40)
        means = [float(right[n : n + width].mean()) for n in range(0, len(right), width)]
        curves[typist] = (list(range(0, len(right), width)), means)
    page.curve(curves, "Share of the sessions whose screen is right.", "frame", "share")
    for typist, (session, played) in shown.items():
        places = np.linspace(0, session.keys.shape[1] - 1, 12).astype(int)
        pair = {"true": drawing.draw(session.cells[0, places]), "computer": drawing.draw(played.cells[0, places])}
        page.image(
            media.strip(pair, scale=1), f"{typist}: a session, 12 of its {session.keys.shape[1]} frames, as read"
        )
    page.save(out / REPORT)
