"""A data set of the simulated terminal."""

import dataclasses

import numpy as np
import pytest

from neural_computer.data.episodes import EpisodeWriter
from neural_computer.data.kinds import of_meta
from neural_computer.data.windows import ClipSource
from neural_computer.recording import tty
from neural_computer.simulators.tty import sessions
from neural_computer.simulators.tty.typists import TYPISTS, Typist
from tests import needs

MAKING = tty.Making(frames=30, rows=2, cols=10, seed=3)
SPLITS = {
    tty.TRAIN: tty.Part("brisk", 3, window=4),
    tty.TEST: tty.Part("sums", 2, window=30, first=tty.MOST),
}


def content(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if "array_record" in path.name}


def test_sessions_become_episodes_of_two_splits(tmp_path):
    report = tty.build(SPLITS, tmp_path, MAKING)
    assert report["kept"] == 5 and report["splits"] == {"train": 3, "test": 2} and not report["rejected"]
    assert sum(report["frames by kind, train"].values()) == 90
    train, test = ClipSource(tmp_path, "train", 4), ClipSource(tmp_path, "test", 30)
    assert len(train) == 3 * 27 and [test[i].id for i in range(2)] == ["tty/3/1000000", "tty/3/1000001"]
    clip = test[1]
    again = sessions.session(Typist.of(clip.meta["typist"]), clip.meta["seed"], 30, 2, 10)
    assert Typist.of(clip.meta["typist"]) == TYPISTS["sums"]
    np.testing.assert_array_equal(of_meta(clip.meta)[1], again.kinds)
    assert clip.frames.shape == (30, 32, 80, 3) and clip.captions == {"plain": "a terminal"}


def test_an_interrupted_build_goes_on_with_the_split_that_is_not_whole(tmp_path, monkeypatch):
    tty.build(SPLITS, tmp_path / "whole", MAKING)
    simulated, made = sessions.simulated, []

    def simulate(typist, seed, id, *sizes):
        if len(made) == 4:
            raise KeyboardInterrupt
        made.append(id)
        return simulated(typist, seed, id, *sizes)

    monkeypatch.setattr(sessions, "simulated", simulate)
    (tmp_path / "cut").mkdir()
    with pytest.raises(KeyboardInterrupt):
        tty.build(SPLITS, tmp_path / "cut", MAKING)
    assert {name for name in content(tmp_path / "cut")} == {"episodes-train.array_record-00000-of-00001"}
    assert not list((tmp_path / "cut").glob("*.partial"))
    made[:] = []
    assert tty.build(SPLITS, tmp_path / "cut", MAKING) == tty.build(SPLITS, tmp_path / "whole", MAKING)
    assert made == ["tty/3/1000000", "tty/3/1000001"]
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


def test_a_split_of_other_settings_is_made_anew(tmp_path):
    tty.build(SPLITS, tmp_path, MAKING)
    before = content(tmp_path)
    tty.build(SPLITS, tmp_path, dataclasses.replace(MAKING, seed=4))
    assert all(now != before[name] for name, now in content(tmp_path).items())
    assert {ClipSource(tmp_path, split, 4)[0].id.split("/")[1] for split in SPLITS} == {"4"}


@needs.sandboxed("python")
def test_sessions_are_recorded_once_in_a_real_shell(tmp_path, monkeypatch):
    needs.package("avt", "recording")
    making = dataclasses.replace(MAKING, source=tty.SHELL, rows=3, cols=16)
    splits = {tty.TRAIN: tty.Part("brisk", 2, window=4)}
    with pytest.raises(KeyboardInterrupt), monkeypatch.context() as patch:
        patch.setattr(EpisodeWriter, "write", interrupt)
        tty.build(splits, tmp_path, making)
    recordings = {path: path.stat().st_mtime_ns for path in (tmp_path / "recordings").iterdir()}
    assert len(recordings) == 1 and not content(tmp_path)
    assert tty.build(splits, tmp_path, making)["kept"] == 2
    assert recordings == {path: path.stat().st_mtime_ns for path in (tmp_path / "recordings").iterdir()}
    clip = ClipSource(tmp_path, "train", 4)[5]
    assert clip.meta["source"].startswith("recorded in bash ") and clip.id == "tty/3/0" and clip.logged
    assert clip.cells[0].startswith(">>> ") and len(of_meta(clip.meta)[1]) == 30


def interrupt(*_):
    raise KeyboardInterrupt
