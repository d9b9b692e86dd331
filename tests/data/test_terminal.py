import numpy as np
import pytest

from neural_computer.data.cli import terminal
from neural_computer.data.cli.terminal import Atlas, Cells, Screen, draw_text


def shown(text: str, rows: int = 2, cols: int = 8) -> Cells:
    screen = Screen(rows, cols)
    screen.feed(text)
    return screen.cells()


def test_a_screen_shows_what_it_is_fed():
    cells = shown("ab\r\ncd")
    assert cells.text() == "ab      \ncd      "
    assert cells.cursor.tolist() == [1, 2]


def test_colours_and_styles_arrive():
    cells = shown("\x1b[1;4;31;48;2;1;2;3mX\x1b[0;7mY\x1b[0;38;5;196mZ")
    assert cells.flags[0, 0] == terminal.BOLD | terminal.UNDERLINE and cells.flags[0, 1] == terminal.INVERSE
    assert cells.fg[0, 0].tolist() == terminal.ANSI[1].tolist() and cells.bg[0, 0].tolist() == [1, 2, 3]
    assert cells.fg[0, 2].tolist() == [255, 0, 0]


def test_a_hidden_cursor_is_not_drawn():
    seen, hidden = shown("a"), shown("a\x1b[?25l")
    assert hidden.cursor.tolist() == [-1, -1]
    pictures = [Atlas().draw(cells) for cells in (seen, hidden)]
    assert pictures[0][:16, 8:16].min() == 255 and pictures[1][:16, 8:16].max() == 0


def test_a_wide_character_takes_two_cells_and_is_one_of_the_text():
    assert shown("日a").text().split("\n")[0] == "日a     "


@pytest.mark.parametrize("size", [(0, 10), (10, 0), (10, 10**9)])
def test_impossible_sizes_are_refused_before_the_emulator(size):
    with pytest.raises(ValueError, match="between 1 and 1000"):
        Screen(*size)


def test_every_printable_glyph_is_another_picture():
    letters = "".join(map(chr, range(33, 127)))
    tiles = draw_text(letters)[..., 0].reshape(16, -1, 8).swapaxes(0, 1).reshape(len(letters), -1)
    assert len(np.unique(tiles, axis=0)) == len(letters)


def test_what_the_font_lacks_is_a_visible_box_and_controls_are_blank():
    box = draw_text("\U0001f600")[..., 0]
    assert (box == 255).sum() > 20
    assert draw_text("\x07").max() == 0


def test_inverse_swaps_colours_and_a_film_is_its_screens():
    screens = [shown(text) for text in ("\x1b[?25lA", "\x1b[?25l\x1b[7mA", "\x1b[35mpurple")]
    film = Atlas().draw(terminal.stack(screens))
    assert film.shape == (3, 32, 64, 3)
    np.testing.assert_array_equal(film[0, :16, :8], 255 - film[1, :16, :8])
    for frame, cells in zip(film, screens, strict=True):
        np.testing.assert_array_equal(frame, Atlas().draw(cells))
