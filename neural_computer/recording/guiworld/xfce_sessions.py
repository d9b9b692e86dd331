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
    from neural_computer.recording.agents.acting import Acting
    from neural_computer.recording.xfce.desktop import Rig

FPS = 15
SECONDS = 30
"""Length of a session of aimless use at most"""
FAMILIES = ("compute", "write", "shell", "move", "resize")
"""Tasks that are done in the same way on the real desktop"""
TRIES, VAIN = 2, 10
"""Tries of a session; sessions in a row without a recording before it is given up"""


class Session(NamedTuple):
    """One recording to make: so many frames of aimless use, or a task however long it takes, by an agent's model."""

    split: str
    seed: int
    frames: int
    agent: str | None = None
    model: str = ""
    trees: int = 0

    @property
    def name(self) -> str:
        return f"{self.split}-{self.seed:06d}"


class Plan(NamedTuple):
    """Recordings to make of every split."""

    minutes: float
    """Of video a split"""
    seed: int = 0
    agent: str | None = None
    """Vendor whose model does the tasks ("anthropic", "openai"); None for programs of ours"""
    model: str = ""
    trees: int = 0
    """Frames of a task between two lists of what there is to click; 0 for none"""

    def sessions(self, split: str) -> Iterator[Session]:
        """The sessions of a split, without end."""
        frames = round(min(SECONDS, self.minutes * 60) * FPS)
        for number in range(self.seed * 10**6, (self.seed + 1) * 10**6):
            if split == "goal":
                yield Session(split, number, 0, self.agent, self.model, self.trees)
            else:
                yield Session(split, number, frames)


def record_all(folder: Path, splits: Sequence[str], plan: Plan, workers: int) -> dict[str, str]:
    """Records what is not there yet; returns why tries failed. Raises RigError if `VAIN` sessions in a row did."""
    rejected: dict[str, str] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for partial in folder.glob(".*.partial.*"):
        partial.unlink()
    with ThreadPoolExecutor(workers) as pool:
        for split in splits:
            _record_split(pool, folder, split, plan, workers, rejected)
    return rejected


def _record_split(
    pool: ThreadPoolExecutor, folder: Path, split: str, plan: Plan, workers: int, rejected: dict[str, str]
) -> None:
    from neural_computer.recording.xfce.displays import RigError

    wanted, kept, vain = round(plan.minutes * 60 * FPS), 0, 0
    sessions, running = plan.sessions(split), dict[Future[tuple[int, list[str]]], Session]()
    with tqdm(total=wanted, desc=split, unit="frame", dynamic_ncols=True) as bar:
        while kept < wanted or running:
            while len(running) < workers and kept + sum(session.frames for session in running.values()) < wanted:
                session = next(sessions)
                running[pool.submit(record_apart, session, folder)] = session
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                session = running.pop(future)
                frames, reasons = future.result()
                rejected |= {f"{session.name}, try {number}": reason for number, reason in enumerate(reasons, 1)}
                kept, vain = kept + frames, 0 if frames else vain + 1
                bar.update(frames)
                if vain == VAIN:
                    raise RigError(f"--source=rig: {VAIN} sessions in a row came to nothing; the last: {reasons[-1]}")


def record_apart(session: Session, folder: Path) -> tuple[int, list[str]]:
    """`record` in a process of its own: a crash there ends this session alone."""
    try:
        with ProcessPoolExecutor(1, get_context("spawn"), _end_with_parent) as pool:
            return pool.submit(record, session, folder).result()
    except BrokenProcessPool:
        return 0, ["its process was killed"]


def _end_with_parent() -> None:
    # A process that is left alone when the program is killed would go on recording.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def record(session: Session, folder: Path) -> tuple[int, list[str]]:
    """(frames, why tries failed) of a session on a desktop of its own; one that is there is not made again.

    Where the desktop fails it is reset and the session tried once more; a task that failed would fail again.
    """
    from neural_computer.recording.xfce.desktop import Rig
    from neural_computer.recording.xfce.displays import RigError

    path = folder / session.name
    if (log := folder / f"{session.name}.frames.jsonl").exists() and (folder / f"{session.name}.mp4").exists():
        return len(log.read_text().splitlines()), []
    reasons: list[str] = []
    try:
        with Rig() as rig:
            for trial in range(TRIES):
                try:
                    if trial:
                        rig.reset()
                    frames = (
                        _aimless(rig, session, path) if session.split != "goal" else _purposeful(rig, session, path)
                    )
                    return frames, reasons
                except RigError as error:
                    reasons.append(f"RigError: {error}")
    except (RigError, OSError, ValueError) as error:
        reasons.append(f"{type(error).__name__}: {error}")
    return 0, reasons


def _aimless(rig: "Rig", session: Session, path: Path) -> int:
    from neural_computer.recording.guiworld import recorder
    from neural_computer.simulators.policies.random import plan

    steps = plan(session.split, session.seed, session.frames, rig.size, rig.pointer, rig.fps)
    return session.frames - recorder.free(rig, steps, path)


def _purposeful(rig: "Rig", session: Session, path: Path) -> int:
    """Frames of a task that was done. Raises ValueError if it was not."""
    from neural_computer.recording.guiworld import recorder
    from neural_computer.simulators.policies.goal import Task

    task = Task(rig, FAMILIES[session.seed % len(FAMILIES)], session.seed)
    doing = task if session.agent is None else agent(rig, session, task.instruction, path)

    def check() -> None:
        if not doing.done:
            reason = doing.reason or "its success cannot be read back"
            raise ValueError(f"task {task.instruction!r} came to nothing: {reason}")
        path.with_name(f"{path.name}.txt").write_text(task.instruction + "\n")

    return recorder.lock_step(rig, doing, path, session.trees, check)


def agent(rig: "Rig", session: Session, instruction: str, path: Path) -> "Acting":
    """A vendor's model at the desktop; what was said stays in NAME.agent.jsonl. The task ends when the model says so."""
    from neural_computer.recording.agents import anthropic, openai
    from neural_computer.recording.agents.acting import Acting
    from neural_computer.recording.agents.transport import Written

    said = path.with_name(f"{path.name}.agent.jsonl")
    said.unlink(missing_ok=True)
    if session.agent == "anthropic":
        return Acting(rig, anthropic.Anthropic(instruction, session.model, Written(anthropic.HTTP, said)))
    return Acting(rig, openai.OpenAI(instruction, session.model, Written(openai.HTTP, said)))
