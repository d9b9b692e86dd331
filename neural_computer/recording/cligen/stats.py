"""Measurements of a clip: the paper's `meta.videogen`."""

from typing import Any

import numpy as np

from neural_computer.recording.cligen.clips import CLEAR, cuts
from neural_computer.recording.terminal.replay import Replay


def videogen(clip: Replay) -> dict[str, Any]:
    """Measurements of a clip. Densities are per frame, rates per second, intervals between typed keys in seconds.

    visual_complexity = (share of cells with a character) * min(colours, 16) / 16: 0 for an empty screen, 1 for a full one
    in sixteen colours.
    """
    screens, seconds = clip.screens, len(clip.index) / clip.fps
    filled = screens.chars != ord(" ")
    colours = len(np.unique(screens.fg[filled].reshape(-1, 3), axis=0)) if filled.any() else 0
    typed = np.diff([event.time for event in clip.events if event.kind == "press"])
    changes = int((np.diff(clip.index) != 0).sum())
    return {
        "visual_complexity": round(float(filled.mean()) * min(colours, 16) / 16, 4),
        "interaction_density": round(len(clip.events) / len(clip.index), 4),
        "colours": colours,
        "screen_clears": sum(strength == CLEAR for strength in cuts(clip).values()),
        "events_per_second": round(len(clip.events) / seconds, 4),
        "typing_interval_mean": round(float(typed.mean()), 4) if len(typed) else None,
        "typing_interval_variance": round(float(typed.var()), 6) if len(typed) else None,
        "visual_changes": changes,
    }
