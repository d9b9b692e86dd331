import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_computer import Event
from neural_computer.actions.schema import FLAGS
from neural_computer.actions.schema import frames as schema
from neural_computer.actions.schema.log import read
from neural_computer.data import splits
from neural_computer.data.episodes import EpisodeWriter
from neural_computer.data.kinds import of_meta
from neural_computer.data.windows import ClipSource
from neural_computer.screens.prompts import PROMPT
from neural_computer.screens.terminal import Atlas, Screen, blank
from neural_computer.simulators.tty import commands, drawing, kinds, machine, sessions, stream
from neural_computer.simulators.tty.kinds import KINDS
from neural_computer.simulators.tty.machine import KEYS, Tty, press, start
from neural_computer.simulators.tty.typists import TYPISTS, Typist, keys, taken_back
from tests import needs


def type_(tty: Tty, *parts: str) -> Tty:
    """The terminal after some keys: a part that is no key is a text."""
    for part in parts:
        for key in (part,) if part in KEYS else part:
            tty = press(tty, key)
    return tty


def entered(*lines: str, rows: int = 5) -> Tty:
    return type_(start(rows), *itertools.chain.from_iterable((line, "Return") for line in lines))


def shown(tty: Tty) -> list[str]:
    """The rows of the screen without trailing blanks; the cursor is _."""
    text = machine.screen(tty).replace(machine.CURSOR, "_")
    return [text[i : i + tty.cols].rstrip() for i in range(0, len(text), tty.cols)]


# The line discipline


def test_a_fresh_terminal_shows_its_prompt():
    assert shown(start()) == [">>> _", "", ""]


def test_characters_are_echoed_and_taken_back():
    assert shown(type_(start(), "ab c", "BackSpace", "BackSpace", "d"))[0] == ">>> abd_"
    assert type_(start(), "a", "BackSpace", "BackSpace") == start()


@pytest.mark.parametrize(
    ("line", "output"),
    [
        ("date", ["1 jan 1970"]),
        ("", []),
        ("hello", ["hello"]),
        ("49+49", ["98"]),
        ("0-49", ["-49"]),
        ("07+3", ["10"]),
        ("50+1", ["50+1"]),
        ("1+2+3", ["1+2+3"]),
        ("1*2", ["1*2"]),
        ("+3", ["+3"]),
        (" date", [" date"]),
    ],
)
def test_a_line_is_run(line, output):
    expected = [f">>> {line}".rstrip(), *output, ">>> _"]
    assert shown(entered(line)) == expected + [""] * (5 - len(expected))


def test_clear_leaves_the_prompt_alone():
    assert shown(entered("hello", "clear")) == shown(start(5))


def test_a_full_screen_scrolls():
    assert shown(entered("a", "b", rows=3)) == [">>> b", "b", ">>> _"]
    assert shown(entered("a", "", rows=3)) == ["a", ">>>", ">>> _"]
    assert shown(entered("a", "b", rows=2)) == ["b", ">>> _"]
    assert shown(entered("a", "", rows=2)) == [">>>", ">>> _"]


@pytest.mark.parametrize("cols", [10, 16, 40])
def test_a_full_line_refuses_characters_and_nothing_else(cols):
    full = type_(start(3, cols), "x" * (cols + 5))
    assert shown(full)[0] == PROMPT + "x" * (cols - 5) + "_"
    assert press(full, "y") == full and len(press(full, "BackSpace").line) == cols - 6


@pytest.mark.parametrize(("rows", "cols", "side"), [(1, 16, "rows=1"), (3, 9, "cols=9"), (1001, 16, "rows=1001")])
def test_sizes_without_room_are_rejected(rows, cols, side):
    with pytest.raises(ValueError, match=side):
        start(rows, cols)


def test_history_goes_back_and_forward():
    tty = type_(entered("one", "two"), "dra")
    up = [tty := press(tty, key) for key in ("Up", "Up", "Up", "Down", "Down", "Down")]
    assert [each.line for each in up] == ["two", "one", "one", "two", "dra", "dra"]
    assert type_(entered("one", "two"), "Up", "Up", "Return", "Up").line == "one"
    assert type_(entered("one"), "Up", "s", "Return", "Up").line == "ones"


def test_clear_and_empty_lines_are_not_in_the_history():
    tty = entered("one", "clear", "", "clear")
    assert shown(tty) == shown(start(5)) and press(tty, "Up").line == "one"
    assert press(start(), "Up") == press(start(), "Down") == start()


def test_the_history_is_bounded():
    tty = entered(*map(str, range(machine.HISTORY + 7)))
    assert tty.history == tuple(map(str, range(7, machine.HISTORY + 7)))


def test_only_presses_of_its_keys_do_anything():
    tty = type_(start(), "ab")
    nothing = [Event(0.0, "release", key="a"), Event(0.0, "press", key="F1"), Event(0.0, "press", key="é")]
    nothing += [Event(0.0, "move", x=3.0, y=3.0), Event(0.0, "press", key="left"), Event(0.0, "press", key="")]
    assert machine.step(tty, nothing) == tty == machine.step(tty)
    both = [Event(0.0, "press", key="space"), Event(0.0, "press", key="\r")]
    assert machine.step(tty, both) == type_(tty, " ", "Return")


KEY_LISTS = st.lists(st.sampled_from([*KEYS, *"ab49+- ", *["Return", "BackSpace", "Up", "Down"] * 9]), max_size=80)


@settings(max_examples=40, deadline=None, database=None)
@given(KEY_LISTS, st.integers(2, 5), st.integers(10, 20))
def test_no_key_breaks_the_terminal(pressed, rows, cols):
    tty = start(rows, cols)
    for key in pressed:
        before, tty = tty, press(tty, key)
        text = machine.screen(tty)
        assert len(text) == rows * cols and text.count(machine.CURSOR) == 1 and len(tty.line) <= tty.room
        assert tty == press(before, key) and 0 <= kinds.of(before, key) < len(KINDS)
        assert text[: text.index(machine.CURSOR)].endswith(PROMPT + tty.line)
    session = sessions.play(pressed, rows, cols)
    np.testing.assert_array_equal(session.cells[-1], drawing.cells(tty))


# Pictures


@settings(max_examples=25, deadline=None, database=None)
@given(KEY_LISTS, st.integers(2, 5), st.integers(10, 20))
def test_the_emulator_shows_the_same_cells(pressed, rows, cols):
    needs.package("avt", "recording")
    tty, emulator = start(rows, cols), Screen(rows, cols)
    emulator.feed(PROMPT)
    for key in pressed:
        emulator.feed(stream.output(tty, key))
        tty = press(tty, key)
        there, here = emulator.cells(), drawing.cells(tty)
        np.testing.assert_array_equal(here & 127, there.chars)
        np.testing.assert_array_equal(np.argwhere(here & drawing.UNDER_CURSOR), there.cursor[None])
        assert drawing.texts(here[None]) == (there.text(),)
        assert there.flags.max() == 0


@pytest.mark.parametrize("size", [(3, 16), (8, 40), (24, 80)])
def test_pictures_are_the_atlas_own(size):
    tty = type_(start(*size), "clear2", "Return", "qwxyz019+-")
    cells, plain = drawing.cells(tty), blank(*size)
    plain.chars[:] = cells & 127
    plain.cursor[:] = np.argwhere(cells & drawing.UNDER_CURSOR)[0]
    np.testing.assert_array_equal(drawing.render(tty), Atlas().draw(plain))
    assert drawing.render(tty).shape == (16 * size[0], 8 * size[1], 3)


def test_characters_have_different_pictures():
    cells = np.arange(32, 127, dtype=np.uint8)[:, None, None]
    pictures = drawing.draw(np.concatenate([cells, cells | drawing.UNDER_CURSOR]))
    assert pictures.shape == (190, 16, 8, 3) and len(np.unique(pictures.reshape(190, -1), axis=0)) == 190


# Kinds


@pytest.mark.parametrize(
    ("kind", "before", "key"),
    [
        ("idle", start(), ""),
        ("idle", start(), "F1"),
        ("character", start(), "a"),
        ("character", type_(start(), "x" * 11), "a"),
        ("backspace", start(), "BackSpace"),
        ("empty", entered("date"), "Return"),
        ("cleared", entered("date", "clear"), "Return"),
        ("cleared", start(), "Return"),
        ("clear", type_(start(), "clear"), "Return"),
        ("date", type_(start(), "date"), "Return"),
        ("echo", type_(start(), "dates"), "Return"),
        ("echo", type_(start(), "1+50"), "Return"),
        ("sum", type_(start(), "1+2"), "Return"),
        ("difference", type_(start(), "1-2"), "Return"),
        ("up", entered("date"), "Up"),
        ("down", entered("date"), "Down"),
    ],
)
def test_the_kind_of_a_transition(kind, before, key):
    assert KINDS[kinds.of(before, key)] == kind


# Typists


def typed(typist: Typist, frames: int, seed: int = 0, rows: int = 3, cols: int = 16) -> list[str]:
    return list(itertools.islice(keys(typist, seed, rows, cols), frames))


def calculations(pressed: list[str]) -> set[commands.Calculation]:
    """All that a terminal was asked to compute."""
    tty, found = start(), set()
    for key in pressed:
        if key == "Return" and (calculation := commands.calculation(tty.line)):
            found.add(calculation)
        tty = press(tty, key)
    return found


def test_held_out_pairs_are_those_of_the_hash():
    pairs = [(a, b) for a in range(50) for b in range(50)]
    held_out = {pair for pair in pairs if commands.held_out(*pair)}
    assert held_out == {(a, b) for a, b in pairs if splits.of(f"{min(a, b)},{max(a, b)}") == "test"}
    assert 0.08 < len(held_out) / len(pairs) < 0.12 and all((b, a) in held_out for a, b in held_out)


@pytest.mark.parametrize("name", TYPISTS)
def test_sums_are_of_one_side_of_the_split(name):
    """However they came about: typed, cut short by BackSpace, mashed or recalled."""
    typist = TYPISTS[name]
    digits = dataclasses.replace(typist, mash=0.2, stray=0.3, up=0.1, sums=0.3, differences=0.2)
    for each in (typist, digits):
        assert all(commands.held_out(c.a, c.b) == typist.held_out for c in calculations(typed(each, 6000)))
    found = calculations(typed(digits, 6000))
    assert {c.sign for c in found} == {"+", "-"} and len(found) > 20


def test_a_sum_of_the_other_side_is_taken_back():
    pair = next((a, b) for a in range(10, 50) for b in range(10, 50) if commands.held_out(a, b))
    digits = "{}+{}".format(*pair)
    assert not commands.held_out(pair[0], pair[1] // 10)
    typist = Typist(clear=0, date=0, empty=0, sums=1, stray=0, typo=0, paces=(1.0,), pauses=(0,))
    tty = type_(start(), digits)
    assert taken_back(tty, held_out=False) == ["BackSpace"] and taken_back(tty, held_out=True) == []
    assert taken_back(type_(start(), f" {digits} "), held_out=False) == ["BackSpace"] * 2
    assert calculations(typed(typist, 2000))


def test_a_typist_is_a_function_of_its_seed():
    first = typed(TYPISTS["brisk"], 3000)
    assert first == typed(TYPISTS["brisk"], 3000) != typed(TYPISTS["brisk"], 3000, seed=1)
    assert typed(TYPISTS["brisk"], 1000) == first[:1000]
    assert set(first) <= set(KEYS)


def test_typists_type_as_they_are_called():
    share = {name: np.mean([key != "" for key in typed(typist, 6000)]) for name, typist in TYPISTS.items()}
    assert share["words"] < 0.4 < 0.6 < share["brisk"] < share["memory"]
    pauses = [len(list(run)) for key, run in itertools.groupby(typed(TYPISTS["bursts"], 6000)) if key == ""]
    assert min(pauses) == 25
    counts = {
        name: np.bincount(sessions.session(TYPISTS[name], 0, 5000).kinds, minlength=len(KINDS))
        for name in ("brisk", "memory", "words", "sums")
    }
    assert (counts["brisk"][: kinds.DOWN] > 3).all()
    assert counts["words"][kinds.SUM] == counts["words"][kinds.UP] == 0 < counts["sums"][kinds.SUM]
    assert counts["memory"][kinds.UP] > 2 * counts["brisk"][kinds.UP]


def test_what_is_forgotten_is_not_on_the_screen_when_up_recalls_it():
    tty, recalls = start(), []
    for key in typed(dataclasses.replace(TYPISTS["memory"], mash=0.0, stray=0.0, up=0.0, forget=1.0), 4000):
        if key == "Up":
            recalls.append((tty, press(tty, key)))
        tty = press(tty, key)
    assert len(recalls) > 50
    assert all(before.above == "" and after.line == before.history[-1] for before, after in recalls)


def test_further_ups_and_downs_are_typed():
    pressed = typed(dataclasses.replace(TYPISTS["brisk"], up=0.5, further=0.5, paces=(1.0,)), 4000)
    runs = [len(list(run)) for key, run in itertools.groupby(pressed) if key == "Up"]
    assert max(runs) > 2 and "Down" in pressed


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("mash", 1.5), ("typo", 1.0), ("further", 1.0), ("up", -0.1), ("longest", 0)),
        *(("paces", ()), ("paces", (0.0, 1.0)), ("pauses", (-1,)), ("pauses", ())),
    ],
)
def test_rates_that_make_no_sense_are_rejected(field, value):
    with pytest.raises(ValueError, match=f"{field}="):
        Typist(**{field: value})


def test_unknown_rates_are_rejected():
    with pytest.raises(ValueError, match="typist='speed': unknown; one of clear"):
        Typist.of({"speed": 1.0})


def test_shares_of_lines_above_one_are_rejected():
    with pytest.raises(ValueError, match="= 1.1: must be at most 1"):
        Typist(clear=0.5, date=0.5, empty=0.1)


# Sessions


def raw_names(events, frames: int) -> list[set[str]]:
    """Names of the flags of every frame."""
    names = list(FLAGS)
    flags = schema.raw(read(events, (128, 48)), frames, sessions.FPS)
    return [{names[i] for i in np.flatnonzero(row)} for row in flags]


def test_a_frame_has_the_flag_of_the_key_whose_effect_it_is_the_first_to_show():
    typist = dataclasses.replace(TYPISTS["brisk"], further=0.3)
    session = sessions.session(typist, 3, 2000)
    episode = sessions.episode(session, "x", {})
    names = raw_names(episode.events, 2000)
    tty = start()
    for frame, key in enumerate(KEYS[number] for number in session.keys):
        assert names[frame] == ({key} if key else set())
        tty = press(tty, key)
        np.testing.assert_array_equal(session.cells[frame], drawing.cells(tty))
    assert {"Return", "BackSpace", "Up", "Down", " ", "+", "-", "a", "7"} <= set().union(*names)


def test_a_session_is_an_episode(tmp_path):
    episode = sessions.simulated(TYPISTS["brisk"], (1, 2), "tty/1/2", 300)
    assert episode.frames.shape == (300, 48, 128, 3) and episode.fps == 15
    assert episode.captions == {"plain": "a terminal"} and episode.cells[0] == ">>>".ljust(16) + ("\n" + " " * 16) * 2
    again = sessions.session(Typist.of(episode.meta["typist"]), episode.meta["seed"], 300)
    np.testing.assert_array_equal(of_meta(episode.meta)[1], again.kinds)
    with EpisodeWriter(tmp_path, window=9) as writer:
        writer.write(episode)
    clip = ClipSource(tmp_path, "train", 9)[40]
    np.testing.assert_array_equal(clip.frames, episode.frames[40:49])
    assert raw_names(clip.events, 9)[1:] == raw_names(episode.events, 300)[41:49]
    assert raw_names(clip.events, 9)[0] == set()


def test_a_key_that_is_none_is_rejected():
    with pytest.raises(ValueError, match="key='F1'"):
        sessions.play(["F1"])
    with pytest.raises(ValueError, match="frames=0"):
        sessions.session(Typist(), 0, 0)
