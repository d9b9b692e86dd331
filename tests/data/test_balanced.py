"""Clips drawn by kind: the shares are kept, and what the frames show is what they are said to."""

import dataclasses

import numpy as np
import pytest

from neural_computer.data import pipeline
from neural_computer.data.balanced import BalancedSource
from neural_computer.data.episodes import EpisodeWriter
from neural_computer.data.inputs import ActionFeaturizer
from neural_computer.data.kinds import labels, of_meta
from neural_computer.data.tokens import ByteTokenizer
from neural_computer.data.windows import ClipSource
from neural_computer.simulators.tty import sessions
from neural_computer.simulators.tty.kinds import KINDS, SHARES
from neural_computer.simulators.tty.typists import TYPISTS

SESSIONS, FRAMES = 6, 600


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Sessions of a few records each."""
    folder = tmp_path_factory.mktemp("tty")
    with EpisodeWriter(folder, "train", window=3) as writer:
        for number in range(SESSIONS):
            writer.write(sessions.simulated(TYPISTS["brisk"], (4, number), f"tty/{number}", FRAMES))
    return folder


def balanced(folder, shares=SHARES, seed=0, window=3) -> BalancedSource:
    return BalancedSource(ClipSource(folder, "train", window), shares, seed)


def last_kind(clip) -> str:
    names, kinds = of_meta(clip.meta)
    return names[kinds[clip.start + len(clip.frames) - 1]]


def test_kinds_are_stored_and_read():
    every = np.arange(len(KINDS), dtype=np.uint8)
    meta = labels(every, KINDS)
    assert meta["kinds"] == "0123456789ab"
    names, kinds = of_meta(meta)
    assert names == KINDS and kinds.tolist() == every.tolist()
    for text in ("0g", "0f"):
        with pytest.raises(ValueError, match=f"kinds='{text}'"):
            of_meta(meta | {"kinds": text})
    with pytest.raises(ValueError, match="no kinds"):
        of_meta({})


def test_a_clips_kind_is_that_of_its_last_frame(folder):
    """Through record borders too: as the sessions say when they are played again."""
    source = ClipSource(folder, "train", 3)
    names, kinds = source.kinds()
    played = [sessions.session(TYPISTS["brisk"], (4, number), FRAMES) for number in range(SESSIONS)]
    assert names == KINDS and len(kinds) == len(source) == SESSIONS * (FRAMES - 2)
    np.testing.assert_array_equal(kinds, np.concatenate([each.kinds[2:] for each in played]))


def test_shares_are_kept(folder):
    shares = {"idle": 1.0, "sum": 2.0, "cleared": 1.0}
    mine = balanced(folder, shares)
    found = [last_kind(clip) for clip in mine[:1000]]
    counts = np.asarray([found.count(name) for name in KINDS]) / 1000
    np.testing.assert_allclose(counts, [shares.get(name, 0) / 4 for name in KINDS], atol=0.05)
    assert sum(SHARES.values()) == pytest.approx(1)


def test_items_are_a_function_of_the_arguments(folder):
    one, same, other = balanced(folder), balanced(folder), balanced(folder, seed=5)
    pairs = [(clip.id, clip.start) for clip in one[:50]]
    assert pairs == [(clip.id, clip.start) for clip in same[:50]] != [(clip.id, clip.start) for clip in other[:50]]
    assert repr(one) == repr(same) != repr(other) and one[-1].start == one[len(one) - 1].start
    with pytest.raises(IndexError):
        one[len(one)]


def test_the_pipeline_batches_it(folder):
    """The key of a clip is among the flags of frame 1; what frame 1 shows without one is frame 0 again."""
    tokenizer, mine = ByteTokenizer(16), balanced(folder, {"idle": 1.0, "character": 1.0}, window=2)
    inputs, options = ActionFeaturizer(tokenizer, 4), {"captions": {"plain": 1.0}, "batch_size": 32, "seed": 0}
    batch = next(pipeline.batches(mine, tokenizer=tokenizer, inputs=inputs, **options))
    assert batch.video.shape == (32, 2, 48, 128, 3) and batch.actions.valid.all()
    pressed = batch.actions.raw[:, 1].sum(-1)
    assert not batch.actions.raw[:, 0].any() and set(pressed) == {0, 1}
    still = (batch.video[:, 0] == batch.video[:, 1]).all(axis=(1, 2, 3))
    assert still[pressed == 0].all() and not still[pressed == 1].all()


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"tab": 1.0}, "shares='tab': unknown; one of idle"),
        ({}, "shares={}"),
        ({"idle": -1.0}, "not negative"),
        ({"down": 0.5}, r"shares\['down'\]=0.5: no clip ends with such a frame"),
    ],
)
def test_shares_that_cannot_be_kept_are_named(folder, shares, message):
    with pytest.raises(ValueError, match=message):
        balanced(folder, shares)


def test_episodes_without_kinds_are_named(tmp_path):
    with EpisodeWriter(tmp_path, "train", window=3) as writer:
        writer.write(dataclasses.replace(sessions.simulated(TYPISTS["brisk"], 0, "tty/0", 20), meta={}))
    with pytest.raises(ValueError, match="record 0 has no kinds of frames; leave config.data.shares empty"):
        balanced(tmp_path)
