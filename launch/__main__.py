"""One command for all programs: `neural-computer PROGRAM ...`, in a checkout also `python -m launch.PROGRAM ...`."""

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

PROGRAMS = {
    "prepare_data": "makes training data",
    "train": "trains a config",
    "evaluate": "scores a trained machine, or anybody's videos",
    "run": "runs a trained machine, or published weights",
    "explain": "says what training costs on a mesh, before there is one",
    "convert_weights": "converts published weights, and back",
    "reconstruct": "measures how readable text is through a codec",
    "reproduce": "reproduces the paper's findings, with controls",
    "report": "renders the page of all findings from their results",
    "live": "runs a machine that one sits down at, in a browser",
    "serve": "serves a desktop to a policy and records it",
    "bench": "times the library beside its peers",
}
SCRIPTS = {
    "install_sandbox": "installs what tapes are played in and with, by apt-get",
    "install_rig": "installs what real desktops need, by apt-get",
}


def run() -> None:
    """Runs the program that the first argument names; without one, lists the programs."""
    name, *rest = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help", "help"):
        print("neural-computer PROGRAM [--FLAG=VALUE ...]; neural-computer PROGRAM --help lists its flags\n")
        for each, line in (PROGRAMS | SCRIPTS).items():
            print(f"  {each:16}  {line}")
        return
    if name in SCRIPTS:
        os.execvp("bash", ["bash", str(Path(__file__).with_name(f"{name}.sh")), *rest])
    if name not in PROGRAMS:
        print(f"error: {name}: is no program; they are {', '.join([*PROGRAMS, *SCRIPTS])}", file=sys.stderr)
        sys.exit(1)
    sys.argv = [f"neural-computer {name}", *rest]
    module = program(name)
    import_module("neural_computer.launch.errors").run(module.main, module.FLAGS)


def program(name: str) -> ModuleType:
    """The module of a program: it has `main` and `FLAGS`."""
    path = f"neural_computer.launch.{name}"
    return import_module(f"{path}.__main__" if find_spec(path).submodule_search_locations else path)


if __name__ == "__main__":
    run()
