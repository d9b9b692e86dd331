"""Evaluates videos: of a trained computer, of anybody beside references, of anybody for arithmetic problems.

    python -m launch.evaluate --workdir=DIR [--metrics=lpips,fvd]
    python -m launch.evaluate --generated=DIR --reference=DIR [--actions=DIR] --metrics=psnr,ssim,lpips,fvd --out=DIR
    python -m launch.evaluate --problems=problems.json --out=DIR                        # writes DIR/prompts.json
    python -m launch.evaluate --problems=problems.json --generated=DIR --out=DIR

--workdir rolls the computer out on held-out clips and writes metrics.json and report.html to the workdir; --metrics adds
metrics to its scores, by default those of config.evaluation.metrics. A result of the newest checkpoint is shown again.

--reference scores anybody's videos, matched by clip id, and writes metrics.json, clips.csv and report.html to --out.
--actions has, by clip id, the input events, ID.events.jsonl, and the text of a terminal, ID.cells.json (a list of strings,
one a frame): for ssim+15, cursor_acc, psnr_text, char_acc_buffer and the like (`neural_computer.evals.METRICS` has all).

--problems scores videos of arithmetic problems: DIR has native/ID.mp4, conditioned/ID.mp4 and wrong/ID.mp4, as many as
there are, or ID.mp4 alone, which is native.

Interrupted, the same command resumes. Exit code: 0, everything was scored as it is; 2, some clips were adapted; 3, some
were left out; 1, an error.
"""

import sys
from pathlib import Path

from absl import flags

from launch import errors
from neural_computer import sharding
from neural_computer.evals.inputs import VIEWS
from neural_computer.workflows import evaluate as trained
from neural_computer.workflows.evaluate_folders import FolderOptions, evaluate_folders
from neural_computer.workflows.evaluate_problems import evaluate_problems, write_prompts
from neural_computer.workflows.metrics import READERS, MetricOptions

WORKDIR = flags.DEFINE_string("workdir", None, "A trained workdir.")
SPLIT = flags.DEFINE_string("split", None, "Split whose videos are used; by default the config's (evaluation.split).")
SEED = flags.DEFINE_integer("seed", 0, "Seed of the rollouts' noise.")
AGAIN = flags.DEFINE_boolean("again", False, "Evaluate even if there is a result of this checkpoint.")
GENERATED = flags.DEFINE_string("generated", None, "The folder of videos to evaluate.")
REFERENCE = flags.DEFINE_string("reference", None, "The folder of the true videos, of the same names.")
ACTIONS = flags.DEFINE_string("actions", None, "A folder of ID.events.jsonl and ID.cells.json.")
PROBLEMS = flags.DEFINE_string("problems", None, "problems.json: a list of {id, expression, answer}.")
METRICS = flags.DEFINE_list(
    "metrics", [], "Which metrics (psnr, ssim, lpips of two folders); the first ranks the clips."
)
VIEW = flags.DEFINE_enum("view", "paper", list(VIEWS), "paper: 5 s, 3 fps, 256x256; full: every frame as it is.")
READER = flags.DEFINE_enum("reader", "tesseract", list(READERS), "What reads text; glyphs: our own font, 8x16.")
R3D18 = flags.DEFINE_string("r3d18", None, "torchvision's r3d_18 weights (.safetensors, .npz, .pth), for fvd_r3d18.")
CURSOR_HEIGHT = flags.DEFINE_float(
    "cursor_height", None, "Height of the videos' cursor in pixels; by default the computer's, or 19.", lower_bound=4
)
FPS = flags.DEFINE_float("fps", None, "Frames per second, where no video has a rate (images, arrays).")
MESH = flags.DEFINE_string("mesh", "", "Devices that share the work, as data:8; by default one does it all.")
OUT = flags.DEFINE_string("out", None, "Where the results go.")


def main(argv: list[str]) -> None:
    del argv
    if WORKDIR.value is not None:
        metrics = metric_options() if METRICS.value else None
        result = trained.evaluate(WORKDIR.value, split=SPLIT.value, seed=SEED.value, metrics=metrics, again=AGAIN.value)
        print(trained.summary(WORKDIR.value, result))
    elif PROBLEMS.value is not None:
        problems()
    elif GENERATED.value is not None and REFERENCE.value is not None:
        actions = Path(ACTIONS.value) if ACTIONS.value else None
        options = FolderOptions(Path(GENERATED.value), Path(REFERENCE.value), out(), actions, FPS.value)
        result = evaluate_folders(options, metric_options())
        print(result.summary())
        sys.exit(result.exit_code)
    else:
        raise ValueError(
            "nothing to evaluate: give --workdir, or --generated and --reference (two folders of videos), or --problems"
        )


def problems() -> None:
    """Writes the prompts of arithmetic problems, or scores the videos generated from them."""
    if GENERATED.value is None:
        count = write_prompts(Path(PROBLEMS.value), out())
        print(
            f"{OUT.value}/prompts.json: {count} prompts a variant; put the videos into DIR/VARIANT/ID.mp4, give --generated=DIR"
        )
        return
    result = evaluate_problems(Path(PROBLEMS.value), Path(GENERATED.value), out(), READER.value)
    print(result.summary())
    sys.exit(result.exit_code)


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
    errors.run(main)
