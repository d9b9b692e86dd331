"""Errors as users should meet them: one line and an exit code, the traceback only with --traceback."""

import sys
from collections.abc import Callable

from absl import app, flags

TRACEBACK = flags.DEFINE_boolean("traceback", False, "Show the whole traceback of an error.")


def run(main: Callable[[list[str]], None]) -> None:
    """Runs an absl main; the library's own errors (ValueError, RuntimeError, OSError) end in one line and exit code 1,
    Ctrl-C in exit code 130."""

    def guarded(argv: list[str]) -> None:
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
