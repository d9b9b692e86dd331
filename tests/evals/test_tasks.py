"""Arithmetic and typed commands, on screens as a terminal holds them and as OCR reads them."""

import json

import numpy as np
import pytest

from neural_computer.evals import estimates, probe, tasks, text
from neural_computer.evals.results import ClipResult
from neural_computer.evals.scorer import Scores
from neural_computer.evals.tasks import Arithmetic
from neural_computer.screens.terminal import draw_text
from neural_computer.types import Clip, Event


@pytest.mark.parametrize(
    ("line", "command", "expected"),
    [
        (">>> 12+7", "12+7", True),
        (">>>12 + 7", "12+7", True),  # blanks do not count
        (">>> 112+7", "12+7", False),  # another number
        (">>> 12+71", "12+7", False),
        ("$ ls -la", "ls -la", True),
        ("$ calls -la", "ls -la", False),
        ("$ xa-b", "a-b", False),
        ("$ x./a", "./a", True),  # blanks aside, "x ./a" might be meant
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
    assert tasks.typed_line(lines, "12+7") == expected


@pytest.mark.parametrize(("answer", "wrong"), [("19", "26"), ("-3", "4"), ("4.0", "11.0")])
def test_a_wrong_answer_looks_like_a_right_one(answer, wrong):
    assert Arithmetic("x", answer).wrong_answer == wrong


def test_a_clips_own_caption_is_its_prompt():
    prompts = Arithmetic("12+7", "19", 'Type "python"; Enter').prompts()
    assert prompts == {
        "with_answer": 'Type "python"; Enter The answer is 19',
        "without_answer": 'Type "python"; Enter',
        "wrong_answer": 'Type "python"; Enter The answer is 26',
    }


def test_without_a_caption_the_prompt_is_the_papers():
    assert Arithmetic("12+7", "19").prompts()["wrong_answer"] == "python 12+7 The answer is 26"


@pytest.mark.parametrize(
    ("screen", "expected"),
    [
        (">>> 12+7 \n19\n>>> ", (1, 1, 0)),
        (">>> 12+8\n26\n>>> ", (0, 0, 1)),
        ("x\n>>> 12+7\n19 ", (1, 1, 0)),  # wherever the line is
        (">>> 12+7", (1, 0, 0)),  # no line below
        (">>> 12+7\n\n19", (1, 0, 0)),
        ("> 12+7\n19", (0, 1, 0)),  # the prompt is part of the typed line
        ("", (0, 0, 0)),
    ],
)
def test_the_score_of_a_screen(screen, expected):
    names = ("typed_line_exact", "output_exact", "wrong_answer_exact")
    scores = Arithmetic("12+7", "19").score(screen)
    assert {name: scores[name] for name in names} == dict(zip(names, expected, strict=True))


def test_a_score_has_the_share_of_right_characters_from_the_end():
    scores = [
        Arithmetic("12+7", "119").score(f">>> 12+7\n{line}")["output_characters"] for line in ("119", "19", "110", "")
    ]
    assert scores == [1, 2 / 3, 2 / 3, 0]


@pytest.mark.parametrize(
    ("expression", "groups"),
    [
        ("12+7", {"operation": "+", "digits": "2", "carries": "0"}),
        ("95+7", {"operation": "+", "digits": "2", "carries": "2"}),
        ("5+5", {"operation": "+", "digits": "1", "carries": "1"}),
        ("100-1", {"operation": "-", "digits": "3", "carries": "2"}),
        ("84/7", {"operation": "/", "digits": "2"}),
        ("1+2+3", {}),
    ],
)
def test_the_groups_of_a_problem(expression, groups):
    assert Arithmetic(expression, "0").groups() == groups


@pytest.mark.parametrize(
    ("a", "sign", "b", "count"), [(0, "+", 0, 0), (999, "+", 1, 3), (505, "+", 505, 2), (42, "-", 42, 0)]
)
def test_carries(a, sign, b, count):
    assert tasks.carries(a, sign, b) == count


def test_a_clip_of_another_task_is_no_arithmetic():
    meta = {"task": "arithmetic", "expression": "1+1", "answer": "2"}
    frames = np.zeros((1, 16, 8, 3), np.uint8)
    clip = Clip("a", frames, 5.0, captions={"plain": "add"}, meta=meta)
    assert Arithmetic.of(clip) == Arithmetic("1+1", "2", "add")
    assert Arithmetic.of(Clip("a", frames, 5.0, meta=meta | {"task": "shell"})) is None
    assert Arithmetic.of(Clip("a", frames, 5.0)) is None


def key(time: float, name: str) -> Event:
    return Event(time, "press", name)


def test_commands_are_what_was_typed_when_return_came():
    typed = [key(i, c) for i, c in enumerate("lz")] + [key(2, "BackSpace"), key(3, "s"), key(4, "Return")]
    events = [*typed, Event(4.5, "release", "Return"), key(5, "Return"), Event(6, "text", text="pwd\necho a")]
    events += [key(7, "space"), key(8, "b"), key(9, "Return")]
    assert tasks.typed_commands(events) == [(4, "ls"), (6, "pwd"), (9, "echo a b")]
    assert tasks.typed_commands([key(0, "l"), key(1, "Shift_L"), key(2, "s")]) == []


def test_a_command_is_echoed_at_the_end_of_any_line_of_any_screen():
    assert tasks.is_echoed("echo a b", [["$ ls"], ["$ ls", "$ echo a b"]])
    assert not tasks.is_echoed("echo a b", [["$ echo ab c"], []])


def video(*screens: str) -> np.ndarray:
    rows = ["\n".join(row.ljust(24) for row in (screen.split("\n") + [""] * 5)[:5]) for screen in screens]
    return np.stack([draw_text(screen) for screen in rows])


@pytest.mark.parametrize(
    ("screens", "expected"),
    [
        ([">>> 12+7", ">>> 12+7\n19\n>>>"], {"answer": 1, "answer_anywhere": 1, "expression": 1, "wrong_answer": 0}),
        ([">>> 12+7", ">>> 12+7\n26\n>>>"], {"answer": 0, "answer_anywhere": 0, "expression": 1, "wrong_answer": 1}),
        (
            [">>> 12+7\n19", ""],
            {"answer": 1, "answer_anywhere": 1, "expression": 1, "wrong_answer": 0},
        ),  # cleared at the end
        (
            [">>>", "19\n>>> 12+7"],
            {"answer": 0, "answer_anywhere": 1, "expression": 1, "wrong_answer": 0},
        ),  # somewhere else
        ([">>> 12+7\n19", ">>> 12+7\n26"], {"answer": 0, "answer_anywhere": 0, "expression": 1, "wrong_answer": 1}),
        ([">>> 12+7"], {"answer": 0, "answer_anywhere": 0, "expression": 1, "wrong_answer": 0}),  # nothing below
        ([">>>", "19"], {"answer": 0, "answer_anywhere": 1, "expression": 0, "wrong_answer": 0}),
        ([">>> 1+1\n2"], {"answer": 0, "answer_anywhere": 0, "expression": 0, "wrong_answer": 0}),
    ],
)
def test_what_a_video_of_a_problem_shows(screens, expected):
    assert probe.score(video(*screens), Arithmetic("12+7", "19"), text.GlyphReader()) == expected


def clips(*scores: dict[str, float] | None) -> list[ClipResult]:
    return [ClipResult(str(i), None if x is None else Scores(x, {})) for i, x in enumerate(scores)]


def scores(answer: float, wrong_answer: float) -> dict[str, float]:
    return {"answer": answer, "answer_anywhere": 1.0, "expression": 0.0, "wrong_answer": wrong_answer}


def test_every_prompt_variant_has_a_row_over_its_scored_videos():
    by_variant = probe.estimate(
        {
            "native": clips(scores(0, 0), scores(1, 0), scores(0, 0), scores(0, 0), None),
            "conditioned": clips(None),
            "wrong": clips(scores(0, 1), scores(0, 0)),
        }
    )
    native, wrong = probe.table(by_variant)
    assert native["prompt"] == "native" and native["videos"] == 4 and native["answer right"] == 0.25
    assert (native["low"], native["high"]) == estimates.interval([0, 1, 0, 0])
    assert native["answer anywhere"] == 1 and native["expression there"] == 0
    assert "wrong answer followed" not in native
    assert wrong["prompt"] == "wrong" and wrong["wrong answer followed"] == 0.5


def test_problems_become_prompts(tmp_path):
    file = tmp_path / "problems.json"
    file.write_text(
        json.dumps(
            [
                {"id": "a/1+1", "expression": "1+1", "answer": "2"},
                {"id": 3, "expression": "2", "answer": 2, "prompt": "p"},
            ]
        )
    )
    prompts = probe.prompts(probe.read_problems(file))
    assert prompts == {
        "native": {"a/1+1": "python 1+1", "3": "p"},
        "conditioned": {"a/1+1": "python 1+1 The answer is 2", "3": "p The answer is 2"},
        "wrong": {"a/1+1": "python 1+1 The answer is 9", "3": "p The answer is 9"},
    }


@pytest.mark.parametrize("content", ['[{"id": "a"}]', "no json", '{"id": "a"}', "[1]", None])
def test_a_file_without_problems_is_an_error(tmp_path, content):
    file = tmp_path / "problems.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ValueError, match=r"problems.json: is no list of .*recipe arithmetic"):
        probe.read_problems(file)
