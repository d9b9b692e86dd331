"""Runs a computer: python -m launch.run --workdir=DIR --prompt='python 12+7' --out=DIR

or published weights that launch.convert_weights has converted, without any training:

    python -m launch.run --config=configs/cligen.py:general,wan_14b_i2v --init=CONVERTED --frame=screen.png \
        --prompt='...' --out=DIR

Writes rollout.mp4, rollout.gif, rollout.txt (the screen's text a frame) and state, the machine's state after the last
frame: with --state=OUT/state another run goes on from there.
"""

from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import flags
from ml_collections import config_flags

from launch import faults
from neural_computer import media, sharding, workdir
from neural_computer.computer import film, to_pixels
from neural_computer.data.cli.terminal import Atlas
from neural_computer.evals.text import GlyphReader
from neural_computer.types import State

WORKDIR = flags.DEFINE_string("workdir", None, "A trained workdir.")
CONFIG = config_flags.DEFINE_config_file("config", None, "What to run published weights as.", lock_config=True)
INIT = flags.DEFINE_string("init", None, "A converted folder of published weights; sets config.init.")
PROMPT = flags.DEFINE_string("prompt", None, "The caption.")
NEGATIVE = flags.DEFINE_string(
    "negative", None, "What guidance leads away from; by default the config's text.negative."
)
OUT = flags.DEFINE_string("out", None, "Where the film and its text go.")
FRAME = flags.DEFINE_string("frame", None, "A picture to begin with; by default a screen from the training films.")
CHUNKS = flags.DEFINE_integer(
    "chunks", 1, "Chunks to roll out, each from the last frame of the one before.", lower_bound=1
)
STEPS = flags.DEFINE_integer("steps", None, "Sampling steps; by default the config's.", lower_bound=1)
STATE = flags.DEFINE_string("state", None, "A saved state to go on from, with this prompt, instead of booting.")
SEED = flags.DEFINE_integer("seed", 0, "Seed of the noise.")
MESH = flags.DEFINE_string("mesh", "", "Devices that share the parameters, as fsdp:8; by default one has them all.")
FPS = flags.DEFINE_float("fps", 16.0, "Frames per second of a film from published weights.", lower_bound=0.01)


def main(argv: list[str]) -> None:
    del argv
    trained = given()
    computer = trained.computer if STEPS.value is None else trained.computer.with_steps(STEPS.value)
    state = woken(trained, STATE.value) if STATE.value else booted(trained, FRAME.value)
    prompt = trained.experiment.tokenizer([PROMPT.value])
    state = state._replace(text=jax.jit(computer.read)(trained.params.frozen, prompt))
    run = jax.jit(computer.run, static_argnames="chunks")
    state, chunks = run(trained.params, state, None, jax.random.key(SEED.value), chunks=CHUNKS.value)
    frames = np.asarray(to_pixels(film(chunks)))[0]
    out = Path(OUT.value)
    out.mkdir(parents=True, exist_ok=True)
    larger = media.upscale(frames, 4 if frames.shape[1] < 240 else 1)
    media.write_video(out / "rollout.mp4", larger, trained.fps)
    media.write_video(out / "rollout.gif", larger, trained.fps)
    with ocp.StandardCheckpointer() as saver:
        saver.save((out / "state").absolute(), state, force=True)
    screens = GlyphReader(Atlas())(frames)
    (out / "rollout.txt").write_text("\n\n".join(f"[frame {i}]\n{screen}" for i, screen in enumerate(screens)) + "\n")
    print(screens[-1])
    print(f"{out}/rollout.mp4  rollout.gif  rollout.txt  (step {trained.step} of {WORKDIR.value or INIT.value})")


def given() -> workdir.Trained:
    """The computer that the flags name. Raises ValueError unless they name one."""
    mesh = sharding.make_mesh(sharding.sizes_of(MESH.value)) if MESH.value else None
    if WORKDIR.value is not None:
        return workdir.load(WORKDIR.value, mesh)
    if CONFIG.value is None or INIT.value is None or FRAME.value is None:
        raise ValueError("--workdir: is missing; give a trained workdir, or --config, --init and --frame together")
    CONFIG.value.init = INIT.value
    return workdir.untrained(CONFIG.value, media.read_image(FRAME.value), FPS.value, mesh)


def booted(trained: workdir.Trained, frame: str | None) -> State:
    """The state of a computer that shows a picture, or a screen it knows. Raises ValueError for another size."""
    computer, x0 = trained.computer, trained.first_frame
    if frame is not None:
        x0 = media.read_image(frame)
        if x0.shape[:2] != tuple(computer.size):
            raise ValueError(
                f"{frame}: is {x0.shape[0]}x{x0.shape[1]} pixels; this computer's screen is "
                f"{computer.size[0]}x{computer.size[1]}"
            )
    away = trained.experiment.away(NEGATIVE.value)
    return jax.jit(computer.boot)(trained.params, x0[None], trained.experiment.tokenizer([""]), away)


def woken(trained: workdir.Trained, path: str) -> State:
    """The state saved by an earlier run. Raises ValueError if it is none of this computer's."""
    like = jax.tree.map(ocp.utils.to_shape_dtype_struct, booted(trained, None))
    try:
        with ocp.StandardCheckpointer() as saver:
            return saver.restore(Path(path).absolute(), like)
    except Exception as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise ValueError(
            f"{path}: holds no state of this computer ({reason}); launch.run writes one to OUT/state"
        ) from error


if __name__ == "__main__":
    flags.mark_flags_as_required(["prompt", "out"])
    faults.run(main)
