"""One process at a time writes to a folder."""

import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from absl import logging

NAME = ".lock"


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Makes the folder and locks it for this process until the end of the block.

    Raises RuntimeError, naming the other process, if one writes there already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / NAME).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise RuntimeError(
                f"{folder}: process {file.read().strip()} is writing there; wait for it to end, or stop it, and give the "
                "same command again"
            ) from None
        except OSError as error:
            logging.warning(
                "%s: its file system has no locks (%s); see to it that only one process writes", folder, error
            )
        file.truncate(0)
        file.write(f"{os.getpid()} on {platform.node()}\n")
        file.flush()
        yield
