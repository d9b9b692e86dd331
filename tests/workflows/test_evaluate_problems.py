"""Videos generated for arithmetic problems."""

import json

import numpy as np
import pytest

from neural_computer import media
from neural_computer.screens.terminal import draw_text
from neural_computer.workflows.evaluate_problems import evaluate_problems, write_prompts


def write(path, *screens: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = [draw_text("\n".join(row.ljust(16) for row in (s.split("\n") + [""] * 2)[:3])) for s in screens]
    media.write_video(path, np.stack(frames), 5)


@pytest.fixture
def problems(tmp_path):
    path = tmp_path / "problems.json"
    path.write_text(json.dumps([{"id": f"a/{i}+1", "expression": f"{i}+1", "answer": str(i + 1)} for i in range(4)]))
    return path


def test_the_prompts_of_every_variant_are_written(problems, tmp_path):
    assert write_prompts(problems, tmp_path / "out") == 4
    prompts = json.loads((tmp_path / "out" / "prompts.json").read_text())
    assert list(prompts) == ["native", "conditioned", "wrong"]
    assert prompts["conditioned"]["a/2+1"] == "python 2+1 The answer is 3"


def test_videos_are_scored_by_variant(problems, tmp_path):
    answers = {"native": lambda i: 5, "conditioned": lambda i: i + 1, "wrong": lambda i: i + 8}
    for variant, answer in answers.items():
        for i in range(4):
            write(tmp_path / "videos" / variant / "a" / f"{i}+1.mp4", ">>>", f">>> {i}+1\n{answer(i)}\n>>>")
    write(tmp_path / "videos" / "wrong" / "b.mp4", ">>>")
    write(tmp_path / "videos" / "wrong" / "a" / "2+1.gif", ">>>")
    out = tmp_path / "out"
    result = evaluate_problems(problems, tmp_path / "videos", out, "glyphs")
    content = json.loads((out / "metrics.json").read_text())
    variants = content["variants"]
    assert [variants[name]["answer"]["value"] for name in answers] == [0, 1, 0]
    assert variants["wrong"]["wrong_answer"]["value"] == 1 and variants["native"]["expression"]["value"] == 1
    assert variants["wrong"]["answer"]["clips"] == 3 and variants["native"]["answer"]["clips"] == 4
    assert [(p["clip"], p["kind"]) for p in content["problems"]] == [("wrong/a/2+1", "twice"), ("wrong/b", "missing")]
    assert result.exit_code == 3 and f"missing  wrong/b: is no problem of {problems}" in result.summary()
    page = (out / "report.html").read_text()
    assert page.count("<img") == 4 + 3, "four native and three wrong videos have a wrong answer"
    lines = (out / "probe.jsonl").read_bytes()
    again = evaluate_problems(problems, tmp_path / "videos", out, "glyphs")
    assert again.estimates == result.estimates and (out / "probe.jsonl").read_bytes() == lines


def test_a_folder_of_videos_alone_is_native(problems, tmp_path):
    write(tmp_path / "videos" / "a" / "1+1.mp4", ">>>", ">>> 1+1\n2\n>>>")
    result = evaluate_problems(problems, tmp_path / "videos", tmp_path / "out", "glyphs")
    assert list(result.estimates) == ["native"] and result.exit_code == 0
    assert result.estimates["native"]["answer"] == (1, 1, 1, 1)


def test_nothing_that_can_be_scored_is_an_error(problems, tmp_path):
    write(tmp_path / "videos" / "b.mp4", ">>>")
    with pytest.raises(ValueError, match="none of 1 videos could be scored"):
        evaluate_problems(problems, tmp_path / "videos", tmp_path / "out", "glyphs")
