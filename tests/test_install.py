"""What an installation costs and what it may leave out: imports stay light, optional packages stay optional."""

import json
import re
import subprocess
import sys
import tomllib
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


@pytest.mark.parametrize("path", ["neural_computer.train.loop", "neural_computer.data.pipeline", "launch.train"])
def test_the_training_path_loads_neither_tfds_nor_beam_nor_torch(path):
    assert not loaded(f"import {path}") & {"tensorflow_datasets", "apache_beam", "tensorflow", "torch"}


def test_networks_and_update_import_on_a_bare_gpu_image():
    """Such images have jax, flax, optax and orbax, but none of the data and config packages."""
    absent = ["grain", "tensorflow_datasets", "clu", "ml_collections", "avt", "av", "array_record", "matplotlib"]
    models = [f"models.{path.stem}" for path in (ROOT / "neural_computer" / "models").glob("[!_]*.py")]
    block = f"import sys; sys.modules.update(dict.fromkeys({absent}))"
    fresh("\n".join([block, *(f"import neural_computer.{room}" for room in [*models, "computer", "train.update"])]))


def test_constraints_pin_everything_the_core_needs_and_no_torch():
    core = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    wanted = {line.split(">=")[0].replace("_", "-") for line in core}
    for name in ("constraints-3.11.txt", "constraints-3.12.txt"):
        pins = dict(line.split("==") for line in (ROOT / name).read_text().splitlines() if not line.startswith("#"))
        assert wanted <= set(pins), name
        assert not {"torch", "tensorflow", "diffusers"} & set(pins), name
