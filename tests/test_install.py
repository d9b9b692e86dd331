"""What an installation costs and what it may leave out: imports stay light, optional packages stay optional."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest

import neural_computer

ROOT = Path(__file__).resolve().parent.parent
HEAVY = {"torch", "tensorflow", "tensorflow_datasets", "apache_beam", "matplotlib", "av", "avt", "transformers"}


def fresh(code: str) -> str:
    """What `code` prints in a process of its own, started in the repository's root."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded(code: str) -> set[str]:
    """The top-level packages that a fresh process has loaded after `code`."""
    names = fresh(f"{code}\nimport sys, json; print(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))")
    return set(json.loads(names.splitlines()[-1]))


def test_importing_the_package_adds_under_300_ms_to_jax():
    clock = "import time, jax; start = time.perf_counter(); import neural_computer; print(time.perf_counter() - start)"
    assert min(float(fresh(clock)) for _ in range(2)) < 0.3


def test_importing_the_package_loads_nothing_heavy():
    assert not loaded("import neural_computer") & (HEAVY | {"jax", "numpy"})


def test_every_public_name_is_there_and_light():
    touch = "import neural_computer as nc\nfor name in nc.__all__: getattr(nc, name)"
    assert not loaded(touch) & HEAVY


def test_the_type_checkers_door_names_the_same():
    source = (ROOT / "neural_computer" / "__init__.py").read_text()
    declared = re.findall(r"^    from neural_computer\.([\w.]+) import (\w+) as \2$", source, re.MULTILINE)
    assert {name: room for room, name in declared} == neural_computer._ROOM_OF


def test_an_unknown_name_says_what_there_is():
    with pytest.raises(AttributeError, match=r"'Episodes'; it has .*Episode"):
        _ = neural_computer.Episodes


def test_the_training_path_loads_neither_tfds_nor_beam_nor_torch():
    path = ["neural_computer.train.loop", "neural_computer.data.pipeline", "neural_computer.launch.train"]
    assert not loaded(f"import {', '.join(path)}") & {"tensorflow_datasets", "apache_beam", "tensorflow", "torch"}


def test_networks_and_update_import_on_a_bare_gpu_image():
    """Such images have jax, flax, optax and orbax, but none of the data and config packages."""
    absent = ["grain", "tensorflow_datasets", "clu", "ml_collections", "avt", "av", "array_record", "matplotlib"]
    models = [f"models.{path.stem}" for path in (ROOT / "neural_computer" / "models").glob("[!_]*.py")]
    block = f"import sys; sys.modules.update(dict.fromkeys({absent}))"
    fresh("\n".join([block, *(f"import neural_computer.{room}" for room in [*models, "computer", "train.update"])]))


def test_constraints_pin_everything_the_core_and_recording_need_and_no_torch():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [
        *project["dependencies"],
        *project["optional-dependencies"]["recording"],
        *project["optional-dependencies"]["live"],
    ]
    wanted = {line.split(">=")[0].replace("_", "-") for line in lines}
    for name in ("constraints-3.11.txt", "constraints-3.12.txt"):
        pins = dict(line.split("==") for line in (ROOT / name).read_text().splitlines() if not line.startswith("#"))
        assert wanted <= set(pins), name
        assert not {"torch", "tensorflow", "diffusers"} & set(pins), name


# A user who has the wheel and no checkout


def run(*command: object, cwd: Path, **options) -> str:
    """What a command prints, in a folder that is not the repository."""
    command = [*map(str, command)]
    one = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    environment = {**os.environ, "XLA_FLAGS": one, "PYTHONPATH": ""}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600, **options)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The bin folder of a fresh environment in which the wheel is installed, beside this environment's packages."""
    folder = tmp_path_factory.mktemp("wheel")
    # A build leaves folders where it works: not in the repository.
    ignored = shutil.ignore_patterns(".*", "build", "*.egg-info", "runs", "shared", "__pycache__")
    shutil.copytree(ROOT, folder / "source", symlinks=True, ignore=ignored)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir"]
    build = ["wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", folder / "dist"]
    run(*pip, *build, folder / "source", cwd=folder)
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    purelib = sysconfig.get_path("purelib", vars={"base": folder / "venv", "platbase": folder / "venv"})
    packages = [path for path in sys.path if path.endswith("site-packages")]
    (Path(purelib) / "shared.pth").write_text("\n".join(packages) + "\n")
    (wheel,) = (folder / "dist").glob("*.whl")
    run(
        *pip,
        "--python",
        python,
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--force-reinstall",
        wheel,
        cwd=folder,
    )
    return python.parent


@pytest.mark.slow
def test_from_the_wheel_alone_a_machine_is_trained_run_and_evaluated(installed, videos, tmp_path):
    where = (
        "import neural_computer, neural_computer.configs.base as base; print(neural_computer.__file__, base.__file__)"
    )
    assert all(
        path.startswith(str(installed.parent)) for path in run(installed / "python", "-c", where, cwd=tmp_path).split()
    )
    program, small = installed / "neural-computer", ["--config.data.batch_size=4", "--config.evaluation.videos=2"]
    assert "train  " in run(program, cwd=tmp_path) and "--config" in run(program, "train", "--help", cwd=tmp_path)
    ask = ["train", "--config=cligen:tiny", f"--config.data.directory={videos}", "--workdir=runs/mine", *small]
    run(program, *ask, "--config.schedule.steps=2", cwd=tmp_path)
    run(program, "run", "--machine=mine", "--prompt=hello", "--out=out", cwd=tmp_path)
    assert (tmp_path / "out" / "rollout.mp4").stat().st_size
    run(program, "evaluate", "--machine=mine", cwd=tmp_path)
    assert json.loads((tmp_path / "runs" / "mine" / "metrics.json").read_text())["step"] == 2


@pytest.mark.slow
def test_the_wheel_has_all_programs_configs_and_scripts(installed):
    """Every file of the two folders that the package has by links."""
    (package,) = installed.parent.rglob("site-packages/neural_computer")
    for room in ("launch", "configs"):
        files = {path.relative_to(ROOT / room) for path in (ROOT / room).rglob("*.py")}
        assert files == {path.relative_to(package / room) for path in (package / room).rglob("*.py")}
    assert {path.name for path in (package / "launch").glob("*.sh")} == {
        "install_rig.sh",
        "install_sandbox.sh",
        "packages.sh",
    }
