"""Packages of extras that some tests need."""

from types import ModuleType

import pytest


def needs(module: str, extra: str = "eval") -> ModuleType:
    """The module; skips the test, with the command that installs it, where it is absent."""
    return pytest.importorskip(module, reason=f"{module} is not installed: pip install -e '.[{extra}]'")
