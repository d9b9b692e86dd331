"""Runs a machine that one sits down at: prints a link, under which a browser shows its screen and takes keys and the mouse.

    neural-computer live [--machine=terminal] [--port=8070]

The machine streams (a terminal comes with the package; configs/tty.py trains one). Beside its screen the page shows the true
machine, given the same keys, and where they differ. Who has the link may use it: it holds a token, and the server listens on
this computer alone unless --host says otherwise. `neural_computer.connect(LINK)` is the same from Python.

Sessions are kept in OUT, so that a server that was killed goes on where it was. What is recorded, if the person agrees on the
page, becomes training data:

    neural-computer prepare_data --recipe=sessions --input=OUT/recordings --out=DATA
"""

import os
from pathlib import Path

from neural_computer.launch import errors
from neural_computer.launch.flags import Flags

FLAGS = Flags()
MACHINE = FLAGS.string(
    "machine", "terminal", "A trained machine: its folder, its name in runs/, or a name of the package's."
)
PORT = FLAGS.integer("port", 0, "The port; 0 takes one that is free.", lower_bound=0, upper_bound=65535)
HOST = FLAGS.string("host", "127.0.0.1", "The address to listen on; 0.0.0.0 lets everybody in who has the link.")
FPS = FLAGS.fps(None, "Frames a second; by default the machine's own.")
STEPS = FLAGS.integer("steps", None, "Denoising steps; by default the machine's own.", lower_bound=1)
SEED = FLAGS.seed("Seed of the noise, and of a desktop's furniture.")
SESSIONS = FLAGS.integer("sessions", 8, "People at a time at most.", lower_bound=1, upper_bound=256)
TRUTH = FLAGS.choice(
    "truth",
    "auto",
    ["auto", "terminal", "minidesk", "none"],
    "The true machine beside it; auto goes by its first frame.",
)
SNAPSHOT = FLAGS.number("snapshot", 5.0, "Seconds between two snapshots of a session.", lower_bound=0.1)
OUT = FLAGS.out("Where sessions and recordings are kept; by default runs/live/NAME.")


def main(argv: list[str]) -> None:
    del argv
    keep_compiled()
    errors.interrupt_on_sigterm()
    from neural_computer.machine.serving import Options, serve  # jax, after where compiled programs are kept is set

    out = Path(OUT.value) if OUT.value else None
    options = Options(
        machine=MACHINE.value,
        out=out,
        host=HOST.value,
        port=PORT.value,
        sessions=SESSIONS.value,
        fps=FPS.value or 0.0,
        steps=STEPS.value or 0,
        seed=SEED.value,
        truth=TRUTH.value,
        every=SNAPSHOT.value,
    )
    serve(
        options,
        started=lambda link: print(
            f"{MACHINE.value}: {link}\nCtrl-C ends it; the first start compiles for a while", flush=True
        ),
        ready=lambda live: print(f"ready: {live.fps:g} frames a second, sessions in {live.folder}", flush=True),
    )


def keep_compiled() -> None:
    """Has what XLA compiles kept for the next start, where nothing else is said; one thread serves so small a machine best."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "neural_computer" / "jax"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache))


if __name__ == "__main__":
    errors.run(main, FLAGS)
