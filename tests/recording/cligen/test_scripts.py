"""Generated tapes: legal, different, seeded, playable; and the arithmetic probe."""

import functools
import json
from collections import Counter, defaultdict

import numpy as np
import pytest

from neural_computer import ClipSource
from neural_computer.recording import sandbox
from neural_computer.recording.cligen import clip_store, scripts
from neural_computer.recording.cligen.clean import Clean, Script
from neural_computer.recording.sandbox import INSTALL
from neural_computer.recording.terminal import tape
from tests import needs
from tests.conftest import program

needs.package("avt", "recording")
sandboxed = needs.sandboxed("python")


@functools.cache
def drawn() -> list[Script]:
    return scripts.scripts(1500)


def body(script: Script) -> str:
    return script.text.split("\n", 1)[1]


def test_there_are_twelve_families_and_a_hundred_thousand_different_scripts():
    assert len(scripts.families()) >= 12 and scripts.distinct() >= 100_000
    assert len({body(s) for s in drawn()}) == len({s.name for s in drawn()}) == len(drawn()) == 1500
    count = Counter(s.family for s in drawn())
    assert set(count) == set(scripts.families()) and min(count.values()) > len(drawn()) / 25


def test_every_scene_is_a_legal_tape_and_has_all_its_words():
    rng = np.random.default_rng(3)
    scenes = [(family, scene) for family, scenes in scripts.families().items() for scene in scenes]
    for family, scene in 3 * scenes:
        text = scripts.tape("x", family, scripts.fill(scene, rng), scripts.required(scene))
        parsed = tape.parse(text)
        assert parsed.commands and not parsed.ignored and not scripts.SLOT.search(text) and "{word" not in text


def test_a_seed_draws_the_same_scripts_and_another_others():
    assert scripts.scripts(50, 1) == scripts.scripts(50, 1)
    assert len({body(s) for s in scripts.scripts(50, 1)} & {body(s) for s in scripts.scripts(50, 2)}) < 10


def test_lines_are_typed_in_a_quote_that_they_lack():
    assert list(scripts.commands("a \"b\" 'c'"))[0] == "Type `a \"b\" 'c'`"
    assert list(scripts.commands("<Ctrl+x>")) == ["Ctrl+x", "Sleep 300ms"]
    assert "Enter" not in list(scripts.commands("|x")) and "Enter" in list(scripts.commands("x"))
    with pytest.raises(ValueError, match="holds all three quotes"):
        list(scripts.commands("\"'`"))


@pytest.mark.slow
@needs.sandboxed(*scripts.PROGRAMS)
def test_scripts_of_every_family_play_and_twice_alike(tmp_path):
    count = Counter()
    chosen = [s for s in drawn() if count.update([s.family]) or count[s.family] == 1]
    assert len(chosen) == len(scripts.families())
    for name in ("one", "two"):
        Clean()(chosen, tmp_path / f"{name}.npz")
    assert [row for row in clip_store.report(tmp_path / "one.npz")["rows"] if "rejected" in row] == []
    one, two = (list(clip_store.load(tmp_path / f"{name}.npz")) for name in ("one", "two"))
    for first, second in zip(one, two, strict=True):
        assert (first.clip.texts, first.captions) == (second.clip.texts, second.captions), first.id
        assert "not found" not in first.clip.texts[-1] and "No such file" not in first.clip.texts[-1]
        assert len(first.clip.index) == 81 and first.captions["script"].startswith("Type ")


def test_scripts_require_the_programs_that_a_bare_machine_may_lack():
    required = defaultdict(set)
    for script in drawn()[:500]:
        required[script.family].update(tape.parse(script.text).requires)
    assert set().union(*required.values()) == set(scripts.PROGRAMS)
    assert required["vim"] == {"vim"} and required["json"] == {"jq"} and required["files"] == {"tree"}
    assert required["packages"] == required["shell"] == set()  # package names are arguments there


def test_a_script_whose_program_is_missing_is_no_clip(tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox, "has", lambda name, unsafe=False: name != "vim")
    families = {script.family: script for script in drawn()}
    Clean(unsafe=True)([families["vim"], families["shell"]], tmp_path / "a.npz")
    vim, shell = clip_store.report(tmp_path / "a.npz")["rows"]
    assert vim["clips"] == 0 and f"Require vim: is not installed; {INSTALL}" in vim["rejected"]
    assert shell["clips"] == 1 and [each.id for each in clip_store.load(tmp_path / "a.npz")] == [shell["name"]]


# Arithmetic


@pytest.mark.slow
@sandboxed
def test_the_probe_is_played_by_a_real_python(tmp_path):
    needs.package("tensorflow_datasets", "recording")
    ask = ["--recipe=arithmetic", "--clips=12", "--held_out=8", "--chunk=5", f"--output={tmp_path}", "--size=48x122"]
    program("launch.prepare_data", *ask, "--workers=2")
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["splits"] == {"train": 12, "test": 8} and not summary["rejected"]
    probe = json.loads((tmp_path / "problems.json").read_text())
    source = ClipSource(tmp_path, "test", 81)
    windows = {w.id: w for w in (source[i] for i in range(len(source)))}
    assert set(windows) == {row["id"] for row in probe}
    for row in probe:
        window = windows[row["id"]]
        lines = [line.rstrip() for line in window.cells[-1].split("\n")]
        assert lines[lines.index(f">>> {row['expression']}") + 1] == row["answer"]
        assert window.captions["answered"] == f"{window.captions['plain']} The answer is {row['answer']}"
        assert window.captions["script"] in (window.captions["plain"], window.captions["answered"])
        assert window.events[0].key == "p" and window.events[6].key == "Return"
    train = ClipSource(tmp_path, "train", 81)
    answers = ["The answer is" in w.captions["script"] for w in [*windows.values(), *(train[i] for i in range(12))]]
    assert any(answers) and not all(answers)


@pytest.mark.slow
@sandboxed
def test_a_folder_of_tapes_becomes_clips_and_what_cannot_be_played_is_listed(tmp_path):
    needs.package("tensorflow_datasets", "recording")
    tapes = tmp_path / "tapes" / "basic"
    tapes.mkdir(parents=True)
    (tapes / "good.tape").write_text('# ID: good\nType "echo hello"\nEnter\nSleep 1s\n')
    (tapes / "quotes.tape").write_text('Type "say \\"hi\\""\nEnter\n')
    (tapes / "ended.tape").write_text('Type "exit"\nEnter\nType "x"\n')
    (tapes / "still.tape").write_text("Sleep 1s\n")
    ask = ["--recipe=cligen_clean", f"--input={tmp_path}/tapes", f"--output={tmp_path}/data", "--size=48x122"]
    program("launch.prepare_data", *ask, "--licence=MIT", "--workers=2")
    summary = json.loads((tmp_path / "data" / "summary.json").read_text())
    assert summary["kept"] == 1 and set(summary["rejected"]) == {"quotes", "ended", "still"}
    assert (
        summary["rejected"]["quotes"].startswith("quotes:1:") and "ended:2: bash: ended" in summary["rejected"]["ended"]
    )
    assert summary["licences"] == {"MIT": 1}
