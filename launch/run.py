"""Runs a computer: python -m launch.run --workdir=DIR --prompt='python 12+7' --out=DIR

or published weights that launch.convert_weights has converted, without any training:

    python -m launch.run --config=configs/cligen.py:general,wan_14b_i2v --init=CONVERTED --frame=screen.png \
        --prompt='...' --out=DIR

A desktop is used, too, by a log of events in its pixels (data/events.py) or as in a video of the training data:

    python -m launch.run --workdir=DIR --actions=goal_test:3 --out=DIR

Writes rollout.mp4, rollout.gif, rollout.txt (the screen's text a frame) and state, the machine's state after the last
frame: with --state=OUT/state another run goes on from there. With --actions also actions.gif, what was done drawn over it,
and strip.png, frame by frame, below the video's own frames if there is one.
"""

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import flags
from ml_collections import config_flags

from launch import errors
from neural_computer import media, sharding
from neural_computer.actions.schema import frames as schema
from neural_computer.actions.schema import log as schema_log
from neural_computer.computer import concat_chunks
from neural_computer.conditioning import to_uint8
from neural_computer.data import encoded, events
from neural_computer.data.inputs import chunked, stacked
from neural_computer.data.windows import ClipSource
from neural_computer.evals.marks import overlay_actions
from neural_computer.evals.text import GlyphReader
from neural_computer.screens.terminal import Atlas
from neural_computer.types import Actions, Clip, State, TokenIds
from neural_computer.workflows import trained as trained_computer

WORKDIR = flags.DEFINE_string("workdir", None, "A trained workdir.")
CONFIG = config_flags.DEFINE_config_file("config", None, "What to run published weights as.", lock_config=True)
INIT = flags.DEFINE_string("init", None, "A converted folder of published weights; sets config.init.")
PROMPT = flags.DEFINE_string("prompt", None, "The caption; by default, with --actions=SPLIT:N, that video's own.")
ACTIONS = flags.DEFINE_string("actions", None, "What is done: NAME.events.jsonl, or a video of the data, SPLIT:N.")
NEGATIVE = flags.DEFINE_string(
    "negative", None, "What guidance leads away from; by default the config's text.negative_prompt."
)
OUT = flags.DEFINE_string("out", None, "Where the video and its text go.")
FRAME = flags.DEFINE_string("frame", None, "A picture to begin with; by default a screen from the training videos.")
CHUNKS = flags.DEFINE_integer(
    "chunks", 1, "Chunks to roll out, each from the last frame of the one before.", lower_bound=1
)
STEPS = flags.DEFINE_integer("steps", None, "Sampling steps; by default the config's.", lower_bound=1)
STATE = flags.DEFINE_string("state", None, "A saved state to go on from, with this prompt, instead of booting.")
SEED = flags.DEFINE_integer("seed", 0, "Seed of the noise.")
MESH = flags.DEFINE_string("mesh", "", "Devices that share the parameters, as fsdp:8; by default one has them all.")
FPS = flags.DEFINE_float("fps", 16.0, "Frames per second of a video from published weights.", lower_bound=0.01)


def main(argv: list[str]) -> None:
    del argv
    trained = given()
    computer = trained.computer if STEPS.value is None else trained.computer.with_steps(STEPS.value)
    used = used_as(trained, ACTIONS.value) if ACTIONS.value is not None else None
    begin = trained.first_frame if used is None else used.frames[0]
    state = woken(trained, STATE.value) if STATE.value else booted(trained, FRAME.value, begin)
    prompt = TokenIds(trained.experiment.tokenizer([prompted(used)]))
    state = state._replace(text=jax.jit(computer.conditioner.encode_text)(trained.params.frozen, prompt))
    run = jax.jit(computer.run, static_argnames="chunks")
    u = done(trained, used) if used is not None else None
    state, chunks = run(trained.params, state, u, jax.random.key(SEED.value), chunks=CHUNKS.value)
    frames = np.asarray(to_uint8(concat_chunks(chunks)))[0]
    out = Path(OUT.value)
    out.mkdir(parents=True, exist_ok=True)
    larger = media.upscale(frames, 4 if frames.shape[1] < 240 else 1)
    media.write_video(out / "rollout.mp4", larger, trained.fps)
    media.write_video(out / "rollout.gif", larger, trained.fps)
    with ocp.StandardCheckpointer() as saver:
        saver.save((out / "state").absolute(), state, force=True)
    screens = GlyphReader(Atlas())(frames)
    (out / "rollout.txt").write_text("\n\n".join(f"[frame {i}]\n{screen}" for i, screen in enumerate(screens)) + "\n")
    if used is None:
        print(screens[-1])
    else:
        drawn_over(out, frames, used)
    shown = "rollout.mp4  rollout.gif  rollout.txt" if used is None else "rollout.mp4  actions.gif  strip.png"
    print(f"{out}/{shown}  (step {trained.step} of {WORKDIR.value or INIT.value})")


def given() -> trained_computer.Trained:
    """The computer that the flags name. Raises ValueError unless they name one."""
    mesh = sharding.make_mesh(sharding.sizes_of(MESH.value)) if MESH.value else None
    if WORKDIR.value is not None:
        return trained_computer.load(WORKDIR.value, mesh)
    if CONFIG.value is None or INIT.value is None or FRAME.value is None:
        raise ValueError("--workdir: is missing; give a trained workdir, or --config, --init and --frame together")
    CONFIG.value.init = INIT.value
    return trained_computer.untrained(CONFIG.value, media.read_image(FRAME.value), FPS.value, mesh)


def booted(trained: trained_computer.Trained, frame: str | None, x0: np.ndarray) -> State:
    """The state of a computer that shows the picture in a file, or else x0. Raises ValueError for another size."""
    computer = trained.computer
    if frame is not None:
        x0 = media.read_image(frame)
        if x0.shape[:2] != tuple(computer.size):
            raise ValueError(
                f"{frame}: is {x0.shape[0]}x{x0.shape[1]} pixels; this computer's screen is "
                f"{computer.size[0]}x{computer.size[1]}"
            )
    negative_prompt = trained.experiment.negative_prompt_ids(NEGATIVE.value)
    return jax.jit(computer.boot)(
        trained.params, x0[None], TokenIds(trained.experiment.tokenizer([""])), negative_prompt
    )


def woken(trained: trained_computer.Trained, path: str) -> State:
    """The state saved by an earlier run. Raises ValueError if it is none of this computer's."""
    like = jax.tree.map(ocp.utils.to_shape_dtype_struct, booted(trained, None, trained.first_frame))
    try:
        with ocp.StandardCheckpointer() as saver:
            return saver.restore(Path(path).absolute(), like)
    except Exception as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise ValueError(
            f"{path}: holds no state of this computer ({reason}); launch.run writes one to OUT/state"
        ) from error


# What is done


def used_as(trained: trained_computer.Trained, name: str) -> Clip:
    """What is done in a run: a video of the data, SPLIT:N, or a log of events, on a video that stands still.

    Raises ValueError for a computer that takes no actions, and where there is no such video or log.
    """
    experiment = trained.experiment
    if experiment.inputs is None:
        raise ValueError(
            f"--actions={name}: this computer is told of none (config.injection.mode='none'); run one that is, or give a prompt"
        )
    length = CHUNKS.value * (experiment.data.frames - 1) + 1
    if (path := Path(name)).exists():
        video = np.broadcast_to(trained.first_frame, (length, *trained.first_frame.shape))
        return Clip(path.name, video, trained.fps, events=events.read(path))
    split, _, number = name.rpartition(":")
    if not split or not number.isdigit():
        raise ValueError(f"--actions={name}: is neither a file nor a video of the data, SPLIT:N; try goal_test:0")
    source = ClipSource(encoded.videos(experiment.data.directory), split, length)
    if int(number) >= len(source):
        raise ValueError(f"--actions={name}: split {split} has {len(source)} videos of {length} frames, from 0 on")
    return source[int(number)]


def prompted(used: Clip | None) -> str:
    """The prompt: what the flag says, else the video's own caption. Raises ValueError where there is neither."""
    if PROMPT.value is None and used is None:
        raise ValueError("--prompt: is missing; give the caption, or --actions")
    if PROMPT.value is not None or used is None:
        return PROMPT.value
    return next(iter(used.captions.values()), "")


def done(trained: trained_computer.Trained, used: Clip) -> Actions:
    """What is done, as the computer takes it: a leading axis of chunks."""
    return chunked(stacked([trained.experiment.inputs(used)]), trained.experiment.data.frames, CHUNKS.value)


def drawn_over(out: Path, frames: np.ndarray, used: Clip) -> None:
    """Writes the videos with what was done drawn over them."""
    log = schema_log.read(used.events, frames.shape[2:0:-1])
    mouse = used.cursor if used.cursor is not None else schema.mouse(log, len(frames), used.fps)
    known = replace(used, cursor=mouse)
    videos = {"generated": overlay_actions(frames, known)}
    if not Path(ACTIONS.value).exists():  # a log has no video of its own
        videos = {"truth": overlay_actions(used.frames, known)} | videos
    media.write_video(out / "actions.gif", videos["generated"], used.fps)
    (out / "strip.png").write_bytes(media.png(media.strip(videos, scale=1)))


if __name__ == "__main__":
    flags.mark_flag_as_required("out")
    errors.run(main)
