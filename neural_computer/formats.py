"""The format number of everything that is written to be read by a later release: configs, checkpoints, data sets."""

from neural_computer.errors import Error

FORMAT = 1
"""Raised when something written before can no longer be read as it is. A release reads its own format and says which it is."""


class FormatError(Error, ValueError):
    """A file was written in a format that this release does not read."""


def check_format(number: object, place: object) -> None:
    """Raises FormatError, naming the way out, unless `number` is the format of this release."""
    if number == FORMAT:
        return
    if number is None:
        raise FormatError(
            f"{place}: has no format number, so it was made before format 1; make it anew with this release"
        )
    raise FormatError(f"{place}: is of format {number}, this release reads {FORMAT}; use the release that made it")
