"""Videos of a desktop of noise with an arrow on it: what is found must be where it was put."""

import numpy as np
import pytest

from neural_computer.actions import cursor
from neural_computer.evals import cursor_metrics
from neural_computer.simulators.desktop import record
from neural_computer.simulators.minidesk import drawing
from neural_computer.simulators.minidesk.session import MiniDesktop, furnished
from neural_computer.simulators.policies.goal import Task
from neural_computer.types import Event

ARROW = cursor.template()


def desktop(seed: int = 0, frames: int = 6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    tiles = rng.integers(0, 256, (8, 12, 3)).astype(np.uint8).repeat(12, axis=0).repeat(12, axis=1)
    return np.stack([tiles] * frames)


def pointed(places: np.ndarray) -> np.ndarray:
    video = desktop(frames=len(places))
    for frame, place in zip(video, places, strict=True):
        cursor.onto(frame, ARROW, tuple(place))
    return video


@pytest.fixture
def places() -> np.ndarray:
    return np.random.default_rng(1).uniform([3, 3], [125, 70], (6, 2))


def test_the_arrow_is_found_to_the_pixel_even_through_noise(places):
    video = pointed(places)
    rough = np.clip(video + np.random.default_rng(2).normal(0, 20, video.shape), 0, 255).astype(np.uint8)
    for seen in (video, rough):
        assert abs(cursor_metrics.found(seen, ARROW) - places).max() <= 1


def test_the_small_arrow_of_the_synthetic_desktop_is_found_among_its_windows():
    """11 pixels high, between pixels, over text and buttons that are black and white too; measured: .997 of 316 frames."""
    desktop = MiniDesktop(furnished(0, 128))
    seen = record(desktop, Task(desktop, "compute", 0, 0.3))
    frames, places = np.stack(seen.frames)[::8], np.asarray(seen.cursor, float)[::8]
    assert cursor_metrics.hits(frames, places, drawing.arrow(128)).mean() >= 0.95


def test_an_arrow_elsewhere_or_nowhere_is_no_hit(places):
    video = pointed(places)
    assert cursor_metrics.hits(video, places, ARROW).all()
    assert (
        cursor_metrics.hits(video, places + [3, 0], ARROW).all()
        and not cursor_metrics.hits(video, places + [6, 0], ARROW).any()
    )
    assert not cursor_metrics.hits(desktop(), places, ARROW).any()


def test_frames_without_a_whole_arrow_do_not_count(places):
    unknown, beyond = places.copy(), places.copy()
    unknown[0], beyond[1] = np.nan, [143, 90]
    assert (
        len(cursor_metrics.hits(pointed(places), unknown, ARROW))
        == len(cursor_metrics.hits(pointed(places), beyond, ARROW))
        == 5
    )


def opened(at: int, where: slice, frames: int = 20) -> np.ndarray:
    """A desktop on which a window opens in a frame."""
    video = desktop(frames=frames)
    video[at:, where, 40:90] = 255
    return video


@pytest.mark.parametrize(
    ("made", "right", "expected"),
    [
        ((5, slice(20, 60)), (5, slice(20, 60)), (True, True)),
        ((12, slice(20, 60)), (5, slice(20, 60)), (True, True)),  # late, within 15 frames
        ((99, slice(0)), (5, slice(20, 60)), (True, False)),  # nothing opens
        ((5, slice(64, 96)), (5, slice(0, 32)), (True, False)),  # something else opens
        ((99, slice(0)), (99, slice(0)), (False, True)),  # nothing should, nothing does
        ((5, slice(20, 60)), (99, slice(0)), (False, False)),  # nothing should, something does
    ],
)
def test_a_click_is_answered_where_the_true_one_was(made, right, expected):
    videos, still = (opened(*made), opened(*right)), np.full((20, 2), 2.0)
    assert cursor_metrics.responses(*videos, [3], still, ARROW) == [expected]


def test_the_arrow_itself_is_no_response():
    places = np.stack([np.linspace(10, 100, 20), np.full(20, 40.0)], axis=1)
    right, made = pointed(places), desktop(frames=20)
    assert cursor_metrics.responses(made, right, [0], places, ARROW) == [(False, True)]


def test_a_click_in_the_last_frame_is_left_out_and_keys_are_none():
    video = desktop()
    assert cursor_metrics.responses(video, video, [5], np.full((6, 2), np.nan), ARROW) == []
    events = [
        Event(1, "press", "left"),
        Event(2, "release", "left"),
        Event(3, "press", "a"),
        Event(4, "press", "right"),
    ]
    assert cursor_metrics.clicks(events) == [1, 4]


def test_going_straight_on_is_judged_where_the_cursor_is_judged():
    arrow = cursor.template(11.0)
    line = np.asarray([[20.0 + 3 * t, 30.0] for t in range(6)])
    bent = np.concatenate([line[:3], line[3:] + [0, 9]])
    assert cursor_metrics.straight(line, (64, 64), arrow).tolist() == [True] * 4
    assert cursor_metrics.straight(bent, (64, 64), arrow).tolist() == [True, False, False, False]
    out = np.concatenate([line[:4], [[-5.0, 30.0], [np.nan, np.nan]]])
    assert cursor_metrics.straight(out, (64, 64), arrow).tolist() == [True, True], (
        "the rest is not wholly on the screen"
    )


@pytest.mark.parametrize("done", [True, False])
def test_a_screen_ends_as_the_click_or_having_none_makes_it(done):
    """Two of its blocks differ: what is nearer by their mean colours counts, however faint."""
    click = {"block": 4, "places": [[0, 0], [1, 1]], "with": [[200] * 3] * 2, "without": [[100] * 3] * 2, "done": done}
    for shade, clicked in ((100, False), (140, False), (160, True), (255, True)):
        frame = np.full((8, 8, 3), 7, np.uint8)
        frame[:4, :4] = frame[4:, 4:] = shade
        assert cursor_metrics.obeyed(frame, click) == (clicked == done)
