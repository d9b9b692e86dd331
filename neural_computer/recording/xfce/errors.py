"""The error of real desktops."""

from neural_computer.errors import Error


class DesktopError(Error, RuntimeError):
    """A desktop cannot start, or a part of it has ended; the message says which and why."""
