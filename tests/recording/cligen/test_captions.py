"""Captions by template on real recordings: as long as the paper's, distinct, and literal only where they should be."""

from pathlib import Path

import numpy as np
import pytest

from neural_computer.recording.cligen import captions, clip_store
from neural_computer.recording.cligen.captions import quotation, script, with_answer, words
from neural_computer.recording.cligen.general import General
from neural_computer.recording.terminal import tape
from tests import needs

CASTS = Path(__file__).resolve().parents[4] / "shared" / "data" / "casts" / "sessions"
PAPER = {"semantic": 55, "regular": 52, "detailed": 76}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    needs.package("avt", "recording")
    if not CASTS.is_dir():
        pytest.skip("no recordings beside the checkout (shared/data/casts/sessions)")
    path = tmp_path_factory.mktemp("captions") / "all.npz"
    General()(sorted(CASTS.glob("*.cast")), path)
    return list(clip_store.load(path))


@pytest.mark.slow
@pytest.mark.parametrize("tier", captions.TIERS)
def test_captions_are_as_long_as_the_papers(clips, tier):
    length = np.mean([len(each.captions[tier].split()) for each in clips])
    assert 0.8 * PAPER[tier] <= length <= 1.2 * PAPER[tier]


@pytest.mark.slow
def test_semantic_captions_differ_and_quote_nothing(clips):
    texts = [each.captions["semantic"] for each in clips]
    assert len(set(texts)) >= 0.9 * len(texts)
    quoting = {each.id: quote for each in clips if (quote := quotation(each.captions["semantic"], each.clip))}
    assert not quoting


@pytest.mark.slow
def test_regular_captions_quote(clips):
    """So that the test above can fail: the regular captions do quote."""
    assert sum(quotation(each.captions["regular"], each.clip) is not None for each in clips) > 0.5 * len(clips)


@pytest.mark.slow
def test_detailed_captions_hold_the_words_on_the_last_screen(clips):
    shares = []
    for each in clips:
        there = set(words(each.clip.texts[-1]))
        said = set(words(each.captions["detailed"].replace(" / ", " ")))
        if there:
            shares.append(len(there & said) / len(there))
    assert np.mean(shares) >= 0.8 and np.median(shares) >= 0.8


def test_a_script_is_its_tape():
    script_tape = tape.parse(
        'Set TypingSpeed 70ms\nSleep 1s\nType "python"\nEnter\nType \'a "b"\'\nEnter 2\nCtrl+C\nHide\n'
    )
    assert script(script_tape) == 'Type "python"; Enter; Type "a "b""; Enter 2; Ctrl+C'


def test_half_of_the_captions_have_the_answer_the_same_half_every_time():
    answers = [with_answer("caption", "5", f"clip{i}", seed=0).endswith("caption The answer is 5") for i in range(400)]
    assert 150 < sum(answers) < 250
    assert answers == [with_answer("caption", "5", f"clip{i}", seed=0) != "caption" for i in range(400)]
    assert answers != [with_answer("caption", "5", f"clip{i}", seed=1) != "caption" for i in range(400)]
