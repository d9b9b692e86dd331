"""The typists at a real bash."""

import dataclasses
from itertools import islice

import numpy as np
import pytest

from neural_computer.data.kinds import of_meta
from neural_computer.recording.terminal import bash_sessions
from neural_computer.recording.terminal.recorder import RecordingError
from neural_computer.simulators.tty import drawing, kinds, sessions
from neural_computer.simulators.tty.machine import KEYS
from neural_computer.simulators.tty.typists import TYPISTS, keys
from tests import needs

needs.package("avt", "recording")
pytestmark = needs.sandboxed("python")


def assert_same(pressed: list[str], rows: int, cols: int) -> None:
    """The real shell and the simulated terminal show the same cells and cursor at every tick."""
    real, ours = bash_sessions.play(pressed, rows, cols), sessions.play(pressed, rows, cols)
    np.testing.assert_array_equal(ours.cells & 127, real.chars)
    np.testing.assert_array_equal(np.argwhere(ours.cells & drawing.UNDER_CURSOR)[:, 1:], real.cursor)
    assert not real.flags.any()


def test_bash_shows_what_the_simulated_terminal_shows():
    """All kinds of keys and lines, of those too words that bash would take for its own."""
    lines = [
        "hello",
        "date",
        "3+4",
        "07-49",
        "clear",
        "",
        "if",
        "cd",
        "50+1",
        "-n",
        "a b",
        "exit",
        "done",
        "x" * 11,
        "49+49",
    ]
    pressed = [key for line in lines for key in (*line, "Return", "")]
    pressed += ["Up", "Up", "Down", "Return", "BackSpace", "Down", "z", "Up", "Down", "BackSpace", "BackSpace"]
    pressed += [*"clear", "Return", "Return", "q", "Up", "Return"]
    assert_same(pressed, 5, 16)


@pytest.mark.parametrize(("name", "size"), [("memory", (3, 16)), ("sums", (8, 40))])
def test_a_typist_sees_the_same_in_both(name, size):
    """But for lines that do not fit and blanks around a line, which are left out."""
    typist = dataclasses.replace(TYPISTS[name], mash=0.0, symbols=0.0, typo=0.0, further=0.3, pauses=(0,))
    assert_same([key for key in islice(keys(typist, 7, *size), 700)], *size)


def test_an_episode_has_bashs_screens_and_the_kinds_of_its_keys():
    job = bash_sessions.BashSession("brisk", (0, 5), 40, 3, 16)
    screens = bash_sessions.play(job.keys, 3, 16)
    episode = bash_sessions.episode(job, screens, "5.2")
    assert episode.id == "tty/0/5" and episode.meta["source"] == "recorded in bash 5.2"
    assert episode.frames.shape == (40, 48, 128, 3) and len(episode.cells) == 40
    pressed = [kind != kinds.IDLE for kind in of_meta(episode.meta)[1]]
    assert pressed == [False, *(key != "" for key in job.keys)] and set(job.keys) <= set(KEYS)
    assert len(episode.events) == sum(pressed)


def test_a_session_that_fails_is_named(monkeypatch, tmp_path):
    def fail(*_):
        raise RecordingError("bash: ended")

    monkeypatch.setattr(bash_sessions, "play", fail)
    with pytest.raises(RecordingError, match="tty/0/5: bash: ended"):
        bash_sessions.record_chunk([bash_sessions.BashSession("brisk", (0, 5), 40, 3, 16)], tmp_path / "x.npz")


def test_a_damaged_recording_is_named_with_the_way_out(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="x.npz: cannot be read .*; delete it"):
        next(bash_sessions.episodes([bash_sessions.BashSession("brisk", (0, 5), 40, 3, 16)], [tmp_path / "x.npz"]))
