"""Keys as events."""

import pytest

from neural_computer.data.events import typed


def test_keys_are_pressed_between_frames_and_named_ones_in_brackets():
    events, frames = typed("a<Return><<b", 10.0)
    assert [event.key for event in events] == ["a", "Return", "<", "b"] and frames == 5
    assert [event.time for event in events] == pytest.approx([0.05, 0.15, 0.25, 0.35])
    later, frames = typed("ab", 10.0, every=3)
    assert [event.time for event in later] == pytest.approx([0.05, 0.35]) and frames == 7


@pytest.mark.parametrize("text", ["<Return", "a<", "<>"])
def test_a_name_that_ends_nowhere_is_named(text):
    with pytest.raises(ValueError, match="a key's name begins with < and ends with >"):
        typed(text, 10.0)
