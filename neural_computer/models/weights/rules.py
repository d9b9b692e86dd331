"""How tensors of published checkpoints become parameters: one rule a parameter, read in either direction."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Shapes = Mapping[str, tuple[int, ...]]
"""Keys of a checkpoint file and their tensors' shapes."""


class Rule(NamedTuple):
    """One parameter and the keys its tensor has in published files. In a key, {} is the number of a stacked block."""

    path: str
    """a/b/c, without the collection; stacked blocks share one path and have a leading axis."""
    diffusers: str
    """The key in diffusers' or transformers' files."""
    original: str
    """The key in the release's own files."""
    kind: str = "same"
    """How the tensor is laid out: a name of `KINDS`."""
    part: tuple[int, int] = (0, 1)
    """Which of how many equal parts of the original's tensor, along its first axis; diffusers' keys hold one part each."""


class Kind(NamedTuple):
    """A change of layout and its inverse; the inverse is told the shape wanted."""

    here: Callable[[np.ndarray], np.ndarray]
    back: Callable[[np.ndarray, tuple[int, ...]], np.ndarray]


def _conv(x: np.ndarray) -> np.ndarray:
    """(out, in, *kernel) as (*kernel, in, out)."""
    return np.moveaxis(x, (0, 1), (-1, -2))


def _conv_back(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    out, into, *kernel = shape
    return np.moveaxis(x.reshape(*kernel, into, out), (-1, -2), (0, 1))


KINDS = {
    "same": Kind(lambda x: x, lambda x, shape: x),
    "matrix": Kind(lambda x: x.T, lambda x, shape: x.T),
    "conv": Kind(_conv, _conv_back),
    "patch": Kind(lambda x: _conv(x).reshape(-1, x.shape[0]), _conv_back),
    "vector": Kind(lambda x: x.reshape(-1), lambda x, shape: x.reshape(shape)),
}
"""matrix: torch's (out, in) transposed. conv: a kernel, channels last. patch: a convolution whose kernel is its stride, as
a matrix with rows in (t, h, w, in) order. vector: a gain kept as (c, 1, 1)."""


@dataclass(frozen=True)
class Table:
    """A network as a checkpoint describes it: its sizes, its rules, and how many blocks a {} runs over."""

    network: str
    """dit, vae, umt5 or clip."""
    config: Mapping[str, Any]
    """The network's sizes as JSON values: what its module is built from."""
    rules: tuple[Rule, ...]
    depth: int = 1
    ignored: tuple[str, ...] = ()
    """Regexes of keys that are known and of no use here."""
