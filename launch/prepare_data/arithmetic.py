"""The arithmetic probe: one expression a clip, computed by a real Python in a sandbox, and as many held-out problems.

    neural-computer install_sandbox
    neural-computer prepare_data --recipe=arithmetic --clips=10000 --held_out=1000 --out=DIR

Captions: `script` has the answer in a half of the clips, `plain` never, `answered` always. No operand pair is in both
splits. DIR/problems.json lists the held-out problems, as the probe of program evaluate takes them.
"""

import json
from pathlib import Path
from typing import Any

from neural_computer.launch.flags import Flags
from neural_computer.launch.prepare_data.cligen_clean import OURS, play
from neural_computer.launch.prepare_data.terminal import Terminal

FLAGS = Flags()
TERMINAL = Terminal(FLAGS)
CLIPS = FLAGS.clips()
HELD_OUT = FLAGS.integer("held_out", 1000, "Held-out problems.", lower_bound=1)
SEED = FLAGS.seed()
UNSAFE = FLAGS.unsafe()


def settings() -> dict[str, Any]:
    """What the data depend on."""
    return {"seed": SEED.value, **TERMINAL.settings(), "clips": CLIPS.value, "held_out": HELD_OUT.value}


def make(out: Path) -> dict[str, Any]:
    """Makes the data and returns the counts."""
    from neural_computer.recording.cligen.arithmetic import tape
    from neural_computer.recording.cligen.captions import script
    from neural_computer.recording.cligen.clean import Script
    from neural_computer.recording.problems import problems
    from neural_computer.recording.terminal.tape import parse

    counts = {"train": CLIPS.value, "test": HELD_OUT.value}
    pool = {split: problems(count, split, SEED.value) for split, count in counts.items()}
    scripts = [Script(f"arithmetic/{p.expression}", tape(p), p.kind, p) for part in pool.values() for p in part]
    out.mkdir(parents=True, exist_ok=True)
    probe = [
        {
            "id": f"arithmetic/{p.expression}",
            "expression": p.expression,
            "answer": p.answer,
            "prompt": script(parse(tape(p))),
        }
        for p in pool["test"]
    ]
    (out / "problems.json").write_text(json.dumps(probe, indent=1) + "\n")
    return play(out, scripts, OURS, TERMINAL, SEED, UNSAFE)
