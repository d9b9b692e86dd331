"""Actions drawn over a desktop's video."""

import numpy as np

from neural_computer.evals.marks import LINE, overlay_actions
from neural_computer.types import Clip, Event

RED, GREEN = (255, 60, 60), (60, 200, 60)
VIDEO = np.zeros((4, 64, 64, 3), np.uint8)
SCALE = 6
"""384 pixels high, from 64"""


def clip(mouse: list[list[float]], **meta) -> Clip:
    events = [Event(1 / 15, "press", key="left", x=20.0, y=30.0), Event(3 / 15, "release", key="left", x=20.0, y=30.0)]
    return Clip("a", VIDEO, 15.0, events=tuple(events), cursor=np.asarray(mouse, np.float32), meta=meta)


def coloured(video: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Where a frame has the colour, (t, h, w)."""
    return (video == colour).all(-1)


def test_the_ring_is_at_the_mouse_and_full_while_a_button_is_down():
    video = overlay_actions(VIDEO, clip([[20, 30]] * 4))
    assert video.shape == (4, 64 * SCALE + 3 * LINE + 4, 64 * SCALE, 3)
    ring = coloured(video, RED)
    rows, columns = np.nonzero(ring[0])
    assert abs(rows.mean() - 30 * SCALE) < 1 and abs(columns.mean() - 20 * SCALE) < 1
    assert ring[:, 30 * SCALE, 20 * SCALE].tolist() == [False, True, True, True]


def test_a_mouse_that_is_nowhere_has_no_ring():
    ring = coloured(overlay_actions(VIDEO, clip([[np.nan, np.nan]] * 2 + [[20, 30]] * 2)), RED)
    assert ring.any((1, 2)).tolist() == [False, False, True, True]


def test_action_target_and_effect_have_a_line_each():
    hits = {"1": ["desk", "icon", "Edit", 10, 20, 16, 16, True]}
    video = overlay_actions(VIDEO, clip([[20, 30]] * 4, hits=hits, effects={"1": ["opens " + "a long menu " * 8]}))
    assert coloured(video, GREEN)[1, 20 * SCALE, 10 * SCALE : 26 * SCALE].all()
    lines = video[:, 64 * SCALE :].any((2, 3))
    for line in range(3):
        written = lines[:, line * LINE + 4 : (line + 1) * LINE + 3].any(1)
        assert written.tolist() == [False, True, True, True]
