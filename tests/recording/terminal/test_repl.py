import sys

import numpy as np
import pytest

from neural_computer.evals.text import GlyphReader
from neural_computer.recording.terminal import repl
from neural_computer.recording.terminal.recorder import RecordingError, TerminalSession, record
from neural_computer.recording.terminal.repl import Sum
from neural_computer.screens.terminal import Atlas
from tests import needs

needs.package("avt", "recording")


def test_a_session_is_one_frame_a_key_and_its_answer_is_pythons():
    problem = Sum(12, 7)
    video = repl.episode(problem, repl.play(problem), Atlas(), "3")
    lines = [[line.rstrip() for line in screen.split("\n")] for screen in video.cells]
    typed = [">>>", ">>> 1", ">>> 12", ">>> 12+", ">>> 12+7"]
    assert [line[0] for line in lines[:5]] == typed and lines[5:] == [[">>> 12+7", "19", ">>>"]] * 4
    assert video.captions == {"plain": "python 12+7", "answered": "python 12+7 The answer is 19"}
    assert [event.key for event in video.events] == ["1", "2", "+", "7", "Return"]
    assert video.frames.shape == (9, 48, 128, 3) and video.frames.dtype == np.uint8
    assert GlyphReader()(video.frames) == list(video.cells)


def test_every_pair_is_recorded_once_and_is_in_one_split():
    problems = repl.sums(49)
    assert len({p.expression for p in problems}) == len(problems) == 49**2
    splits = {name: {p.expression for p in problems if p.split == name} for name in ("train", "test")}
    assert not splits["train"] & splits["test"] and len(splits["train"]) + len(splits["test"]) == 49**2
    assert 0.08 < len(splits["test"]) / 49**2 < 0.12


def test_a_slow_answer_is_waited_for():
    program = "import time\nfor _ in range(2):\n    x = input('? ')\n    time.sleep(.3)\n    print('got', x)"
    screens = record(TerminalSession([sys.executable, "-c", program], 6, 20), ["a", "\r"])
    assert [row.rstrip() for row in _text(screens, 2).split("\n")[:3]] == ["? a", "got a", "?"]


def test_a_program_that_ends_is_an_error_with_its_last_screen():
    with pytest.raises(RecordingError, match="ended with code 3.*farewell"):
        record(TerminalSession([sys.executable, "-c", "import sys\nprint('farewell')\nsys.exit(3)"], 4, 20), ["x"])


def test_a_key_without_an_answer_meets_the_deadline():
    quiet = "import os,time\nos.system('stty -echo')\nprint('on')\nimport sys\nwhile True: sys.stdin.read(1)"
    with pytest.raises(RecordingError, match="did not answer"):
        record(TerminalSession([sys.executable, "-c", quiet], 4, 20, deadline=1.5), ["x", "y"])


def test_recording_goes_on_where_it_was(tmp_path):
    problems = repl.sums(2)
    (path,) = repl.record_all(problems, tmp_path, workers=1)
    first = path.stat().st_mtime_ns
    assert repl.record_all(problems, tmp_path, workers=1) == [path] and path.stat().st_mtime_ns == first
    assert {e.meta["answer"] for e in repl.episodes(tmp_path)} == {"2", "3", "4"}
    next(tmp_path.glob("*.npz")).write_bytes(b"cut off")
    with pytest.raises(ValueError, match="delete it and it is recorded again"):
        list(repl.episodes(tmp_path))


def _text(screens, t):
    return type(screens)(*(x[t] for x in screens)).text()
