"""Cursor speed and action rate of a recording: the two figures that the paper gives of a split."""

import numpy as np

from neural_computer.actions.schema.log import read
from neural_computer.simulators.policies import SCREEN
from neural_computer.types import Episode


def statistics(episode: Episode) -> dict[str, float]:
    """`speed` in pixels a frame of a screen scaled to 1024x768, and `rate` in actions a second.

    The path is the sum of straight lines between the cursor's places in consecutive frames. Actions are those of
    `actions.schema.log`: a double click, a drag, a run of characters, a run of notches is one each; a move is none.
    Raises ValueError for an episode without a cursor.
    """
    if episode.cursor is None:
        raise ValueError(f"episode {episode.id!r}: has no cursor; give one (x, y) a frame")
    count, height, width, _ = episode.frames.shape
    steps = np.diff(episode.cursor, axis=0) * np.asarray([SCREEN[0] / width, SCREEN[1] / height])
    log = read(episode.events, (width, height))
    return {
        "speed": float(np.nansum(np.linalg.norm(steps, axis=1))) / count,
        "rate": len(log.actions) * episode.fps / count,
    }
