"""Recordings made here, on real desktops side by side: FOLDER/SPLIT-NUMBER.mp4 and its logs."""

import ctypes
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tqdm import tqdm

if TYPE_CHECKING:
    from neural_computer.recording.agents.policy import AgentPolicy
    from neural_computer.recording.xfce.desktop import XfceDesktop

FPS = 15
SECONDS = 30
"""Length of a session of aimless use, at most."""
FAMILIES = ("compute", "write", "shell", "move", "resize")
"""The families of goals that are done the same way on a real desktop."""
TRIES, MAX_FAILURES = 2, 10
"""Times that a session is tried; sessions in a row that may fail."""


class RecordingJob(NamedTuple):
    """A session to record: `frames` frames of aimless use, or a task of any length, done by a vendor's model or by ours."""

    split: str
    seed: int
    frames: int
    agent: str | None = None
    model: str = ""
    trees: int = 0

    @property
    def name(self) -> str:
        return f"{self.split}-{self.seed:06d}"


class RecordingPlan(NamedTuple):
    """The recordings to make of every split."""

    minutes: float
    """Of video a split."""
    seed: int = 0
    agent: str | None = None
    """Vendor whose model does the tasks, "anthropic" or "openai"; None for programs of ours."""
    model: str = ""
    trees: int = 0
    """Frames of a task between two rows of the widget tree; 0 for none."""

    def jobs(self, split: str) -> Iterator[RecordingJob]:
        """The sessions of a split, a million at most.

        The hash of a recording's name decides whether it is held out, so a few sessions in the order of their numbers may all be
        for training. Therefore the first training session comes first and the first held-out one second.
        """
        from neural_computer.recording.guiworld.build import is_test

        frames = round(min(SECONDS, self.minutes * 60) * FPS)

        def job(number: int) -> RecordingJob:
            if split == "goal":
                return RecordingJob(split, number, 0, self.agent, self.model, self.trees)
            return RecordingJob(split, number, frames)

        def held_out(number: int) -> bool:
            return is_test(Path(f"{job(number).name}.mp4"))

        numbers = range(self.seed * 10**6, (self.seed + 1) * 10**6)
        first = next(n for n in numbers if not held_out(n)), next(n for n in numbers if held_out(n))
        yield from map(job, first)
        yield from (job(number) for number in numbers if number not in first)


def record_all(folder: Path, splits: Sequence[str], plan: RecordingPlan, workers: int) -> dict[str, str]:
    """Records the sessions that are not there yet; returns {try: reason} of those that failed.

    Raises DesktopError after MAX_FAILURES failed sessions in a row.
    """
    rejected: dict[str, str] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for partial in folder.glob(".*.partial.*"):
        partial.unlink()
    with ThreadPoolExecutor(workers) as pool:
        for split in splits:
            _record_split(pool, folder, split, plan, workers, rejected)
    return rejected


def _record_split(
    pool: ThreadPoolExecutor, folder: Path, split: str, plan: RecordingPlan, workers: int, rejected: dict[str, str]
) -> None:
    from neural_computer.recording.xfce.errors import DesktopError

    wanted, kept, failures = round(plan.minutes * 60 * FPS), 0, 0
    jobs, running = plan.jobs(split), dict[Future[tuple[int, list[str]]], RecordingJob]()
    with tqdm(total=wanted, desc=split, unit="frame", dynamic_ncols=True) as bar:
        while kept < wanted or running:
            while len(running) < workers and kept + sum(job.frames for job in running.values()) < wanted:
                job = next(jobs)
                running[pool.submit(record_apart, job, folder)] = job
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job = running.pop(future)
                frames, reasons = future.result()
                rejected |= {f"{job.name}, try {number}": reason for number, reason in enumerate(reasons, 1)}
                kept, failures = kept + frames, 0 if frames else failures + 1
                bar.update(frames)
                if failures == MAX_FAILURES:
                    raise DesktopError(f"--source=rig: {failures} sessions in a row failed; the last: {reasons[-1]}")


def record_apart(job: RecordingJob, folder: Path) -> tuple[int, list[str]]:
    """`record` in a process of its own: whatever ends that process ends this session alone."""
    try:
        with ProcessPoolExecutor(1, get_context("spawn"), end_with_parent) as pool:
            return pool.submit(record, job, folder).result()
    except BrokenProcessPool:
        return 0, ["its process was killed"]


def end_with_parent() -> None:
    """Kills this process when its parent ends: it would go on recording."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def record(job: RecordingJob, folder: Path) -> tuple[int, list[str]]:
    """(frames, reasons of failed tries) of a session on a desktop of its own; a finished recording is not made again.

    After a failure of the desktop it is reset and the session tried once more; a task that failed would fail again.
    """
    from neural_computer.recording.xfce.desktop import XfceDesktop
    from neural_computer.recording.xfce.errors import DesktopError

    path = folder / job.name
    if (log := folder / f"{job.name}.frames.jsonl").exists() and (folder / f"{job.name}.mp4").exists():
        return len(log.read_text().splitlines()), []
    reasons: list[str] = []
    try:
        with XfceDesktop() as desktop:
            for trial in range(TRIES):
                try:
                    if trial:
                        desktop.reset()
                    return (_aimless if job.split != "goal" else _purposeful)(desktop, job, path), reasons
                except DesktopError as error:
                    reasons.append(f"{type(error).__name__}: {error}")
    except (DesktopError, OSError, ValueError) as error:
        reasons.append(f"{type(error).__name__}: {error}")
    return 0, reasons


def _aimless(desktop: "XfceDesktop", job: RecordingJob, path: Path) -> int:
    """Frames of a session of aimless use."""
    from neural_computer.recording.guiworld import recorder
    from neural_computer.simulators.policies.random import plan

    events = plan(job.split, job.seed, job.frames, desktop.size, desktop.pointer, desktop.fps)
    return job.frames - recorder.free_running(desktop, events, path)


def _purposeful(desktop: "XfceDesktop", job: RecordingJob, path: Path) -> int:
    """Frames of a task. Raises ValueError if it failed."""
    from neural_computer.recording.guiworld import recorder
    from neural_computer.simulators.policies.goal import Task

    task = Task(desktop, FAMILIES[job.seed % len(FAMILIES)], job.seed)
    policy = task if job.agent is None else agent(desktop, job, task.instruction, path)

    def check_success() -> None:
        if not policy.success:
            reason = policy.reason or "the screen does not show that it succeeded"
            raise ValueError(f"task {task.instruction!r} failed: {reason}")
        path.with_name(f"{path.name}.txt").write_text(task.instruction + "\n")

    return recorder.lock_step(desktop, policy, path, job.trees, check_success)


def agent(desktop: "XfceDesktop", job: RecordingJob, instruction: str, path: Path) -> "AgentPolicy":
    """A vendor's model at the desktop; it succeeds when the model says so. NAME.agent.jsonl has the exchanges."""
    from neural_computer.recording.agents import anthropic, openai
    from neural_computer.recording.agents.policy import AgentPolicy
    from neural_computer.recording.agents.transport import LoggedTransport

    exchanges = path.with_name(f"{path.name}.agent.jsonl")
    exchanges.unlink(missing_ok=True)
    if job.agent == "anthropic":
        model = anthropic.Anthropic(instruction, job.model, LoggedTransport(anthropic.HTTP, exchanges))
        return AgentPolicy(desktop, model)
    return AgentPolicy(desktop, openai.OpenAI(instruction, job.model, LoggedTransport(openai.HTTP, exchanges)))
