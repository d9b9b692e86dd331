"""Frames that a metric is computed over: the global view, the frames after actions, sixteen for a video network. numpy only.

These are the paper's protocols; where the paper leaves a rule open, it stands in the docstring.
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import UInt8

from neural_computer import media
from neural_computer.media import Video

FPS, SECONDS, SIZE = 3.0, 5.0, 256
"""Of the global view: frames per second, seconds from the start, pixels a side"""
FRAMES_AFTER = 15
"""Frames after an action in which its effect is measured ("+15")"""
CLIP = 16
"""Frames that a video network is given"""


def global_view(video: Video, fps: float) -> UInt8[np.ndarray, "n 256 256 3"]:
    """The paper's view of a video: its first 5 s at 3 frames per second, squashed to 256x256.

    Of a video slower than 3 fps every frame is taken.
    """
    first = video[: max(1, round(SECONDS * fps))]
    return resize(media.resample(first, fps, min(fps, FPS)), SIZE)


def frame_at(time: float, fps: float, count: int) -> int:
    """Index of the frame nearest to `time` in seconds, halves to even, clamped to a video of `count` frames."""
    return min(max(round(time * fps), 0), count - 1)


def after_actions(times: Iterable[float], fps: float, count: int, length: int = FRAMES_AFTER) -> list[int]:
    """Indices f + 1 .. f + 15 for the frame f of every action, each once, in order, within a video of `count` frames.

    f is `frame_at` of the action's time. Empty without actions, and where no frame follows one: such a clip has no
    "+15" value. Raises ValueError for a time that is not finite.
    """
    indices: set[int] = set()
    for time in times:
        if not np.isfinite(time):
            raise ValueError(f"action at {time} s: must be a number of seconds from the video's start")
        frame = frame_at(time, fps, count)
        indices.update(range(frame + 1, min(frame + 1 + length, count)))
    return sorted(indices)


def sixteen_frames(count: int, length: int = CLIP) -> list[int]:
    """Indices of `length` frames of a video of `count`: evenly spaced, the first and the last included, halves to even.

    A shorter video is taken whole and its last frame repeated.
    """
    if count < length:
        return [*range(count), *[count - 1] * (length - count)]
    return [round(index) for index in np.linspace(0, count - 1, length).tolist()]


def resize(video: Video, height: int, width: int | None = None, sharp: bool = False) -> UInt8[np.ndarray, "t hh ww 3"]:
    """Every frame squashed to height x width, a square without a width, by bilinear filtering.

    `sharp` uses Lanczos filtering, which undoes `media.letterbox` as far as that can be.
    """
    from PIL import Image

    size = (width or height, height)
    if video.shape[1:3] == size[::-1]:
        return video
    filtering = Image.Resampling.LANCZOS if sharp else Image.Resampling.BILINEAR
    return np.stack([np.asarray(Image.fromarray(frame).resize(size, filtering)) for frame in video])
