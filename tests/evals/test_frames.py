import numpy as np
import pytest
from PIL import Image

from neural_computer import media
from neural_computer.evals import frames


def numbered(count: int, size: tuple[int, int] = (6, 8)) -> np.ndarray:
    """A video whose frames have the grey of their number."""
    return np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, *size, 3), np.uint8)


@pytest.mark.parametrize(
    ("times", "fps", "count", "expected"),
    [
        ([], 15, 81, []),  # no actions: left out
        ([0.0], 15, 81, range(1, 16)),  # the frame of the action itself is not taken
        ([1.0], 15, 81, range(16, 31)),
        ([0.03], 15, 81, range(1, 16)),  # .45 rounds down
        ([0.04], 15, 81, range(2, 17)),  # .6 rounds up
        ([0.1], 15, 81, range(3, 18)),  # 1.5 to even: 2
        ([0.5], 5, 81, range(3, 18)),  # 2.5 to even: 2
        ([0.7], 5, 81, range(5, 20)),  # 3.5 to even: 4
        ([-3.0], 15, 81, range(1, 16)),  # before the video: clamped to its first frame
        ([5.2], 15, 81, range(79, 81)),  # cut at the end
        ([5.33], 15, 81, []),  # on the last frame nothing comes after: left out
        ([99.0], 15, 81, []),  # after the video: clamped to its last frame
        ([1.0, 1.0], 15, 81, range(16, 31)),  # twice at once counts once
        ([1.0, 1.2], 15, 81, range(16, 34)),  # overlapping: their union
        ([3.0, 0.0], 15, 81, [*range(1, 16), *range(46, 61)]),  # in order, whatever the log's order
        ([0.0, 5.33], 15, 81, range(1, 16)),  # one of them leaves nothing
        ([0.0], 15, 1, []),
        ([0.0], 15, 4, range(1, 4)),
        ([1.0], 29.97, 81, range(31, 46)),
    ],
)
def test_fifteen_frames_after_every_action(times, fps, count, expected):
    assert frames.after_actions(times, fps, count) == list(expected)


@pytest.mark.parametrize(
    ("time", "expected"), [(0.0, 0), (0.1, 2), (0.5, 8), (-1.0, 0), (5.33, 80), (5.4, 80), (99.0, 80)]
)
def test_a_time_has_the_nearest_frame_of_the_video(time, expected):
    assert frames.frame_at(time, 15, 81) == expected


@pytest.mark.parametrize("time", [float("nan"), float("inf")])
def test_an_action_without_a_time_is_an_error(time):
    with pytest.raises(ValueError, match=r"action at (nan|inf) s"):
        frames.after_actions([0.0, time], 15, 81)


@pytest.mark.parametrize(
    ("count", "fps", "expected"),
    [
        (81, 15, [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70]),  # 5 s of 5.4
        (30, 15, [0, 5, 10, 15, 20, 25]),
        (4, 2, [0, 1, 2, 3]),  # slower than 3 fps: as it is
        (20, 2.5, list(range(12))),  # 12.5 frames are 5 s: halves to even
        (12, 4, [0, 1, 2, 4, 5, 6, 8, 9, 10]),  # the frame on the screen at 0, 1/3, 2/3 s ...
        (1, 15, [0]),
        (3, 0.05, [0]),  # a frame lasts 20 s
    ],
)
def test_the_global_view_is_five_seconds_at_three_frames(count, fps, expected):
    view = frames.global_view(numbered(count), fps)
    assert view.shape == (len(expected), 256, 256, 3) and view[:, 0, 0, 0].tolist() == expected


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (16, list(range(16))),
        (31, list(range(0, 31, 2))),
        (15, [*range(15), 14]),
        (3, [0, 1] + [2] * 14),
        (1, [0] * 16),
        (20, [0, 1, 3, 4, 5, 6, 8, 9, 10, 11, 13, 14, 15, 16, 18, 19]),
    ],
)
def test_sixteen_frames_of_any_video(count, expected):
    assert frames.sixteen_frames(count) == expected


def test_a_smaller_frame_averages_the_pixels_that_fall_together():
    video = np.zeros((1, 4, 8, 3), np.uint8)
    video[:, :, 4:] = 200
    assert frames.resize(video, 1, 2)[0, 0, :, 0].tolist() == pytest.approx([0, 200], abs=30)
    assert frames.resize(video, 4, 8) is video and frames.resize(video, 2).shape == (1, 2, 2, 3)


@pytest.mark.parametrize(
    ("how", "filtering"), [({}, "BILINEAR"), ({"sharp": False}, "BILINEAR"), ({"sharp": True}, "LANCZOS")]
)
def test_frames_are_resized_by_pillows_filters(how, filtering):
    video = np.random.default_rng(0).integers(0, 256, (2, 20, 30, 3)).astype(np.uint8)
    expected = [Image.fromarray(frame).resize((13, 7), getattr(Image.Resampling, filtering)) for frame in video]
    np.testing.assert_array_equal(frames.resize(video, 7, 13, **how), np.stack(list(map(np.asarray, expected))))


def test_sharp_undoes_a_letterbox_better():
    video = np.random.default_rng(0).integers(0, 256, (1, 20, 30, 3)).astype(np.uint8)
    boxed = media.letterbox(video, 40, 60)
    blurred, sharp = (abs(frames.resize(boxed, 20, 30, sharp=s).astype(int) - video).mean() for s in (False, True))
    assert sharp < 0.7 * blurred
