"""Allocation of X displays. A number is taken as X servers take it, by a lock file that names the process.

What a killed process left of its display (lock, socket, folder) is removed when the number is taken again.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from neural_computer.recording.xfce.errors import DesktopError

SOCKETS = Path("/tmp/.X11-unix")
DISPLAYS = range(77, 177)


def socket(display: int) -> Path:
    """Where X clients look for the server of a display."""
    return SOCKETS / f"X{display}"


def lock(display: int) -> Path:
    """The file that names the process which has a display."""
    return Path(f"/tmp/.X{display}-lock")


def folder(display: int) -> Path:
    """The files of a display's desktop outside its sandboxes."""
    return Path(tempfile.gettempdir()) / f"rig-{os.getuid()}-{display}"


def claim(wanted: int | None) -> int:
    """Display `wanted`, or the first free one if None, now taken. Raises DesktopError if another process has it."""
    if not SOCKETS.exists():
        SOCKETS.mkdir(exist_ok=True)
        SOCKETS.chmod(0o1777)  # writable by everybody, as /tmp is
    if not os.access(SOCKETS, os.W_OK):
        raise DesktopError(
            f"{SOCKETS}, where X servers have their sockets, cannot be written; as root: chmod 1777 {SOCKETS}"
        )
    with _exclusively():
        for display in DISPLAYS if wanted is None else (wanted,):
            if _is_stale(display):
                release(display)
            try:
                with open(lock(display), "x") as file:
                    file.write(f"{os.getpid():10d}\n")
                _clear(display)
                return display
            except FileExistsError:
                if wanted is not None:
                    raise DesktopError(
                        f"display :{display} is taken by process {_owner(display)}; give display=None for a free one"
                    ) from None
    raise DesktopError(f"displays :{DISPLAYS[0]} to :{DISPLAYS[-1]} are all taken")


@contextlib.contextmanager
def _exclusively() -> Iterator[None]:
    """One process at a time removes what others left and takes a number."""
    folder = os.open(SOCKETS, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _is_stale(display: int) -> bool:
    """Was the lock left by a process that was killed, perhaps before it had written its number?"""
    owner = _owner(display)
    if owner is None:
        with contextlib.suppress(OSError):
            return lock(display).read_text() == ""
        return False
    return not _is_alive(owner)


def _owner(display: int) -> int | None:
    try:
        return int(lock(display).read_text())
    except (OSError, ValueError):
        return None


def _is_alive(process: int) -> bool:
    """Does the process exist, and not only as a zombie?"""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def release(display: int) -> None:
    """Frees a display and removes its files."""
    _clear(display)
    quietly(lock(display).unlink)


def _clear(display: int) -> None:
    quietly(socket(display).unlink)
    shutil.rmtree(folder(display), ignore_errors=True)


def quietly(close: Callable[[], object]) -> None:
    """Calls `close` and ignores its errors: what is closed may have gone already."""
    with contextlib.suppress(Exception):
        close()
