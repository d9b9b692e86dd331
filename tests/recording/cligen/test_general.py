"""From recordings to a dataset: every step's refusals counted, the same data whoever draws them."""

import json

import numpy as np
import pytest

from neural_computer import ClipSource
from neural_computer.recording.cligen import clip_store
from neural_computer.recording.cligen.general import General
from tests import needs
from tests.conftest import program

needs.package("avt", "recording")
needs.package("tensorflow_datasets", "recording")

pytestmark = pytest.mark.slow

SECRET = "ghp_" + "a1B2c3D4e5" * 4


def recording(path, *lines, seconds=12.0):
    """A session that types a line and prints it again, over and over."""
    entries = [{"version": 2, "width": 40, "height": 8, "env": {"USER": "margarete"}}]
    for i in range(int(seconds * 2)):
        entries.append([i / 2, "o", f"$ echo {lines[i % len(lines)]}\r\n{lines[i % len(lines)]}\r\n"])
    path.write_text("\n".join(map(json.dumps, entries)) + "\n")


@pytest.fixture(scope="module")
def casts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("casts")
    for name, lines in {"a": ("one", "two"), "b": (SECRET, "three"), "c": ("four margarete",), "d": ("five",)}.items():
        recording(folder / f"{name}.cast", *lines)
    (folder / "text.cast").write_text("no recording at all\n")
    (folder / "key.cast").write_text(
        json.dumps({"version": 2, "width": 70, "height": 8})
        + "\n"
        + json.dumps([0.5, "o", "-----BEGIN RSA PRIVATE KEY-----\r\n" + "MIIEpAIBAAKCAQEA" * 4 + "\r\n"])
        + "\n"
    )
    recording(folder / "still.cast", "x", seconds=0.5)
    (folder / "index.tsv").write_text("file\tlicence\trepo\na.cast\tMIT\tsomebody/a\n")
    return folder


def everything(folder, split):
    source = ClipSource(folder, split, 81)
    return [source[i] for i in range(len(source))]


def test_recordings_become_clips_and_nothing_secret_is_in_them(casts, tmp_path):
    ask = ["--recipe=cligen_general", f"--input={casts}", f"--output={tmp_path}/data", "--size=96x208", "--workers=2"]
    output = program("launch.prepare_data", *ask, "--chunk=2", "--preview=1").stdout
    summary = json.loads((tmp_path / "data" / "summary.json").read_text())
    assert set(summary["rejected"]) == {"text.cast", "key.cast", "still.cast"}
    assert summary["rejected"]["still.cast"] == "nothing moves in it"
    assert "rejected  text.cast: text.cast:1: must be" in output
    assert "private key" in summary["rejected"]["key.cast"]
    assert summary["masked strings"]["key"] >= 1 and summary["masked strings"]["user"] >= 1
    assert summary["kept"] == sum(summary["splits"].values()) and summary["splits"]["test"] >= 1
    assert set(summary["words a caption"]) == {"semantic", "regular", "detailed"}
    assert summary["licences"]["MIT"] >= 1 and summary["bytes a clip"] > 0
    windows = [w for split in ("train", "test") for w in everything(tmp_path / "data", split)]
    assert len(windows) == summary["kept"]
    for window in windows:
        assert window.frames.shape == (81, 96, 208, 3) and len(window.cells) == 81
        whole = json.dumps([window.cells, dict(window.captions), dict(window.meta)])
        assert SECRET not in whole and SECRET[:12] not in whole and "margarete" not in whole
        assert window.meta["data_info"]["target_size"] == [96, 208] and window.meta["videogen"]["visual_changes"] >= 1
    recordings = [{w.meta["source"]["recording"] for w in everything(tmp_path / "data", s)} for s in ("train", "test")]
    assert recordings == [{"b.cast", "c.cast", "d.cast"}, {"a.cast"}]  # by the hashes of their names
    page = (tmp_path / "data" / "preview.html").read_text()
    assert page.count("data:image/gif") == 2 and "caption, detailed" in page
    card = (tmp_path / "data" / "DATA_CARD.md").read_text()
    assert f"| kept | {summary['kept']} |" in card and "| text.cast |" in card
    assert "is there already" in program("launch.prepare_data", *ask).stdout


def test_clips_are_read_as_they_were_written(casts, tmp_path):
    General()([casts / "a.cast"], tmp_path / "a.npz")
    clips = list(clip_store.load(tmp_path / "a.npz"))
    clip_store.save(tmp_path / "b.npz", clips, clip_store.report(tmp_path / "a.npz"))
    assert clip_store.report(tmp_path / "b.npz") == clip_store.report(tmp_path / "a.npz")
    for one, two in zip(clips, clip_store.load(tmp_path / "b.npz"), strict=True):
        assert (one.id, one.captions, one.meta, one.clip.texts) == (two.id, two.captions, two.meta, two.clip.texts)
        np.testing.assert_array_equal(one.clip.index, two.clip.index)
    (tmp_path / "b.npz").write_bytes(b"cut off")
    with pytest.raises(ValueError, match="delete it and it is made again"):
        list(clip_store.load(tmp_path / "b.npz"))


def test_a_recording_stays_in_its_split_when_another_is_added(casts, tmp_path):
    from neural_computer.recording.datasets import CligenGeneral

    def build(name: str, held_out: float, *files: str) -> dict[str, set[str]]:
        folder = tmp_path / name
        folder.mkdir()
        General()([casts / file for file in files], folder / "0.npz")
        builder = CligenGeneral(folder, size=(48, 104), held_out=held_out, data_dir=str(folder / "data"))
        builder.download_and_prepare()
        return {s: {w.meta["source"]["recording"] for w in everything(folder / "data", s)} for s in builder.info.splits}

    assert build("one", 0.1, "b.cast") == {"train": {"b.cast"}}
    assert build("two", 0.1, "a.cast", "b.cast") == {"train": {"b.cast"}, "test": {"a.cast"}}
    with pytest.raises(ValueError, match="split train is empty: .* rename one"):
        build("three", 0.1, "a.cast")


SMALL = ["--recipe=cligen_general", "--size=48x104", "--chunk=2"]


@pytest.fixture(scope="module")
def plain(casts, tmp_path_factory):
    """The dataset as one process draws it."""
    folder = tmp_path_factory.mktemp("plain")
    program("launch.prepare_data", *SMALL, f"--input={casts}", f"--output={folder}", "--workers=1")
    return {split: everything(folder, split) for split in ("train", "test")}


@pytest.mark.parametrize("workers", [1, 4])
def test_beam_draws_the_same_records_in_the_same_order(casts, plain, tmp_path, workers):
    needs.package("apache_beam", "beam")
    ask = [*SMALL, f"--input={casts}", f"--output={tmp_path}", f"--workers={workers}", "--beam"]
    program("launch.prepare_data", *ask)
    for split, windows in plain.items():
        beam = everything(tmp_path, split)
        assert [w.id for w in windows] == [w.id for w in beam]
        for one, two in zip(windows, beam, strict=True):
            assert one.captions == two.captions and one.events == two.events and one.meta == two.meta
            np.testing.assert_array_equal(one.frames, two.frames)


def test_two_builds_are_the_same(casts, tmp_path):
    from neural_computer.recording.datasets import CligenGeneral

    built = []
    for name in ("one", "two"):
        General()(sorted(casts.glob("*.cast")), tmp_path / f"{name}.npz")
        folder = tmp_path / name
        folder.mkdir()
        (tmp_path / f"{name}.npz").rename(folder / "000000.npz")
        CligenGeneral(folder, size=(48, 104), data_dir=str(folder / "data")).download_and_prepare()
        built.append(everything(folder / "data", "train"))
    assert [w.id for w in built[0]] == [w.id for w in built[1]]
    for one, two in zip(*built, strict=True):
        np.testing.assert_array_equal(one.frames, two.frames)
