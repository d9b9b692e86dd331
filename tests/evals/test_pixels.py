import jax
import numpy as np
import pytest

from neural_computer.evals import pixels, text
from neural_computer.screens.terminal import draw_text


def noise(seed, shape=(2, 3, 24, 40, 3)):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def test_a_full_mask_is_no_mask():
    x, y, full = noise(0), noise(1), np.ones((2, 3, 24, 40), bool)
    np.testing.assert_allclose(pixels.psnr(x, y, full), pixels.psnr(x, y), rtol=1e-6)
    np.testing.assert_allclose(pixels.ssim(x, y, full), pixels.ssim(x, y), rtol=1e-5)


def test_what_a_mask_leaves_out_does_not_count():
    """Two videos that differ on the right are equal by a mask of the left half, less a window's reach."""
    x, mask = noise(0), np.zeros((2, 3, 24, 40), bool)
    y = x.copy()
    y[:, :, :, 20:] = noise(1)[:, :, :, 20:]
    mask[:, :, :, : 20 - pixels.REACH] = True
    np.testing.assert_allclose(pixels.psnr(x, y, mask), 100)
    np.testing.assert_allclose(pixels.ssim(x, y, mask), 1, rtol=1e-5)
    assert np.all(pixels.psnr(x, y, ~mask) < pixels.psnr(x, y)) and np.all(pixels.ssim(x, y, ~mask) < pixels.ssim(x, y))


def test_a_masked_psnr_is_its_formula():
    x, y, mask = noise(0), noise(1), np.random.default_rng(2).random((2, 3, 24, 40)) < 0.1
    for i in range(2):
        error = np.square(x[i] / 255 - y[i] / 255)[mask[i]].mean()
        np.testing.assert_allclose(pixels.psnr(x, y, mask)[i], -10 * np.log10(error), rtol=1e-5)


def test_an_empty_mask_has_no_value():
    empty = np.zeros((2, 3, 24, 40), bool)
    assert np.isnan(pixels.psnr(noise(0), noise(1), empty)).all()
    assert np.isnan(pixels.ssim(noise(0), noise(1), empty)).all()


def test_ssim_keeps_no_float_error_of_flat_screens():
    """Variances of equal numbers are 0; on a white screen float32 moments about 0 would be 1e-7 off, of 9e-4."""
    white = np.full((1, 1, 64, 64, 3), 255, np.uint8)
    near = white - np.uint8(1)
    expected = (2 * 254 / 255 + 1e-4) / (1 + (254 / 255) ** 2 + 1e-4)
    np.testing.assert_allclose(jax.jit(pixels.ssim)(white, near), expected, rtol=0, atol=1e-6)


def test_text_stands_out_of_its_background():
    """A screen with two words, of which the video has none: over all pixels it is nearly right, where text is it is not."""
    screen = "\n".join(row.ljust(40) for row in ["ls", *[""] * 10, "file"])
    right = draw_text(screen)[None, None]
    mask = text.text_cells([screen], *right.shape[2:4])[None]
    assert mask.sum() == 6 * 16 * 8 and mask[0, 0, :16, :16].all() and not (right[0, 0].max(-1) > 0)[~mask[0, 0]].any()
    made = np.zeros_like(right)
    whole, there = pixels.ssim(made, right)[0], pixels.ssim(made, right, mask)[0]
    assert whole > 0.95 and there < 0.5
    assert pixels.psnr(made, right)[0] > 20 > pixels.psnr(made, right, mask)[0]


def test_a_wide_character_is_two_cells():
    assert text.grid(["漢a "]).tolist() == [[["漢", "", "a", " "]]]
    assert text.text_cells(["漢a "], 16, 32)[0].all(0).tolist() == [True] * 24 + [False] * 8


@pytest.mark.parametrize(
    ("place", "rows", "columns"),
    [((10, 5), (3, 7), (8, 12)), ((0, 0), (0, 2), (0, 2)), ((39, 23), (21, 23), (37, 39)), ((-9, 5), None, None)],
)
def test_the_cursors_patch_is_a_square_cut_at_the_border(place, rows, columns):
    patch = pixels.cursor_patch(np.asarray([place], float), 24, 40, radius=2)[0]
    found = np.argwhere(patch)
    assert (rows is None) == (len(found) == 0)
    if rows:
        assert (found[:, 0].min(), found[:, 0].max()) == rows and (found[:, 1].min(), found[:, 1].max()) == columns


def test_an_unknown_cursor_has_no_patch():
    assert not pixels.cursor_patch(np.full((2, 2), np.nan), 24, 40).any()
