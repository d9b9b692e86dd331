"""Kinds of transitions: what every frame of an episode shows, if whoever made it says so.

meta["kinds"] has one hexadecimal digit a frame, an index into meta["kind_names"].
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8


def labels(kinds: UInt8[np.ndarray, " t"], names: Sequence[str]) -> dict[str, Any]:
    """What an episode's meta has of its frames' kinds."""
    return {"kinds": "".join(f"{kind:x}" for kind in kinds.tolist()), "kind_names": list(names)}


def of_meta(meta: Mapping[str, Any]) -> tuple[tuple[str, ...], UInt8[np.ndarray, " t"]]:
    """(names, kinds) of an episode. Raises ValueError for one that does not say, or says what cannot be."""
    if "kinds" not in meta or "kind_names" not in meta:
        raise ValueError("has no kinds of frames")
    names = tuple(meta["kind_names"])
    return names, unpack(meta["kinds"], len(names))


def unpack(text: str, count: int) -> UInt8[np.ndarray, " t"]:
    """Kinds of such a text. Raises ValueError for a character that is none of `count` kinds."""
    try:
        kinds = np.asarray([int(digit, 16) for digit in text], np.uint8)
    except ValueError as error:
        raise ValueError(f"kinds={text[:40]!r}: must be hexadecimal digits, one a frame") from error
    if kinds.size and kinds.max() >= count:
        raise ValueError(f"kinds={text[:40]!r}: has kind {kinds.max()}; there are {count}, from 0 on")
    return kinds
