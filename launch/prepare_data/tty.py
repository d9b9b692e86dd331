"""The streaming terminal: long sessions typed into a simulated terminal, a key a frame at most, with every frame's kind.

    neural-computer prepare_data --recipe=tty --sessions=512 --frames=1500 --out=DIR --preview=4
    neural-computer prepare_data --recipe=tty --source=shell --rows=8 --cols=40 --out=DIR

Lines are echoed, `clear` and `date` run, sums and differences of numbers up to 49 are computed; Up recalls what was entered.
Sessions of split test are another typist's; the operand pairs that it enters, one in ten, are in no training session. Clips
of split test may be whole sessions.

With --source=shell the same keys are typed into a real bash in a sandbox (neural-computer install_sandbox), whose sums a real
Python computes, and its screen is recorded tick by tick.
"""

from pathlib import Path
from typing import Any

from neural_computer.launch.flags import Flags
from neural_computer.recording import tty
from neural_computer.recording.terminal import bash_sessions
from neural_computer.simulators.tty.machine import LEAST, MOST
from neural_computer.simulators.tty.typists import TYPISTS

FLAGS = Flags()
SOURCE = FLAGS.choice("source", tty.SIMULATED, [tty.SIMULATED, tty.SHELL], "What is typed into.")
ROWS = FLAGS.integer("rows", 3, "Rows of the screen, of 16 pixels.", lower_bound=LEAST[0], upper_bound=MOST)
COLS = FLAGS.integer("cols", 16, "Columns of the screen, of 8 pixels.", lower_bound=LEAST[1], upper_bound=MOST)
SESSIONS = FLAGS.integer("sessions", 128, "Sessions of split train.", lower_bound=1, upper_bound=tty.MOST)
HELD_OUT = FLAGS.integer("held_out", 32, "Sessions of split test.", lower_bound=1, upper_bound=tty.MOST)
FRAMES = FLAGS.integer("frames", 1000, "Frames of a session, 15 a second.", lower_bound=2)
WINDOW = FLAGS.integer("window", 17, "Most frames of a training clip.", lower_bound=2)
SEED = FLAGS.seed()
TYPIST = FLAGS.choice("typist", "brisk", list(TYPISTS), "Who types in split train.")
TEST_TYPIST = FLAGS.choice("test_typist", "sums", list(TYPISTS), "Who types in split test.")
WORKERS = FLAGS.workers()


def settings() -> dict[str, Any]:
    """What the data depend on. Raises ValueError for flags that exclude one another."""
    if WINDOW.value > FRAMES.value:
        raise ValueError(f"--window={WINDOW.value}: is longer than a session; give at most --frames={FRAMES.value}")
    if SEED.value < 0:
        raise ValueError(f"--seed={SEED.value}: must not be negative")
    for flag, split in ((TYPIST, tty.TRAIN), (TEST_TYPIST, tty.TEST)):
        allowed = [name for name, typist in TYPISTS.items() if typist.held_out == (split == tty.TEST)]
        if flag.value not in allowed:
            raise ValueError(
                f"--{flag.name}={flag.value}: enters sums that are the other split's; in split {split} types one of "
                f"{', '.join(allowed)}"
            )
    # Not "frames", which is a clip's length in the summary of other recipes.
    names: dict[str, Any] = {"source": SOURCE.value, "rows": ROWS.value, "cols": COLS.value, "session": FRAMES.value}
    names |= {"window": WINDOW.value, "seed": SEED.value, "sessions": SESSIONS.value, "held_out": HELD_OUT.value}
    return names | {"typist": TYPIST.value, "test_typist": TEST_TYPIST.value}


def make(out: Path) -> dict[str, Any]:
    """Types the sessions, writes them and returns the counts. Raises SandboxError for --source=shell without a sandbox."""
    if SOURCE.value == tty.SHELL:
        bash_sessions.check()
    splits = {
        tty.TRAIN: tty.Part(TYPIST.value, SESSIONS.value, window=WINDOW.value),
        tty.TEST: tty.Part(TEST_TYPIST.value, HELD_OUT.value, window=FRAMES.value, first=tty.MOST),
    }
    making = tty.Making(FRAMES.value, ROWS.value, COLS.value, SEED.value, SOURCE.value)
    return tty.build(splits, out, making, WORKERS.value)
