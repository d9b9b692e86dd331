"""Videos of a desktop of noise with an arrow on it: the arrow must be located where it was drawn."""

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
"""19 pixels high: the tolerance is 38 / 11 = 3.4545 pixels"""


def desktop(seed: int = 0, frames: int = 6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    tiles = rng.integers(0, 256, (8, 12, 3)).astype(np.uint8).repeat(12, axis=0).repeat(12, axis=1)
    return np.stack([tiles] * frames)


def with_arrow(places: np.ndarray) -> np.ndarray:
    video = desktop(frames=len(places))
    for frame, place in zip(video, places, strict=True):
        cursor.onto(frame, ARROW, tuple(place))
    return video


@pytest.fixture
def places() -> np.ndarray:
    return np.random.default_rng(1).uniform([3, 3], [125, 70], (6, 2))


def test_the_arrow_is_located_to_half_a_pixel_and_to_a_pixel_through_noise(places):
    video = with_arrow(places)
    noisy = np.clip(video + np.random.default_rng(2).normal(0, 20, video.shape), 0, 255).astype(np.uint8)
    assert abs(cursor_metrics.locate_cursor(video, ARROW) - places).max() <= 0.5
    assert abs(cursor_metrics.locate_cursor(noisy, ARROW) - places).max() <= 1


def test_between_pixels_the_arrow_is_located_between_pixels():
    """Steps of a quarter of a pixel, each located at the nearer of two positions a pixel."""
    steps = np.stack([np.arange(40, 42, 0.25), np.arange(30, 32, 0.25)], axis=1)
    tips = cursor_metrics.locate_cursor(with_arrow(steps), ARROW)
    assert abs(tips - steps).max() <= 0.25
    assert set(np.round((tips - ARROW.hot) % 1, 6).ravel()) == {0, 0.5}


def test_the_small_arrow_of_the_synthetic_desktop_is_located_among_its_windows():
    """11 pixels high, between pixels, over text and buttons that are black and white too; measured: .997 of 316 frames."""
    machine = MiniDesktop(furnished(0, 128))
    recording = record(machine, Task(machine, "compute", 0, 0.3))
    frames, tips = np.stack(recording.frames)[::8], np.asarray(recording.cursor, float)[::8]
    assert cursor_metrics.cursor_accuracy(frames, tips, drawing.arrow(128)).mean() >= 0.95


def test_an_arrow_elsewhere_or_nowhere_is_a_miss(places):
    video = with_arrow(places)
    accuracy = cursor_metrics.cursor_accuracy
    assert accuracy(video, places, ARROW).all() and accuracy(video, places + [2.9, 0], ARROW).all()
    assert not accuracy(video, places + [4.1, 0], ARROW).any() and not accuracy(video, places + [3, 3], ARROW).any()
    assert not accuracy(desktop(), places, ARROW).any()


def test_frames_without_a_whole_arrow_do_not_count(places):
    unknown, beyond = places.copy(), places.copy()
    unknown[0], beyond[1] = np.nan, [143, 90]
    for logged in (unknown, beyond):
        assert len(cursor_metrics.cursor_accuracy(with_arrow(places), logged, ARROW)) == 5


def test_an_arrow_that_touches_the_border_counts():
    """Of its tip's positions on a screen of 60x80 pixels, the first and the last that have the whole arrow, and just beyond."""
    tall, wide = ARROW.pixels.shape[:2]
    x, y = ARROW.hot
    last = [80 - wide + x, 60 - tall + y]
    tips = np.asarray([[x, y], last, [x - 0.01, y], [x, y - 0.01], [last[0] + 0.01, y], [x, last[1] + 0.01]])
    hits = [len(cursor_metrics.constant_velocity_baseline(np.asarray([tip] * 3), (60, 80), ARROW)) for tip in tips]
    assert hits == [1, 1, 0, 0, 0, 0]


# Constant velocity


def test_the_constant_velocity_baseline_is_scored_where_the_cursor_is():
    arrow = cursor.template(11.0)
    line = np.asarray([[20.0 + 3 * t, 30.0] for t in range(6)])
    bent = np.concatenate([line[:3], line[3:] + [0, 9]])
    baseline = cursor_metrics.constant_velocity_baseline
    assert baseline(line, (64, 64), arrow).tolist() == [True] * 4
    assert baseline(bent, (64, 64), arrow).tolist() == [True, False, False, False]
    out = np.concatenate([line[:4], [[-5.0, 30.0], [np.nan, np.nan]]])
    assert baseline(out, (64, 64), arrow).tolist() == [True, True], "the rest is not wholly on the screen"


@pytest.mark.parametrize(
    ("gap", "near"), [((3.45, 0), True), ((3.46, 0), False), ((0, -3.45), True), ((2.5, 2.5), False)]
)
def test_near_is_two_elevenths_of_the_arrows_height(gap, near):
    tips = np.asarray([[40.0, 30.0], [40.0, 30.0], [40.0 + gap[0], 30.0 + gap[1]]])
    assert cursor_metrics.constant_velocity_baseline(tips, (96, 144), ARROW).tolist() == [near]


def test_two_elevenths_themselves_are_near():
    arrow = cursor.template(11.0)
    tips = np.asarray([[20.0, 30.0], [20.0, 30.0], [22.0, 30.0]])
    assert cursor_metrics.constant_velocity_baseline(tips, (64, 64), arrow).tolist() == [True]


# Clicks


def opened(at: int, where: slice, frames: int = 20) -> np.ndarray:
    """A desktop on which a window opens in a frame."""
    video = desktop(frames=frames)
    video[at:, where, 40:90] = 255
    return video


NOTHING = (99, slice(0))
STILL = np.full((20, 2), 2.0)


@pytest.mark.parametrize(
    ("generated", "reference", "expected"),
    [
        ((5, slice(20, 60)), (5, slice(20, 60)), (True, True)),
        ((12, slice(20, 60)), (5, slice(20, 60)), (True, True)),  # late, within 15 frames
        ((18, slice(20, 60)), (5, slice(20, 60)), (True, True)),  # in the fifteenth frame
        ((19, slice(20, 60)), (5, slice(20, 60)), (True, False)),  # in the sixteenth
        (NOTHING, (5, slice(20, 60)), (True, False)),  # nothing opens
        ((5, slice(64, 96)), (5, slice(0, 32)), (True, False)),  # something else opens
        (NOTHING, NOTHING, (False, True)),  # nothing should, nothing does
        ((5, slice(20, 60)), NOTHING, (False, False)),  # nothing should, something does
    ],
)
def test_a_click_responds_where_the_reference_does(generated, reference, expected):
    videos = opened(*generated), opened(*reference)
    assert cursor_metrics.click_responses(*videos, [3], STILL, ARROW) == [expected]


@pytest.mark.parametrize(("rows", "expected"), [(16, True), (15, False)])
def test_half_of_the_blocks_that_change_must_change_in_both(rows, expected):
    """32 rows of eight pixels' width change in the reference, four blocks; two of them, and not one, are enough."""
    reference, generated = (np.full((6, 64, 64, 3), 60, np.uint8) for _ in range(2))
    reference[3:, :32, 32:40] = 200
    generated[3:, : rows // 8 * 8, 32:40] = 200
    nowhere = np.full((6, 2), np.nan)
    assert cursor_metrics.click_responses(generated, reference, [1], nowhere, ARROW) == [(True, expected)]


@pytest.mark.parametrize(("change", "expected"), [(8, False), (9, True)])
def test_a_block_has_changed_by_more_than_eight_grey_levels_on_average(change, expected):
    before, after = np.full((4, 16, 16, 3), 60, np.uint8), np.full((4, 16, 16, 3), 60, np.uint8)
    after[2:, 8:, 8:] += np.uint8(change)
    after[2:, :8, :8] += np.uint8(2 * change) * (np.indices((8, 8)).sum(0) % 2).astype(np.uint8)[..., None]
    nowhere = np.full((4, 2), np.nan)
    assert cursor_metrics.click_responses(before, after, [0], nowhere, ARROW) == [(expected, not expected)]


def test_blocks_are_eight_pixels_a_side_and_the_rest_is_left_out():
    video = np.full((4, 20, 20, 3), 60, np.uint8)
    changed = video.copy()
    changed[2:, 16:] = 255
    nowhere = np.full((4, 2), np.nan)
    assert cursor_metrics.click_responses(video, changed, [0], nowhere, ARROW) == [(False, True)]
    changed[2:, 15] = 255
    assert cursor_metrics.click_responses(video, changed, [0], nowhere, ARROW) == [(True, False)]


def test_the_arrow_itself_is_no_response():
    places = np.stack([np.linspace(10, 100, 20), np.full(20, 40.0)], axis=1)
    reference, generated = with_arrow(places), desktop(frames=20)
    assert cursor_metrics.click_responses(generated, reference, [0], places, ARROW) == [(False, True)]


@pytest.mark.parametrize(
    ("block", "covered"),
    [((2, 4), True), ((4, 5), True), ((5, 4), False), ((1, 4), False), ((2, 3), False), ((2, 6), False)],
)
def test_only_the_blocks_under_the_arrow_are_left_out(block, covered):
    """With its tip at (34, 18) and a border of a pixel, the arrow has rows 16 to 37 and columns 32 to 47."""
    before = np.full((3, 64, 64, 3), 60, np.uint8)
    after = before.copy()
    i, j = block
    after[2, 8 * i : 8 * i + 8, 8 * j : 8 * j + 8] = 255
    tips = np.asarray([[34.0, 18.0], [34.0, 18.0], [np.nan, np.nan]])
    assert cursor_metrics.click_responses(before, after, [0], tips, ARROW) == [(not covered, covered)]


def test_a_click_in_the_last_frame_is_left_out():
    video = desktop()
    nowhere = np.full((6, 2), np.nan)
    assert cursor_metrics.click_responses(video, video, [5], nowhere, ARROW) == []
    assert cursor_metrics.click_responses(video, video, [4, 5, 0], nowhere, ARROW) == [(False, True)] * 2


def test_presses_of_mouse_buttons_are_clicks():
    events = [
        Event(1, "press", "left"),
        Event(2, "release", "left"),
        Event(3, "press", "a"),
        Event(4, "press", "right"),
    ]
    assert cursor_metrics.click_times(events) == [1, 4]


@pytest.mark.parametrize("done", [True, False])
def test_a_screen_ends_as_the_click_or_having_none_makes_it(done):
    """Two of its blocks differ: the nearer by their mean colours counts, however faint; a tie is no click."""
    click = {"block": 4, "places": [[0, 0], [1, 1]], "with": [[200] * 3] * 2, "without": [[100] * 3] * 2, "done": done}
    for shade, clicked in ((100, False), (140, False), (150, False), (160, True), (255, True)):
        frame = np.full((8, 8, 3), 7, np.uint8)
        frame[:4, :4] = frame[4:, 4:] = shade
        assert cursor_metrics.click_state(frame, click) == (clicked == done)


def test_the_blocks_of_both_places_count():
    click = {
        "block": 4,
        "places": [[0, 1], [1, 0]],
        "with": [[200] * 3, [0] * 3],
        "without": [[0] * 3] * 2,
        "done": True,
    }
    frame = np.zeros((8, 8, 3), np.uint8)
    assert not cursor_metrics.click_state(frame, click)
    frame[:4, 4:] = 120
    assert cursor_metrics.click_state(frame, click)
    frame[4:, :4] = 120
    assert cursor_metrics.click_state(frame, click)
    frame[4:, :4] = 0
    frame[:4, 4:] = 90
    assert not cursor_metrics.click_state(frame, click)
