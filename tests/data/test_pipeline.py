from itertools import islice

import numpy as np
import pytest

from neural_computer.data import pipeline
from neural_computer.data.tokens import ByteTokenizer
from neural_computer.data.windows import ClipSource

TOKENIZER = ByteTokenizer(40)


def some(videos, count=4, size=8, **settings):
    options = {"tokenizer": TOKENIZER, "captions": {"plain": 1.0}, "batch_size": size, "seed": 3} | settings
    return list(islice(pipeline.batches(ClipSource(videos, "train", 5), **options), count))


def test_an_epoch_is_every_window_once(videos):
    count = len(ClipSource(videos, "train", 5))
    batches = some(videos, count=count, size=2)
    seen = [row.tobytes() for batch in batches[: count // 2] for row in batch.video]
    assert len(set(seen)) == len(seen)
    assert [i for batch in batches for i in batch.index] == list(range(2 * count))


def test_a_resume_is_an_integer(videos):
    whole, rest = some(videos, 6), some(videos, 2, start=4)
    for a, b in zip(whole[4:], rest, strict=True):
        for x, y in zip(a[:3], b[:3], strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("processes", [2, 4])
def test_any_number_of_processes_sees_the_same_batches(videos, processes):
    shares = [some(videos, process_index=p, process_count=processes) for p in range(processes)]
    for number, whole in enumerate(some(videos)):
        rows = {i: (v, t) for share in shares for i, v, t in zip(*share[number][:3], strict=True)}
        assert sorted(rows) == list(whole.index)
        for i, video, text in zip(*whole[:3], strict=True):
            np.testing.assert_array_equal(rows[i][0], video)
            np.testing.assert_array_equal(rows[i][1], text)


def test_captions_are_drawn_by_their_shares(videos):
    class Two(ClipSource):
        def __getitem__(self, i):
            window = super().__getitem__(i)
            window.captions["answered"] = "!"
            return window

    batches = pipeline.batches(
        Two(videos, "train", 5), tokenizer=TOKENIZER, captions={"plain": 0.25, "answered": 0.75}, batch_size=200, seed=0
    )
    share = (next(batches).text[:, 0] == ord("!") + 1).mean()
    assert 0.6 < share < 0.9


def test_a_missing_tier_is_named(videos):
    with pytest.raises(ValueError, match="no caption of tier 'answered', only plain"):
        some(videos, captions={"answered": 1.0})


def test_a_caption_that_is_too_long_is_refused():
    with pytest.raises(ValueError, match="has 5 bytes, text.length=4"):
        ByteTokenizer(4)(["abcde"])
