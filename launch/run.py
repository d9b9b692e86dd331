"""Runs a trained computer: python -m launch.run --workdir=DIR --prompt='python 12+7' --out=DIR

Writes rollout.mp4, rollout.gif, rollout.txt (the screen's text a frame) and a saved state to go on from.
"""

from pathlib import Path

import jax
import numpy as np
from absl import flags

from launch import faults
from neural_computer import build, media
from neural_computer.computer import film, to_pixels
from neural_computer.data.cli.terminal import Atlas
from neural_computer.evals.text import GlyphReader

WORKDIR = flags.DEFINE_string("workdir", None, "A trained workdir.")
PROMPT = flags.DEFINE_string("prompt", None, "The caption.")
OUT = flags.DEFINE_string("out", None, "Where the film and its text go.")
FRAME = flags.DEFINE_string("frame", None, "A picture to begin with; by default a screen from the training films.")
CHUNKS = flags.DEFINE_integer(
    "chunks", 1, "Chunks to roll out, each from the last frame of the one before.", lower_bound=1
)
SEED = flags.DEFINE_integer("seed", 0, "Seed of the noise.")


def main(argv: list[str]) -> None:
    del argv
    trained = build.load(WORKDIR.value)
    frames = rollout(trained, PROMPT.value, FRAME.value, CHUNKS.value, SEED.value)
    out = Path(OUT.value)
    out.mkdir(parents=True, exist_ok=True)
    media.write_video(out / "rollout.mp4", media.upscale(frames, 4), 5)
    media.write_video(out / "rollout.gif", media.upscale(frames, 4), 5)
    screens = GlyphReader(Atlas())(frames)
    (out / "rollout.txt").write_text("\n\n".join(f"[frame {i}]\n{screen}" for i, screen in enumerate(screens)) + "\n")
    print(screens[-1])
    print(f"{out}/rollout.mp4  rollout.gif  rollout.txt  (step {trained.step} of {WORKDIR.value})")


def rollout(trained: build.Trained, prompt: str, frame: str | None, chunks: int, seed: int) -> np.ndarray:
    """The film (t, h, w, 3), uint8, of one prompt. Raises ValueError for a picture of another size."""
    computer, x0 = trained.computer, trained.first_frame
    if frame is not None:
        x0 = media.read_image(frame)
        if x0.shape[:2] != tuple(computer.size):
            raise ValueError(
                f"{frame}: is {x0.shape[0]}x{x0.shape[1]} pixels; this computer's screen is "
                f"{computer.size[0]}x{computer.size[1]}"
            )
    text = trained.experiment.tokenizer([prompt])
    state = computer.boot(trained.params, x0[None], text)
    run = jax.jit(computer.run, static_argnames="chunks")
    _, frames = run(trained.params, state, None, jax.random.key(seed), chunks=chunks)
    return np.asarray(to_pixels(film(frames)))[0]


if __name__ == "__main__":
    flags.mark_flags_as_required(["workdir", "prompt", "out"])
    faults.run(main)
