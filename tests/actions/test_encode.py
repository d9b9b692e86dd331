"""Action embeddings: what a latent frame is told, and what it is not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_computer.actions import schema
from neural_computer.actions.align import Alignment
from neural_computer.actions.encode import ActionEncoder, Encoding
from neural_computer.conditioning import no_actions
from neural_computer.data.inputs import ActionFeaturizer, chunked, stacked
from neural_computer.data.tokens import ByteTokenizer
from neural_computer.types import Event

FRAMES, SIZE, FPS = 9, (48, 64), 10.0
CLICK = (Event(0.31, "press", key="left", x=10.0, y=20.0), Event(0.33, "release", key="left"))
TYPED = (Event(0.31, "press", key="a"), Event(0.32, "release", key="a"))


def actions(events, texts=4):
    return stacked([ActionFeaturizer(ByteTokenizer(8), texts).of("video", events, None, FRAMES, FPS, SIZE)])


def encoder(**how) -> ActionEncoder:
    return ActionEncoder(Encoding(width=8, fourier=4, **how), SIZE)


def encoded(made, events, seed=0):
    """u of a video, its texts a feature of their bytes."""
    acts = actions(events)
    texts = jnp.asarray(acts.texts, jnp.float32) / 100
    params = made.init(jax.random.key(seed), acts, texts)
    return np.asarray(made.apply(params, acts, texts))


@pytest.mark.parametrize("how", [{"schema": "raw"}, {"schema": "meta"}, {"schema": "meta", "pool": "attention"}])
@pytest.mark.parametrize("events", [CLICK, TYPED], ids=["click", "typed"])
def test_only_the_window_that_holds_an_action_tells_of_it(how, events):
    """Both happen in video frame 4, the last of latent frame 1."""
    made = encoder(**how)
    changed = abs(encoded(made, events) - encoded(made, ())).max(axis=(0, 3)) > 1e-6
    assert changed[:, 0].tolist() == [False, True, False]
    assert changed[1:, 1].all() == (events is CLICK), "from then on the mouse is somewhere"
    late = encoder(**how, align=Alignment(lag=4))
    assert (abs(encoded(late, events) - encoded(late, ())).max(axis=(0, 3)) > 1e-6)[:, 0].tolist() == [
        False,
        False,
        True,
    ]


def test_two_actions_of_a_frame_are_two_and_which_they_are_matters():
    made, both = encoder(), (*CLICK, Event(0.35, "press", key="Return"), Event(0.36, "release", key="Return"))
    kinds = actions(both).meta.kind[0, 4]
    assert kinds.tolist() == [schema.CLICK, schema.SHORTCUT]
    other = (*CLICK, Event(0.35, "press", key="Escape"), Event(0.36, "release", key="Escape"))
    for one, two in ((both, CLICK), (both, other)):
        assert abs(encoded(made, one) - encoded(made, two)).max() > 1e-6


@pytest.mark.parametrize("mouse", ["xy", "fourier"])
def test_a_mouse_that_is_nowhere_is_nothing(mouse):
    made, acts = encoder(mouse=mouse), no_actions(FRAMES, jnp.zeros((1, 1, 8)))
    params = made.init(jax.random.key(0), acts, acts.texts)
    np.testing.assert_array_equal(made.apply(params, acts, acts.texts)[:, :, 1], 0)


def test_too_many_texts_are_refused_with_the_way_out():
    typed = [Event(0.1 * i + 0.05, kind, key=char) for i, char in enumerate("abc") for kind in ("press", "release")]
    with pytest.raises(ValueError, match=r"video: 3 different texts.*config.actions.texts=3.*set it to 4"):
        actions(typed, texts=3)


def test_chunks_share_a_frame_whose_actions_belong_to_the_earlier_one():
    whole = actions(CLICK)
    parts = chunked(whole, 5, 2)
    assert parts.mouse.shape == (2, 1, 5, 2)
    assert whole.raw[0, 4].any() and parts.raw[0, 0, 4].any() and not parts.raw[1, 0, 0].any()
    np.testing.assert_array_equal(parts.mouse[1, 0], whole.mouse[0, 4:])
    with pytest.raises(ValueError, match="chunks=3: need the actions of 13 frames, there are 9; ask for 2"):
        chunked(whole, 5, 3)
