"""Reproduces findings: makes the data of their arms, trains each arm with each seed, measures it, keeps what it found.

An arm with a seed is a run, whose result is RESULTS/SIZE/FINDING/ARM-SEED.json. Runs that ask for the same share data and
training, in FOLDER, by the hash of what they ask.
"""

import datetime
import functools
import hashlib
import json
import platform
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from neural_computer import build, files, media
from neural_computer.errors import one_of
from neural_computer.evals.estimates import Estimate
from neural_computer.train.metrics_log import read_metrics
from neural_computer.workflows import findings, lock
from neural_computer.workflows.findings import PACKAGE, Arm, Finding
from neural_computer.workflows.measures import MEASURES, Setting, training_curves
from neural_computer.workflows.queue import Job
from neural_computer.workflows.train import train

DONE = "done.json"
"""In the folder of a training: what was measured, and what it took"""


@dataclass(frozen=True)
class Places:
    """Where results go, and where data and trainings are kept; `size` is one of `findings.SIZES`."""

    results: Path
    folder: Path
    size: str

    def result(self, run: "Run") -> Path:
        return self.results / self.size / run.finding.name / f"{run.arm}-{run.seed}.json"

    def data(self, flags: Sequence[str]) -> Path:
        return self.folder / self.size / "data" / hashlib.sha256(json.dumps(list(flags)).encode()).hexdigest()[:12]

    def training(self, run: "Run") -> Path:
        return self.folder / self.size / "runs" / run.digest(self.size)


@dataclass(frozen=True)
class Run:
    """An arm of a finding with a seed."""

    finding: Finding
    arm: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.finding.name}/{self.arm}-{self.seed}"

    def asked(self, size: str) -> Arm:
        """The arm at a size, its config with this seed."""
        return _asked(self.finding.arm, self.arm, size, self.seed)

    def digest(self, size: str) -> str:
        """Hash of what is asked: runs of the same share a training."""
        arm = self.asked(size)
        return findings.digest(arm.config, arm.data, arm.measure, self.seed)


@functools.cache
def _asked(make: Callable[[str, str], Arm], name: str, size: str, seed: int) -> Arm:
    arm = make(name, size)
    arm.config.seed = seed
    return arm


def runs(wanted: Sequence[Finding], size: str, seeds: int = 0, arms: Sequence[str] = ()) -> list[Run]:
    """The runs of some findings, seeds first, so that every arm has one as early as may be.

    `seeds` of each, by default as many as the arm asks for; of `arms` alone, if these are named. Raises ValueError for an arm
    that no finding has.
    """
    for name in arms:
        one_of("arms", name, dict.fromkeys(arm for finding in wanted for arm in finding.arms))
    every = [
        (seed, Run(finding, arm, seed))
        for finding in wanted
        for arm in finding.arms
        if not arms or arm in arms
        for seed in range(seeds or finding.arm(arm, size).seeds)
    ]
    return [run for _, run in sorted(every, key=lambda pair: pair[0])]


# The queue


def jobs(every: Sequence[Run], places: Places, prepare: Sequence[str], run_one: Sequence[str]) -> list[Job]:
    """Data first, then runs: those that need data wait for them, those that share a training for the first of them.

    `prepare` is the command of prepare_data, `run_one` the one that does a run, whose name is put after it.
    """
    out: dict[str, Job] = {}
    first: dict[str, str] = {}
    for run in every:
        arm, folder = run.asked(places.size), places.data(run.asked(places.size).data)
        made = f"data/{folder.name}"
        out.setdefault(made, Job(made, [*prepare, *arm.data, f"--out={folder}"], (folder / "summary.json").exists))
        sharing = first.setdefault(run.digest(places.size), run.name)
        needs = (made,) if sharing == run.name else (made, sharing)
        out[run.name] = Job(run.name, [*run_one, f"--run={run.name}"], functools.partial(is_done, run, places), needs)
    return list(out.values())


def is_done(run: Run, places: Places) -> bool:
    """Whether there is a result of today's config."""
    path = places.result(run)
    return path.exists() and json.loads(path.read_text()).get("asked") == run.digest(places.size)


def pending(every: Sequence[Run], places: Places) -> list[Run]:
    """The runs that have no result of today's config."""
    return [run for run in every if not is_done(run, places)]


# One run


def do(run: Run, places: Places, command: str) -> dict[str, Any]:
    """Trains and measures an arm with a seed, or takes up what was; writes its result and strip, returns the result.

    The data must be there. Interrupted, the same call goes on.
    """
    arm, workdir = run.asked(places.size), places.training(run)
    done = workdir / DONE
    if not done.exists():
        config = arm.config.copy_and_resolve_references()
        config.data.directory = str(places.data(arm.data))
        files.write_whole(done, json.dumps(_train_and_measure(config, arm, workdir, run.seed), indent=1) + "\n")
    kept = json.loads(done.read_text())
    result = {
        "finding": run.finding.name,
        "arm": run.arm,
        "seed": run.seed,
        "size": places.size,
        "asked": run.digest(places.size),
        "command": command,
        **kept,
    }
    path = places.result(run)
    path.parent.mkdir(parents=True, exist_ok=True)
    if (strip := workdir / "strip.png").exists():
        files.write_whole(path.with_suffix(".png"), strip.read_bytes())
    files.write_whole(path, json.dumps(result, indent=1) + "\n")
    return result


def _train_and_measure(config: ConfigDict, arm: Arm, workdir: Path, seed: int) -> dict[str, Any]:
    """What a training and its measures found, and what they took."""
    spent = workdir / "cpu_seconds.json"
    with _counted(spent):
        train(build.build(config), workdir)
    with lock.exclusive(workdir), _counted(spent):
        measured = MEASURES[arm.measure](Setting(workdir, seed))
    if measured.strip is not None:
        files.write_whole(workdir / "strip.png", media.png(measured.strip))
    used = findings.code_files()
    return {
        "metrics": {name: _rounded(estimate) for name, estimate in measured.metrics.items()},
        "curves": {
            name: [[step, round(value, 5)] for step, value in points]
            for name, points in training_curves(read_metrics(workdir)).items()
        },
        "steps": int(config.schedule.steps),
        "cpu_seconds": round(sum(json.loads(spent.read_text()))),
        "hardware": f"{jax.devices()[0].device_kind}, {platform.machine()}, one thread",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": _commit(),
        "code": {"files": used, "hash": findings.code_digest(used)},
    }


class _counted:
    """Adds the CPU seconds of a block to those that a file lists, also where it is interrupted."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> None:
        self.begin = time.process_time()

    def __exit__(self, *error: object) -> None:
        before = json.loads(self.path.read_text()) if self.path.exists() else []
        self.path.parent.mkdir(parents=True, exist_ok=True)
        files.write_whole(self.path, json.dumps([*before, round(time.process_time() - self.begin, 1)]) + "\n")


def _rounded(estimate: Estimate) -> dict[str, Any]:
    value, low, high, clips = estimate
    return {"value": round(value, 5), "low": round(low, 5), "high": round(high, 5), "clips": clips}


def _commit() -> str:
    """The checkout's commit, with a mark if files differ from it; "" outside a checkout."""
    run = functools.partial(subprocess.run, cwd=PACKAGE, capture_output=True, text=True, check=False)
    found = run(["git", "rev-parse", "--short=12", "HEAD"])
    if found.returncode:
        return ""
    changed = run(["git", "status", "--porcelain", "--untracked-files=no", "."]).stdout.strip()
    return found.stdout.strip() + ("+" if changed else "")


# The plan


def plan(every: Sequence[Run], places: Places) -> Iterator[dict[str, Any]]:
    """A row an arm: its seeds, steps, and hours as far as they are known from results of this size."""
    by_arm: dict[tuple[str, str], list[Run]] = {}
    for run in every:
        by_arm.setdefault((run.finding.name, run.arm), []).append(run)
    seen: set[str] = set()
    for (finding, arm), each in by_arm.items():
        asked = each[0].asked(places.size)
        fresh = [run for run in each if run.digest(places.size) not in seen]
        seen |= {run.digest(places.size) for run in each}
        yield {
            "finding": finding,
            "arm": arm,
            "seeds": len(each),
            "done": sum(is_done(run, places) for run in each),
            "steps": int(asked.config.schedule.steps),
            "trained here": len(fresh),
            "CPU hours, measured": _hours(fresh, places),
        }


def _hours(every: Sequence[Run], places: Places) -> float | None:
    """Of runs of which one has a result: its CPU time, times their number."""
    paths = [path for run in every if (path := places.result(run)).exists()]
    if not paths:
        return None
    seconds = [json.loads(path.read_text()).get("cpu_seconds", 0) for path in paths]
    return round(len(every) * sum(seconds) / len(seconds) / 3600, 2)
