"""Where a terminal is in its frames."""

import numpy as np
import pytest

from neural_computer import media
from neural_computer.actions import cursor
from neural_computer.evals.pairs import VideoPair
from neural_computer.evals.screens import TerminalRegion
from neural_computer.screens.terminal import draw_text
from neural_computer.types import Clip, Event

CELLS = ("\n".join(row.ljust(12) for row in ["$ ls -la", "total 12", "a file", ""]),)
"""4 rows of 12 cells: 64x96 pixels as drawn"""


def letterboxed(size: tuple[int, int]) -> Clip:
    scale = min(size[0] / 64, size[1] / 96)
    scaled = [round(64 * scale), round(96 * scale)]
    padding = [(size[0] - scaled[0]) // 2, (size[1] - scaled[1]) // 2]
    data_info = {"original_size": (64, 96), "scaled_size": scaled, "padding": padding}
    frames = media.letterbox(draw_text(CELLS[0])[None], *size)
    return Clip("w", frames, 5.0, cells=CELLS, meta={"data_info": data_info})


def test_without_data_info_the_terminal_is_the_whole_frame():
    region = TerminalRegion.of(CELLS, (64, 96), {})
    assert region == ((16, 8), (64, 96), (64, 96), (0, 0))
    frames = draw_text(CELLS[0])[None]
    assert region.crop(frames).shape == frames.shape and region.reader(CELLS)(frames) == list(CELLS)


@pytest.mark.parametrize("size", [(80, 200), (60, 90)])
def test_a_letterboxed_terminal_is_read_and_masked(size):
    """Scaled up, with borders, and a little down: text is where the mask is, and read without a mistake."""
    clip = letterboxed(size)
    pair = VideoPair.of(clip, clip.frames)
    region = pair.terminal
    assert region.cell == (16, 8) and region.original == (64, 96)
    assert region.crop(clip.frames).shape == (1, 64, 96, 3)
    assert region.reader(CELLS)(region.crop(clip.frames)) == list(CELLS)
    mask, lit = pair.text_mask(), clip.frames.max(-1) > 60
    assert not (lit & ~mask).any() and 0.1 < mask.mean() < 0.9


def test_the_mask_is_of_the_scaled_cells_that_have_text():
    """Twice as large, 3 pixels down and 5 to the right."""
    region = TerminalRegion((16, 8), (32, 16), (64, 32), (3, 5))
    mask = region.text_mask(["a \n b"], 80, 50)[0]
    expected = np.zeros((80, 50), bool)
    expected[3 : 3 + 32, 5 : 5 + 16] = expected[35:67, 21:37] = True
    np.testing.assert_array_equal(mask, expected)


def test_a_reader_knows_the_characters_of_the_screens():
    cells = ("é ¶ ü",)
    region = TerminalRegion.of(cells, (16, 40), {})
    assert region.reader(cells)(draw_text(cells[0])[None]) == list(cells)


def test_actions_are_presses_scrolls_and_texts():
    kinds = ("press", "release", "move", "scroll", "text")
    video = np.zeros((2, 8, 8, 3), np.uint8)
    pair = VideoPair("a", video, video, 5.0, tuple(Event(float(i), kind) for i, kind in enumerate(kinds)))
    assert pair.action_times == [0, 3, 4]


def test_what_a_pair_lacks_is_named():
    video = np.zeros((2, 8, 8, 3), np.uint8)
    pair = VideoPair("a", video, video, 5.0)
    with pytest.raises(ValueError, match="a: has no cells"):
        pair.text_mask()
    with pytest.raises(ValueError, match="a: has no cursor"):
        pair.cursor_mask(cursor.template())
