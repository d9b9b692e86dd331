"""Which clips a data set has, and the stored index of its records."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from neural_computer.data.episodes import EpisodeWriter
from neural_computer.data.records import Reader
from neural_computer.data.windows import ClipSource, clips_of, locate
from neural_computer.types import Episode


def index_of(*records: tuple[int, int, int]) -> np.ndarray:
    """The index of one file with records of (first frame, frames, owned starts)."""
    return np.asarray([(0, number, *record) for number, record in enumerate(records)], np.int64)


def starts(index, length, stride=1) -> list[tuple[int, int]]:
    """(record, first frame) of every clip."""
    file, number, start = clips_of(index, length, stride, Path("here"))
    assert not file.any()
    return list(zip(number.tolist(), start.tolist(), strict=True))


@pytest.mark.parametrize("stride", [1, 2, 3, 5])
@pytest.mark.parametrize("length", [1, 2, 6, 7])
def test_clips_begin_on_the_grid_in_the_record_that_owns_them_and_end_with_the_video(length, stride):
    """A video of 12 frames in two records, which own 5 and 7 starts; every combination against brute force."""
    index = index_of((0, 5 + 6, 5), (5, 7, 7))
    expected = [
        (number, start)
        for number, (begin, owned) in enumerate([(0, 5), (5, 7)])
        for start in range(begin, begin + owned)
        if start % stride == 0 and start + length <= 12
    ]
    assert starts(index, length, stride) == expected


def test_a_video_as_long_as_a_clip_is_one_clip_and_a_shorter_one_is_none():
    assert starts(index_of((0, 5, 5), (0, 4, 4), (0, 6, 6)), 5) == [(0, 0), (2, 0), (2, 1)]
    with pytest.raises(ValueError, match=r"here: no video is 7 frames long \(the longest record has 6\)"):
        starts(index_of((0, 5, 5), (0, 6, 6)), 7)


def test_records_that_cut_clips_off_differ_from_videos_that_end():
    """The first of two records owns starts 0 .. 4 and has 8 frames: clips of 4 from any of them, not of 5."""
    index = index_of((0, 8, 5), (5, 10, 10))
    assert len(starts(index, 4)) == 5 + 7
    with pytest.raises(ValueError, match=r"clips of up to 4 frames, length=5; .*window=5"):
        starts(index, 5)
    # On a grid of 2 the last start that it owns is 4 as well; on one of 3 it is 3, and one frame more fits.
    with pytest.raises(ValueError, match="up to 4 frames"):
        starts(index, 5, stride=2)
    assert starts(index, 5, stride=3)[:3] == [(0, 0), (0, 3), (1, 6)]


def video(frames: int, name: str = "a") -> Episode:
    pixels = np.zeros((frames, 8, 8, 3), np.uint8)
    pixels[..., 0] = np.arange(frames)[:, None, None]
    return Episode(name, pixels, fps=5)


@pytest.fixture
def folder(tmp_path):
    with EpisodeWriter(tmp_path, window=5) as writer:
        for i, frames in enumerate((5, 8)):
            writer.write(video(frames, str(i)))
    return tmp_path


def test_the_index_is_computed_once_and_anew_when_damaged(folder, monkeypatch):
    first = ClipSource(folder, "train", 5)
    (stored,) = folder.glob(".windows-train-*.npy")
    scans = []
    scan = ClipSource._scan
    monkeypatch.setattr(ClipSource, "_scan", lambda self: scans.append(1) or scan(self))
    assert len(ClipSource(folder, "train", 5)) == len(first) == 5 and not scans
    stored.write_bytes(stored.read_bytes()[:40])
    assert len(ClipSource(folder, "train", 5)) == 5 and len(scans) == 1
    with EpisodeWriter(folder, window=5) as writer:
        writer.write(video(7, "b"))
    assert len(ClipSource(folder, "train", 5)) == 3 and len(scans) == 2, "other files have another index"


@pytest.mark.parametrize(("length", "stride"), list(itertools.product((0, 1), (0, 1))))
def test_lengths_and_strides_are_at_least_one(folder, length, stride):
    if length and stride:
        return assert_all_frames(ClipSource(folder, "train", length, stride))
    with pytest.raises(ValueError, match=f"length={length}, stride={stride}: both must be at least 1"):
        ClipSource(folder, "train", length, stride)


def assert_all_frames(source):
    assert [source[i].frames[0, 0, 0, 0] for i in range(len(source))] == [*range(5), *range(8)]


def test_the_folder_above_one_dataset_will_do_and_of_two_one_must_be_named(tmp_path):
    for name in ("one", "two"):
        with EpisodeWriter(tmp_path / "both" / name / "1.0.0", window=5) as writer:
            writer.write(video(5))
    alone = tmp_path / "alone" / "one" / "1.0.0"
    with EpisodeWriter(alone, window=5) as writer:
        writer.write(video(5))
    assert locate(tmp_path / "alone") == alone == locate(alone)
    with pytest.raises(ValueError, match="holds 2 datasets, name one: .*one.*two"):
        locate(tmp_path / "both")
    with pytest.raises(ValueError, match="holds no dataset"):
        locate(tmp_path)


def test_fewer_records_than_the_metadata_lists_are_named(folder):
    """A shard of another build in place of this one's."""
    with EpisodeWriter(folder / "other", window=5) as writer:
        writer.write(video(5))
    (file,), (other,) = folder.glob("*.array_record*"), (folder / "other").glob("*.array_record*")
    file.write_bytes(other.read_bytes())
    with pytest.raises(ValueError, match=f"{file.name}: holds 1 records, dataset_info.json lists 2 in 1 files"):
        ClipSource(folder, "train", 5)


def test_a_reader_names_file_and_record_and_the_way_out(folder):
    (file,) = folder.glob("*.array_record*")
    reader = Reader([file], "record it again")
    assert reader.count(0) == 2 and reader.read(0, 1, len) > 0
    for number, parse in ((2, len), (0, lambda data: 1 / 0)):
        with pytest.raises(
            ValueError, match=f"{file.name}: record {number} cannot be read .*copy it again, or record it"
        ):
            reader.read(0, number, parse)
    assert Reader([folder / "dataset_info.json"]).count(0) == 0
