"""Real Python sessions of one expression each, recorded in pseudo-terminals, then written as episodes by the tfds builder.

    neural-computer prepare_data --recipe=repl --out=DIR
    neural-computer prepare_data --recipe=repl --operations=add,subtract --operands=0,99 --paste --out=DIR
    neural-computer prepare_data --recipe=repl --source=drawn --operands=0,999 --clips=60000 --paste --out=DIR

A key is typed a frame, or with --paste the whole expression in one. Every problem there is becomes a clip, or --clips of them.
With --problems=probe these are the paper's probe's, digits uniform. One operand pair in ten, in either order and for all
operations, is in split test; --larger more clips, split larger, have operands up to twice as large as any of the others.

--source=drawn draws the screens as Python draws them, without one, which is how many there can be; then --answers=permuted
prints every pair another pair's answer: a control, in which nothing can be right on held-out pairs but by chance.
"""

import json
from pathlib import Path
from typing import Any

from neural_computer.launch.flags import Flags

SIGNS = ("add", "subtract", "multiply", "divide", "modulo")

FLAGS = Flags()
OPERATIONS = FLAGS.words("operations", ["add"], f"Of {', '.join(SIGNS)}.")
OPERANDS = FLAGS.words("operands", ["1", "49"], "The least and the largest operand.")
PROBLEMS = FLAGS.choice("problems", "all", ["all", "probe"], "Which problems: operands uniform, or the probe's digits.")
CLIPS = FLAGS.integer("clips", 0, "Clips of splits train and test; 0 for every problem there is.", lower_bound=0)
LARGER = FLAGS.integer("larger", 0, "Clips of split larger.", lower_bound=0)
PASTE = FLAGS.boolean("paste", False, "Paste the expression in one frame.")
SOURCE = FLAGS.choice("source", "recorded", ["recorded", "drawn"], "Record a real Python, or draw its screens.")
ANSWERS = FLAGS.choice("answers", "right", ["right", "permuted"], "What is printed.")
SEED = FLAGS.seed()
WORKERS = FLAGS.workers()


def settings() -> dict[str, Any]:
    """What the data depend on. Raises ValueError for values that are not possible, or exclude one another."""
    least, most = operands()
    for name in OPERATIONS.value:
        if name not in SIGNS:
            raise ValueError(f"--operations={name}: unknown; of {', '.join(SIGNS)}")
    if ANSWERS.value == "permuted" and SOURCE.value != "drawn":
        raise ValueError("--answers=permuted: Python prints the right ones; give --source=drawn too")
    if PROBLEMS.value == "probe" and not CLIPS.value:
        raise ValueError("--problems=probe: draws so many problems; give --clips")
    names: dict[str, Any] = {"operations": list(OPERATIONS.value), "operands": [least, most]}
    names |= {"problems": PROBLEMS.value, "clips": CLIPS.value, "larger": LARGER.value, "paste": PASTE.value}
    return names | {"source": SOURCE.value, "answers": ANSWERS.value, "seed": SEED.value}


def operands() -> tuple[int, int]:
    """The least and the largest operand. Raises ValueError."""
    try:
        least, most = map(int, OPERANDS.value if len(OPERANDS.value) == 2 else (1, *OPERANDS.value))
    except ValueError:
        raise ValueError(f"--operands={','.join(OPERANDS.value)}: must be LEAST,LARGEST or LARGEST") from None
    if not 0 <= least < most:
        raise ValueError(f"--operands={least},{most}: the least must be 0 or more, and below the largest")
    return least, most


def make(out: Path) -> dict[str, Any]:
    """Records or draws the sessions, writes them and returns the counts."""
    from neural_computer.recording.datasets import PythonRepl
    from neural_computer.recording.problems import fitted, permuted
    from neural_computer.recording.terminal import repl

    typing = repl.Typing(PASTE.value)
    for kind in OPERATIONS.value:
        typing.keys(fitted(kind, *(2 * [operands()[1] * (2 if LARGER.value else 1)])))
    pool = problems()
    recorded = SOURCE.value == "recorded"
    recordings = repl.record_all(pool, out / "recordings", WORKERS.value, typing) if recorded else ()
    (out / "problems.json").write_text(json.dumps(held_out(pool), indent=1) + "\n")
    answers = permuted(pool, SEED.value) if ANSWERS.value == "permuted" else {}
    most = operands()[1] if LARGER.value else None
    builder = PythonRepl(repl.Sessions(pool, recordings, typing, answers, most), data_dir=str(out))
    builder.download_and_prepare()
    return {
        "kept": sum(split.num_examples for split in builder.info.splits.values()),
        "splits": {name: split.num_examples for name, split in builder.info.splits.items()},
        "rejected": {},
    }


def held_out(pool: list[Any]) -> list[dict[str, str]]:
    """Those problems of split test, as the probe of program evaluate takes them."""
    from neural_computer.screens.prompts import caption

    return [
        {"id": f"repl/{p.expression}", "expression": p.expression, "answer": p.answer, "prompt": caption(p.expression)}
        for p in pool
        if p.split == "test" and p.pair[1] <= operands()[1]
    ]


def problems() -> list[Any]:
    """The problems of all splits."""
    from neural_computer.recording.problems import grid, sample
    from neural_computer.recording.problems import problems as probe

    (least, most), kinds, count = operands(), OPERATIONS.value, CLIPS.value
    if PROBLEMS.value == "probe":
        held_out = max(1, count // 10)
        pool = [*probe(count - held_out, "train", SEED.value, kinds), *probe(held_out, "test", SEED.value, kinds)]
    else:
        pool = sample(count, least, most, kinds, SEED.value) if count else grid(least, most, kinds)
    return pool + (sample(LARGER.value, most + 1, 2 * most + 1, kinds, SEED.value) if LARGER.value else [])
