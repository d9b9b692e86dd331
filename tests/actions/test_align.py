"""Which video frames a latent frame is conditioned on, against a table written by hand and the paper's formula."""

import jax.numpy as jnp
import numpy as np
import pytest

from neural_computer.actions.align import Alignment

NONE = -1


@pytest.mark.parametrize(
    ("alignment", "video", "frames"),
    [
        # Without lag: the frames that a latent frame holds. The first holds one.
        (Alignment(), 9, [[NONE, NONE, NONE, 0], [1, 2, 3, 4], [5, 6, 7, 8]]),
        # A lag moves the window back.
        (Alignment(lag=2), 9, [[NONE] * 4, [NONE, 0, 1, 2], [3, 4, 5, 6]]),
        # A window of two latent frames.
        (
            Alignment(window=2),
            9,
            [[NONE] * 7 + [0], [NONE] * 3 + [0, 1, 2, 3, 4], [1, 2, 3, 4, 5, 6, 7, 8]],
        ),
        # Frames that no latent frame ends with are in no window.
        (Alignment(), 8, [[NONE, NONE, NONE, 0], [1, 2, 3, 4]]),
        (Alignment(stride=1, lag=1), 3, [[NONE], [0], [1]]),
        (Alignment(stride=2, window=1, lag=5), 5, [[NONE, NONE], [NONE, NONE], [NONE, NONE]]),
        (Alignment(), 1, [[NONE, NONE, NONE, 0]]),
    ],
)
def test_the_windows_are_those_of_the_table(alignment, video, frames):
    r = jnp.arange(video, dtype=jnp.float32)[None, :, None] + 1
    np.testing.assert_array_equal(alignment.windows(r)[0, :, :, 0] - 1, frames)


@pytest.mark.parametrize("lag", [0, 1, 3, 6])
@pytest.mark.parametrize("window", [1, 3])
def test_the_windows_are_those_of_the_formula(window, lag):
    c, video, rng = 4, 21, np.random.default_rng(lag)
    r, alignment = rng.normal(size=(2, video, 3)).astype(np.float32), Alignment(c, window, lag)
    got, p = np.asarray(alignment.windows(jnp.asarray(r))), c * window
    assert got.shape == (2, (video - 1) // c + 1, p, 3)
    for t in range(got.shape[1]):
        for k in range(p):
            frame = t * c - (p - 1 + lag) + k
            expected = r[:, frame] if 0 <= frame < video else np.zeros((2, 3))
            np.testing.assert_array_equal(got[:, t, k], expected)


def test_no_window_holds_a_frame_that_comes_later():
    for lag in range(5):
        frames = Alignment(lag=lag, window=2).frames(33)
        assert (frames.max(axis=1) == np.arange(9) * 4 - lag).all()


@pytest.mark.parametrize(
    ("changes", "message"), [({"stride": 0}, "stride=0"), ({"window": 0}, "window=0"), ({"lag": -1}, "lag=-1")]
)
def test_a_window_that_cannot_be_is_rejected(changes, message):
    with pytest.raises(ValueError, match=message):
        Alignment(**changes)
