"""Recordings played: what every frame shows, which keys came when, and what a bad recording can do, which is nothing."""

import os
import resource
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_computer.recording.terminal import cast, keys
from neural_computer.recording.terminal.cast import Cast, Entry
from neural_computer.recording.terminal.isolated_replay import ReplayProcess
from neural_computer.recording.terminal.replay import CELL, Playing, Replay, parts, replay
from neural_computer.screens.terminal import Atlas, Screen
from neural_computer.screens.themes import DEFAULT, MOCHA, THEMES
from tests import needs
from tests.fuzz import fuzz
from tests.recording.terminal.test_cast import CASTS, shipped
from tests.screens.test_terminal import OUTPUT, equal

needs.package("avt", "recording")


def recording(*entries: tuple[float, str, str], cols: int = 10, rows: int = 2, **meta) -> Cast:
    return Cast(cols, rows, tuple(Entry(*entry) for entry in entries), meta=meta)


def first_words(replay: Replay) -> list[str]:
    return [text.split("\n")[0].rstrip() for text in replay.texts]


def same(one: Replay, other: Replay) -> bool:
    fields = [(x.fps, x.markers, x.start, x.speed, [event[:4] for event in x.events]) for x in (one, other)]
    return fields[0] == fields[1] and equal(one.screens, other.screens) and np.array_equal(one.index, other.index)


def test_a_frame_shows_all_that_was_written_by_then():
    result = replay(recording((0, "o", "a"), (0.1, "o", "b"), (0.2, "o", "c"), (0.21, "o", "d")))
    assert result.fps == 15
    # Frames stand at multiples of 1/15 s: at 0.133 s the b of 0.1 s is there, at 0.2 s the c, at 0.267 s the d.
    assert first_words(result) == ["a", "a", "ab", "abc", "abcd"]


def test_only_different_screens_are_kept():
    result = replay(recording((0, "o", "a"), (1, "o", "b\b \b"), (2, "o", "\x1b[31m"), (3, "o", "b")))
    assert len(result.screens.chars) == 2 and result.index.tolist() == [0] * 45 + [1]


def test_nothing_written_is_one_empty_frame():
    result = replay(recording())
    assert first_words(result) == [""] and len(result.screens.chars) == 1


def test_pauses_are_cut_for_pictures_keys_and_markers_alike():
    cut = recording((0, "o", "a"), (3600, "i", "b"), (3600, "o", "b"), (3601, "m", "here"))
    result = replay(cut, Playing(idle=2.0))
    assert len(result.index) == 46 and first_words(result)[29:31] == ["a", "ab"]
    assert [(event.time, event.key) for event in result.events] == [(2.0, "b")] and result.markers == ((3.0, "here"),)
    assert len(replay(recording((0, "o", "a"), (9, "o", "b"), idle_time_limit=0.4)).index) == 7


def test_keys_by_name_replace_the_characters_that_were_sent():
    result = replay(recording((0, "o", "$ "), (1, "i", "\x1b[A"), (1, "o", "ls"), keys=[[1, "Up"], [1.5, "Return"]]))
    assert [(event.time, event.kind, event.key) for event in result.events] == [
        (1, "press", "Up"),
        (1.5, "press", "Return"),
    ]


KEYS = {
    "\r": "Return", "\t": "Tab", "\x7f": "BackSpace", "\x1b": "Escape", "\x03": "ctrl+c", "\x00": "ctrl+space",
    "a": "a", " ": " ", "é": "é", "\x1b[A": "Up", "\x1bOB": "Down", "\x1b[H": "Home", "\x1bOF": "End", "\x1b[3~": "Delete",
    "\x1b[5~": "Prior", "\x1b[6~": "Next", "\x1b[15~": "F5", "\x1bOP": "F1", "\x1b[Z": "shift+Tab",
    "\x1b[1;5C": "ctrl+Right", "\x1b[1;2D": "shift+Left", "\x1b[3;5~": "ctrl+Delete", "\x1bb": "alt+b", "\x1f": "ctrl+_",
}  # fmt: skip


@pytest.mark.parametrize("sent", KEYS)
def test_what_a_terminal_sends_is_read_back_as_a_key(sent):
    assert [event[:4] for event in keys.events(1.0, sent)] == [(1.0, "press", KEYS[sent], "")]


def test_several_characters_and_pastes_are_text_and_a_terminals_answers_are_nothing():
    def read(sent: str) -> list[str]:
        return [event.key or event.text for event in keys.events(0, sent)]

    assert read("ls\r") == ["ls", "Return"] and read("\x1b[200~a\rb\x1b[201~") == ["a\rb"]
    assert read("\x1b[?62;4c\x1b[12;40R\x1b]11;rgb:00/00/00\x1b\\\x1b[<0;3;4M\x1b[I\x1bP1$r0m\x1b\\") == []
    assert read("\x03\x03\x1b[A\x1b[A") == ["ctrl+c", "ctrl+c", "Up", "Up"]


@given(st.text())
@settings(deadline=1000)
def test_whatever_was_sent_is_read(sent):
    assert all(event.key or event.text for event in keys.events(0, sent))


def test_the_grid_is_the_largest_and_smaller_screens_stand_in_its_top_left():
    result = replay(
        recording((0, "o", "a"), (1, "r", "12x4"), (1, "o", "\x1b[4;12Hz"), (2, "r", "5x3"), cols=8, rows=2)
    )
    assert result.screens.chars.shape[1:] == (4, 12)
    assert result.texts[0].split("\n") == ["a" + " " * 11, *[" " * 12] * 3]
    assert result.texts[15].split("\n")[3] == " " * 11 + "z"


def test_a_recordings_theme_is_its_own_unless_another_is_asked_for():
    palette = ":".join(["#010203"] * 16)
    themed = recording((0, "o", "\x1b[31ma"), theme={"fg": "#ffffff", "bg": "#040506", "palette": palette})
    assert replay(themed).screens.fg[0, 0, 0].tolist() == [1, 2, 3]
    assert replay(themed).screens.bg[0, 0, 0].tolist() == [4, 5, 6]
    assert replay(themed, Playing(theme=MOCHA)).screens.bg[0, 0, 0].tolist() == list(MOCHA.bg)
    assert replay(recording((0, "o", "a"))).screens.bg[0, 0, 0].tolist() == list(DEFAULT.bg)


def test_videos_are_drawn_and_letterboxed():
    result = replay(recording((0, "o", "a"), (0.2, "o", "b")))
    assert result.video(Atlas()).shape == (4, 32, 80, 3)
    video = result.video(Atlas(), (48, 160))
    assert video.shape == (4, 48, 160, 3) and not np.array_equal(video[0], video[-1])


def test_some_frames_of_a_replay():
    whole = replay(recording((0, "o", "a"), (1, "o", "b"), (2, "o", "\b \b"), (3, "o", "c")))
    some = whole.at(np.asarray([0, 10, 44, 45]))
    # The b was left out: the a after it is no new screen.
    assert first_words(some) == ["a", "a", "a", "ac"] and len(some.screens.chars) == 2


def test_a_long_recording_comes_in_parts_that_show_the_same():
    entries = [(i / 15, "io"[i % 2], f"{i % 7}") for i in range(400)]
    long = recording(*entries, cols=20, rows=3)
    whole = replay(long)
    for playing in (Playing(max_bytes=20 * 3 * CELL * 7), Playing(max_frames=50)):
        pieces = list(parts(long, playing))
        assert len(pieces) > 5
        assert sum((part.texts for part in pieces), ()) == whole.texts
        assert all(part.screens.chars.size * CELL <= playing.max_bytes for part in pieces)
        events = [(event.time + part.start, event.key) for part in pieces for event in part.events]
        times, names = zip(*((event.time, event.key) for event in whole.events), strict=True)
        assert [time for time, _ in events] == pytest.approx(times) and tuple(key for _, key in events) == names
        with pytest.raises(ValueError, match="must be played in parts"):
            replay(long, playing)


# Recordings that nobody vouches for


def pages(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.fixture(scope="module")
def process():
    with ReplayProcess(memory=2**28, seconds=1.0) as process:
        yield process


def test_a_child_shows_the_same(process):
    entries = [(i / 5, "o", f"\x1b[3{i % 8};{i % 5}m日{i} ") for i in range(100)] + [(21.0, "i", "a"), (21.0, "m", "x")]
    plain = recording(*entries, cols=40, rows=10)
    child = process._child
    for _ in range(3):
        assert same(process.replay(plain), replay(plain))
    assert child is None or process._child is child
    with ReplayProcess(Playing(theme=MOCHA, idle=1.0, max_bytes=40 * 10 * CELL * 9)) as other:
        pieces = list(other.parts(plain))
        assert len(pieces) > 2 and all(map(same, pieces, parts(plain, other.playing)))


REPEATED = "x" + "\x1b[65535b" * 60_000
"""A character printed four billion times: in ever new rows, or, without wrapping, in one place"""

HARMFUL = {
    "an endless task": (recording((0, "o", "\x1b[?7l" + REPEATED), cols=80, rows=24), "took more than its seconds"),
    "rows without end": (recording((0, "o", REPEATED), cols=80, rows=24), "took more than its seconds|memory"),
    "screens without end": (
        recording(*((i / 15, "o", f"\x1b[{i % 900 + 1};1H{i}") for i in range(200)), cols=1000, rows=1000),
        "memory",
    ),
    "10^9 columns": (recording((0, "o", "a"), cols=10**9), "between 1 and 1000"),
    "0x0": (recording((0, "o", "a"), cols=0, rows=0), "between 1 and 1000"),
    "a resize to 10^9 columns": (recording((0, "o", "a"), (1, "r", "1000000000x24")), "between 1 and 1000"),
    "a resize to nothing": (recording((0, "o", "a"), (1, "r", "0x0")), "between 1 and 1000"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HARMFUL)
def test_a_harmful_recording_is_refused_and_the_next_is_played(process, name):
    harmful, reason = HARMFUL[name]
    with pytest.raises(ValueError, match=reason):
        list(process.parts(harmful))
    assert first_words(process.replay(recording((0, "o", "fine")))) == ["fine"]


def test_a_child_that_is_killed_is_an_error_and_the_next_one_plays(process):
    fine = recording((0, "o", "fine"))
    process.replay(fine)
    process._child.send_signal(signal.SIGKILL)
    with pytest.raises(ValueError, match="by signal 9"):
        process.replay(fine)
    assert first_words(process.replay(fine)) == ["fine"]


def test_parts_that_nobody_takes_do_not_mix_with_the_next_recording():
    with ReplayProcess(Playing(max_frames=20)) as process:
        played = process.parts(recording(*((i / 5, "o", str(i)) for i in range(100))))
        next(played)
        played.close()
        assert first_words(process.replay(recording((0, "o", "fine")))) == ["fine"]


def test_no_child_outlives_its_parent():
    process = ReplayProcess()
    process.replay(recording((0, "o", "fine")))
    child = process._child
    assert child is not None
    process._pipe.close()  # what the system does to a process that is killed
    assert child.wait(10) == 0
    process._child = None


@pytest.mark.slow
def test_a_quarter_of_an_hour_that_never_rests_takes_bounded_memory():
    """Every frame is new; neither process holds more than a few parts of it."""
    entries = tuple(Entry(i / 15, "o", f"\x1b[{i % 24 + 1};1H{i} of an hour without a pause") for i in range(13_500))
    most, before, frames = 2**22, pages(os.getpid()), 0
    with ReplayProcess(Playing(max_bytes=most)) as process:
        for part in process.parts(Cast(80, 24, entries)):
            frames += len(part.index)
            assert part.screens.chars.size * CELL <= most
            assert pages(os.getpid()) - before < 12 * most and pages(process._child.pid) < 20 * most
    assert frames == 13_500


@pytest.mark.slow
def test_a_line_of_three_megabytes_is_played(process):
    long = recording((0, "o", "\x1b[32mword " * 300_000), cols=80, rows=24)
    begin = time.monotonic()
    assert process.replay(long).texts[0].count("word") > 300
    assert time.monotonic() - begin < 20


casts = st.builds(
    Cast,
    st.integers(1, 40) | st.sampled_from([0, 1000, 10**9]),
    st.integers(1, 20) | st.sampled_from([0, 1000, 10**9]),
    st.lists(
        st.builds(Entry, st.floats(0, 100), st.just("o"), OUTPUT.map("".join))
        | st.builds(Entry, st.floats(0, 100), st.sampled_from("imx"), st.text(max_size=9))
        | st.builds(
            Entry, st.floats(0, 100), st.just("r"), st.sampled_from(["9x3", "1x1", "0x0", "1000x2", "9999999999x2"])
        ),
        max_size=6,
    ).map(lambda entries: tuple(sorted(entries, key=lambda entry: entry.time))),
)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Do not use the .random. module")
def test_no_recording_breaks_the_player(process, pytestconfig):
    """Whatever is played: an error that tells why, or frames on one clock; and the parent goes on."""

    def check(recording: Cast) -> None:
        try:
            played = list(process.parts(recording))
        except ValueError as error:
            assert any(word in str(error) for word in ("between 1 and 1000", "the emulator", "memory"))
            return
        for part in played:
            assert (np.diff(part.index) >= 0).all() and part.index[-1] == len(part.screens.chars) - 1
            assert all(0 <= event.time <= len(part.index) / part.fps for event in part.events)
            assert part.screens.chars.size * CELL <= process.playing.max_bytes

    assert fuzz(casts, check, pytestconfig.getoption("fuzz")) > 50


@shipped
@pytest.mark.slow
def test_all_sessions_look_the_same_in_a_child(process):
    for path in sorted((CASTS / "sessions").glob("*.cast")):
        recording = cast.read(path)
        played = process.replay(recording)
        assert same(played, replay(recording)), path.name
        screen = Screen(recording.rows, recording.cols)
        for entry in recording.entries:
            screen.feed(entry.data if entry.code == "o" else "")
        assert played.texts[-1] == screen.cells().text()


def test_themes_travel_to_the_child():
    for theme in THEMES.values():
        with ReplayProcess(Playing(theme=theme)) as process:
            assert process.replay(recording((0, "o", "a"))).screens.bg[0, 0, 0].tolist() == list(theme.bg)
