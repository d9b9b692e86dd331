"""The paper's OCR protocol, line by line, and the exact reader of our own fonts."""

import numpy as np
import pytest

from neural_computer.evals import text
from neural_computer.screens.terminal import BOLD, INVERSE, UNDERLINE, Atlas, Screen, blank, draw_text


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, []),
        (1, [0]),
        (4, [0, 1, 2, 3]),
        (5, [0, 1, 2, 3, 4]),  # T <= K: all of them
        (6, [0, 1, 2, 4, 5]),  # K places over 0..5: 0, 1.25, 2.5, 3.75, 5; halves to even
        (7, [0, 2, 3, 4, 6]),
        (81, [0, 20, 40, 60, 80]),
    ],
)
def test_the_frames_that_are_read(count, expected):
    assert text.sampled(count) == expected


def test_more_readings_than_frames_are_all_frames():
    assert text.sampled(3, most=9) == [0, 1, 2] and text.sampled(9, most=1) == [0]


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        ("", []),
        (" \n\t\n", []),
        ("a", ["a"]),
        ("  $  ls\t-l \n\n\nTotal 3.\n", ["$ ls -l", "Total 3."]),
        ("A\nb\x0c", ["A", "b"]),
    ],
)
def test_lines_are_stripped_single_blanked_and_never_empty(read, expected):
    assert text.lines(read) == expected


@pytest.mark.parametrize(
    ("made", "right", "chars", "exact"),
    [
        ([], [], 1, 1),  # both empty
        (["a"], [], 0, 0),  # only the right one empty
        ([], ["a"], 0, 0),  # only the made one empty
        (["ls", "a"], ["ls", "a"], 1, 1),
        (["a", "ls"], ["ls", "a"], 1 - 4 / 4, 0),  # the right lines in another order do not count
        (["x", "ls", "a"], ["ls", "a"], 1 - 2 / 4, 0),  # one line more shifts all others
        (["ls"], ["ls", "a"], 1 - 2 / 4, 1 / 2),  # a missing line is wrong
        (["ls", "a", "b"], ["ls", "a"], 1 - 2 / 4, 1),  # what follows the right lines costs characters only
        (["LS."], ["ls"], 0, 0),  # case and punctuation count: three edits of two characters
        (["aaaaaaaaaa"], ["b"], 0, 0),  # never below 0
        (["kitten"], ["sitting"], 1 - 3 / 7, 0),
    ],
)
def test_accuracies_of_lines(made, right, chars, exact):
    pytest.importorskip("rapidfuzz")
    assert text.char_acc(made, right) == pytest.approx(chars)
    assert text.exact_line(made, right) == pytest.approx(exact)


@pytest.mark.parametrize("flags", [0, BOLD, INVERSE, UNDERLINE, BOLD | UNDERLINE | INVERSE])
@pytest.mark.parametrize("size, cell", [(13, (16, 8)), (18, (22, 11))])
def test_every_glyph_is_read_in_any_two_colours(flags, size, cell):
    atlas, rng = Atlas(size=size, cell=cell), np.random.default_rng(0)
    cells = blank(4, len(text.GLYPHS))
    cells.chars[:] = [ord(glyph) for glyph in text.GLYPHS]
    cells.flags[:] = flags
    cells.fg[:], cells.bg[:] = rng.integers(156, 256, cells.fg.shape), rng.integers(0, 100, cells.fg.shape)
    cells.fg[2:], cells.bg[2:] = cells.bg[2:].copy(), cells.fg[2:].copy()
    frame = atlas.draw(cells)[None]
    # An underlined "_" differs from an underlined blank in nothing but how thick the line is.
    same = {"_": " "} if flags & UNDERLINE else {}
    (read,) = text.GlyphReader(atlas, colours=True)(frame)
    wrong = {(a, b) for row in read.split("\n") for a, b in zip(row, text.GLYPHS, strict=True) if a != b}
    assert wrong <= set(same.items()) | {(b, a) for a, b in same.items()}


@pytest.mark.parametrize("colours", [False, True])
def test_what_is_two_columns_wide_is_one_character(colours):
    """Beside each other, at the row's end, alike in one half; two narrow glyphs that fill two columns stay two."""
    terminal = Screen(3, 9)
    terminal.feed("a⚡☔b⚡\r\n⚡⚡MW|♿\r\n♈♉ ⚡")
    seen = terminal.cells()
    cells = seen._replace(cursor=np.full(2, -1), fg=np.full_like(seen.fg, 255), bg=np.zeros_like(seen.bg))
    glyphs = text.GLYPHS + "⚡☔♿♈♉⚓"
    assert text.GlyphReader(glyphs=glyphs, colours=colours)(Atlas().draw(cells)[None]) == [cells.text()]


def test_noise_on_a_blank_is_no_letter():
    rough = np.random.default_rng(0).normal(40, 25, (1, 64, 400, 3)).clip(0, 255).astype(np.uint8)
    assert set(text.GlyphReader(colours=True)(rough)[0]) == {" ", "\n"}


def test_a_flat_cell_is_a_blank():
    assert text.GlyphReader(colours=True)(np.full((1, 16, 16, 3), 77, np.uint8)) == ["  "]


def test_both_readers_read_a_screen_as_it_was_drawn():
    screen = "\n".join(row.ljust(24) for row in [">>> 12+7", "19", 'print("{}[]|~^`")', ">>>"])
    frame = draw_text(screen)[None]
    assert text.GlyphReader()(frame) == text.GlyphReader(colours=True)(frame) == [screen]
