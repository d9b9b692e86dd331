"""Which frames of a video are judged: all over it, after actions, or sixteen for a network of videos. The paper's protocols.

numpy only. Where the paper leaves a rule open, it stands in the docstring.
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import UInt8

from neural_computer import media
from neural_computer.media import Video

FPS, SECONDS, SIZE = 3.0, 5.0, 256
AFTER = 15
CLIP = 16


def whole(video: Video, fps: float) -> UInt8[np.ndarray, "n 256 256 3"]:
    """The global view: at most 5 s, 3 frames a second, squashed to 256x256.

    Of a video slower than 3 fps every frame is taken.
    """
    first = video[: max(1, round(SECONDS * fps))]
    return resized(media.resample(first, fps, min(fps, FPS)), SIZE)


def after_actions(times: Iterable[float], fps: float, count: int, length: int = AFTER) -> list[int]:
    """The "+15" frames of a video of `count`: f + 1 .. f + 15 of every action's frame f, each once, in order.

    f = round(time * fps), halves to even, clamped to the video; what would be after its end is not there. Empty without
    actions, and where they leave no frame: such a clip is left out. Raises ValueError for a time that is no number.
    """
    found: set[int] = set()
    for time in times:
        if not np.isfinite(time):
            raise ValueError(f"action at {time} s: must be a number of seconds from the video's start")
        frame = min(max(round(time * fps), 0), count - 1)
        found.update(range(frame + 1, min(frame + 1 + length, count)))
    return sorted(found)


def sixteen(count: int, clip: int = CLIP) -> list[int]:
    """The frames of a clip for a network of videos: evenly spaced, first and last among them, halves to even; of a shorter
    video all, and the last one again."""
    if count < clip:
        return [*range(count), *[count - 1] * (clip - count)]
    return [round(place) for place in np.linspace(0, count - 1, clip).tolist()]


def resized(video: Video, height: int, width: int | None = None, sharp: bool = False) -> UInt8[np.ndarray, "t hh ww 3"]:
    """Every frame squashed to a size, a square if no width is given, bilinearly over all pixels that fall together; `sharp`
    undoes `media.letterbox`, as far as that can be."""
    from PIL import Image

    size = (width or height, height)
    if video.shape[1:3] == size[::-1]:
        return video
    how = Image.Resampling.LANCZOS if sharp else Image.Resampling.BILINEAR
    return np.stack([np.asarray(Image.fromarray(frame).resize(size, how)) for frame in video])
