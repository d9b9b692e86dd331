"""Real Python sessions, A+B: recorded in pseudo-terminals, then written as episodes by the tfds builder."""

import os
from pathlib import Path
from typing import Any

from absl import flags

from neural_computer.recording.terminal import repl

OPERANDS = flags.DEFINE_integer("operands", 49, "Recipe repl: operands from 1 to this; every pair is recorded once.")
WORKERS = flags.DEFINE_integer("workers", os.cpu_count() or 1, "Recipe repl: sessions recorded at a time.")


def settings() -> dict[str, Any]:
    """What the data depend on."""
    return {"operands": OPERANDS.value}


def make(output: Path) -> dict[str, Any]:
    """Records and writes; returns how many episodes were kept and, by name, why others were refused."""
    from neural_computer.recording.datasets import PythonRepl

    recordings = output / "recordings"
    repl.record_all(repl.sums(OPERANDS.value), recordings, WORKERS.value)
    builder = PythonRepl(recordings, data_dir=str(output))
    builder.download_and_prepare()
    return {"kept": sum(split.num_examples for split in builder.info.splits.values()), "rejected": {}}
