"""What is denoised, from what: every chunk at a time of its own, after true ones that may be noisy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_computer.train.corruption import begun, diffusion_forcing, teacher_forcing
from neural_computer.train.objective import Objective
from tests import builders
from tests.test_streaming import encoded, streaming

ROWS = 64


@functools.cache
def many(**changes):
    """(computer, a batch of many rows) of a streaming computer."""
    small = streaming("internal", **changes)
    return small.computer, encoded(small, ROWS)


def corrupted(kind, objective, **changes):
    computer, video = many(**changes)
    return kind(objective, computer, video, jax.random.key(0)), video


def test_the_noisy_stream_is_the_video_after_its_first_frame_and_the_context_the_one_before():
    noisy, video = corrupted(teacher_forcing, Objective(kind="teacher_forcing"))
    assert noisy.streams == 2
    np.testing.assert_array_equal(noisy.x0, video.latents[:, 1:])
    np.testing.assert_array_equal(noisy.z[:, :4], video.latents[:, :4])
    np.testing.assert_array_equal(noisy.t[:, :4], 0)
    before = noisy.conditioning.cond[..., 1:]
    np.testing.assert_array_equal(before[:, 4:], video.latents[:, :4])
    np.testing.assert_array_equal(before[:, 1:4], video.latents[:, :3])
    t = np.asarray(noisy.t[:, 4:, None, None, None])
    np.testing.assert_allclose(noisy.z[:, 4:], (1 - t) * noisy.x0 + t * noisy.eps, atol=1e-6)


def test_without_a_window_the_context_is_the_condition_alone():
    noisy, video = corrupted(teacher_forcing, Objective(kind="teacher_forcing"), network__window=0)
    assert noisy.streams == 1
    np.testing.assert_array_equal(noisy.conditioning.cond[..., 1:], video.latents[:, :4])


def test_frames_of_a_chunk_share_time_and_the_last_frame_before_them():
    noisy, video = corrupted(teacher_forcing, Objective(kind="teacher_forcing"), network__chunk=2, network__window=1)
    np.testing.assert_array_equal(noisy.t[:, 4::2], noisy.t[:, 5::2])
    still, second = video.latents[:, 0], video.latents[:, 2]
    for place, expected in (
        (0, still),
        (1, still),
        (2, still),
        (3, still),
        (4, still),
        (5, still),
        (6, second),
        (7, second),
    ):
        np.testing.assert_array_equal(noisy.conditioning.cond[:, place, ..., 1:], expected)


def test_half_of_the_history_is_noisy_and_condition_and_context_alike():
    noisy, video = corrupted(teacher_forcing, Objective(kind="teacher_forcing", history_noise=0.6))
    context, clean = np.asarray(noisy.z[:, :4]), np.asarray(video.latents[:, :4])
    np.testing.assert_array_equal(noisy.conditioning.cond[:, 4:, ..., 1:], context)
    changed = (context != clean).any((2, 3, 4))
    assert 0.4 < changed.mean() < 0.6
    # (1 - s) z + s e has the deviation of (s^2 + ...): never more than noise of level .6 brings.
    assert 0.1 < np.abs(context - clean)[changed].mean() < 1.2


def test_a_share_of_the_times_is_pure_noise():
    noisy, _ = corrupted(teacher_forcing, Objective(kind="teacher_forcing", pure_noise=0.75))
    t = np.asarray(noisy.t[:, 4:])
    assert 0.68 < (t == 1).mean() < 0.82 and t.min() < 0.5
    noisy, _ = corrupted(teacher_forcing, Objective(kind="teacher_forcing"))
    assert (np.asarray(noisy.t) < 1).all()


def test_diffusion_forcing_sees_frames_as_noisy_as_they_are_and_scores_all_but_the_first():
    noisy, video = corrupted(diffusion_forcing, Objective(kind="diffusion_forcing"))
    assert noisy.streams == 1 and noisy.scored == slice(1, None)
    np.testing.assert_array_equal(noisy.z[:, 0], video.latents[:, 0])
    np.testing.assert_array_equal(noisy.conditioning.cond[:, 1:, ..., 1:], noisy.z[:, :-1])
    assert len(np.unique(np.asarray(noisy.t)[:, 1:])) == noisy.t[:, 1:].size
    np.testing.assert_array_equal(noisy.t[:, 0], 0)


def test_nothing_happens_yet_in_the_first_frame():
    small = streaming()
    actions = builders.actions(small, 2)
    actions = jax.tree.map(jnp.asarray, actions._replace(raw=np.ones_like(actions.raw)))
    after = begun(actions)
    assert not np.asarray(after.raw[:, 0]).any() and np.isnan(after.mouse[:, 0]).all()
    np.testing.assert_array_equal(after.raw[:, 1:], actions.raw[:, 1:])
    assert begun(None) is None


def test_dropped_actions_are_those_of_no_record():
    small = streaming()
    video = encoded(small, ROWS)
    valid = Objective(kind="teacher_forcing", dropout_actions=0.5).dropped(video, jax.random.key(0)).actions.valid
    assert 0.3 < np.mean(valid) < 0.7


@pytest.mark.parametrize("kind", ["teacher_forcing", "diffusion_forcing"])
def test_the_loss_falls_on_one_batch(kind):
    small = streaming("internal", objective__kind=kind, optimizer__learning_rate=5e-3, optimizer__warmup_steps=0)
    video, state = encoded(small), builders.start(small)
    frozen = builders.frozen(small)

    def step(state, _):
        state, metrics = small.trainer.update(state, frozen, video, 0)
        return state, metrics["loss"]

    _, losses = jax.jit(lambda state: jax.lax.scan(step, state, length=30))(state)
    assert jnp.isfinite(losses).all() and losses[-1] < 0.7 * losses[0]
