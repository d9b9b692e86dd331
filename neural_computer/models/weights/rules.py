"""Rules by which tensors of published checkpoints become parameters, and parameters tensors: one rule a parameter."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Shapes = Mapping[str, tuple[int, ...]]
"""Shapes of a checkpoint file's tensors, by key."""


class TensorRule(NamedTuple):
    """One parameter and its tensor's keys in published files. In a key, {} is the number of a block."""

    path: str
    """a/b/c, without the collection; blocks share one path and are stacked on a leading axis."""
    diffusers: str
    """The key in diffusers' or transformers' files."""
    original: str
    """The key in the release's own files."""
    layout: str = "same"
    """The tensor's layout: a name of `LAYOUTS`."""
    part: tuple[int, int] = (0, 1)
    """(index, count) of equal parts of the original's tensor along its first axis; diffusers' keys hold one part each."""


class Layout(NamedTuple):
    """A change of layout, and its inverse, whose second argument is the published tensor's shape."""

    to_ours: Callable[[np.ndarray], np.ndarray]
    to_published: Callable[[np.ndarray, tuple[int, ...]], np.ndarray]


def _conv(x: np.ndarray) -> np.ndarray:
    """(out, in, *kernel) as (*kernel, in, out)."""
    return np.moveaxis(x, (0, 1), (-1, -2))


def _conv_back(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    out, into, *kernel = shape
    return np.moveaxis(x.reshape(*kernel, into, out), (-1, -2), (0, 1))


LAYOUTS = {
    "same": Layout(lambda x: x, lambda x, shape: x),
    "matrix": Layout(lambda x: x.T, lambda x, shape: x.T),
    "conv": Layout(_conv, _conv_back),
    "patch": Layout(lambda x: _conv(x).reshape(-1, x.shape[0]), _conv_back),
    "vector": Layout(lambda x: x.reshape(-1), lambda x, shape: x.reshape(shape)),
}
"""matrix: torch's (out, in), transposed. conv: a kernel, channels last. patch: a convolution whose kernel is its stride, as
a matrix with rows in (t, h, w, in) order. vector: a scale stored as (c, 1, 1)."""


@dataclass(frozen=True)
class KeyTable:
    """A network in a checkpoint: its sizes, its rules, and the number of blocks that a {} runs over."""

    network: str
    """dit, vae, umt5 or clip."""
    config: Mapping[str, Any]
    """The sizes that its module is built from, as JSON values."""
    rules: tuple[TensorRule, ...]
    depth: int = 1
    ignored: tuple[str, ...] = ()
    """Regexes of keys that are expected and not used."""
