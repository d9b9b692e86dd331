"""Who may import whom. The tables are the rule; `violations` reads one file against them.

0  types errors files formats flow sharding media report screens machines
1  models actions data simulators wire   siblings
2  conditioning denoiser computer streaming
3  train evals                           not each other
4  config experiment build build_network convert
5  workflows                             receives where data come from as arguments
6  machine                               what is run as a computer: sessions, the server of the page
r  recording                             imports rooms of 0 and 1 and what data writes with; a leaf
7  launch configs notebooks tests        nothing imports these; launch and notebooks may name a config
"""

import ast
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parent.parent

LAYER = {
    **dict.fromkeys(
        ("types", "flow", "sharding", "media", "report", "screens", "errors", "files", "formats", "machines"), 0
    ),
    **dict.fromkeys(("models", "actions", "data", "simulators", "wire"), 1),
    **dict.fromkeys(("conditioning", "denoiser", "computer", "streaming"), 2),
    "recording": 2,
    **dict.fromkeys(("train", "evals"), 3),
    **dict.fromkeys(("config", "experiment", "build", "build_network", "convert"), 4),
    "workflows": 5,
    "machine": 6,
    **dict.fromkeys(("launch", "configs", "notebooks", "tests"), 7),
}
LINKED = ("launch", "configs")
"""Folders beside the package that are in it too, by links; another name for a module would make it twice"""
OUTER = {room for room, layer in LAYER.items() if layer == 7}
LEAF = "recording"
"""Imported by launch, notebooks and tests alone; it imports what is below the computer."""

SIBLINGS = {
    "actions/encode": ("models.layers",),
    "data": ("actions.schema", "actions.cursor"),
    "simulators": ("actions.schema", "actions.cursor", "data.kinds"),
    "wire": ("actions.schema", "simulators.desktop"),
    "build": ("config", "experiment", "convert", "build_network"),
    "build_network": ("config",),
    "experiment": ("config",),
    "train/__init__": ("workflows.train",),
    "denoiser": ("conditioning",),
    "computer": ("conditioning", "denoiser"),
    "streaming": ("conditioning", "denoiser", "computer"),
}
"""What may be imported beside the layers below: file or folder -> modules."""

JAX = {"jax", "jaxlib", "flax", "optax", "orbax", "clu", "chex"}
NUMPY_ONLY = (
    "types",
    "errors",
    "files",
    "formats",
    "machines",
    "media",
    "report",
    "data",
    "simulators",
    "screens",
    "wire",
    "actions/schema",
    "actions/cursor",
)
"""Files and folders that import neither jax nor anything of ours that does."""
JAX_ROOMS = {"flow", "sharding"}

TORCH = {"torch", "torchvision", "torchmetrics", "torchaudio", "diffusers", "lpips"}
TORCH_IN = ("convert", "launch/bench", "tests/parity")

NOWHERE = {"tensorflow", "pickle", "cloudpickle", "dill"}
PICKLE_IN = ("models/weights/pickled",)
"""Reads numpy arrays out of a package's own pickles, and refuses everything else."""
INSIDE_FUNCTIONS = {"tensorflow_datasets", "apache_beam", "matplotlib", "av", "avt", "Xlib", "mss", "tesserocr"}
"""Heavy or optional: in the package, imported by the functions that use them. A tfds builder is a subclass, so
recording/datasets may name tfds and Beam at the top: the training path does not come by there."""
BUILDERS = ("recording/datasets",)


def violations(path: str, source: str) -> list[str]:
    """One line for every import in `source` that the tables forbid. `path` is relative to the repository's root."""
    place = PurePosixPath(path)
    home = place.with_suffix("").as_posix().removeprefix("neural_computer/")
    inside = place.parts[0] == "neural_computer"
    if home == "__init__" and inside:
        # The package's door names every room, for type checkers only.
        eager = ((line, name) for line, name, lazy in imports(place, source) if not lazy)
        return [
            f"{path}:{line}: imports {name}: rooms are imported when asked for"
            for line, name in eager
            if name.startswith("neural_computer")
        ]
    found = ((line, name, forbidden(home, inside, name, lazy)) for line, name, lazy in imports(place, source))
    return [f"{path}:{line}: imports {name}: {rule}" for line, name, rule in found if rule]


def forbidden(home: str, inside: bool, name: str, lazy: bool) -> str | None:
    """The rule that `home`, importing `name`, breaks; `lazy` is an import inside a function."""
    top, *rest = name.split(".")
    if top in LINKED:
        return f"import it from the package: neural_computer.{top}"
    if top == "neural_computer" and rest and rest[0] in LINKED:
        top, *rest = rest
    room = home.split("/")[0]
    if top in TORCH and not within(home, TORCH_IN):
        return f"torch only in {', '.join(TORCH_IN)}"
    if top in NOWHERE and room != "tests" and not (top == "pickle" and within(home, PICKLE_IN)):
        return "nowhere"
    if top == "configs" and room in ("launch", "notebooks"):
        return None
    if top in OUTER and top != room and room != "tests":
        return f"nothing imports {top}/"
    if not inside:
        return None
    if top in JAX and within(home, NUMPY_ONLY):
        return "numpy only"
    if top in INSIDE_FUNCTIONS and not lazy and not within(home, BUILDERS):
        return "heavy or optional: import it in the function that uses it"
    if top == "neural_computer":
        return misplaced(home, room, rest)
    return None


def misplaced(home: str, room: str, target: list[str]) -> str | None:
    """The layering rule that `home` breaks by importing neural_computer.<target>."""
    if not target or target[0] not in LAYER:
        return "inside the package, import from the room, not through the package's door"
    goal = target[0]
    if goal == LEAF != room and LAYER[room] < LAYER["launch"]:
        return "recording is a leaf: launch, notebooks and tests alone import it"
    if LAYER[goal] == 2 and room == LEAF != goal:
        return "recording imports nothing of what is trained"
    if goal in JAX_ROOMS and within(home, NUMPY_ONLY):
        return "numpy only"
    if goal == room or LAYER[goal] < LAYER[room] or LAYER[goal] == LAYER[room] == 0:
        return None
    allowed = [module for where, modules in SIBLINGS.items() if within(home, (where,)) for module in modules]
    if any(target[: module.count(".") + 1] == module.split(".") for module in allowed):
        return None
    return f"{room} (layer {LAYER[room]}) may not import {goal} (layer {LAYER[goal]})"


def within(home: str, places: tuple[str, ...]) -> bool:
    return any(home == place or home.startswith(place + "/") for place in places)


def imports(place: PurePosixPath, source: str) -> Iterator[tuple[int, str, bool]]:
    """(line, absolute dotted name, not run on import) of everything that `source` imports."""
    tree = ast.parse(source)
    late = {id(node) for outer in ast.walk(tree) if deferred(outer) for node in ast.walk(outer)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, id(node) in late
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*place.parts[: len(place.parts) - node.level], *([base] if base else [])])
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}", id(node) in late


def deferred(node: ast.AST) -> bool:
    """Is the body of `node` left alone while the module is imported: a function, or `if TYPE_CHECKING`?"""
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def code_cells(notebook: str) -> str:
    """The Python of a notebook, without the lines that are IPython's."""
    cells = (cell for cell in json.loads(notebook)["cells"] if cell["cell_type"] == "code")
    lines = "\n".join("".join(cell["source"]) for cell in cells).splitlines()
    return "\n".join("" if line.startswith(("%", "!")) else line for line in lines)


def files() -> list[Path]:
    found = [path for room in ("neural_computer", *OUTER) for path in (ROOT / room).rglob("*")]
    return sorted(path for path in found if path.suffix in (".py", ".ipynb") and "checkpoints" not in path.as_posix())


def test_every_import_keeps_the_layers():
    broken = []
    for path in files():
        source = code_cells(path.read_text()) if path.suffix == ".ipynb" else path.read_text()
        broken += violations(path.relative_to(ROOT).as_posix(), source)
    assert not broken, "\n".join(broken)


def test_every_room_has_a_layer():
    package = ROOT / "neural_computer"
    rooms = {path.relative_to(package).parts[0].removesuffix(".py") for path in package.rglob("*.py")}
    assert rooms - {"__init__"} <= set(LAYER)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("neural_computer/flow.py", "from neural_computer.models import layers"),
        ("neural_computer/workflows/trained.py", "from neural_computer.machine import session"),
        ("neural_computer/machine/live.py", "from neural_computer.recording import sandbox"),
        ("neural_computer/recording/tty.py", "from neural_computer.machine import session"),
        ("neural_computer/flow.py", "from neural_computer import models"),
        ("neural_computer/flow.py", "from .models.dit import DiT"),
        ("neural_computer/models/dit.py", "from neural_computer.data import windows"),
        ("neural_computer/models/dit.py", "from ..computer import NeuralComputer"),
        ("neural_computer/models/dit.py", "def late():\n    import neural_computer.actions.schema"),
        ("neural_computer/models/dit.py", "from neural_computer import Episode"),
        ("neural_computer/actions/align.py", "from neural_computer.models import layers"),
        ("neural_computer/actions/encode.py", "from neural_computer.models import dit"),
        ("neural_computer/data/pipeline.py", "from neural_computer.actions import encode"),
        ("neural_computer/data/pipeline.py", "import jax.numpy as jnp"),
        ("neural_computer/screens/terminal.py", "def late():\n    from jax import numpy"),
        ("neural_computer/data/windows.py", "from neural_computer import sharding"),
        ("neural_computer/types.py", "import jax"),
        ("neural_computer/computer.py", "from neural_computer.train import loop"),
        ("neural_computer/train/loop.py", "from neural_computer.evals import pixels"),
        ("neural_computer/evals/text.py", "from neural_computer.train.update import Trainer"),
        ("neural_computer/evals/text.py", "from neural_computer import build"),
        ("neural_computer/evals/text.py", "from tests import conftest"),
        ("neural_computer/build.py", "import neural_computer.configs.base"),
        ("configs/base.py", "from neural_computer.launch import train"),
        ("launch/run.py", "from launch import errors"),
        ("launch/explain.py", "from configs import cligen"),
        ("neural_computer/models/weights.py", "def late():\n    import torch"),
        ("launch/evaluate.py", "from diffusers import WanPipeline"),
        ("tests/models/test_dit.py", "import torch"),
        ("neural_computer/evals/pixels.py", "import pickle"),
        ("launch/train.py", "import tensorflow as tf"),
        ("neural_computer/data/windows.py", "import tensorflow_datasets as tfds"),
        ("neural_computer/media.py", "import av"),
        ("neural_computer/report.py", "try:\n    import matplotlib.pyplot as plt\nexcept ImportError:\n    pass"),
        ("neural_computer/__init__.py", "from neural_computer.computer import NeuralComputer"),
    ],
)
def test_a_planted_violation_is_found(path, source):
    assert len(violations(path, source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("neural_computer/report.py", "from neural_computer import media"),
        ("neural_computer/models/dit.py", "from neural_computer.models import layers\nfrom . import attention"),
        ("neural_computer/actions/encode.py", "from neural_computer.models.layers import RMSNorm"),
        ("neural_computer/data/windows.py", "from neural_computer.actions.schema import KEYS"),
        ("neural_computer/recording/terminal/recorder.py", "from neural_computer.screens.terminal import Screen"),
        ("neural_computer/recording/datasets.py", "import tensorflow_datasets as tfds"),
        ("neural_computer/media.py", "def read():\n    import av"),
        ("neural_computer/machine/session.py", "from neural_computer.simulators.tty import machine\nimport jax"),
        ("neural_computer/recording/environment_server.py", "from neural_computer.wire import parse_event"),
        ("neural_computer/build.py", "from neural_computer.train import loop\nfrom neural_computer.evals import text"),
        ("launch/run.py", "from neural_computer.launch import errors\nfrom neural_computer import Episode"),
        ("launch/bench/models.py", "import torch"),
        ("launch/bench/core.py", "from neural_computer.configs import cligen"),
        ("tests/parity/test_dit.py", "import torch\nfrom diffusers import WanTransformer3DModel"),
        ("tests/test_configs.py", "from neural_computer.configs import base\nfrom neural_computer.launch import train"),
        ("neural_computer/__init__.py", "if TYPE_CHECKING:\n    from neural_computer.build import load"),
    ],
)
def test_what_the_layers_allow_is_left_alone(path, source):
    assert violations(path, source) == []
