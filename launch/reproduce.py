"""Reproduces the paper's findings: makes the data, trains every arm with its seeds, measures it, and keeps the result.

    neural-computer reproduce --finding=f06 --plan             # arms, steps, hours, what is done
    neural-computer reproduce --finding=f06 [--seeds=3] [--arms=computes,permuted] [--jobs=2]
    neural-computer reproduce --finding=all
    neural-computer report                                     # the page of all results

A result is OUT/SIZE/FINDING/ARM-SEED.json, with the command, the commit, and hashes of config and code; beside it a strip of
frames. Data and trainings are kept in --workdir. Stopped at any moment, by kill -9 too, the same command goes on. Arms that ask
for the same training share it. --jobs commands run at a time, one thread each; their output is in WORKDIR/logs.

As a SLURM array: --task=$SLURM_ARRAY_TASK_ID does the one run of that number; --plan says how many there are, and the data
are made before, by --data_only.

Sizes: micro, for two CPU cores; small, for one GPU of 80 GB; paper, Wan2.1's, for a pod.
"""

import sys
from importlib import import_module
from pathlib import Path

from neural_computer import report
from neural_computer.errors import one_of
from neural_computer.launch import errors
from neural_computer.launch.flags import Flags
from neural_computer.workflows import lock, queue
from neural_computer.workflows import reproduce as workflow
from neural_computer.workflows.findings import SIZES, Finding
from neural_computer.workflows.reproduce import Places, Run

FINDINGS = tuple(f"f{number:02}" for number in range(1, 11))

FLAGS = Flags()
FINDING = FLAGS.words("finding", None, f"Which findings: all, or of {FINDINGS[0]} to {FINDINGS[-1]}.")
SIZE = FLAGS.choice("size", "micro", list(SIZES), "How large the computers are.")
SEEDS = FLAGS.integer("seeds", 0, "Seeds of every arm; 0 for as many as it asks for.", lower_bound=0)
ARMS = FLAGS.words("arms", [], "These arms alone.")
JOBS = FLAGS.integer("jobs", 2, "Commands at a time.", lower_bound=1)
PLAN = FLAGS.boolean("plan", False, "Print what would be done, and stop.")
DATA_ONLY = FLAGS.boolean("data_only", False, "Make the data, and stop.")
RUN = FLAGS.string("run", None, "FINDING/ARM-SEED: do this run alone, in this process; its data must be there.")
TASK = FLAGS.integer("task", None, "Number of the run to do, counted as --plan counts.", lower_bound=0)
WORKDIR = FLAGS.string("workdir", "runs/findings", "Where data, trainings and logs are kept.")
OUT = FLAGS.out("Where the results go.", default="results")


def main(argv: list[str]) -> int:
    del argv
    errors.interrupt_on_sigterm()
    places = Places(Path(OUT.value), Path(WORKDIR.value), SIZE.value)
    if RUN.value is not None:
        return alone(run_of(RUN.value), places)
    if not FINDING.value:
        raise ValueError(f"--finding: is missing; all, or of {', '.join(FINDINGS)}")
    every = workflow.runs(findings(FINDING.value), SIZE.value, SEEDS.value, ARMS.value)
    if PLAN.value:
        rows = list(workflow.plan(every, places))
        print(report.text_table(rows))
        known = [row["CPU hours, measured"] for row in rows if row["trained here"]]
        unknown = known.count(None)
        print(f"{len(every)} runs, numbers 0 to {len(every) - 1} of --task; ", end="")
        print(
            f"{sum(filter(None, known)):.1f} CPU hours" + (f", and {unknown} arms not measured yet" if unknown else "")
        )
        return 0
    if TASK.value is not None:
        if TASK.value >= len(every):
            raise ValueError(f"--task={TASK.value}: there are {len(every)} runs, numbers 0 to {len(every) - 1}")
        return alone(every[TASK.value], places)
    with lock.exclusive(places.folder / places.size):
        return together(every, places)


def together(every: list[Run], places: Places) -> int:
    """Does all runs that have no result, some at a time; returns the exit code."""
    program = [sys.executable, "-m", "neural_computer.launch"]
    same = [f"--size={places.size}", f"--workdir={places.folder}", f"--out={places.results}"]
    todo = workflow.jobs(every, places, [*program, "prepare_data"], [*program, "reproduce", *same])
    if DATA_ONLY.value:
        todo = [job for job in todo if job.name.startswith("data/")]
    else:
        undone = {run.name for run in workflow.pending(every, places)}
        needed = {need for job in todo if job.name in undone for need in job.needs}
        todo = [job for job in todo if job.name in undone | needed]
    cache = {"JAX_COMPILATION_CACHE_DIR": str((places.folder / "xla").resolve())}
    failed = queue.run(todo, JOBS.value, places.folder / "logs", cache)
    left = [] if DATA_ONLY.value else workflow.pending(every, places)
    print(f"{len(every) - len(left)} of {len(every)} runs have results in {places.results / places.size}")
    if failed:
        print(f"failed: {', '.join(failed)}; their logs are in {places.folder}/logs", file=sys.stderr)
    return int(bool(failed))


def alone(run: Run, places: Places) -> int:
    """Does one run in this process; returns the exit code."""
    folder = places.data(run.asked(places.size).data)
    if not (folder / "summary.json").exists():
        raise ValueError(f"{run.name}: its data are not there; make them: --finding={run.finding.name} --data_only")
    command = f"neural-computer reproduce --finding={run.finding.name} --arms={run.arm} --seeds={run.seed + 1}"
    command += f" --size={places.size}" if places.size != "micro" else ""
    result = workflow.do(run, places, command)
    print(f"{places.result(run)}: {result['cpu_seconds']} CPU seconds")
    return 0


def findings(names: list[str]) -> list[Finding]:
    """The findings of these names, or all. Raises ValueError for one that there is not."""
    if names == ["all"]:
        names = list(FINDINGS)
    for name in names:
        one_of("finding", name, FINDINGS)
    return [Finding.of(import_module(f"neural_computer.configs.findings.{name}")) for name in names]


def run_of(name: str) -> Run:
    """The run of a name FINDING/ARM-SEED. Raises ValueError."""
    finding, _, rest = name.partition("/")
    arm, _, seed = rest.rpartition("-")
    (found,) = findings([finding])
    one_of("run", arm, found.arms)
    if not seed.isdigit():
        raise ValueError(f"--run={name}: must be FINDING/ARM-SEED")
    return Run(found, arm, int(seed))


if __name__ == "__main__":
    errors.run(main, FLAGS)
