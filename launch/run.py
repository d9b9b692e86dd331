"""Runs a machine: neural-computer run --machine=DIR --prompt='python 12+7' --out=OUT

or published weights that convert_weights has converted, without any training:

    neural-computer run --config=cligen:general,wan_14b_i2v --init=CONVERTED --frame=screen.png --prompt='...' --out=OUT

A desktop is used, too, by a log of events in its pixels (data/events.py) or as in a clip of the training data:

    neural-computer run --machine=DIR --actions=goal_test:3 --out=OUT

and typed into, a key a frame:

    neural-computer run --machine=terminal --keys='12+7<Return>' --out=OUT

Writes rollout.mp4, rollout.gif, rollout.txt (the screen's text a frame) and state, the machine's state after the last
frame: with --state=OUT/state another run goes on from there. With --actions also actions.gif, what was done drawn over it,
and strip.png, frame by frame, below the video's own frames if there is one.
"""

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

from neural_computer import machines, media, sharding
from neural_computer.actions.schema import frames as schema
from neural_computer.actions.schema import log as schema_log
from neural_computer.data import encoded, events
from neural_computer.data.windows import ClipSource
from neural_computer.errors import first_line
from neural_computer.evals.marks import overlay_actions
from neural_computer.evals.text import GlyphReader
from neural_computer.launch import errors
from neural_computer.launch.flags import Flags
from neural_computer.screens.terminal import Atlas
from neural_computer.types import Clip, State, TokenIds
from neural_computer.workflows import trained as trained_computer
from neural_computer.workflows.trained import Trained

FLAGS = Flags()
MACHINE = FLAGS.machine()
CONFIG = FLAGS.config("What to run published weights as.")
INIT = FLAGS.init("A folder of converted weights to run as they are")
PROMPT = FLAGS.string("prompt", None, "The caption; by default, with --actions=SPLIT:N, that clip's own.")
ACTIONS = FLAGS.string("actions", None, "What is done: NAME.events.jsonl, or a clip of the data, SPLIT:N.")
KEYS = FLAGS.string("keys", None, "Keys that are typed, a frame each: 12+7<Return>; sets --chunks.")
NEGATIVE = FLAGS.string(
    "negative", None, "The prompt that guidance leads away from; by default config.text.negative_prompt."
)
OUT = FLAGS.out("Where the video and its text go.", required=True)
FRAME = FLAGS.string("frame", None, "A picture to begin with; by default a frame of the training videos.")
CHUNKS = FLAGS.integer("chunks", None, "Chunks to roll out, 1 by default, each after the one before.", lower_bound=1)
STEPS = FLAGS.integer("steps", None, "Sampling steps; by default the config's.", lower_bound=1)
STATE = FLAGS.string("state", None, "A saved state to go on from, with this prompt, instead of booting.")
SEED = FLAGS.seed("Seed of the noise.")
MESH = FLAGS.mesh("Devices that the parameters are split over")
FPS = FLAGS.fps(16.0, "Frames per second of a video from published weights.")


def main(argv: list[str]) -> None:
    del argv
    trained = load()
    clip, chunks = None, CHUNKS.value or 1
    if KEYS.value is not None:
        if ACTIONS.value is not None:
            raise ValueError("--keys, --actions: exclude each other; give one of them")
        clip, chunks = trained.typing(KEYS.value, CHUNKS.value)
    elif ACTIONS.value is not None:
        clip = clip_of(trained, ACTIONS.value, chunks)
    prompt, frame = prompt_of(clip), first_frame(trained, clip)
    state = restore(trained, STATE.value, prompt) if STATE.value else None
    actions = None if clip is None else trained.actions_of(clip)
    rollout = trained.rollout(
        frame,
        prompt=prompt,
        actions=actions,
        chunks=chunks,
        seed=SEED.value,
        state=state,
        negative_prompt=NEGATIVE.value,
    )
    out = Path(OUT.value)
    out.mkdir(parents=True, exist_ok=True)
    for name in ("rollout.mp4", "rollout.gif"):
        media.write_video(out / name, media.upscale(rollout.frames, 4 if frame.shape[0] < 240 else 1), rollout.fps)
    with ocp.StandardCheckpointer() as saver:
        saver.save((out / "state").absolute(), rollout.state, force=True)
    screens = GlyphReader(Atlas())(rollout.frames)
    (out / "rollout.txt").write_text("\n\n".join(f"[frame {i}]\n{screen}" for i, screen in enumerate(screens)) + "\n")
    if ACTIONS.value is None:
        print(screens[-1])
    else:
        draw_actions(out, rollout.frames, clip)
    names = "rollout.mp4  rollout.gif  rollout.txt" if ACTIONS.value is None else "rollout.mp4  actions.gif  strip.png"
    print(f"{out}/{names}  (step {trained.step} of {MACHINE.value or INIT.value})")


def load() -> Trained:
    """The machine that the flags name. Raises ValueError unless they name one."""
    mesh = sharding.make_mesh(sharding.sizes_of(MESH.value)) if MESH.value else None
    if MACHINE.value is not None:
        trained = trained_computer.load(machines.folder(MACHINE.value), mesh)
    elif CONFIG.value is None or INIT.value is None or FRAME.value is None:
        raise ValueError("--machine: is missing; give a trained machine, or --config, --init and --frame together")
    else:
        trained = trained_computer.untrained(FLAGS.experiment(), media.read_image(FRAME.value), FPS.value, mesh)
    return trained if STEPS.value is None else trained.with_steps(STEPS.value)


def first_frame(trained: Trained, clip: Clip | None) -> np.ndarray:
    """uint8 (h, w, 3) that the rollout begins with. Raises ValueError for a picture that is not of the screen's size."""
    if FRAME.value is None:
        return trained.first_frame if clip is None else clip.frames[0]
    frame, (height, width) = media.read_image(FRAME.value), trained.computer.size
    if frame.shape[:2] != (height, width):
        raise ValueError(
            f"--frame={FRAME.value}: is {frame.shape[0]}x{frame.shape[1]} pixels; this computer's screen is {height}x{width}"
        )
    return frame


def restore(trained: Trained, path: str, prompt: str) -> State:
    """The state that an earlier run saved, with another prompt. Raises ValueError if it is none of this computer's."""
    like = jax.tree.map(ocp.utils.to_shape_dtype_struct, trained.boot(negative_prompt=NEGATIVE.value))
    try:
        with ocp.StandardCheckpointer() as saver:
            state = saver.restore(Path(path).absolute(), like)
    except Exception as error:
        raise ValueError(
            f"--state={path}: holds no state of this computer ({first_line(error)}); neural-computer run writes one to "
            "OUT/state"
        ) from error
    ids = TokenIds(trained.experiment.tokenizer([prompt]))
    return state._replace(text=jax.jit(trained.computer.conditioner.encode_text)(trained.params.frozen, ids))


# Actions


def clip_of(trained: Trained, name: str, chunks: int) -> Clip:
    """A clip with the actions of a run: one of the data, SPLIT:N, or a log of events over a still picture.

    Raises ValueError for a computer that takes no actions, and where there is no such clip or log.
    """
    experiment = trained.experiment
    if experiment.inputs is None:
        raise ValueError(
            f"--actions={name}: this computer takes none (config.injection.mode='none'); run one that does, or give a prompt"
        )
    length = trained.computer.video_frames(chunks)
    if (path := Path(name)).exists():
        video = np.broadcast_to(trained.first_frame, (length, *trained.first_frame.shape))
        return Clip(path.name, video, trained.fps, events=events.read(path))
    split, _, number = name.rpartition(":")
    if not split or not number.isdigit():
        raise ValueError(f"--actions={name}: is neither a file nor a clip of the data, SPLIT:N; try goal_test:0")
    source = ClipSource(encoded.videos(experiment.data.directory), split, length)
    if int(number) >= len(source):
        raise ValueError(f"--actions={name}: split {split} has {len(source)} clips of {length} frames, from 0 on")
    return source[int(number)]


def prompt_of(clip: Clip | None) -> str:
    """The prompt: --prompt, else the clip's own caption. Raises ValueError where there is neither."""
    if PROMPT.value is None and clip is None:
        raise ValueError("--prompt: is missing; give the caption, or --actions or --keys")
    if PROMPT.value is not None or clip is None:
        return PROMPT.value
    return next(iter(clip.captions.values()), "")


def draw_actions(out: Path, frames: np.ndarray, clip: Clip) -> None:
    """Writes actions.gif and strip.png: the frames with the actions drawn over them."""
    log = schema_log.read(clip.events, frames.shape[2:0:-1])
    mouse = clip.cursor if clip.cursor is not None else schema.mouse(log, len(frames), clip.fps)
    clip = replace(clip, cursor=mouse)
    videos = {"generated": overlay_actions(frames, clip)}
    if not Path(ACTIONS.value).exists():  # a log has no video of its own
        videos = {"truth": overlay_actions(clip.frames, clip)} | videos
    media.write_video(out / "actions.gif", videos["generated"], clip.fps)
    (out / "strip.png").write_bytes(media.png(media.strip(videos, scale=1)))


if __name__ == "__main__":
    errors.run(main, FLAGS)
