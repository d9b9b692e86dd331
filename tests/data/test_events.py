"""Keys as events."""

import numpy as np
import pytest

from neural_computer.data.events import typed
from neural_computer.data.inputs import ActionFeaturizer
from neural_computer.data.tokens import ByteTokenizer


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


def test_where_flags_say_what_is_typed_texts_need_no_room():
    events, frames = typed("abcdefgh", 10.0)
    with pytest.raises(ValueError, match="8 different texts are typed in it"):
        ActionFeaturizer(ByteTokenizer(4), 2).of("keys", events, None, frames, 10.0, (16, 16))
    flags = ActionFeaturizer(ByteTokenizer(4), 2, typed=False).of("keys", events, None, frames, 10.0, (16, 16))
    assert not flags.texts.ids.any() and not flags.meta.text.any()
    assert len(np.unique(flags.raw[1:], axis=0)) == 8
