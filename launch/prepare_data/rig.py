"""Recordings for recipe guiworld made here, on real desktops side by side: DIR/recordings/SPLIT-NUMBER.mp4 and its logs."""

import ctypes
import signal
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from absl import flags
from tqdm import tqdm

if TYPE_CHECKING:
    from neural_computer.recording.agents.acting import Acting
    from neural_computer.recording.xfce.desktop import Rig

MINUTES = flags.DEFINE_float(
    "minutes", 5.0, "Recipe guiworld, --source=rig: minutes of video a split.", lower_bound=0.1
)
AGENT = flags.DEFINE_enum(
    "agent", None, ["anthropic", "openai"],
    "Recipe guiworld, --source=rig --split=goal: whose model does the tasks, with VENDOR_API_KEY of the environment; by "
    "default nobody is asked, and programs of ours do them.",
)  # fmt: skip
MODEL = flags.DEFINE_string("agent_model", None, "Recipe guiworld, --agent: the model's name.")
TREES = flags.DEFINE_integer(
    "trees", 0, "Recipe guiworld, --source=rig: frames of a task between two writings of what there is to click; 0, none.",
    lower_bound=0,
)  # fmt: skip
SECONDS = 30
"""How long a session of aimless use lasts at most"""
FAMILIES = ("compute", "write", "shell", "move", "resize")
"""The goals whose way is the same on the real desktop"""
TRIES, VAIN = 2, 10
"""Of a session; how many in a row may come to nothing"""


class Session(NamedTuple):
    """What is to be recorded: so many frames of aimless use, or a task however long it takes, by whose model."""

    split: str
    seed: int
    frames: int
    agent: str | None = None
    model: str = ""
    trees: int = 0

    @property
    def name(self) -> str:
        return f"{self.split}-{self.seed:06d}"


def settings(splits: list[str]) -> dict[str, object]:
    """What the recordings depend on. Raises ValueError for an agent that is not told all it needs."""
    found: dict[str, object] = {"minutes": MINUTES.value, "trees": TREES.value}
    if AGENT.value is None:
        return found
    if not MODEL.value:
        raise ValueError(f"--agent={AGENT.value}: needs --agent_model=NAME, the model to ask")
    if splits != ["goal"]:
        raise ValueError(f"--agent={AGENT.value}: does tasks; give --split=goal")
    return found | {"agent": AGENT.value, "agent_model": MODEL.value}


def record_all(folder: Path, splits: list[str], seed: int, workers: int) -> dict[str, str]:
    """Records what is not there yet; returns why tries came to nothing. Raises RigError if `VAIN` did in a row."""
    refused: dict[str, str] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for partial in folder.glob(".*.partial.*"):
        partial.unlink()
    with ThreadPoolExecutor(workers) as pool:
        for split in splits:
            _split(pool, folder, _sessions(split, seed), workers, refused)
    return refused


def _split(
    pool: ThreadPoolExecutor, folder: Path, sessions: Iterator[Session], workers: int, refused: dict[str, str]
) -> None:
    from neural_computer.recording.xfce.displays import RigError

    wanted, kept, vain = round(MINUTES.value * 60 * 15), 0, 0
    running = dict[Future[tuple[int, list[str]]], Session]()
    with tqdm(total=wanted, unit="frame", dynamic_ncols=True) as bar:
        while kept < wanted or running:
            while len(running) < workers and kept + sum(job.frames for job in running.values()) < wanted:
                job = next(sessions)
                bar.set_description(job.split)
                running[pool.submit(apart, job, folder)] = job
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                job = running.pop(done)
                frames, reasons = done.result()
                refused |= {f"{job.name}, try {number}": reason for number, reason in enumerate(reasons, 1)}
                kept, vain = kept + frames, 0 if frames else vain + 1
                bar.update(frames)
                if vain == VAIN:
                    raise RigError(f"--source=rig: {VAIN} sessions in a row came to nothing; the last: {reasons[-1]}")


def _sessions(split: str, seed: int) -> Iterator[Session]:
    whole = round(min(SECONDS, MINUTES.value * 60) * 15)
    for number in range(10**6):
        if split == "goal":
            yield Session(split, seed * 10**6 + number, 0, AGENT.value, MODEL.value or "", TREES.value)
        else:
            yield Session(split, seed * 10**6 + number, whole)


def apart(session: Session, folder: Path) -> tuple[int, list[str]]:
    """`record` in a process of its own: what ends that process ends this session alone."""
    try:
        with ProcessPoolExecutor(1, get_context("spawn"), ends_with_its_parent) as pool:
            return pool.submit(record, session, folder).result()
    except BrokenProcessPool:
        return 0, ["its process was killed"]


def ends_with_its_parent() -> None:
    """A process that is left alone when the program is killed would go on recording."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def record(session: Session, folder: Path) -> tuple[int, list[str]]:
    """(frames, why tries came to nothing) of a session on a desktop of its own; one that is there is not made again.

    Where the desktop fails it is reset and the session tried once more; a task that came to nothing would do so again.
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

    def judge() -> None:
        if not doing.done:
            reason = doing.reason or "its success cannot be read back"
            raise ValueError(f"task {task.instruction!r} came to nothing: {reason}")
        path.with_name(f"{path.name}.txt").write_text(task.instruction + "\n")

    return recorder.lock_step(rig, doing, path, session.trees, judge)


def agent(rig: "Rig", session: Session, instruction: str, path: Path) -> "Acting":
    """A vendor's model at the desktop; what was said stays in NAME.agent.jsonl. It is done when the model says so."""
    from neural_computer.recording.agents import anthropic, openai
    from neural_computer.recording.agents.acting import Acting
    from neural_computer.recording.agents.transport import Written

    said = path.with_name(f"{path.name}.agent.jsonl")
    said.unlink(missing_ok=True)
    if session.agent == "anthropic":
        return Acting(rig, anthropic.Anthropic(instruction, session.model, Written(anthropic.HTTP, said)))
    return Acting(rig, openai.OpenAI(instruction, session.model, Written(openai.HTTP, said)))
