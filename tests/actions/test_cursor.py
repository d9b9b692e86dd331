import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageDraw

from neural_computer.actions import cursor

HEIGHT, WIDTH = 40, 56


def places(count: int, seed: int = 0) -> np.ndarray:
    """Random places between pixels, one in three near or beyond a border."""
    rng = np.random.default_rng(seed)
    out = rng.uniform(0, [WIDTH, HEIGHT], (count, 2))
    out[::3] = rng.choice([0.0, WIDTH - 3.0], (len(out[::3]), 1)) + rng.uniform(-6, 6, (len(out[::3]), 2))
    return out.astype(np.float32)


def by_pillow(arrow: cursor.Template, x: float, y: float) -> np.ndarray:
    """(h, w, 4): the template shifted by Pillow's own bilinear transform, a channel at a time."""
    shift = (1, 0, arrow.hot[0] - x, 0, 1, arrow.hot[1] - y)
    channels = [Image.fromarray(np.ascontiguousarray(arrow.pixels[..., c])) for c in range(4)]
    moved = [
        image.transform((WIDTH, HEIGHT), Image.Transform.AFFINE, shift, Image.Resampling.BILINEAR) for image in channels
    ]
    return np.stack([np.asarray(image) for image in moved], axis=-1)


def test_stamps_equal_pillows_to_one_gray_level_clipped_ones_too():
    arrow, where = cursor.template(15.0), places(50)
    video, mask = cursor.stamp(arrow, where, HEIGHT, WIDTH)
    clipped = 0
    for (x, y), f, m in zip(where, video, mask, strict=True):
        theirs = by_pillow(arrow, float(x), float(y))
        assert np.abs(f - theirs[..., :3]).max() * 127.5 <= 1 and np.abs(m - theirs[..., 3:]).max() * 255 <= 1
        clipped += m.sum() < 0.99 * arrow.pixels[..., 3].sum()
    assert 5 < clipped < 45


def test_the_template_is_the_arrow_that_the_svg_draws():
    arrow, fine = cursor.template(19.0), 64
    image = Image.new("L", tuple(side * fine for side in arrow.pixels.shape[1::-1]))
    scale = 19 / 21
    points = [((x + 1) * scale + 1, (y + 1) * scale + 1) for x, y in cursor.corners("M0 0 V16 L3.7 12.6 L6.2 18.4 Z")]
    points += [((x + 1) * scale + 1, (y + 1) * scale + 1) for x, y in ((8.7, 17.3), (6.3, 11.7), (11.4, 11.7))]
    ImageDraw.Draw(image).polygon([(x * fine, y * fine) for x, y in points], fill=255)
    body = np.asarray(image.reduce(fine), float) / 255
    mask, white = arrow.pixels[..., 3], (arrow.pixels[..., 0] + arrow.pixels[..., 3]) / 2
    assert (mask >= body - 0.05).all() and (white <= body + 0.05).all()
    assert 0.2 < white.sum() / mask.sum() < 0.8 and not mask[[0, -1]].any() and not mask[:, [0, -1]].any()
    x, y = arrow.hot
    assert mask[: int(y) - 1].sum() < 0.1 and mask[int(y) : int(y) + 3, int(x) : int(x) + 3].sum() > 1


def test_the_outline_grows_with_the_arrow():
    def outline(height):
        colour, mask = cursor.template(height).pixels[..., 0], cursor.template(height).pixels[..., 3]
        return (mask - (colour + mask) / 2).sum()

    assert outline(128.0) / outline(64.0) == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize("path", ["M0 0 C1 1 2 2 3 3", "M0 0 l1 1", "M0 0 L1"])
def test_an_svg_of_anything_but_straight_lines_is_rejected(path):
    with pytest.raises(ValueError, match="polygon"):
        cursor.corners(path)


def test_a_missing_place_has_an_empty_mask():
    where = np.asarray([[np.nan, np.nan], [3.0, np.nan], [5.0, 5.0]], np.float32)
    video, mask = cursor.stamp(cursor.template(), where, HEIGHT, WIDTH)
    assert not video[:2].any() and not mask[:2].any() and mask[2].max() > 0.9


def test_a_step_of_whole_pixels_moves_the_picture_and_nothing_else():
    arrow = cursor.template(12.0)
    video, _ = cursor.stamp(arrow, np.asarray([[20.3, 9.7], [25.3, 12.7]], np.float32), HEIGHT, WIDTH)
    np.testing.assert_allclose(np.roll(video[0], (3, 5), (0, 1)), video[1], atol=1e-5)


def test_on_the_device_it_is_the_same():
    arrow, where = cursor.template(15.0), places(20, seed=1)
    where[3] = np.nan
    frames = np.random.default_rng(0).uniform(-1, 1, (2, 10, HEIGHT, WIDTH, 3)).astype(np.float32)
    host = cursor.references(frames, where.reshape(2, 10, 2), arrow)
    device = jax.jit(lambda f, p: cursor.references(f, p, arrow))(
        jnp.asarray(frames), jnp.asarray(where.reshape(2, 10, 2))
    )
    for a, b in zip(host, device, strict=True):
        assert a.dtype == b.dtype == np.float32
        np.testing.assert_allclose(a, b, atol=2e-5)


def test_references_are_the_whole_first_frame_then_the_arrow_alone():
    arrow, where = cursor.template(), places(4, seed=2)
    frames = np.random.default_rng(0).uniform(-1, 1, (4, HEIGHT, WIDTH, 3)).astype(np.float32)
    video, mask = cursor.references(frames, where, arrow)
    np.testing.assert_array_equal(video[0], frames[0])
    assert (mask[0] == 1).all()
    for t in range(1, 4):
        f, m = cursor.stamp(arrow, where[t], HEIGHT, WIDTH)
        np.testing.assert_allclose(video[t], f, atol=1e-6)
        np.testing.assert_allclose(mask[t], m, atol=1e-6)


def test_drawn_on_a_picture_it_is_the_stamp_blended():
    arrow, rng = cursor.template(13.0), np.random.default_rng(3)
    for x, y in places(30, seed=3):
        picture = rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
        f, m = cursor.stamp(arrow, np.asarray([x, y]), HEIGHT, WIDTH)
        blended = picture * (1 - m) + (f + m) * 127.5
        cursor.onto(picture, arrow, (float(x), float(y)))
        assert np.abs(picture - blended).max() <= 1


def test_a_cursor_is_as_high_as_on_the_papers_screens_unless_said_otherwise():
    np.testing.assert_array_equal(cursor.template().pixels, cursor.template(19.0).pixels)
    assert abs(cursor.template(19.0).pixels.shape[0] - 19) <= 2 and cursor.template(38.0).pixels.shape[0] >= 38


def test_masks_become_a_channel_a_video_frame_of_a_latent_frame():
    """The first frame is in all channels of latent frame 0; a cell is the mean of its 8x8 pixels."""
    masks = np.zeros((1, 9, 16, 24, 1), np.float32)
    masks[0, 0, :8, :8] = 1.0  # frame 0: cell (0, 0)
    masks[0, 3, 8:, 16:20] = 1.0  # frame 3, the third of latent frame 1: half of cell (1, 2)
    masks[0, 8, 0, 8] = 1.0  # frame 8, the last of latent frame 2: a pixel of cell (0, 1)
    tags = cursor.tags(masks)
    expected = np.zeros((1, 3, 2, 3, 4), np.float32)
    expected[0, 0, 0, 0] = 1.0
    expected[0, 1, 1, 2, 2] = 0.5
    expected[0, 2, 0, 1, 3] = 1 / 64
    np.testing.assert_allclose(tags, expected)
