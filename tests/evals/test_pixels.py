"""PSNR and SSIM against their formulas, written out in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_computer.evals import pixels, text
from neural_computer.screens.terminal import draw_text


def noise(seed, shape=(2, 3, 24, 40, 3)):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def constant(value: int, shape=(1, 1, 12, 12, 3)) -> np.ndarray:
    return np.full(shape, value, np.uint8)


def ssim_maps(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """SSIM of Wang et al. 2004 at every pixel and channel of two frames (h, w, 3), window by window, in float64."""
    offsets = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    w = np.outer(offsets, offsets)[..., None] / offsets.sum() ** 2
    padded = [np.pad(frame / 255, ((5, 5), (5, 5), (0, 0)), mode="reflect") for frame in (x, y)]
    out = np.empty(x.shape)
    for i, j in np.ndindex(x.shape[:2]):
        a, b = (frame[i : i + 11, j : j + 11] for frame in padded)
        ma, mb = (w * a).sum((0, 1)), (w * b).sum((0, 1))
        va, vb = (w * a * a).sum((0, 1)) - ma**2, (w * b * b).sum((0, 1)) - mb**2
        cov = (w * a * b).sum((0, 1)) - ma * mb
        c1, c2 = 0.01**2, 0.03**2
        out[i, j] = (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    return out


# PSNR


@pytest.mark.parametrize(("gap", "expected"), [(51, 13.9794), (255, 0.0), (1, 48.1308)])
def test_psnr_of_a_constant_gap_is_its_closed_form(gap, expected):
    """20 log10(255 / gap)."""
    np.testing.assert_allclose(pixels.psnr(constant(255), constant(255 - gap)), expected, atol=1e-3)


def test_psnr_is_of_the_mean_error_over_the_whole_video():
    x, y = noise(0), noise(1)
    error = np.square(x / 255 - y / 255).mean((1, 2, 3, 4))
    np.testing.assert_allclose(pixels.psnr(x, y), -10 * np.log10(error), rtol=1e-5)


def test_equal_videos_have_100_db():
    np.testing.assert_allclose(pixels.psnr(noise(0), noise(0)), 100, rtol=1e-6)


def test_a_masked_psnr_is_its_formula():
    x, y, mask = noise(0), noise(1), np.random.default_rng(2).random((2, 3, 24, 40)) < 0.1
    for i in range(2):
        error = np.square(x[i] / 255 - y[i] / 255)[mask[i]].mean()
        np.testing.assert_allclose(pixels.psnr(x, y, mask)[i], -10 * np.log10(error), rtol=1e-5)


# SSIM


@pytest.mark.parametrize("shape", [(12, 9), (6, 14)])
def test_ssim_is_its_formula_in_a_gaussian_window_with_reflected_borders(shape):
    x, y = noise(0, (2, 2, *shape, 3)), noise(1, (2, 2, *shape, 3))
    y[1] = np.clip(x[1].astype(int) + y[1] // 16, 0, 255)  # one video far off, one near
    maps = np.stack([[ssim_maps(*pair) for pair in zip(a, b, strict=True)] for a, b in zip(x, y, strict=True)])
    np.testing.assert_allclose(pixels.ssim(x, y), maps.mean((1, 2, 3, 4)), atol=1e-6)
    mask = np.random.default_rng(2).random((2, 2, *shape)) < 0.3
    masked = [maps[i][mask[i]].mean() for i in range(2)]
    np.testing.assert_allclose(pixels.ssim(x, y, mask), masked, atol=1e-6)


def test_ssim_of_constant_frames_is_the_luminance_term():
    """c1 / (y^2 + c1) for x = 0: on dark screens the constant decides."""
    expected = 1e-4 / ((3 / 255) ** 2 + 1e-4)
    np.testing.assert_allclose(pixels.ssim(constant(0), constant(3)), expected, rtol=1e-5)
    np.testing.assert_allclose(pixels.ssim(constant(51), constant(51)), 1, rtol=1e-6)


def test_ssim_has_no_float32_error_on_flat_screens():
    """Variances of equal numbers are 0; on a white screen float32 moments about 0 would be 1e-7 off, of 9e-4."""
    white = np.full((1, 1, 64, 64, 3), 255, np.uint8)
    near = white - np.uint8(1)
    expected = (2 * 254 / 255 + 1e-4) / (1 + (254 / 255) ** 2 + 1e-4)
    np.testing.assert_allclose(jax.jit(pixels.ssim)(white, near), expected, rtol=0, atol=1e-6)


def test_frames_smaller_than_half_a_window_are_an_error():
    with pytest.raises(ValueError, match="frames of 5x9: SSIM needs 6 pixels a side"):
        pixels.ssim(constant(0, (1, 1, 5, 9, 3)), constant(0, (1, 1, 5, 9, 3)))
    assert pixels.ssim(constant(0, (1, 1, 6, 6, 3)), constant(0, (1, 1, 6, 6, 3))) == 1


# Both


def test_a_full_mask_is_no_mask():
    x, y, full = noise(0), noise(1), np.ones((2, 3, 24, 40), bool)
    np.testing.assert_allclose(pixels.psnr(x, y, full), pixels.psnr(x, y), rtol=1e-6)
    np.testing.assert_allclose(pixels.ssim(x, y, full), pixels.ssim(x, y), rtol=1e-5)


def test_pixels_outside_the_mask_do_not_count():
    """Two videos that differ on the right are equal by a mask of the left half, less half a window."""
    x, mask = noise(0), np.zeros((2, 3, 24, 40), bool)
    y = x.copy()
    y[:, :, :, 20:] = noise(1)[:, :, :, 20:]
    mask[:, :, :, : 20 - pixels.RADIUS] = True
    np.testing.assert_allclose(pixels.psnr(x, y, mask), 100)
    np.testing.assert_allclose(pixels.ssim(x, y, mask), 1, rtol=1e-5)
    assert np.all(pixels.psnr(x, y, ~mask) < pixels.psnr(x, y)) and np.all(pixels.ssim(x, y, ~mask) < pixels.ssim(x, y))


def test_an_empty_mask_has_no_value():
    empty = np.zeros((2, 3, 24, 40), bool)
    assert np.isnan(pixels.psnr(noise(0), noise(1), empty)).all()
    assert np.isnan(pixels.ssim(noise(0), noise(1), empty)).all()


@pytest.mark.parametrize("metric", [pixels.psnr, pixels.ssim])
def test_floats_are_not_compared(metric):
    with pytest.raises(ValueError, match="float32"):
        metric(jnp.zeros((1, 1, 16, 16, 3)), jnp.zeros((1, 1, 16, 16, 3)))


def test_text_stands_out_of_its_background():
    """A screen with two words, of which the video has none: nearly right over all pixels, wrong where the text is."""
    screen = "\n".join(row.ljust(32) for row in ["ls", *[""] * 8, "file"])
    reference = draw_text(screen)[None, None]
    mask = text.text_cells([screen], *reference.shape[2:4])[None]
    assert mask.sum() == 6 * 16 * 8 and mask[0, 0, :16, :16].all()
    assert not (reference[0, 0].max(-1) > 0)[~mask[0, 0]].any()
    generated = np.zeros_like(reference)
    whole, there = pixels.ssim(generated, reference)[0], pixels.ssim(generated, reference, mask)[0]
    assert whole > 0.95 and there < 0.5
    assert pixels.psnr(generated, reference)[0] > 20 > pixels.psnr(generated, reference, mask)[0]


# The cursor's patch


@pytest.mark.parametrize(
    ("place", "rows", "columns"),
    [((10, 5), (3, 7), (8, 12)), ((0, 0), (0, 2), (0, 2)), ((39, 23), (21, 23), (37, 39)), ((-9, 5), None, None)],
)
def test_the_cursors_patch_is_a_square_cut_at_the_border(place, rows, columns):
    patch = pixels.cursor_patch(np.asarray([place], float), 24, 40, radius=2)[0]
    inside = np.argwhere(patch)
    assert (rows is None) == (len(inside) == 0)
    if rows:
        assert (inside[:, 0].min(), inside[:, 0].max()) == rows and (inside[:, 1].min(), inside[:, 1].max()) == columns
        assert patch.sum() == (rows[1] - rows[0] + 1) * (columns[1] - columns[0] + 1)


def test_the_patch_reaches_sixteen_pixels_unless_told():
    assert pixels.cursor_patch(np.asarray([[50.0, 50.0]]), 100, 100).sum() == 33**2


def test_an_unknown_cursor_has_no_patch():
    assert not pixels.cursor_patch(np.full((2, 2), np.nan), 24, 40).any()
