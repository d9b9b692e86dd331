"""Recipe videos, which split a video belongs to."""

import json

import numpy as np
import pytest

from neural_computer import ClipSource, media
from tests.conftest import program

pytestmark = pytest.mark.slow
TRAIN, TEST = ("good2", "a", "b"), ("good0", "good1")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """A function that makes a folder of videos of these names."""

    def folder(*names: str):
        path = tmp_path_factory.mktemp("recordings")
        for name in names:
            media.write_video(path / f"{name}.mp4", np.full((10, 16, 32, 3), 99, np.uint8), 5)
            (path / f"{name}.txt").write_text(name)
        return path

    return folder


def prepare(folder, output, *arguments, check=True):
    ask = [f"--input={folder}", f"--output={output}", "--size=16x32", "--frames=9", *arguments]
    return program("launch.prepare_data", "--recipe=videos", *ask, check=check)


def ids(output) -> dict[str, set[str]]:
    splits = json.loads((output / "summary.json").read_text())["splits"]
    sources = {split: ClipSource(output, split, 9) for split, count in splits.items() if count}
    return {split: {source[i].id for i in range(len(source))} for split, source in sources.items()}


def test_adding_a_video_moves_no_other(recordings, tmp_path):
    prepare(recordings(*TRAIN[:2], TEST[0]), tmp_path / "before")
    prepare(recordings(*TRAIN, *TEST), tmp_path / "after")
    assert ids(tmp_path / "before") == {"train": set(TRAIN[:2]), "test": set(TEST[:1])}
    assert ids(tmp_path / "after") == {"train": set(TRAIN), "test": set(TEST)}


def test_an_empty_split_is_named_with_the_way_out(recordings, tmp_path):
    done = prepare(recordings(*TRAIN), tmp_path / "no-test")
    assert "split test is empty" in done.stdout and "--test_share=0.1" in done.stdout
    assert ids(tmp_path / "no-test") == {"train": set(TRAIN)}
    done = prepare(recordings(*TEST), tmp_path / "no-train", check=False)
    assert done.returncode == 1 and "split train is empty" in done.stderr and "--test_share=0.1" in done.stderr
    assert not (tmp_path / "no-train" / "summary.json").exists()
    prepare(recordings(*TRAIN), tmp_path / "half", "--test_share=0.25")
    assert ids(tmp_path / "half") == {"train": {"good2", "a"}, "test": {"b"}}
