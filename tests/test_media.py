import numpy as np
import pytest

from neural_computer import media, report


def video(t=6, h=16, w=24):
    x = np.zeros((t, h, w, 3), np.uint8)
    for i in range(t):
        x[i, :, 2 * i : 2 * i + 8] = (200, 40 * i, 90)
    return x


def test_an_mp4_comes_back_nearly_the_same(tmp_path):
    media.write_video(tmp_path / "a.mp4", media.upscale(video(), 4), 5)
    back, fps = media.read_video(tmp_path / "a.mp4")
    assert fps == 5 and back.shape == (6, 64, 96, 3)
    assert np.abs(back.astype(int) - media.upscale(video(), 4)).mean() < 6


def test_folders_and_gifs_come_back(tmp_path):
    media.write_video(tmp_path / "frames", video(), 5)
    np.testing.assert_array_equal(media.read_video(tmp_path / "frames")[0], video())
    media.write_video(tmp_path / "a.gif", video(), 5)
    assert media.read_video(tmp_path / "a.gif")[0].shape[1:] == (16, 24, 3)


@pytest.mark.parametrize("fps", [5, 6, 15])
def test_a_gif_that_stands_still_keeps_its_clock(tmp_path, fps):
    """Equal frames become one that is shown for longer; read again they are as many. The last one stands for a second."""
    shown = np.repeat([0, 60, 120, 250], [1, 4, 2, 5]).astype(np.uint8)
    video = np.broadcast_to(shown[:, None, None, None], (12, 8, 8, 3)).copy()
    media.write_video(tmp_path / "a.gif", video, fps)
    read, rate = media.read_video(tmp_path / "a.gif")
    assert read[:, 0, 0, 0].tolist() == [*shown, *[250] * (len(read) - 12)]
    assert rate == fps and abs(len(read) - (11 + fps)) <= 1


def test_pictures_are_lossless():
    np.testing.assert_array_equal(media.from_png(media.png(video()[2])), video()[2])


@pytest.mark.parametrize("name", ["none.mp4", "text.mp4"])
def test_what_is_no_video_is_named(tmp_path, name):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(ValueError, match=name):
        media.read_video(tmp_path / name)


def test_letterbox_keeps_proportions():
    boxed = media.letterbox(np.full((1, 10, 40, 3), 255, np.uint8), 20, 20)
    assert boxed.shape == (1, 20, 20, 3)
    assert boxed[0, 10].min() == 255 and boxed[0, :7].max() == 0 and boxed[0, 13:].max() == 0


def test_resampling_shows_what_was_on_the_screen():
    frames = np.arange(10, dtype=np.uint8)[:, None, None, None].repeat(3, -1)
    assert media.resample(frames, 10, 5)[:, 0, 0, 0].tolist() == [0, 2, 4, 6, 8]
    assert media.resample(frames[:2], 5, 10)[:, 0, 0, 0].tolist() == [0, 0, 1, 1]


def test_a_strip_has_a_row_a_video():
    one, two = (media.strip({n: video() for n in names}, scale=1) for names in (["truth"], ["truth", "rollout"]))
    assert two.shape == (2 * one.shape[0], *one.shape[1:])


def test_a_page_is_one_file_with_everything_escaped(tmp_path):
    page = report.Page("<title>").heading("part & parcel").text("a < b")
    page.table([{"x": 1.23456, "y": "<script>"}, {"x": 33.333, "z": None}], "cap")
    page.curve({"loss": ([1, 2], [2.0, 1.0])}, "loss", "step", "loss", log=True)
    page.image(video()[0], "picture").gif(video(), 5, "video").save(tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    assert "<script>" not in text and "a &lt; b" in text and "1.235" in text and "33.33" in text
    assert text.count("data:image/png;base64,") == 2 and text.count("data:image/gif;base64,") == 1
    assert "http" not in text


def test_a_text_table_lines_up():
    lines = report.text_table([{"a": "x", "b": 1.0}, {"a": "longer", "b": 22.0}]).split("\n")
    assert len({len(line) for line in lines}) == 1 and lines[1].split() == ["x", "1.000"]


def test_a_frame_that_stays_is_letterboxed_like_any_other():
    two = np.random.default_rng(0).integers(0, 256, (2, 30, 40, 3)).astype(np.uint8)
    video = two[[0, 0, 1, 1, 0]]
    np.testing.assert_array_equal(media.letterbox(video, 16, 32), media.letterbox(two, 16, 32)[[0, 0, 1, 1, 0]])
    assert media.letterbox(video[:0], 16, 32).shape == (0, 16, 32, 3)
