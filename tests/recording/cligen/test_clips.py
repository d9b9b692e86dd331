"""Clips: where recordings are cut, and that nothing moves between pictures, keys and time."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from neural_computer.recording.cligen import clips
from neural_computer.recording.cligen.clips import Cutting, clip, cut, cuts, spans
from neural_computer.recording.terminal import cast
from neural_computer.recording.terminal.cast import Cast, Entry
from neural_computer.recording.terminal.replay import Playing, Replay, replay
from tests import needs
from tests.recording.terminal.test_cast import CASTS, shipped

needs.package("avt", "recording")

FPS = 15.0


def played(*entries: tuple[float, str], rows: int = 6, idle: float = 60.0) -> Replay:
    outputs = tuple(Entry(time, "o", text) for time, text in entries)
    return replay(Cast(40, rows, outputs), Playing(idle=idle))


def lines(*words: str) -> str:
    return "".join(f"{word}\r\n" for word in words)


def typing(seconds: float, every: float = 0.2) -> list[tuple[float, str]]:
    """Something new on every fifth of a second."""
    return [(i * every, f"{i} ") for i in range(round(seconds / every) + 1)]


def test_every_clip_has_4k_1_frames_and_a_short_one_repeats_its_last():
    result, frozen = cut(played(*typing(2)))
    assert len(result) == 1 and frozen == 0
    assert len(result[0].index) == 81 and result[0].speed == 1
    assert set(result[0].texts[30:]) == {result[0].texts[30]} and result[0].texts[29] != result[0].texts[30]


def test_a_long_one_is_uniformly_subsampled():
    whole = played(*typing(10))
    result = clip(whole, 0, 150, 81)
    assert len(result.index) == 81 and result.speed == 150 / 80
    assert result.texts[0] == whole.texts[0] and result.texts[-1] == whole.texts[150]
    assert result.texts == tuple(whole.texts[i * 150 // 80] for i in range(81))


def test_a_cut_falls_on_a_cleared_screen_before_a_prompt_before_a_pause():
    page = lines(*"abcd")
    calm = played((0, page), (4, "x"), (5, "\x1b[2J\x1b[Hnew"), (6, "y"))
    assert cuts(calm) == {59: clips.PAUSE, 75: clips.CLEAR, 74: clips.PAUSE, 89: clips.PAUSE}
    assert cuts(played((0, "$ "), (0.2, "ls"), (0.4, "\r\n"), (0.6, "a\r\n$ "))) == {9: clips.PROMPT}
    result = cut(played(*typing(4), (4.2, "\r\n$ "), *((t + 4.4, x) for t, x in typing(4)))).clips
    assert result[0].texts[-1].split("\n")[2].rstrip() == "$" == result[1].texts[0].split("\n")[2].rstrip()


@pytest.mark.parametrize("text", ["$ ", "user@host:~$ ", "# ", ">>> ", "~/code ❯ ", "[a@b c]% ", "(env) $ ", "> "])
def test_prompts(text):
    assert clips.PROMPT in cuts(played((0, "working"), (1, "\r\n" + text))).values()


@pytest.mark.parametrize("text", ["", "done.", "100%|####", "a > b", "x -> y->z", "costs 5$ more"])
def test_no_prompts(text):
    assert clips.PROMPT not in cuts(played((0, "working"), (1, "\r\n" + text))).values()


def test_scrolling_clears_no_screen():
    steps = [(i * 0.2, f"\r\nline {i}") for i in range(30)]
    assert clips.CLEAR not in cuts(played(*steps)).values()


def test_what_does_not_move_is_dropped_and_counted():
    result = cut(played((0, "still"), (30, "moves"), (30.2, "on"), (30.4, "and on")))
    assert result.frozen == 5 and len(result.clips) == 1
    assert cut(played()) == ([], 1)


def test_one_clip_ends_with_the_frame_that_the_next_begins_with():
    ranges = list(spans(played(*typing(60)), Cutting()))
    assert ranges[0][0] == 0 and ranges[-1][1] == 900
    assert all(first == last for (_, last), (first, _) in zip(ranges, ranges[1:], strict=False))
    assert all(30 <= last - first <= 150 for first, last in ranges)


def test_overlap_and_stride():
    whole = played(*typing(60))
    for (_, last), (first, _) in zip(ranges := list(spans(whole, Cutting(overlap=1.0))), ranges[1:], strict=False):
        assert first == last - 15
    ranges = list(spans(whole, Cutting(stride=2.0)))
    assert [first for first, _ in ranges] == list(range(0, 900, 30))
    assert all(last == min(first + 75, 900) for first, last in ranges)


@pytest.mark.parametrize(
    "wrong", [{"frames": 80}, {"frames": 1}, {"overlap": 2.0}, {"overlap": -1.0}, {"stride": 0.0}, {"shortest": 6.0}]
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Cutting(**wrong)


presses = st.lists(st.floats(0, 30).map(lambda time: round(time, 3)), min_size=1, max_size=30).map(sorted)


@given(presses, st.sampled_from([5, 9, 81]), st.sampled_from([0.0, 1.0]))
@example([1.178, 9.438, 10.0], 5, 0.0)  # the last press is a rounding error after the last frame
@settings(deadline=None)
def test_no_key_stands_after_the_frame_that_shows_it_and_none_is_lost(times, frames, overlap):
    """Every key writes its number at once; so the picture tells which keys came before it."""
    entries = []
    for number, time in enumerate(times):
        entries += [Entry(time, "i", "a"), Entry(time, "o", f"\x1b[H{number + 1:3d}")]
    whole = replay(Cast(20, 2, tuple(entries)), Playing(idle=99))
    count = 0
    for first, last in spans(whole, Cutting(overlap=overlap)):
        part = clip(whole, first, last, frames)
        before = int(part.texts[0][:3].strip() or 0) if first else 0
        for frame, text in enumerate(part.texts):
            pressed = before + sum(event.time <= frame / FPS + 1e-9 for event in part.events)
            assert pressed >= int(text[:3].strip() or 0)
        assert pressed == int(text[:3].strip() or 0) and all(event.time >= 0 for event in part.events)
        count += len(part.events)
    assert count == len(times) if not overlap else count >= len(times)


@shipped
@pytest.mark.slow
def test_all_sessions_become_clips():
    """Each of the 52, and what stands in the clips is what stood in the recording."""
    counts = {}
    for path in sorted((CASTS / "sessions").glob("*.cast")):
        whole = replay(cast.read(path))
        pieces, _ = cut(whole)
        counts[path.name] = len(pieces)
        texts = set(whole.texts)
        assert all(
            len(part.index) == 81 and len(part.screens.chars) > 1 and set(part.texts) <= texts for part in pieces
        )
        assert all(0 <= event.time <= 81 / FPS for part in pieces for event in part.events)
        starts = np.diff([part.start for part in pieces])
        assert (starts >= 2).all()
    assert len(counts) == 52 and min(counts.values()) >= 1
    assert sum(counts.values()) > 250
