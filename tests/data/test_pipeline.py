"""Batches: their order, their captions, and that neither resumes nor processes change them."""

from itertools import islice

import numpy as np
import pytest

from neural_computer.data import pipeline
from neural_computer.data.tokens import ByteTokenizer
from neural_computer.data.windows import ClipSource
from neural_computer.types import Clip

TOKENIZER = ByteTokenizer(40)


def some(videos, count=4, size=8, **settings):
    options = {"tokenizer": TOKENIZER, "captions": {"plain": 1.0}, "batch_size": size, "seed": 3} | settings
    return list(islice(pipeline.batches(ClipSource(videos, "train", 5), **options), count))


def captions(shares, count=200, tiers=("plain", "answered"), seed=0):
    """Captions of a batch whose clips have these tiers, each captioned by its tier's name."""
    source = [Clip(str(i), np.zeros((1, 2, 2, 3), np.uint8), 5.0, {tier: tier for tier in tiers}) for i in range(count)]
    stream = pipeline.batches(source, tokenizer=TOKENIZER, captions=shares, batch_size=count, seed=seed)
    return [bytes((row[row != 0] - 1).astype(np.uint8)).decode() for row in next(stream).text.ids]


def test_an_epoch_is_every_clip_once_and_the_next_has_another_order(videos):
    count = len(ClipSource(videos, "train", 5))
    batches = some(videos, count=count, size=2)
    rows = [row.tobytes() for batch in batches for row in batch.video]
    first, second = rows[:count], rows[count:]
    assert len(set(first)) == count and set(second) == set(first) and second != first
    assert [i for batch in batches for i in batch.index] == list(range(2 * count))
    assert batches[0].index.dtype == np.int32


def test_a_seed_is_an_order(videos):
    one, same, other = (some(videos, 1, seed=seed)[0].video for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_a_resume_is_an_integer(videos):
    whole, rest = some(videos, 6), some(videos, 2, start=4)
    for a, b in zip(whole[4:], rest, strict=True):
        for x, y in ((a.index, b.index), (a.video, b.video), (a.text.ids, b.text.ids)):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("processes", [2, 4])
def test_any_number_of_processes_sees_the_same_batches(videos, processes):
    local = [some(videos, process_index=p, process_count=processes) for p in range(processes)]
    for number, whole in enumerate(some(videos)):
        batches = [batches[number] for batches in local]
        rows = {i: (v, t) for b in batches for i, v, t in zip(b.index, b.video, b.text.ids, strict=True)}
        assert sorted(rows) == list(whole.index) and {len(b.index) for b in batches} == {8 // processes}
        for i, video, text in zip(whole.index, whole.video, whole.text.ids, strict=True):
            np.testing.assert_array_equal(rows[i][0], video)
            np.testing.assert_array_equal(rows[i][1], text)


def test_processes_must_divide_the_batch(videos):
    with pytest.raises(ValueError, match="batch_size=8: must be a multiple of the 3 processes"):
        some(videos, process_count=3)


def test_captions_are_drawn_by_their_shares():
    drawn = captions({"plain": 0.25, "answered": 0.75})
    assert 0.6 < np.mean([text == "answered" for text in drawn]) < 0.9


@pytest.mark.parametrize("scale", [0.1, 4.0])
def test_shares_need_not_sum_to_one(scale):
    assert captions({"plain": 0.25 * scale, "answered": 0.75 * scale}) == captions({"plain": 0.25, "answered": 0.75})


def test_a_tier_of_share_zero_is_never_drawn():
    assert set(captions({"plain": 0.0, "answered": 1e-3})) == {"answered"}


def test_without_tiers_the_caption_is_empty():
    assert set(captions({})) == {""}


@pytest.mark.parametrize("shares", [{"plain": -0.1, "answered": 1.0}, {"plain": 0.0}])
def test_shares_that_cannot_be_drawn_by_are_rejected(shares):
    with pytest.raises(ValueError, match="captions="):
        captions(shares)


def test_a_missing_tier_is_named(videos):
    with pytest.raises(ValueError, match="no caption of tier 'answered', only plain"):
        some(videos, captions={"answered": 1.0})


@pytest.mark.parametrize("text", ["abcd", ""])
def test_a_caption_may_fill_the_ids_and_be_empty(text):
    ids = ByteTokenizer(4)([text])
    assert ids.shape == (1, 4) and ids[0].tolist() == [ord(c) + 1 for c in text] + [0] * (4 - len(text))


def test_a_caption_that_is_too_long_is_rejected():
    with pytest.raises(ValueError, match="has 5 bytes, text.length=4"):
        ByteTokenizer(4)(["abcde"])
