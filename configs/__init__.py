"""Experiments: each file has a `get_config()`; values are read by `neural_computer.build` alone."""

from importlib import import_module
from types import ModuleType


def __getattr__(name: str) -> ModuleType:
    """A config file by name, as in `nc.configs.guiworld.get_config("clicks,micro")`: imported when asked for."""
    if not name.startswith("_"):
        try:
            return import_module(f"{__name__}.{name}")
        except ModuleNotFoundError:
            pass
    raise AttributeError(f"module {__name__!r} has no config {name!r}")
