"""Pickle files that hold numpy arrays and nothing else: the only place that reads pickles."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from neural_computer.types import PyTree

# The constructors of an array; the first is its name up to numpy 1, which wrote the published files.
ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
    ("numpy._core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _Arrays(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ADMITTED:
            raise ValueError(f"asks for {module}.{name}, and a pickle that may call anything can run anything")
        return ADMITTED[module, name]


def read(path: str | Path) -> PyTree:
    """The containers and arrays in a pickle. Raises ValueError, and calls nothing, for one that asks for more."""
    try:
        with Path(path).open("rb") as file:
            return _Arrays(file).load()
    except (ValueError, pickle.UnpicklingError, EOFError) as error:
        raise ValueError(f"{path}: is no pickle of numpy arrays ({error}); install its package again") from error
