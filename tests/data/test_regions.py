"""Regions of a clip on its latent grid: where the answer, text or a change is."""

import numpy as np
import pytest

from neural_computer.data.regions import REGIONS, RegionMasks, latent_mask
from neural_computer.types import Clip

SCREENS = (">>>     ", ">>> 1   ", ">>> 1+1 ", ">>> 1+1 ", ">>> 1+1 ")
SECOND = ("        ",) * 3 + ("2       ",) * 2


def clip(**fields) -> Clip:
    """A sum on a screen of 2x8 cells of 16x8 pixels; its answer is there from frame 3 on."""
    frames = np.zeros((5, 32, 64, 3), np.uint8)
    frames[2:, 3, 40] = 9
    cells = tuple(f"{one}\n{two}" for one, two in zip(SCREENS, SECOND, strict=True))
    return Clip("sum", frames, 5.0, **{"cells": cells, "meta": {"expression": "1+1"}} | fields)


def test_the_answer_is_the_line_under_the_expression_where_it_is():
    mask = REGIONS["answer"](clip())
    assert mask.shape == (5, 32, 64) and not mask[:3].any()
    assert mask[3:, 16:, :8].all() and mask.sum() == 2 * 16 * 8
    assert not REGIONS["answer"](clip(meta={})).any()


def test_text_and_new_text():
    text, new = REGIONS["text"](clip()), REGIONS["new_text"](clip())
    assert text[0].sum() == 3 * 128 and text[4].sum() == 7 * 128 and new[0].sum() == 0 and new[4].sum() == 4 * 128


def test_a_latent_cell_is_in_a_region_with_one_pixel_of_it():
    mask = latent_mask(REGIONS["changed"](clip()), (4, 8, 8))
    assert mask.shape == (2, 4, 8) and mask.sum() == 1 and mask[1, 0, 5] == 1
    every = latent_mask(REGIONS["changed"](clip()), (1, 8, 8))
    assert every.shape == (5, 4, 8) and every[:, 0, 5].tolist() == [0, 0, 1, 1, 1]


def test_masks_are_in_the_order_of_their_names():
    masks = RegionMasks(("changed", "answer"), (4, 8, 8))(clip())
    assert masks.shape == (2, 2, 4, 8) and masks.dtype == np.float32 and masks[0].sum() == 1 and masks[1].sum() == 2


def test_a_clip_that_cannot_say_is_named():
    with pytest.raises(ValueError, match="sum: has no text of its screens"):
        RegionMasks(("answer",), (4, 8, 8))(clip(cells=None))
    with pytest.raises(ValueError, match="sum: its 2x8 cells are scaled"):
        RegionMasks(("text",), (4, 8, 8))(clip(meta={"data_info": {"original_size": [32, 64]}}))
    with pytest.raises(ValueError, match="regions='answers'"):
        RegionMasks(("answers",), (4, 8, 8))
