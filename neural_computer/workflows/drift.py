"""Drift of a streaming machine: long runs against the true machine it was trained on, scored, tabled and shown.

What is measured of a terminal is in `drift_terminal`, of a desktop in `drift_desktop`; a machine's kind is that of the
transitions that its config draws (`config.data.shares`).
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neural_computer import files, report
from neural_computer.config import ConfigError
from neural_computer.evals.desk_drift import DesktopRuns
from neural_computer.evals.drift import TerminalRuns
from neural_computer.evals.runs import ignore
from neural_computer.simulators.minidesk.kinds import KINDS as DESKTOP_KINDS
from neural_computer.streaming import StreamingComputer
from neural_computer.workflows import drift_desktop, drift_terminal, kept
from neural_computer.workflows.kept import Progress, Result
from neural_computer.workflows.trained import Trained

RESULT, REPORT, KEPT = "drift.json", "drift.html", ".drift"
SESSIONS = 32
VERSION = 1
"""Of what is measured; results of another one are not taken up"""


def evaluate(trained: Trained, frames: int, out: Path, seed: int = 0, sessions: int = SESSIONS) -> dict[str, Any]:
    """Scores of a machine's runs of so many frames; writes them to drift.json and drift.html in `out`.

    Each part is kept in `out` as soon as it is done, and taken up by the same call on the same machine. Raises ConfigError for a
    machine that does not stream, or takes no actions.
    """
    begin, progress = time.monotonic(), Progress("drift")
    runs = machine(trained, progress)
    asked = frames, sessions, seed
    tasks = drift_desktop.tasks(runs, *asked) if isinstance(runs, DesktopRuns) else drift_terminal.tasks(runs, *asked)
    settings = {
        **{"version": VERSION, "machine": kept.digest(trained.experiment.config, trained.params)},
        **{"frames": frames, "sessions": sessions, "seed": seed},
    }
    results = kept.run(tasks, out / KEPT, settings, progress)
    result: dict[str, Any] = {"step": trained.step, **settings}
    recalled = {name: each.value for name, each in results.items() if name.startswith("recall")}
    result |= {name: each.value for name, each in results.items() if name not in recalled}
    if recalled:
        result["recall"] = {name.removeprefix("recall, "): value for name, value in recalled.items()}
    result["seconds"] = round(time.monotonic() - begin, 1)
    files.write_whole(out / RESULT, json.dumps(result, indent=2) + "\n")
    _page(out, result, results)
    return result


def machine(trained: Trained, progress: Progress | None = None) -> TerminalRuns | DesktopRuns:
    """Runs of a trained machine, as a desktop if its clips are drawn by a desktop's kinds, else as a terminal.

    Raises ConfigError for one that cannot drift.
    """
    computer, inputs, shares = trained.computer, trained.experiment.inputs, trained.experiment.data.shares
    if not isinstance(computer, StreamingComputer):
        raise ConfigError(
            "config.objective.kind='flow_matching': this machine makes whole clips; drift is of one that streams (configs/tty.py)"
        )
    if inputs is None:
        raise ConfigError(
            "config.injection.mode='none': this machine takes no keys, so it has no true machine to drift from"
        )
    desktop = bool(shares) and set(shares) <= set(DESKTOP_KINDS)
    kind = DesktopRuns if desktop else TerminalRuns
    return kind(computer, trained.params, trained.experiment.tokenizer, inputs, progress or ignore)


# Tables and pictures


def tables(result: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """A result as tables, by their captions."""
    runs = {name: value for name, value in result.items() if isinstance(value, dict) and "quarters" in value}
    clicks = any("clicks" in value for value in runs.values())
    counted = "screens, of their blocks and of clicks" if clicks else "screens and of glyphs"
    out = {
        f"Runs: shares of {counted} that are right, by quarter; what the first wrong screen of a run shows.": [
            _run_row(name, value) for name, value in runs.items()
        ],
        "Runs at horizons: over the 25 frames up to each.": [
            {"run": name, "frame": horizon} | value[horizon]
            for name, value in ((name, value["horizons"]) for name, value in runs.items())
            for horizon in value
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
    return {caption: rows for caption, rows in out.items() if rows}


def _run_row(name: str, value: Mapping[str, Any]) -> dict[str, Any]:
    shares = {key: value[key] for key in ("screens", "glyphs", "blocks", "clicks", "of", "psnr") if key in value}
    quarters = {f"quarter {n}": share for n, share in enumerate(value["quarters"], 1)}
    first = ", ".join(f"{kind} {count}" for kind, count in value["first_errors"].items())
    return {"run": name, **shares, **quarters, "first errors": first}


def summary(out: Path, result: Mapping[str, Any]) -> str:
    """A result as tables for a terminal."""
    parts = [f"{caption}\n{report.text_table(rows)}" for caption, rows in tables(result).items()]
    end = f"{result['frames']} frames, {result['sessions']} sessions; {result['seconds']:.0f} s; {out}/{REPORT}"
    return "\n\n".join([*parts, end])


def _page(out: Path, result: Mapping[str, Any], results: Mapping[str, Result]) -> None:
    """Writes drift.html: tables, the share of right screens over the run, and frames of the truth beside the computer's."""
    page = report.Page(f"Drift over {result['frames']} frames, step {result['step']}")
    page.text("Every open loop goes on from the computer's own frames alone; the true machine is fed the same events.")
    for caption, rows in tables(result).items():
        page.table(rows, caption)
    curves = {}
    for name, each in results.items():
        if each.curve and name.startswith("open loop"):
            width = max(1, len(each.curve) // 40)
            starts = range(0, len(each.curve), width)
            parts = [each.curve[n : n + width] for n in starts]
            curves[name.removeprefix("open loop, ")] = (list(starts), [sum(part) / len(part) for part in parts])
    page.curve(curves, "Share of the sessions whose screen is right.", "frame", "share")
    for name, each in results.items():
        if each.picture is not None:
            page.image(each.picture, f"{name}: a session, frames from the first to the last, the true ones above.")
    page.save(out / REPORT)
