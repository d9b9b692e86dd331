"""The base of the library's errors, and the words that error messages share.

An error names the place (a config path, a file, a flag), the value, the rule that it breaks and the way out.
"""

from collections.abc import Iterable


class Error(Exception):
    """Base class of all errors that this library raises on purpose: `except neural_computer.Error`."""


def first_line(error: BaseException, most: int = 200) -> str:
    """First line of an error's message, at most `most` characters; the name of its class if it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:most]


def one_of(name: str, value: object, known: Iterable[object]) -> None:
    """Raises ValueError "name=value: unknown; one of ..." unless `value` is among `known`."""
    names = list(known)
    if value not in names:
        raise ValueError(f"{name}={value!r}: unknown; one of {', '.join(map(str, names))}")
