"""Two folders of videos, and everything that can be wrong with them, by name."""

import json

import numpy as np
import pytest

from neural_computer import media
from neural_computer.evals import folders
from neural_computer.evals.folders import VideoError


def video(frames: int = 6, size: tuple[int, int] = (32, 48), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (frames, *size, 3)).astype(np.uint8)


@pytest.fixture
def both(tmp_path):
    for side in ("generated", "reference"):
        (tmp_path / side / "deep").mkdir(parents=True)
    return tmp_path / "generated", tmp_path / "reference"


def test_videos_of_every_form_are_matched_by_their_place_and_name(both):
    generated, reference = both
    media.write_video(generated / "a.gif", video(), 10)
    media.write_video(reference / "a.mp4", video(), 10)
    media.write_video(generated / "deep" / "b", video(), 10)
    np.save(reference / "deep" / "b.npy", video() / 255)
    pairs, problems = folders.match(generated, reference)
    assert list(pairs) == ["a", "deep/b"] and not problems
    pair = folders.load_pair("deep/b", *pairs["deep/b"], fps=7)
    assert pair.fps == 7 and not pair.problems
    np.testing.assert_array_equal(pair.generated, pair.reference)


def test_clips_without_a_partner_are_listed(both):
    generated, reference = both
    for path in (
        generated / "only_generated.npy",
        reference / "only_reference.npy",
        generated / "c.npy",
        reference / "c.npy",
        generated / "d.npy",
    ):
        np.save(path, video())
    media.write_video(reference / "d.gif", video(), 10)
    np.save(reference / "d.npy", video())
    pairs, problems = folders.match(generated, reference)
    assert list(pairs) == ["c"]
    assert [(p.clip, p.kind) for p in problems] == [
        ("d", "twice"),
        ("only_generated", "missing"),
        ("only_reference", "missing"),
    ]
    assert "d.gif and d.npy" in problems[0].detail and problems[1].detail == f"is not in {reference}"


def test_folders_that_have_nothing_in_common_are_an_error(both):
    generated, reference = both
    with pytest.raises(ValueError, match="holds no videos"):
        folders.match(generated, reference)
    np.save(generated / "a.npy", video())
    np.save(reference / "b.npy", video())
    with pytest.raises(ValueError, match="have no clip in common .a ... and b .*the same name"):
        folders.match(generated, reference)
    with pytest.raises(ValueError, match="is no folder"):
        folders.find_videos(generated / "a.npy")


def write(path, frames, fps):
    media.write_video(path, frames, fps)
    return path


@pytest.mark.parametrize(
    ("generated", "kinds", "count"),
    [
        ((video(20), 10), [], 20),
        ((video(14), 10), ["length"], 14),
        ((video(30), 15), ["rate"], 20),
        ((video(20, (16, 24)), 10), ["size"], 20),
        ((video(45, (16, 24)), 20), ["rate", "length", "size"], 20),
    ],
)
def test_differences_are_adapted_and_listed(tmp_path, generated, kinds, count):
    paths = write(tmp_path / "generated.mp4", *generated), write(tmp_path / "reference.mp4", video(20), 10)
    pair = folders.load_pair("clip", *paths)
    assert [problem.kind for problem in pair.problems] == kinds
    assert pair.generated.shape == pair.reference.shape == (count, 32, 48, 3) and pair.fps == 10


def test_resampling_to_the_references_rate_keeps_the_clock(tmp_path):
    """Frame n of the reference is beside the frame that the generated video shows at n / fps."""
    numbered = np.arange(30, dtype=np.uint8)[:, None, None, None] * np.full((1, 16, 16, 3), 8, np.uint8)
    np.save(tmp_path / "reference.npy", numbered[:10])
    generated = write(tmp_path / "generated.mp4", numbered, 15)
    reference = write(tmp_path / "reference.mp4", numbered[:10], 5)
    pair = folders.load_pair("clip", generated, reference)
    assert abs(pair.generated[:, 8, 8, 0].astype(int) - 8 * 3 * np.arange(10)).max() <= 3


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (
            np.where(np.arange(6)[:, None, None, None] == 3, np.nan, video() / 255),
            r"NaN or infinity in 1 of 6 frames \(\[3\]",
        ),
        (video() * 1.0, r"floats from 0 to 255; they must be in \[0, 1\]"),
        (video()[0], r"is of shape \(32, 48, 3\); a video is \(t, h, w, 3\)"),
        (video().astype(np.int64), "is of int64"),
        (np.asarray([None]), "allow_pickle"),
    ],
)
def test_arrays_that_are_no_videos(tmp_path, array, message):
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    with pytest.raises(VideoError, match=f"x.npy: .*{message}"):
        folders.read_video(tmp_path / "x.npy")


def test_a_video_cut_short_is_an_error(tmp_path):
    path = write(tmp_path / "x.mp4", video(20), 10)
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(VideoError, match="x.mp4: cannot be read as a video"):
        folders.read_video(path)


def test_without_any_rate_the_way_out_is_named(tmp_path):
    np.save(tmp_path / "x.npy", video())
    with pytest.raises(VideoError, match="neither video has a frame rate; give --fps"):
        folders.load_pair("x", tmp_path / "x.npy", tmp_path / "x.npy")


def test_events_and_cells_lie_beside(tmp_path):
    np.save(tmp_path / "x.npy", video())
    rows = [
        {"time": 0.2, "kind": "press", "key": "left", "x": 9, "y": 5},
        {"time": 0.1, "kind": "move", "x": 3, "y": 4},
    ]
    (tmp_path / "x.events.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "x.cells.json").write_text(json.dumps(["ab"] * 6))
    pair = folders.load_pair("x", tmp_path / "x.npy", tmp_path / "x.npy", tmp_path, fps=10)
    assert pair.action_times == [0.2] and pair.cells == ("ab",) * 6
    assert np.isnan(pair.cursor[0]).all() and pair.cursor[2:].tolist() == [[9, 5]] * 4
    (tmp_path / "x.cells.json").write_text(json.dumps(["ab"] * 5))
    with pytest.raises(VideoError, match="x.cells.json: must be a list of at least 6 strings"):
        folders.load_pair("x", tmp_path / "x.npy", tmp_path / "x.npy", tmp_path, fps=10)
    (tmp_path / "x.events.jsonl").write_text('{"time": 1}')
    with pytest.raises(VideoError, match="x.events.jsonl:1: is no event"):
        folders.load_pair("x", tmp_path / "x.npy", tmp_path / "x.npy", tmp_path, fps=10)


def test_a_fingerprint_changes_with_any_file(tmp_path):
    media.write_video(tmp_path / "x", video(), 10)
    before = folders.fingerprint([tmp_path / "x", tmp_path / "none"])
    assert folders.fingerprint([tmp_path / "x", tmp_path / "none"]) == before
    (tmp_path / "x" / "00003.png").write_bytes(media.png(video(seed=1)[3]))
    assert folders.fingerprint([tmp_path / "x", tmp_path / "none"]) != before
