"""The paper's OCR protocol, line by line, the exact reader of our own fonts, and accuracies by cell."""

import numpy as np
import pytest

from neural_computer.evals import text
from neural_computer.screens.terminal import BOLD, INVERSE, UNDERLINE, Atlas, Screen, blank, draw_text

# By line


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
    assert text.sample_frames(count) == expected


def test_more_readings_than_frames_are_all_frames():
    assert text.sample_frames(3, most=9) == [0, 1, 2] and text.sample_frames(9, most=1) == [0]


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
    ("generated", "reference", "chars", "exact"),
    [
        ([], [], 1, 1),  # both empty
        (["a"], [], 0, 0),  # only the reference empty
        ([], ["a"], 0, 0),  # only the generated one empty
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
def test_accuracies_of_lines(generated, reference, chars, exact):
    assert text.char_acc(generated, reference) == pytest.approx(chars)
    assert text.exact_line(generated, reference) == pytest.approx(exact)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("", "", 0),
        ("", "abc", 3),
        ("abc", "", 3),
        ("kitten", "sitting", 3),
        ("flaw", "lawn", 2),
        ("intention", "execution", 5),
        ("abcdef", "abcdef", 0),
        ("\u2502é漢", "\u2502e漢x", 2),
    ],
)
def test_known_edit_distances(a, b, expected):
    assert text.edit_distance(a, b) == text.edit_distance(b, a) == expected


def test_edit_distances_are_those_of_the_table():
    def table(a: str, b: str) -> int:
        d = [[i + j if i * j == 0 else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
        for i, x in enumerate(a, 1):
            for j, y in enumerate(b, 1):
                d[i][j] = min(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (x != y))
        return d[-1][-1]

    rng = np.random.default_rng(0)
    for _ in range(200):
        a, b = ("".join(rng.choice(list("ab\n"), rng.integers(0, 12))) for _ in range(2))
        assert text.edit_distance(a, b) == table(a, b)


# By cell


def test_accuracies_against_hand_counts():
    truth, read = [">>> ", ">>>5"], [">>> ", ">>>6"]
    assert text.accuracy(read, truth) == 7 / 8 and text.new_accuracy(read, truth) == 0
    assert text.new_accuracy(truth, truth) == 1 and text.exact_lines(read, truth) == 0.5
    assert np.isnan(text.new_accuracy(truth[:1], truth[:1]))


def test_new_characters_are_those_that_the_first_screen_has_not():
    """A blank that replaces a character is not new, whatever is read there; a character that replaces one is."""
    truth, read = ["ab  ", "xb c", "x   "], ["ab  ", "xb d", "xzzz"]
    assert text.new_accuracy(read, truth) == 2 / 3  # x, c, x
    assert text.new_accuracy([truth[0]] * 3, truth) == 0


def test_trailing_blanks_of_lines_do_not_count():
    assert text.exact_screen("a \nb", "a\nb  ") == 1 and text.exact_screen("a\nb", "a\nc") == 0
    assert text.exact_lines([" a\nb "], ["a\nb"]) == 0.5
    assert text.exact_lines(["a\nb", "c\nd"], ["a\nx", "c\nd"]) == 0.75


def test_a_wide_character_is_two_cells():
    assert text.grid(["漢a "]).tolist() == [[["漢", "", "a", " "]]]
    assert text.text_cells(["漢a "], 16, 32)[0].all(0).tolist() == [True] * 24 + [False] * 8
    assert text.is_wide("漢") and text.is_wide("Ａ") and not text.is_wide("a") and not text.is_wide("é")


def test_short_rows_are_filled_up_with_blanks():
    assert text.grid(["ab\nc", "d\ne"]).tolist() == [[["a", "b"], ["c", " "]], [["d", " "], ["e", " "]]]


# The exact reader


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("sigma", [0, 25])
def test_every_glyph_is_read_even_through_noise(inverse, sigma):
    frame = draw_text(text.GLYPHS)
    frame = 255 - frame if inverse else frame
    noisy = frame + np.random.default_rng(0).normal(0, sigma, frame.shape)
    assert text.GlyphReader()(np.clip(noisy, 0, 255).astype(np.uint8)[None]) == [text.GLYPHS]


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
def test_a_glyph_two_columns_wide_is_one_character(colours):
    """Beside each other, at the row's end, alike in one half; two narrow glyphs that fill two columns stay two."""
    terminal = Screen(3, 9)
    terminal.feed("a⚡☔b⚡\r\n⚡⚡MW|♿\r\n♈♉ ⚡")
    seen = terminal.cells()
    cells = seen._replace(cursor=np.full(2, -1), fg=np.full_like(seen.fg, 255), bg=np.zeros_like(seen.bg))
    glyphs = text.GLYPHS + "⚡☔♿♈♉⚓"
    assert text.GlyphReader(glyphs=glyphs, colours=colours)(Atlas().draw(cells)[None]) == [cells.text()]


def test_noise_on_a_blank_is_no_letter():
    noisy = np.random.default_rng(0).normal(40, 25, (1, 64, 400, 3)).clip(0, 255).astype(np.uint8)
    assert set(text.GlyphReader(colours=True)(noisy)[0]) == {" ", "\n"}


@pytest.mark.parametrize(("correlation", "expected"), [(0.63, "M"), (0.57, " ")])
def test_a_cell_is_a_glyph_from_a_correlation_of_three_fifths_on(correlation, expected):
    """A cell of the glyph and of noise without any of it, in a proportion that gives this correlation."""
    glyph = draw_text("M")[..., 0].astype(float).ravel()
    glyph -= glyph.mean()
    glyph /= np.linalg.norm(glyph)
    noise = np.random.default_rng(0).normal(size=glyph.size)
    noise -= noise.mean()
    noise -= glyph * (glyph @ noise)
    cell = correlation * glyph + np.sqrt(1 - correlation**2) * noise / np.linalg.norm(noise)
    cell = np.round(128 + 120 * cell / abs(cell).max()).astype(np.uint8).reshape(16, 8)
    assert text.GlyphReader(colours=True)(np.stack([cell] * 3, axis=-1)[None]) == [expected]


@pytest.mark.parametrize(("contrast", "expected"), [(23, " "), (24, "M")])
def test_a_cell_has_text_from_a_contrast_of_24_on(contrast, expected):
    """In one of the channels, whichever."""
    frame = np.full((1, 16, 8, 3), 100, np.uint8)
    lit = draw_text("M")[..., 0] / draw_text("M").max()
    frame[0, ..., 1] += np.round(contrast * lit).astype(np.uint8)
    assert text.GlyphReader(colours=True)(frame) == [expected]


def test_a_flat_cell_is_a_blank():
    assert text.GlyphReader(colours=True)(np.full((1, 16, 16, 3), 77, np.uint8)) == ["  "]


def test_both_readers_read_a_screen_as_it_was_drawn():
    screen = "\n".join(row.ljust(24) for row in [">>> 12+7", "19", 'print("{}[]|~^`")', ">>>"])
    frame = draw_text(screen)[None]
    assert text.GlyphReader()(frame) == text.GlyphReader(colours=True)(frame) == [screen]


@pytest.mark.parametrize("shape", [(15, 16), (16, 12)])
def test_frames_of_parts_of_cells_are_an_error(shape):
    with pytest.raises(ValueError, match=f"frames of {shape[0]}x{shape[1]}: must be whole cells of 16x8"):
        text.GlyphReader()(np.zeros((1, *shape, 3), np.uint8))
