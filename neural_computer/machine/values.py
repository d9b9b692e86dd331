"""Values as JSON and back: NamedTuples, tuples, texts and numbers, of which sessions and true machines consist. No pickle."""

from importlib import import_module
from typing import Any

from neural_computer.errors import Error

ROOMS = ("neural_computer.simulators.", "neural_computer.types", "neural_computer.machine.session")
"""Where the NamedTuples are that are read back; no other is ever imported"""


class ValueFormatError(Error, ValueError):
    """What was read is no value of ours."""


def encode(value: Any) -> Any:
    """JSON of a value. Raises TypeError for what is none."""
    if isinstance(value, tuple):
        items = [encode(item) for item in value]
        if not hasattr(value, "_fields"):
            return items
        return {"type": f"{type(value).__module__}:{type(value).__name__}", "values": items}
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"{type(value).__name__}: is no value of numbers, texts and tuples")


def decode(data: Any) -> Any:
    """The value of such JSON. Raises ValueFormatError for any other."""
    if isinstance(data, list):
        return tuple(decode(item) for item in data)
    if not isinstance(data, dict):
        return data
    module, _, name = str(data.get("type", "")).partition(":")
    if not module.startswith(ROOMS) or not isinstance(data.get("values"), list):
        raise ValueFormatError(f"{str(data)[:80]}: is no value of this library; it was written by another release")
    kind = getattr(import_module(module), name, None)
    if not (isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields")):
        raise ValueFormatError(f"{module}:{name}: is no NamedTuple; it was written by another release")
    try:
        return kind(*(decode(item) for item in data["values"]))
    except TypeError as error:
        raise ValueFormatError(f"{module}:{name}: {error}; it was written by another release") from error
