"""Evaluates videos: of a trained machine, of anybody beside references, of anybody for arithmetic problems.

    neural-computer evaluate --machine=DIR [--metrics=lpips,fvd]
    neural-computer evaluate --machine=NAME|DIR --drift=1000 [--sessions=32] [--out=DIR]
    neural-computer evaluate --generated=DIR --reference=DIR [--actions=DIR] --metrics=psnr,ssim,lpips,fvd --out=DIR
    neural-computer evaluate --problems=problems.json --out=DIR                        # writes DIR/prompts.json
    neural-computer evaluate --problems=problems.json --generated=DIR --out=DIR
    neural-computer evaluate --problems=problems.json --machine=DIR --out=DIR

--machine rolls a trained machine out on held-out clips and writes metrics.json and report.html to its folder; --metrics adds
metrics to its scores, by default those of config.evaluation.metrics. A result of the newest checkpoint is shown again.

--drift runs a terminal or a desktop that streams for so many frames beside the true one, in --sessions by several users, and
single steps by kind of transition; with a window, lines that are on the screen no more are recalled, controls beside them. It
writes drift.json and drift.html to --out, by default the machine's folder.

--reference scores anybody's videos, matched by clip id, and writes metrics.json, clips.csv and report.html to --out.
--actions has, by clip id, the input events, ID.events.jsonl, and the text of a terminal, ID.cells.json (a list of strings,
one a frame): for ssim+15, cursor_acc, psnr_text, char_acc_buffer and the like (`neural_computer.evals.METRICS` has all).

--problems scores videos of arithmetic problems, by operation, digits and carries too: DIR has native/ID.mp4, conditioned/ID.mp4
and wrong/ID.mp4, as many as there are, or ID.mp4 alone, which is native. With --machine they are that machine's rollouts, written
to OUT/videos. The recipes repl and arithmetic of prepare_data write the problems that they hold out to problems.json.

Interrupted, the same command resumes. Exit code: 0, everything was scored as it is; 2, some clips were adapted; 3, some
were left out; 1, an error.
"""

from pathlib import Path

from neural_computer import machines, sharding
from neural_computer.evals.inputs import VIEWS
from neural_computer.launch import errors
from neural_computer.launch.flags import Flags
from neural_computer.workflows import drift
from neural_computer.workflows import evaluate as trained
from neural_computer.workflows.evaluate_folders import FolderOptions, evaluate_folders
from neural_computer.workflows.evaluate_problems import evaluate_problems, roll_out, write_prompts
from neural_computer.workflows.metrics import READERS, MetricOptions
from neural_computer.workflows.trained import load

FLAGS = Flags(arrow="--cursor_height")
MACHINE = FLAGS.machine()
SPLIT = FLAGS.split("Split whose clips are used; by default config.evaluation.split.")
SEED = FLAGS.seed("Seed of the rollouts' noise.")
AGAIN = FLAGS.boolean("again", False, "Evaluate even if there is a result of this checkpoint.")
DRIFT = FLAGS.integer("drift", None, "Frames of runs beside the true machine.", lower_bound=1)
SESSIONS = FLAGS.integer("sessions", drift.SESSIONS, "Sessions of each run.", lower_bound=1)
GENERATED = FLAGS.string("generated", None, "The folder of videos to evaluate.")
REFERENCE = FLAGS.string("reference", None, "The folder of the true videos, of the same names.")
ACTIONS = FLAGS.string("actions", None, "A folder of ID.events.jsonl and ID.cells.json.")
PROBLEMS = FLAGS.string("problems", None, "problems.json: a list of {id, expression, answer}.")
METRICS = FLAGS.words("metrics", [], "Which metrics (psnr, ssim, lpips of two folders); the first ranks the clips.")
VIEW = FLAGS.choice("view", "paper", list(VIEWS), "paper: 5 s, 3 fps, 256x256; full: every frame as it is.")
READER = FLAGS.choice("reader", "tesseract", list(READERS), "What reads text; glyphs: our own font, 8x16.")
R3D18 = FLAGS.string("r3d18", None, "torchvision's r3d_18 weights (.safetensors, .npz, .pth), for fvd_r3d18.")
CURSOR_HEIGHT = FLAGS.number(
    "cursor_height", None, "Height of the videos' cursor in pixels; by default the machine's, or 19.", lower_bound=4
)
FPS = FLAGS.fps(None, "Frames per second, where no video has a rate (images, arrays).")
MESH = FLAGS.mesh("Devices that share the work; by default one does it all")
OUT = FLAGS.out()

SCORING = (METRICS, VIEW, READER, R3D18, CURSOR_HEIGHT, MESH)
USED = {
    "--drift": (MACHINE, DRIFT, SESSIONS, SEED, OUT),
    "--machine": (MACHINE, SPLIT, SEED, AGAIN, *SCORING),
    "--problems": (PROBLEMS, GENERATED, MACHINE, SEED, READER, OUT),
    "--reference": (GENERATED, REFERENCE, ACTIONS, FPS, OUT, *SCORING),
}
"""The flags of each use"""


def main(argv: list[str]) -> int:
    del argv
    if DRIFT.value is not None:
        FLAGS.only("--drift", USED["--drift"])
        return drifting()
    if MACHINE.value is not None and PROBLEMS.value is None:
        FLAGS.only("--machine", USED["--machine"])
        folder = machines.folder(MACHINE.value)
        metrics = metric_options() if METRICS.value else None
        result = trained.evaluate(folder, split=SPLIT.value, seed=SEED.value, metrics=metrics, again=AGAIN.value)
        print(trained.summary(folder, result))
        return 0
    if PROBLEMS.value is not None:
        FLAGS.only("--problems", USED["--problems"])
        return problems()
    if GENERATED.value is not None and REFERENCE.value is not None:
        FLAGS.only("--reference", USED["--reference"])
        actions = Path(ACTIONS.value) if ACTIONS.value else None
        options = FolderOptions(Path(GENERATED.value), Path(REFERENCE.value), out(), actions, FPS.value)
        scores = evaluate_folders(options, metric_options())
        print(scores.summary())
        return scores.exit_code
    raise ValueError(
        "nothing to evaluate: give --machine, or --generated and --reference (two folders of videos), or --problems"
    )


def problems() -> int:
    """Writes the prompts of arithmetic problems, or scores the videos generated from them; returns the exit code."""
    if MACHINE.value is not None:
        if GENERATED.value is not None:
            raise ValueError("--machine, --generated: give one of them; whose videos are to be scored?")
        generated = roll_out(load(machines.folder(MACHINE.value)), Path(PROBLEMS.value), out(), SEED.value)
    elif GENERATED.value is not None:
        generated = Path(GENERATED.value)
    else:
        count = write_prompts(Path(PROBLEMS.value), out())
        print(
            f"{OUT.value}/prompts.json: {count} prompts a variant; put the videos into DIR/VARIANT/ID.mp4, give --generated=DIR"
        )
        return 0
    result = evaluate_problems(Path(PROBLEMS.value), generated, out(), READER.value)
    print(result.summary())
    return result.exit_code


def drifting() -> int:
    """Runs the machine that --machine names, and prints how long it stayed right."""
    if MACHINE.value is None:
        raise ValueError("--machine: is missing; give the machine whose drift is measured")
    folder = machines.folder(MACHINE.value)
    if OUT.value is None and folder.parent == machines.SHIPPED:
        raise ValueError(f"--out: is missing; {folder.name} comes with the package, give a folder of your own")
    to = Path(OUT.value) if OUT.value else folder
    print(drift.summary(to, drift.evaluate(load(folder), DRIFT.value, to, SEED.value, SESSIONS.value)))
    return 0


def metric_options() -> MetricOptions:
    """The metrics that the flags name."""
    names = {"names": tuple(METRICS.value)} if METRICS.value else {}
    return MetricOptions(
        **names,
        view=VIEW.value,
        reader=READER.value,
        r3d18=Path(R3D18.value) if R3D18.value else None,
        cursor_height=CURSOR_HEIGHT.value,
        mesh=sharding.make_mesh(sharding.sizes_of(MESH.value)) if MESH.value else None,
    )


def out() -> Path:
    """Where the results go. Raises ValueError without --out."""
    if OUT.value is None:
        raise ValueError("--out: is missing; give the folder that the results go to")
    return Path(OUT.value)


if __name__ == "__main__":
    errors.run(main, FLAGS)
