import json
import sys

import numpy as np
import pytest

from neural_computer.data import records, tfds_files
from neural_computer.data.episodes import EpisodeWriter
from neural_computer.data.windows import ClipSource
from neural_computer.types import Episode, Event


def video(frames: int = 12, name: str = "a", **fields) -> Episode:
    """Frame t has t in every pixel of its first channel."""
    pixels = np.zeros((frames, 8, 8, 3), np.uint8)
    pixels[..., 0] = np.arange(frames)[:, None, None] % 256
    return Episode(name, pixels, fps=5, **fields)


def written(folder, *episodes: Episode, split: str = "train", **settings):
    with EpisodeWriter(folder, split, **settings) as writer:
        for episode in episodes:
            writer.write(episode)
    return folder


@pytest.mark.parametrize(
    ("frames", "window", "stride"), [(12, 5, 1), (400, 9, 1), (400, 81, 1), (401, 33, 4), (170, 170, 3)]
)
def test_every_legal_start_exists_exactly_once(tmp_path, frames, window, stride):
    source = ClipSource(written(tmp_path, video(frames), window=window, stride=stride), "train", window, stride)
    starts = [source[i].start for i in range(len(source))]
    assert sorted(starts) == list(range(0, frames - window + 1, stride))
    for i in (0, len(source) // 2, len(source) - 1):
        np.testing.assert_array_equal(source[i].frames[:, 0, 0, 0], np.arange(starts[i], starts[i] + window) % 256)


@pytest.mark.parametrize("length", [1, 5, 9])
def test_shorter_windows_of_long_videos_are_whole_too(tmp_path, length):
    source = ClipSource(written(tmp_path, video(400), window=9), "train", length)
    assert sorted(source[i].start for i in range(len(source))) == list(range(400 - length + 1))


def test_longer_windows_than_were_written_are_rejected(tmp_path):
    written(tmp_path, video(400), window=9)
    with pytest.raises(ValueError, match="write it again with EpisodeWriter\\(window=12\\)"):
        ClipSource(tmp_path, "train", 12)


def test_records_are_bounded():
    sizes = [len(record["frames"]) for record in records.records(video(1000), 81, 1)]
    assert max(sizes) <= records.RECORD_FRAMES and len(sizes) > 1


def test_what_is_written_is_read(tmp_path):
    events = (Event(0.1, "press", key="a"), Event(1.7, "move", x=3.0, y=4.0))
    cells = tuple(f"screen {t}" for t in range(12))
    cursor = np.arange(24, dtype=np.float32).reshape(12, 2)
    cursor[3] = np.nan
    episode = video(captions={"plain": "é"}, cells=cells, events=events, cursor=cursor, meta={"licence": "CC0-1.0"})
    window = ClipSource(written(tmp_path, episode), "train", 5)[7]
    assert window.start == 7 and window.cells == cells[7:] and window.captions == {"plain": "é"}
    assert window.meta == {"licence": "CC0-1.0"} and window.fps == 5
    np.testing.assert_array_equal(window.cursor, cursor[7:])
    (event,) = window.events
    assert event.kind == "move" and event.x == 3 and event.time == pytest.approx(1.7 - 7 / 5)
    first = ClipSource(tmp_path, "train", 5)[0]
    assert first.events[0].key == "a" and np.isnan(first.events[0].x)


def test_tfds_reads_it_and_both_splits(tmp_path):
    import tensorflow_datasets as tfds

    written(tmp_path, video(name="a"), video(name="b"))
    written(tmp_path, video(name="c"), split="test")
    builder = tfds.builder_from_directory(str(tmp_path))
    data = builder.as_data_source()
    assert len(data["train"]) == 2 and len(data["test"]) == 1
    record = data["test"][0]
    assert record["id"] == b"c" and len(record["frames"]) == 12 and record["fps"] == 5


def test_a_builder_of_tfds_is_read_and_no_pair_is_in_two_splits(tmp_path):
    from neural_computer.recording.datasets import PythonRepl
    from neural_computer.recording.problems import grid
    from neural_computer.recording.terminal import repl

    problems = grid(1, 6)
    recordings = repl.record_all(problems, tmp_path / "recordings", workers=2)
    PythonRepl(repl.Sessions(problems, recordings), data_dir=str(tmp_path)).download_and_prepare()
    pairs = {}
    for split in ("train", "test"):
        source = ClipSource(tmp_path, split, 9)
        pairs[split] = {source[i].meta["expression"] for i in range(len(source))}
    assert not pairs["train"] & pairs["test"] and len(pairs["train"] | pairs["test"]) == 36


def test_a_split_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(KeyboardInterrupt), EpisodeWriter(tmp_path) as writer:
        writer.write(video())
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="holds no dataset"):
        ClipSource(tmp_path, "train", 5)


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"cells": ("one",)}, "one screen of text a frame"),
        ({"events": (Event(9.0, "press"),)}, "outside the video"),
    ],
)
def test_parts_that_do_not_fit_are_rejected(tmp_path, fields, rule):
    writer = EpisodeWriter(tmp_path)
    with pytest.raises(ValueError, match=f"episode 'a': .*{rule}"):
        writer.write(video(**fields))


def test_an_id_is_written_once(tmp_path):
    writer = EpisodeWriter(tmp_path)
    writer.write(video())
    with pytest.raises(ValueError, match="written twice"):
        writer.write(video())


def test_a_cut_off_file_is_named(tmp_path):
    rng = np.random.default_rng(0)
    noise = [Episode(f"{i}", rng.integers(0, 256, (5, 64, 64, 3)).astype(np.uint8), fps=5) for i in range(8)]
    written(tmp_path, *noise)
    (file,) = tmp_path.glob("*.array_record*")
    ClipSource(tmp_path, "train", 5)
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=f"{file.name}.*(damaged|cut off)"):
        source = ClipSource(tmp_path, "train", 5)
        for i in range(len(source)):
            source[i]


def test_a_damaged_record_is_named(tmp_path):
    rng = np.random.default_rng(0)
    noise = [Episode(f"{i}", rng.integers(0, 256, (5, 64, 64, 3)).astype(np.uint8), fps=5) for i in range(8)]
    source = ClipSource(written(tmp_path, *noise), "train", 5)
    data = bytearray(source.files[0].read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(64)
    source.files[0].write_bytes(data)
    with pytest.raises(ValueError, match="record \\d+ cannot be read"):
        for i in range(len(source)):
            source[i]


def test_an_unknown_split_is_named_with_those_that_are_there(tmp_path):
    written(tmp_path, video())
    with pytest.raises(ValueError, match="no split 'test'; it has train"):
        ClipSource(tmp_path, "test", 5)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"id": ""}, "id must not be empty"),
        ({"frames": np.zeros((0, 8, 8, 3), np.uint8)}, "frames must be uint8"),
        ({"fps": 0.0}, "fps=0.0: must be positive"),
        ({"cursor": np.zeros((11, 2), np.float32)}, r"cursor must be \(12, 2\)"),
        ({"events": (Event(2.41, "press"),)}, r"outside the video's 2.400 s"),
        ({"events": (Event(-0.01, "press"),)}, "outside the video"),
    ],
)
def test_an_episode_that_is_none_names_its_rule(change, rule):
    episode = video()
    for name, value in change.items():
        object.__setattr__(episode, name, value)  # past the tests' type checks, which a user's process has not
    with pytest.raises(ValueError, match=rule):
        records.check(episode)


def test_events_from_the_first_to_the_last_moment_of_a_video_are_its_own(tmp_path):
    """A clip has the events from its first frame's time on, up to the time of the frame after its last."""
    times = (0.0, 0.9, 1.0, 1.99, 2.4)
    events = tuple(Event(t, "press", key="a") for t in times)
    records.check(video(events=events))
    source = ClipSource(written(tmp_path, video(events=events)), "train", 5)
    assert [e.time for e in source[0].events] == pytest.approx([0.0, 0.9])
    assert [e.time for e in source[5].events] == pytest.approx([0.0, 0.99])


def test_frames_that_repeat_take_no_bytes_and_come_back(tmp_path):
    frames = np.repeat(np.arange(4, dtype=np.uint8), 3)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    episode = Episode("a", frames, fps=5)
    (record,) = records.records(episode, 5, 1)
    assert [bool(data) for data in record["frames"]] == [t % 3 == 0 for t in range(12)]
    source = ClipSource(written(tmp_path, episode), "train", 5)
    for i in range(len(source)):
        np.testing.assert_array_equal(source[i].frames, frames[source[i].start :][:5])


@pytest.mark.parametrize(("window", "stride"), [(5, 0), (5, 6)])
def test_a_stride_is_between_one_and_the_window(tmp_path, window, stride):
    with pytest.raises(ValueError, match=f"stride={stride}: must be between 1 and window={window}"):
        EpisodeWriter(tmp_path, window=window, stride=stride)
    EpisodeWriter(tmp_path, window=5, stride=5)


def test_a_split_without_episodes_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no episode was written to split 'train'"):
        EpisodeWriter(tmp_path).close()


def test_the_files_for_tfds_are_those_that_tfds_writes(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets", reason="pip install 'neural-computer[recording]'")
    counts = {"train": ([2, 1], 99), "test": ([1], 33)}
    for folder in ("ours", "theirs"):
        (tmp_path / folder).mkdir()
    tfds_files.write(tmp_path / "ours", "episodes", counts)
    template = tfds.core.ShardedFileTemplate(
        data_dir=tmp_path / "theirs",
        dataset_name="episodes",
        filetype_suffix="array_record",
        template=tfds_files.TEMPLATE,
    )
    infos = [
        tfds.core.SplitInfo(name=name, shard_lengths=lengths, num_bytes=size, filename_template=template)
        for name, (lengths, size) in counts.items()
    ]
    for name, (lengths, _) in counts.items():
        for number in range(len(lengths)):
            path = f"episodes-{name}.array_record-{number:05d}-of-{len(lengths):05d}"
            (tmp_path / "theirs" / path).touch()
    features = records.features()
    tfds.folder_dataset.write_metadata(
        data_dir=str(tmp_path / "theirs"), features=features, split_infos=infos, check_data=False
    )
    for name in ("features.json", "dataset_info.json"):
        ours, theirs = (json.loads((tmp_path / folder / name).read_text()) for folder in ("ours", "theirs"))
        assert ours == theirs


def test_episodes_are_written_without_tfds(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with EpisodeWriter(tmp_path, window=5) as writer:
        writer.write(Episode("one", np.zeros((5, 16, 32, 3), np.uint8), fps=5, captions={"plain": "x"}))
    assert len(ClipSource(tmp_path, "train", 5)) == 1
