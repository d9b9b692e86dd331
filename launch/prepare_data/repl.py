"""Real Python sessions, A+B: recorded in pseudo-terminals, then written as episodes by the tfds builder."""

from pathlib import Path
from typing import Any

from neural_computer.launch.flags import Flags
from neural_computer.recording.terminal import repl

FLAGS = Flags()
OPERANDS = FLAGS.integer("operands", 49, "Operands from 1 to this; every pair is recorded once.")
WORKERS = FLAGS.workers()


def settings() -> dict[str, Any]:
    """What the data depend on."""
    return {"operands": OPERANDS.value}


def make(out: Path) -> dict[str, Any]:
    """Records the sessions, writes them and returns the counts."""
    from neural_computer.recording.datasets import PythonRepl

    recordings = out / "recordings"
    repl.record_all(repl.sums(OPERANDS.value), recordings, WORKERS.value)
    builder = PythonRepl(recordings, data_dir=str(out))
    builder.download_and_prepare()
    return {"kept": sum(split.num_examples for split in builder.info.splits.values()), "rejected": {}}
