"""Arithmetic and typed commands, on screens as a terminal holds them and as OCR reads them."""

import json

import numpy as np
import pytest

from neural_computer.evals import probe, tasks, text
from neural_computer.evals.results import ClipResult
from neural_computer.evals.scorer import Scores
from neural_computer.evals.tasks import Arithmetic
from neural_computer.screens.terminal import draw_text
from neural_computer.types import Event


@pytest.mark.parametrize(
    ("line", "command", "expected"),
    [
        (">>> 12+7", "12+7", True),
        (">>>12 + 7", "12+7", True),  # blanks do not count
        (">>> 112+7", "12+7", False),  # another number
        (">>> 12+71", "12+7", False),
        ("$ ls -la", "ls -la", True),
        ("$ calls -la", "ls -la", False),
        ("(12+7", "12+7", True),
        ("12+7", "12+7", True),
        ("", "12+7", False),
    ],
)
def test_a_line_that_ends_with_a_command(line, command, expected):
    assert tasks.ends_with(line, command) == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([">>> 12+7", "19"], 0),
        (["> python", "Python 3.11", ">>> 12+7", "19", ">>> exit()"], 2),
        (["> python", "»> 12+7", "19"], 1),  # a misread prompt
        (["> python", ">>> 12+8", "20"], 1),  # another expression: the first prompt
        (["nothing", "here"], 0),
    ],
)
def test_the_line_that_was_typed(lines, expected):
    assert tasks.typed(lines, "12+7") == expected


@pytest.mark.parametrize(("answer", "wrong"), [("19", "26"), ("-3", "4"), ("4.0", "11.0")])
def test_a_wrong_answer_looks_like_a_right_one(answer, wrong):
    assert Arithmetic("x", answer).wrong == wrong


def test_a_clips_own_caption_is_its_prompt():
    asked = Arithmetic("12+7", "19", 'Type "python"; Enter').prompts()
    assert asked["without_answer"] == 'Type "python"; Enter'
    assert asked["with_answer"].endswith("Enter The answer is 19") and asked["wrong_answer"].endswith("is 26")


def key(time: float, name: str) -> Event:
    return Event(time, "press", name)


def test_commands_are_what_was_typed_when_return_came():
    typed = [key(i, c) for i, c in enumerate("lz")] + [key(2, "BackSpace"), key(3, "s"), key(4, "Return")]
    events = [*typed, Event(4.5, "release", "Return"), key(5, "Return"), Event(6, "text", text="pwd\necho a")]
    events += [key(7, "space"), key(8, "b"), key(9, "Return")]
    assert tasks.commands(events) == [(4, "ls"), (6, "pwd"), (9, "echo a b")]
    assert tasks.echoed("echo a b", [["$ ls", "$ echo a b"]]) and not tasks.echoed("echo a b", [["$ echo ab c"]])


def video(*screens: str) -> np.ndarray:
    rows = ["\n".join(row.ljust(24) for row in (screen.split("\n") + [""] * 5)[:5]) for screen in screens]
    return np.stack([draw_text(screen) for screen in rows])


@pytest.mark.parametrize(
    ("screens", "expected"),
    [
        ([">>> 12+7", ">>> 12+7\n19\n>>>"], {"answer": 1, "shown": 1, "typed": 1, "obeyed": 0}),
        ([">>> 12+7", ">>> 12+7\n26\n>>>"], {"answer": 0, "shown": 0, "typed": 1, "obeyed": 1}),
        ([">>> 12+7\n19", ""], {"answer": 1, "shown": 1, "typed": 1, "obeyed": 0}),  # cleared at the end
        ([">>>", "19\n>>> 12+7"], {"answer": 0, "shown": 1, "typed": 1, "obeyed": 0}),  # somewhere else
        ([">>> 1+1\n2"], {"answer": 0, "shown": 0, "typed": 0, "obeyed": 0}),
    ],
)
def test_what_a_video_of_a_problem_shows(screens, expected):
    assert probe.score(video(*screens), Arithmetic("12+7", "19"), text.GlyphReader()) == expected


def test_native_and_conditioned_accuracy_are_apart():
    def clips(answer: float, obeyed: float) -> list[ClipResult]:
        return [
            ClipResult(str(i), Scores(dict(answer=answer, shown=answer, typed=1.0, obeyed=obeyed), {}))
            for i in range(4)
        ]

    found = probe.figures({"native": clips(0, 0), "conditioned": clips(1, 0), "wrong": clips(0, 1)})
    rows = {row["arm"]: row for row in probe.table(found)}
    assert rows["native"]["answer right"] == 0 and rows["conditioned"]["answer right"] == 1
    assert rows["wrong"]["wrong answer obeyed"] == 1 and "wrong answer obeyed" not in rows["native"]


def test_problems_become_prompts_and_what_is_none_is_told(tmp_path):
    file = tmp_path / "problems.json"
    file.write_text(json.dumps([{"id": "a/1+1", "expression": "1+1", "answer": "2"}]))
    told = probe.prompts(probe.problems(file))
    assert told["native"] == {"a/1+1": "python 1+1"} and told["wrong"]["a/1+1"].endswith("is 9")
    file.write_text('[{"id": "a"}]')
    with pytest.raises(ValueError, match="is no list of .*KeyError: 'expression'.*recipe arithmetic"):
        probe.problems(file)
