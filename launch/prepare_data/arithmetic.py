"""The arithmetic probe: one expression a clip, computed by a real Python in a sandbox, and as many held-out problems.

    bash launch/install_sandbox.sh
    python -m launch.prepare_data --recipe=arithmetic --clips=10000 --held_out=1000 --output=DIR

Captions: `script` has the answer in a half of the clips, `plain` never, `answered` always. No operand pair is in both
splits. DIR/problems.json lists the held-out problems, as launch.evaluate's probe takes them.
"""

import json
from pathlib import Path
from typing import Any

from absl import flags

from neural_computer.launch.prepare_data import cligen_clean

HELD_OUT = flags.DEFINE_integer("held_out", 1000, "Recipe arithmetic: held-out problems.", lower_bound=1)


def settings() -> dict[str, Any]:
    """What the data depend on."""
    return {**cligen_clean.settings(), "held_out": HELD_OUT.value}


def make(output: Path) -> dict[str, Any]:
    """Makes the data; returns the report."""
    from neural_computer.recording.cligen.arithmetic import problems
    from neural_computer.recording.cligen.captions import script
    from neural_computer.recording.cligen.clean import Script
    from neural_computer.recording.terminal.tape import parse

    counts = {"train": cligen_clean.CLIPS.value, "test": HELD_OUT.value}
    pool = {split: problems(count, split, cligen_clean.SEED.value) for split, count in counts.items()}
    named = [Script(f"arithmetic/{p.expression}", p.tape, p.kind, p) for part in pool.values() for p in part]
    output.mkdir(parents=True, exist_ok=True)
    probe = [
        {
            "id": f"arithmetic/{p.expression}",
            "expression": p.expression,
            "answer": p.answer,
            "prompt": script(parse(p.tape)),
        }
        for p in pool["test"]
    ]
    (output / "problems.json").write_text(json.dumps(probe, indent=1) + "\n")
    return cligen_clean.played(output, named, cligen_clean.OURS)
