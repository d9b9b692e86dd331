"""The terms of the loss that actions have a part in: what they weigh, what they leave alone, what they compare."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_computer.actions.align import Alignment
from neural_computer.train.objective import Objective, active, cursor_loss, info_nce, weighted_mean
from neural_computer.types import Batch
from tests import builders

TEMPERATURE = 0.1


def units(*shape, seed=0):
    x = np.random.default_rng(seed).normal(size=shape)
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def by_hand(video, acts, known):
    """InfoNCE by loops: the mean of both ways' cross-entropies over the rows that are known."""
    rows = np.flatnonzero(known)
    if not len(rows):
        return 0.0
    logits = video[rows] @ acts[rows].T / TEMPERATURE
    ways = [np.mean([np.log(np.exp(way[i]).sum()) - way[i, i] for i in range(len(rows))]) for way in (logits, logits.T)]
    return sum(ways) / 2


@pytest.mark.parametrize("share", [1.0, 0.5, 0.0])
def test_contrast_is_infonce_both_ways_among_the_frames_that_have_actions(share):
    video, acts = units(3, 4, 8), units(3, 4, 2, 8, seed=1)
    valid = np.random.default_rng(2).uniform(size=(3, 4, 2)) < share
    expected = np.mean(
        [by_hand(video.reshape(12, 8), acts[:, :, n].reshape(12, 8), valid[:, :, n].ravel()) for n in (0, 1)]
    )
    found = jax.jit(info_nce, static_argnums=3)(video, acts, valid, TEMPERATURE)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_frames_without_an_action_have_no_part_in_it():
    video, acts, valid = units(2, 3, 8), units(2, 3, 2, 8, seed=1), np.zeros((2, 3, 2), bool)
    valid[0, 1] = valid[1, 2] = True
    gradients = jax.jit(jax.grad(info_nce, argnums=(0, 1)), static_argnums=3)(video, acts, valid, TEMPERATURE)
    to_video, to_acts = map(np.asarray, gradients)
    idle = ~valid.any(-1)
    assert abs(to_video[idle]).max() == 0 and abs(to_acts[idle]).max() == 0
    assert abs(to_video[~idle]).min() > 0


def test_what_belongs_together_costs_nothing_and_what_does_not_costs_much():
    video = np.eye(6, 8, dtype=np.float32).reshape(2, 3, 8)
    valid = np.ones((2, 3, 2), bool)
    same = np.stack([video, video], axis=2)
    assert info_nce(*map(jnp.asarray, (video, same, valid)), TEMPERATURE) < 1e-3
    assert info_nce(*map(jnp.asarray, (video, same[::-1], valid)), TEMPERATURE) > 5


WEIGHTS = {"cursor": 0.5, "contrastive": 0.25, "future": 2.0}


@functools.cache
def acting():
    """(experiment, encoded batch) of the tiny desktop, its videos random, a click and a key in every one."""
    made = builders.desktop("internal", "fourier", **{f"objective__{name}": weight for name, weight in WEIGHTS.items()})
    plain = builders.batch(4, size=(made.data.frames, made.data.height, made.data.width))
    batch = Batch(*plain[:3], builders.actions(made, 4))
    return made, jax.jit(made.computer.encode)(builders.frozen(made), batch)


@functools.partial(jax.jit, static_argnums=0)
def at_the_cursor(computer, error, actions):
    """The cursor term of an error in every latent frame but the first, and its gradient."""
    return jax.value_and_grad(lambda e: cursor_loss(computer, e[:, 1:], actions))(error)


def test_an_action_is_active_where_its_window_and_its_lag_put_it():
    made, encoded = acting()
    assert made.data.frames == 5, "the click is in video frame 1 or 2, the key in 3 or 4: both in latent frame 1"
    assert active(encoded.actions, Alignment())[..., 0].tolist() == [[False, True]] * 4
    assert not active(encoded.actions, Alignment(lag=4))[..., 0].any(), "its effect is expected after the video"
    assert active(encoded.actions, Alignment(window=2))[..., 0].tolist() == [[False, True]] * 4


def test_the_cursor_term_sees_only_where_the_pointer_is():
    made, encoded = acting()
    shape = encoded.latents.shape
    gradient = np.asarray(at_the_cursor(made.computer, np.ones(shape, np.float32), encoded.actions)[1])
    assert abs(gradient[:, 0]).max() == 0, "frame 0 is given"
    x, y = np.asarray(encoded.actions.mouse)[0, -1]
    column, row = int(x) // 8, int(y) // 8
    assert gradient[0, 1, row, column].min() > 0
    far = np.ones(shape[2:4], bool)
    far[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3] = False
    assert abs(gradient[0, 1][far]).max(initial=0) == 0
    three, _ = at_the_cursor(made.computer, np.full(shape, 3, np.float32), encoded.actions)
    np.testing.assert_allclose(three, 3, rtol=1e-6)


def test_a_pointer_that_is_nowhere_weighs_nothing():
    made, encoded = acting()
    ones = np.ones(encoded.latents.shape, np.float32)
    gone = encoded.actions._replace(mouse=np.full_like(encoded.actions.mouse, np.nan))
    assert at_the_cursor(made.computer, ones, gone)[0] == 0
    with pytest.raises(ValueError, match=r"objective.cursor: .*train on videos with actions, or set it to 0"):
        cursor_loss(made.computer, jnp.asarray(ones), None)


@functools.cache
def weighed():
    """((loss, terms), gradient of the term `future`) of the objective with every term."""
    made, encoded = acting()
    objective = made.trainer.objective

    def future(network):
        loss, terms = objective(made.computer, network, encoded, jax.random.key(0))
        return terms["loss_future"], (loss, terms)

    (_, values), gradient = jax.jit(jax.value_and_grad(future, has_aux=True))(builders.params(made).network)
    return values, gradient


def test_terms_are_weighed_by_config_and_reported_apart():
    made, encoded = acting()
    (loss, metrics), _ = weighed()
    assert set(metrics) == {"loss", "loss_flow", *(f"loss_{name}" for name in WEIGHTS)}
    total = metrics["loss_flow"] + sum(weight * metrics[f"loss_{name}"] for name, weight in WEIGHTS.items())
    np.testing.assert_allclose(loss, total, rtol=1e-6)
    plain = jax.jit(Objective(), static_argnums=0)
    alone, only = plain(made.computer, builders.params(made).network, encoded, jax.random.key(0))
    assert set(only) == {"loss", "loss_flow"}
    np.testing.assert_allclose(alone, metrics["loss_flow"], rtol=1e-6)


def test_the_future_is_predicted_and_never_made_to_fit():
    """Of the term `future`, nothing reaches the video's side: the blocks get no gradient."""
    _, gradient = weighed()
    assert max(abs(leaf).max() for leaf in jax.tree.leaves(gradient["dit"])) == 0
    assert max(abs(leaf).max() for leaf in jax.tree.leaves(gradient["heads"]["future"])) > 0


def test_an_average_without_weight_is_nothing():
    assert weighted_mean(jnp.ones(3), jnp.zeros(3)) == 0
