"""A name's split."""

import hashlib

import pytest

from neural_computer.data import splits


@pytest.mark.parametrize(("name", "split"), [("good0", "test"), ("good2", "train"), ("12+7", "train"), ("b", "train")])
def test_the_split_of_a_name_is_its_own_for_ever(name, split):
    """A change of the rule would move recordings between the splits of data sets that exist."""
    assert splits.of(name) == split


def test_the_share_of_held_out_names_is_as_requested():
    names = [f"video {i}" for i in range(4000)]
    for share in (0.1, 0.5):
        assert abs(sum(splits.of(name, share) == "test" for name in names) / len(names) - share) < 0.02
    for share, split in ((0.0, "train"), (1.0, "test")):
        assert {splits.of(name, share) for name in names} == {split}
    held_out = {name for name in names if splits.of(name) == "test"}
    assert held_out < {name for name in names if splits.of(name, 0.2) == "test"}


def test_the_boundary_is_the_first_eight_bytes_of_the_hash():
    number = int.from_bytes(hashlib.sha256(b"a").digest()[:8], "big") / 2**64
    assert splits.of("a", number * 0.999) == "train" and splits.of("a", number * 1.001) == "test"


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_that_is_none_is_rejected(share):
    with pytest.raises(ValueError, match=f"held_out={share}"):
        splits.of("a", share)
