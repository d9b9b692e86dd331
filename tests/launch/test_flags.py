"""The flags of the programs: all of them listed, each defined once, none ignored."""

import subprocess
import sys
from pathlib import Path

import pytest

from neural_computer import configs
from neural_computer.launch.__main__ import PROGRAMS, SCRIPTS
from neural_computer.launch.__main__ import program as load
from neural_computer.launch.flags import Flags, Size, config_module
from tests.conftest import ROOT, program

TINY = "--config=cligen:tiny"


def error(done) -> str:
    """The one line that a program wrote, which failed."""
    (line,) = done.stderr.strip().splitlines()
    assert done.returncode == 1 and line.startswith("error: ")
    return line.removeprefix("error: ")


def test_every_program_has_a_line_and_all_can_be_imported_together():
    launch = ROOT / "launch"
    modules = {path.stem for path in launch.glob("[!_]*.py")} | {
        path.parent.name for path in launch.glob("*/__main__.py")
    }
    assert set(PROGRAMS) == modules - {"flags", "errors"}
    assert all(callable(load(name).main) and load(name).FLAGS for name in PROGRAMS)
    assert all((launch / f"{name}.sh").exists() for name in SCRIPTS)


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_lists_all_flags_of_a_program_and_no_others(name):
    own = load(name).FLAGS
    shown = program(f"launch.{name}", "--help").stdout
    listed = {
        line.split()[0].removeprefix("--").removeprefix("[no]")
        for line in shown.splitlines()
        if line.startswith("  --")
    }
    flags = {flag for each in (own, *own.parts.values()) for flag in each.values}
    assert listed == flags | {"traceback"}
    assert shown.startswith(load(name).__doc__.strip()[:40])


@pytest.mark.parametrize(
    ("name", "flag", "reason"),
    [
        ("train", "--seed=1", "--seed: unknown"),
        ("train", "--worldir=x", "--worldir: unknown; --workdir?"),
        ("run", "--metrics=psnr", "--metrics: unknown"),
        ("serve", "--log=x", "--log: renamed to --out"),
        ("reconstruct", "--films=2", "--films: renamed to --videos"),
        ("explain", "--preset=tiny", "--preset: renamed to --config=cligen:SIZE"),
        ("bench", "--recording=x", "--recording: is a flag of data alone"),
        (
            "prepare_data --recipe=repl",
            "--beam",
            "--beam: is a flag of cligen_general, cligen_clean, arithmetic, guiworld alone",
        ),
        ("prepare_data --recipe=videos", "--window=9", "--window: renamed to --frames"),
        ("train", "--config.seed=1", "--config.seed: changes a value of --config, which must come before it"),
        ("train --config=cligen:tiny", "--config.optimizer.rate=1", "renamed to --config.optimizer.learning_rate"),
        ("train --config=cligen:tiny", "--config.network.headz=1", 'Did you mean "heads"'),
        ("train --config=cligen:huge", "--workdir=x", "cligen.py:huge: unknown"),
        ("train --config=clig:tiny", "--workdir=x", "the configs of the package are arithmetic, base, cligen"),
        ("train --config=cligen:tiny", "--mesh=fsdp:2", "--workdir: is missing"),
        ("run --out=x", "12+7", "'12+7': is no flag"),
        ("reconstruct --out=x", "--size=wide", "must be HEIGHTxWIDTH, such as 480x832, or one number for a square"),
        ("evaluate --machine=x", "--fps=3", "--fps: is not used with --machine"),
    ],
)
def test_a_flag_that_is_not_used_is_an_error_in_one_line(name, flag, reason):
    name, *given = name.split()
    assert reason in error(program(f"launch.{name}", *given, flag, check=False))


def test_every_program_reads_its_flags_anew():
    """What one call was given is not there in the next."""
    given = ["--machine=nowhere", "--prompt=x", "--out=y"]
    assert "nowhere: no config.json" in error(program("launch.run", *given, check=False))
    assert "--out: is missing" in error(program("launch.run", check=False))


def test_a_size_is_two_numbers_or_a_square():
    own = Flags()
    size = own.size("128")
    own.values(["program"])
    assert size.value == Size(128, 128) and size.value.side(64, 256) == 128
    own.values(["program", "--size=480x832"])
    assert size.value == (480, 832) and str(size.value) == "480x832"
    with pytest.raises(ValueError, match="--size=480x832: must be a square of 64 to 256 pixels"):
        size.value.side(64, 256)


def parsed(*arguments: str) -> Flags:
    own = Flags()
    own.config(), own.init(), own.mesh("Devices", sets=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["program", *arguments])  # where ml_collections looks for overrides
        own.values(sys.argv)
    return own


def test_flags_that_set_a_value_of_the_config_agree_with_it_or_raise():
    config = parsed(TINY, "--init=a", "--mesh=fsdp:2,data:4", "--config.init=a").experiment()
    assert config.init == "a" and config.mesh.to_dict() == {"data": 4, "fsdp": 2, "context": 1, "tensor": 1}
    for arguments in (["--init=a", "--config.init=b"], ["--mesh=fsdp:2", "--config.mesh.fsdp=4"]):
        with pytest.raises(ValueError, match="differ; give one of them"):
            parsed(TINY, *arguments).experiment()


def test_a_config_is_a_file_or_one_of_the_packages(tmp_path, monkeypatch):
    own = tmp_path / "mine.py"
    own.write_text(
        "from neural_computer.configs import cligen\ndef get_config(form='tiny'): return cligen.get_config(form)\n"
    )
    assert parsed(f"--config={own}").experiment().network.width == 16
    monkeypatch.chdir(tmp_path)
    package = str(Path(configs.__file__).parent)
    for name in ("cligen", "cligen.py", "configs/cligen.py"):
        assert config_module(name).__file__.startswith(package)
    with pytest.raises(ValueError, match="is no file; the configs of the package are"):
        config_module("sizes")


def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    monkeypatch.delitem(sys.modules, "neural_computer.recording.datasets", raising=False)
    ask = ["--recipe=repl", "--operands=2", f"--out={tmp_path}/data"]
    reason = error(program("launch.prepare_data", *ask, check=False))
    assert reason == "tensorflow_datasets: is not installed; pip install 'neural-computer[recording]'"


def test_without_the_extra_live_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "neural_computer.machine.serving", raising=False)
    reason = error(program("launch.live", f"--out={tmp_path}", check=False))
    assert reason == "uvicorn: is not installed; pip install 'neural-computer[live]'"


def test_ctrl_c_is_named_and_ends_with_its_own_code(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(load("train"), "train", interrupted)
    done = program("launch.train", TINY, f"--workdir={tmp_path}", check=False)
    assert (done.returncode, done.stderr.strip()) == (130, "interrupted")


def test_one_command_lists_and_runs_the_programs():
    def run(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "launch", *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)

    listed = run().stdout
    assert listed == run("--help").stdout
    assert all(f"  {name} " in listed and line in listed for name, line in (PROGRAMS | SCRIPTS).items())
    assert "--operands" in run("prepare_data", "--help").stdout
    wrong = run("trian")
    assert wrong.returncode == 1 and "trian: is no program; they are prepare_data, train" in wrong.stderr
