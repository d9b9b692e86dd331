"""Displays: which X display a rig has. A number is taken as X servers do it, by a file that names the process.

What a process that was killed left of its display (lock, socket, folder) goes when the number is taken again.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

SOCKETS = Path("/tmp/.X11-unix")
DISPLAYS = range(77, 177)


class RigError(RuntimeError):
    """The rig cannot start, or something of it is gone; the message says what."""


def socket(display: int) -> Path:
    return SOCKETS / f"X{display}"


def lock(display: int) -> Path:
    return Path(f"/tmp/.X{display}-lock")


def folder(display: int) -> Path:
    return Path(tempfile.gettempdir()) / f"rig-{os.getuid()}-{display}"


def claim(wanted: int | None) -> int:
    """The display, or the first free one, now taken. Raises RigError if another has it."""
    if not SOCKETS.exists():
        SOCKETS.mkdir(exist_ok=True)
        SOCKETS.chmod(0o1777)  # everybody's, as /tmp is
    if not os.access(SOCKETS, os.W_OK):
        raise RigError(
            f"{SOCKETS}, where X servers have their sockets, cannot be written; as root: chmod 1777 {SOCKETS}"
        )
    with _alone():
        for display in DISPLAYS if wanted is None else (wanted,):
            if _stale(display):
                release(display)
            try:
                with open(lock(display), "x") as file:
                    file.write(f"{os.getpid():10d}\n")
                _clear(display)
                return display
            except FileExistsError:
                if wanted is not None:
                    raise RigError(
                        f"display :{display} is taken by process {_owner(display)}; leave the choice to the rig"
                    ) from None
    raise RigError(f"displays :{DISPLAYS[0]} to :{DISPLAYS[-1]} are all taken")


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One process at a time looks for what was left and takes it."""
    folder = os.open(SOCKETS, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _stale(display: int) -> bool:
    """Was it left by a process that was killed, perhaps before it had written its number?"""
    owner = _owner(display)
    if owner is None:
        with contextlib.suppress(OSError):
            return lock(display).read_text() == ""
        return False
    return not _lives(owner)


def _owner(display: int) -> int | None:
    try:
        return int(lock(display).read_text())
    except (OSError, ValueError):
        return None


def _lives(process: int) -> bool:
    """Is it there, and not only waiting for its parent to take note of its end?"""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def release(display: int) -> None:
    """The display is free, and nothing of it is left."""
    _clear(display)
    quietly(lock(display).unlink)


def _clear(display: int) -> None:
    quietly(socket(display).unlink)
    shutil.rmtree(folder(display), ignore_errors=True)


def quietly(close: Callable[[], object]) -> None:
    with contextlib.suppress(Exception):  # it is gone already: that is all that was wanted
        close()
