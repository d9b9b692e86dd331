"""What a test needs beside Python and `dev`: without it the test is skipped, with the command that installs it."""

import shutil
from typing import Any

import pytest

from neural_computer.recording import sandbox
from neural_computer.recording.sandbox import SandboxError


def _missing(*programs: str) -> str:
    """Why tapes that use these programs cannot be played in a sandbox here; empty if they can."""
    try:
        sandbox.confined()
    except SandboxError as error:
        return str(error)
    absent = [name for name in programs if not sandbox.has(name)]
    return f"{', '.join(absent)}: not installed: {sandbox.INSTALL}" if absent else ""


def sandboxed(*programs: str) -> pytest.MarkDecorator:
    """Mark of a test that starts these programs in a sandbox."""
    why = _missing(*programs)
    return pytest.mark.skipif(bool(why), reason=why)


def browser() -> str:
    """The chromium that pages are tested in; without it, or what drives it, the test is skipped."""
    package("playwright", "dev")
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("chromium is not installed: neural-computer install_rig")
    return found


def package(module: str, extra: str) -> Any:
    """A module that comes with one of the library's extras; without it the test, or the whole file, is skipped."""
    return pytest.importorskip(module, reason=f"{module} is not installed: pip install -e '.[{extra}]'")
