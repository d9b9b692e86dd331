"""Drift of a desktop: a machine that is right scores 1, a screen that never changes fails its clicks, kinds are kept apart."""

import functools

import jax
import numpy as np
import pytest

from neural_computer import ClipSource
from neural_computer.data.episodes import EpisodeWriter
from neural_computer.evals import desk_drift
from neural_computer.evals.desk_drift import DesktopRuns, Played, actions, clicks, report, same
from neural_computer.simulators.minidesk import kinds, sessions
from neural_computer.simulators.policies.brisk import USERS
from tests import builders
from tests.test_streaming import streaming

FRAMES, COUNT = 60, 2


@functools.cache
def used() -> tuple[sessions.Session, ...]:
    return tuple(sessions.session(USERS["brisk"], (5, number), FRAMES) for number in range(COUNT))


@functools.cache
def desktop(**changes) -> DesktopRuns:
    """Of a network that has learned nothing."""
    sizes = {"data__height": 64, "data__width": 64, "network__positions": (0, 4, 4), "network__window": 0}
    small = streaming("internal", **sizes, codec__channels=192, actions__schema="raw", **changes)
    params = builders.params(small)
    codec = small.computer.codec.fit([session.draw() for session in used()])
    return DesktopRuns(
        small.computer,
        params._replace(frozen=params.frozen._replace(codec=codec)),
        small.tokenizer,
        small.inputs,
    )


def test_a_right_run_scores_one_and_an_old_screen_fails_every_click():
    whole = np.ones((COUNT, FRAMES), bool)
    found = desk_drift.of_codec(desktop(), used())
    assert found["screens"] == found["clicks"] == 1 and found["psnr"] > 45 and found["first_errors"] == {"none": COUNT}
    assert found["horizons"]["30"]["of"] > 0 and found["horizons"]["30"]["clicks"] == 1
    old = [session.draw([0])[0] for session in used()]
    stale = [desk_drift.click_state(old[click.session], click.effect) for click in clicks(used())]
    assert np.mean(stale) < 0.5
    played = Played(whole, whole.astype(float), np.full(whole.shape, 30.0), np.asarray(stale), old[0][None])
    assert report(played, used())["clicks"] == np.mean(stale)


def test_clicks_are_those_of_buttons_that_show():
    found = clicks(used())
    by_kind = {kinds.KINDS[used()[click.session].kinds[click.frame]] for click in found}
    assert found and by_kind <= set(kinds.CLICKS)
    for click in found:
        assert (click.effect["with"] != click.effect["without"]).any()


def test_a_screen_is_wrong_where_one_block_has_changed():
    truth = used()[0].draw()[None]
    shown = truth.copy()
    shown[0, 7, 8:16, 8:16] = 255 - shown[0, 7, 8:16, 8:16]
    right = same(shown, truth)
    assert right.shape == (1, FRAMES, 8, 8) and not right[0, 7, 1, 1] and right.sum() == FRAMES * 64 - 1


def test_runs_begin_with_the_true_screen_and_single_steps_are_closed_loops():
    mine, played = desktop(), desktop().play(used())
    assert played.right.shape == played.psnr.shape == (COUNT, FRAMES) and played.right[:, 0].all()
    assert played.clicks.shape == (len(clicks(used())),) and len(played.pictures) == desk_drift.PLACES
    np.testing.assert_array_equal(played.pictures[0], used()[0].draw([0])[0])
    still = mine.play(used(), still=True)
    assert (still.pictures[-1] != played.pictures[-1]).any()
    found = mine.exactness(used(), COUNT)
    assert set(found) <= set(kinds.KINDS) and set(found.values()) <= {0.0, 0.5, 1.0}


def test_a_frames_actions_are_those_that_training_has_of_it(tmp_path):
    """Of every frame by itself, as it comes, as of a clip of two frames: nothing of a later frame is in them."""
    with EpisodeWriter(tmp_path, "train", window=2) as writer:
        writer.write(sessions.simulated(USERS["brisk"], (5, 0), "a", FRAMES))
    mine, clips = desktop(), ClipSource(tmp_path, "train", 2)
    streamed = actions(mine, used()[:1])
    for number in range(FRAMES - 1):
        trained = mine.inputs(clips[number])
        now = jax.tree.map(lambda x, number=number: x[number, 0, 0], (streamed.raw, streamed.mouse))
        np.testing.assert_array_equal(now[0], trained.raw[1], err_msg=str(used()[0].events[number + 1]))
        np.testing.assert_array_equal(now[1], trained.mouse[1])


def test_a_chunk_of_several_frames_has_no_actions_of_its_own():
    with pytest.raises(ValueError, match="a chunk has 2 frames"):
        desktop(network__chunk=2)
