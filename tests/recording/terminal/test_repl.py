import sys

import numpy as np
import pytest

from neural_computer.evals.text import GlyphReader
from neural_computer.recording.problems import Problem, grid, permuted, sample
from neural_computer.recording.terminal import repl
from neural_computer.recording.terminal.recorder import RecordingError, TerminalSession, record
from neural_computer.screens.terminal import Atlas
from tests import needs

needs.package("avt", "recording")


def test_a_session_is_one_frame_a_key_and_its_answer_is_pythons():
    problem = Problem("add", 12, 7)
    video = repl.episode(problem, repl.play(problem), Atlas(), "3")
    lines = [[line.rstrip() for line in screen.split("\n")] for screen in video.cells]
    typed = [">>>", ">>> 1", ">>> 12", ">>> 12+", ">>> 12+7"]
    assert [line[0] for line in lines[:5]] == typed and lines[5:] == [[">>> 12+7", "19", ">>>"]] * 4
    assert video.captions == {"plain": "python 12+7", "answered": "python 12+7 The answer is 19"}
    assert [event.key for event in video.events] == ["1", "2", "+", "7", "Return"]
    assert video.frames.shape == (9, 48, 128, 3) and video.frames.dtype == np.uint8
    assert GlyphReader()(video.frames) == list(video.cells)


@pytest.mark.parametrize("typing", [repl.KEYS, repl.PASTED])
def test_drawn_sessions_are_the_recorded_ones_pixel_for_pixel(typing):
    """In every operation, and as wide as they come."""
    shown = [("add", 12, 7), ("subtract", 99, 99), ("multiply", 99, 87), ("divide", 96, 8), ("modulo", 97, 8)]
    for problem in (Problem(*each) for each in [*shown, ("add", 999, 999)]):
        recorded, drawn = repl.play(problem, typing), repl.draw(problem, typing)
        for x, y in zip(recorded, drawn, strict=True):
            np.testing.assert_array_equal(x, y)
        videos = [repl.episode(problem, screens, Atlas(), "", typing) for screens in (recorded, drawn)]
        np.testing.assert_array_equal(videos[0].frames, videos[1].frames)
        assert len(videos[0].frames) == typing.frames


def test_a_pasted_expression_is_one_text():
    video = repl.episode(Problem("add", 12, 7), repl.draw(Problem("add", 12, 7), repl.PASTED), Atlas(), "", repl.PASTED)
    assert [(e.kind, e.text or e.key) for e in video.events] == [("text", "12+7"), ("press", "Return")]
    assert [screen.split("\n")[0].rstrip() for screen in video.cells] == [">>>", *[">>> 12+7"] * 4]


def test_sessions_are_split_by_pair_and_larger_operands_are_a_split_of_their_own():
    problems = [*grid(1, 9), *sample(5, 10, 19)]
    sessions = repl.Sessions(problems, typing=repl.PASTED, most=9)
    by_split = {split: {e.meta["expression"] for e in sessions(split)} for split in sessions.splits}
    assert set(by_split) == {"train", "test", "larger"} and len(by_split["larger"]) == 5
    assert set.union(*by_split.values()) == {p.expression for p in problems}
    assert sum(map(len, by_split.values())) == len(problems)


def test_permuted_answers_are_printed_and_in_the_captions():
    problems = grid(1, 9)
    answers = permuted(problems)
    (video,) = (e for e in repl.Sessions(problems, answers=answers)(Problem("add", 3, 4).split) if e.id == "repl/3+4")
    answer = answers[Problem("add", 3, 4)]
    assert video.meta["answer"] == answer and video.captions["answered"] == f"python 3+4 The answer is {answer}"


def test_what_does_not_fit_the_screen_is_an_error():
    with pytest.raises(ValueError, match=r"1234\+1234: does not fit 9 frames"):
        repl.KEYS.keys(Problem("add", 1234, 1234))
    assert repl.PASTED.keys(Problem("add", 1234, 1234)) == ["1234+1234", "\r"]
    with pytest.raises(ValueError, match="does not fit 5 frames of 16 columns"):
        repl.PASTED.keys(Problem("add", 123456, 123456))


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
    problems = grid(1, 2)
    (path,) = repl.record_all(problems, tmp_path, workers=1)
    first = path.stat().st_mtime_ns
    assert repl.record_all(problems, tmp_path, workers=1) == [path] and path.stat().st_mtime_ns == first
    sessions = repl.Sessions(problems, [path])
    assert {e.meta["answer"] for split in sessions.splits for e in sessions(split)} == {"2", "3", "4"}
    next(tmp_path.glob("*.npz")).write_bytes(b"cut off")
    with pytest.raises(ValueError, match="delete it and it is recorded again"):
        list(sessions("train"))


def _text(screens, t):
    return type(screens)(*(x[t] for x in screens)).text()
