"""A curriculum: what is drawn changes at a batch, and a resume or a second process sees the same."""

from itertools import islice

import numpy as np
import pytest

from neural_computer.data import pipeline
from neural_computer.data.stages import Stage, StagedSource, begins
from neural_computer.data.tokens import ByteTokenizer
from neural_computer.types import Clip


def source(name: str, count: int = 7) -> list[Clip]:
    return [Clip(f"{name}{i}", np.full((1, 2, 2, 3), ord(name), np.uint8), 5.0) for i in range(count)]


STAGED = StagedSource({0: source("a"), 2: source("b"), 5: source("c", 9)})


def some(count: int, **settings):
    options = {"tokenizer": ByteTokenizer(4), "captions": {}, "batch_size": 4, "seed": 3} | settings
    return list(islice(pipeline.batches(STAGED, **options), count))


def test_every_batch_is_of_its_stage():
    batches = some(7)
    assert [chr(batch.video.max()) for batch in batches] == list("aabbbcc")
    assert all((batch.video == batch.video.max()).all() for batch in batches)
    assert [i for batch in batches for i in batch.index] == list(range(28))


@pytest.mark.parametrize("start", [0, 1, 2, 4, 5, 6])
def test_a_resume_in_any_stage_is_an_integer(start):
    for whole, rest in zip(some(8)[start:], some(8 - start, start=start), strict=True):
        for x, y in zip(
            (whole.index, whole.video, whole.text.ids), (rest.index, rest.video, rest.text.ids), strict=True
        ):
            np.testing.assert_array_equal(x, y)


def test_two_processes_see_the_same_batches():
    halves = [some(6, process_index=p, process_count=2) for p in range(2)]
    for number, whole in enumerate(some(6)):
        index = np.concatenate([half[number].index for half in halves])
        assert sorted(index) == list(whole.index)


def test_clips_of_a_batch_are_named_by_its_stage():
    names = [pipeline.clip_ids(STAGED, batch_size=4, seed=3, batch=batch) for batch in (1, 4, 5)]
    assert [{name[0] for name in each} for each in names] == [{"a"}, {"b"}, {"c"}]


def test_as_a_source_it_is_its_last_stage():
    assert len(STAGED) == 9 and STAGED[8].id == "c8"
    assert list(STAGED.after(3)) == [Stage(STAGED.stages[1].source, 3, 5), STAGED.stages[2]]


@pytest.mark.parametrize("numbers", [[], [1], [0, 5, 2]])
def test_stages_begin_at_0_and_rise(numbers):
    with pytest.raises(ValueError, match="the first at 0"):
        StagedSource(dict.fromkeys(numbers, []))


def test_steps_of_a_config_are_whole_numbers():
    assert begins({"0": {"add": 1.0}, "50": {}}) == {0: {"add": 1.0}, 50: {}}
    with pytest.raises(ValueError, match="whole numbers"):
        begins({"soon": {}})
