"""Errors as users should meet them: one line and an exit code, the traceback only with --traceback."""

import logging
import sys
from collections.abc import Callable
from pathlib import Path

from absl import app, flags
from absl import logging as absl_logging

TRACEBACK = flags.DEFINE_boolean("traceback", False, "Show the whole traceback of an error.")


OURS = str(Path(__file__).resolve().parent.parent)


def ours(record: logging.LogRecord) -> bool:
    """Is it from this project, or at least a warning? Libraries tell every file they touch."""
    installed = "site-packages" in record.pathname
    return record.levelno >= logging.WARNING or (record.pathname.startswith(OURS) and not installed)


def run(main: Callable[[list[str]], None]) -> None:
    """Runs an absl main; the library's own errors (ValueError, RuntimeError, OSError) end in one line and exit code 1,
    Ctrl-C in exit code 130."""

    def guarded(argv: list[str]) -> None:
        absl_logging.get_absl_handler().addFilter(ours)
        try:
            main(argv)
        except KeyboardInterrupt as stop:
            print(f"\n{stop or 'interrupted'}", file=sys.stderr)
            sys.exit(130)
        except (ValueError, RuntimeError, OSError) as error:
            if TRACEBACK.value:
                raise
            print(f"error: {error}", file=sys.stderr)
            sys.exit(1)

    app.run(guarded)
