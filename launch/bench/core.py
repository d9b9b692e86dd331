"""The core's speed: drawing screens, reading windows, one update.

XLA_FLAGS="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1" neural-computer bench --suite=core
"""

import tempfile
from pathlib import Path

import jax
import numpy as np

from neural_computer import build
from neural_computer.configs import cligen
from neural_computer.data.episodes import EpisodeWriter
from neural_computer.data.windows import ClipSource
from neural_computer.launch.bench.case import Case
from neural_computer.models.linear_codec import LinearCodec
from neural_computer.screens import glyphs, terminal
from neural_computer.types import Batch, Episode, FrozenParams, TokenIds


def cases() -> list[Case]:
    """All cases, with their inputs."""
    return [drawing(), reading(), rematerialising()]


def drawing() -> Case:
    """24x80 screens of random text by the atlas, against Pillow's own text drawing."""
    from PIL import Image, ImageDraw, ImageFont

    rng, atlas = np.random.default_rng(0), terminal.Atlas()
    screens = terminal.stack([terminal.blank(24, 80)] * 32)
    screens.chars[:] = rng.integers(33, 127, screens.chars.shape)
    font = ImageFont.truetype(str(glyphs.font_path("DejaVuSansMono")), 13)
    texts = [terminal.Cells(*(f[i] for f in screens)).text() for i in range(32)]

    def peer() -> None:
        for text in texts:
            image = Image.new("L", (640, 384))
            ImageDraw.Draw(image).multiline_text((0, 0), text, fill=255, font=font)
            np.asarray(image.convert("RGB"))

    return Case("draw 24x80 screens", "Pillow text", "frames/s", 32, lambda: atlas.draw(screens), peer)


def reading() -> Case:
    """Windows of 9 frames out of a video of 160, against decoding the whole video each time."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    text = "\n".join("the quick brown fox"[i:] for i in range(3)).split("\n")
    frame = terminal.draw_text("\n".join(line.ljust(19)[:16] for line in text))
    with EpisodeWriter(folder, window=9) as writer:
        writer.write(Episode("video", np.stack([np.roll(frame, 8 * t, axis=1) for t in range(160)]), fps=5))
    short, whole = ClipSource(folder, "train", 9), ClipSource(folder, "train", 160)
    places = np.random.default_rng(0).integers(0, len(short), 8)
    return Case(
        "read windows of 9 frames",
        "whole video, then cut",
        "windows/s",
        8,
        lambda: [short[int(i)].frames for i in places],
        lambda: [whole[0].frames[int(i) : int(i) + 9] for i in places],
    )


def rematerialising() -> Case:
    """One update of micro, batch 8, all activations kept, against remat "full": what memory costs in time."""

    def step(remat: str):
        config = cligen.get_config("micro")
        config.network.remat = remat
        trainer = build.build(config).trainer
        rng = np.random.default_rng(0)
        batch = Batch(
            index=np.arange(8, dtype=np.int32),
            video=rng.integers(0, 256, (8, 9, 48, 128, 3)).astype(np.uint8),
            text=TokenIds(rng.integers(0, 257, (8, 40)).astype(np.int32)),
        )
        frozen = FrozenParams(codec=LinearCodec(config.codec.channels).fit(batch.video))
        state = trainer.init(0)
        update = jax.jit(lambda s, b: trainer.update(s, frozen, b, 0))
        return lambda: jax.block_until_ready(update(state, batch))

    return Case("update micro", "remat=full", "videos/s", 8, step("none"), step("full"))
