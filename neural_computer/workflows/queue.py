"""A queue of commands: so many at a time, one thread each, gone on from after any interruption.

A job is done when its own check says so, not when this process remembers it: the same queue, started again, runs what is left.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from absl import logging
from tqdm import tqdm

ONE_THREAD = {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "PJRT_NPROC": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
"""At the sizes that a queue is for, more threads only wait for one another."""
FOLLOW = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 15); os.execvp(sys.argv[1], sys.argv[1:])"
"""Python that asks Linux for a SIGTERM when its parent ends (PR_SET_PDEATHSIG), then becomes the command: a queue that is killed
takes its jobs with it. A SIGINT would not do, which what is started in the background ignores."""
POLL = 0.5
"""Seconds between looks at the running jobs"""
GRACE = 60.0
"""Seconds that an interrupted job has to save"""
TAIL = 12
"""Lines of a failed job's log that are shown"""


@dataclass(frozen=True)
class Job:
    """A command, the check that says whether it is done, and the names of the jobs that it needs."""

    name: str
    argv: Sequence[str]
    done: Callable[[], bool]
    needs: tuple[str, ...] = ()


def run(jobs: Sequence[Job], count: int, logs: Path, environment: Mapping[str, str] | None = None) -> list[str]:
    """Runs the jobs that are not done, `count` at a time, in order; returns the names of those that failed or could not run.

    Output goes to LOGS/NAME.log. After Ctrl-C or SIGTERM the running jobs are interrupted, and given time to save.
    """
    logs.mkdir(parents=True, exist_ok=True)
    wanted = [job for job in jobs if not job.done()]
    waiting, running, failed = list(wanted), dict[str, _Running](), list[str]()
    with tqdm(total=len(jobs), initial=len(jobs) - len(wanted), unit="job", dynamic_ncols=True) as bar:
        try:
            while waiting or running:
                for job in _ready(waiting, running, failed, count):
                    waiting.remove(job)
                    running[job.name] = _Running.start(job, logs, environment or {})
                    bar.set_postfix_str(", ".join(running))
                for name, each in list(running.items()):
                    if (code := each.process.poll()) is None:
                        continue
                    del running[name]
                    bar.update()
                    if code or not each.job.done():
                        failed.append(name)
                        logging.error("%s: %s", name, each.failure(code))
                lost = [job for job in waiting if set(job.needs) & set(failed)]
                for job in lost:
                    waiting.remove(job)
                    failed.append(job.name)
                    logging.error("%s: not run, since %s failed", job.name, ", ".join(set(job.needs) & set(failed)))
                time.sleep(POLL if running else 0)
        finally:
            _interrupt([each.process for each in running.values()])
    return failed


def _ready(waiting: Sequence[Job], running: Mapping[str, object], failed: Sequence[str], count: int) -> list[Job]:
    """The next jobs that may start: none that needs one which is not done yet."""
    undone = {job.name for job in waiting} | set(running)
    ready = [job for job in waiting if not set(job.needs) & (undone | set(failed))]
    return ready[: count - len(running)]


@dataclass(frozen=True)
class _Running:
    job: Job
    process: subprocess.Popen
    log: Path

    @classmethod
    def start(cls, job: Job, logs: Path, environment: Mapping[str, str]) -> "_Running":
        log = logs / f"{job.name.replace('/', '-')}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", FOLLOW, *job.argv],
                env={**os.environ, **ONE_THREAD, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches this process alone, which passes it on once
            )
        return cls(job, process, log)

    def failure(self, code: int) -> str:
        """What went wrong, with the end of the log."""
        what = f"ended with code {code}" if code else "ended, and has not done what it should"
        lines = self.log.read_text(errors="replace").replace("\r", "\n").splitlines()[-TAIL:]
        return "\n".join([f"{what}; {self.log} ends with", *(f"  {line}" for line in lines if line.strip())])


def _interrupt(processes: Sequence[subprocess.Popen]) -> None:
    """Interrupts some processes and waits for them; kills those that stay."""
    for process in processes:
        process.send_signal(signal.SIGTERM)
    end = time.monotonic() + GRACE
    for process in processes:
        try:
            process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
