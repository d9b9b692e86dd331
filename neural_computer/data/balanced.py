"""Clips drawn by what their last frame shows, so that a network sees rare transitions as often as one likes.

A network that is right on average may have never learned a rare kind, and some of those never heal (see `data.kinds`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from neural_computer.data.windows import ClipSource
from neural_computer.errors import one_of
from neural_computer.types import Clip


class BalancedSource(Sequence[Clip]):
    """Clips of a source, the kind of whose last frame is drawn by `shares`, then the clip among all of that kind.

    `len()` and `[i]`, as Grain reads; as long as the source. Item i is a function of the arguments.
    """

    def __init__(self, source: ClipSource, shares: Mapping[str, float], seed: int = 0):
        """Raises ValueError for shares that cannot be kept, and for episodes whose frames have no kinds."""
        self.source, self.shares, self.seed = source, dict(shares), seed
        names, kinds = source.kinds()
        self._clip = drawn(kinds, names, shares, len(source), seed)

    def __len__(self) -> int:
        return len(self._clip)

    def __getitem__(self, index: Any) -> Any:
        """Clip `index`; of a slice, a list of clips."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self.source[int(self._clip[index])]

    def __repr__(self) -> str:
        # Grain compares sources by their repr when it restores an iterator.
        return f"BalancedSource({self.source!r}, {self.shares!r}, {self.seed})"


def drawn(
    kinds: UInt8[np.ndarray, " n"], names: Sequence[str], shares: Mapping[str, float], count: int, seed: int
) -> Int[np.ndarray, " count"]:
    """Indices of `count` clips of these kinds, drawn with replacement by the shares of kinds.

    Raises ValueError for shares that are negative, or of a kind that there is not or that no clip has.
    """
    for name in shares:
        one_of("shares", name, names)
    if not shares or min(shares.values()) < 0 or not sum(shares.values()) > 0:
        raise ValueError(f"shares={dict(shares)}: give kinds with shares that are not negative")
    wanted = [list(names).index(name) for name, share in shares.items() if share]
    chances = np.asarray([share for share in shares.values() if share], np.float64)
    rng = np.random.default_rng((seed, len(kinds)))
    kind, place = rng.choice(wanted, count, p=chances / chances.sum()), rng.random(count)
    out = np.empty(count, np.int64)
    for each in wanted:
        clips = np.flatnonzero(kinds == each)
        if not len(clips):
            raise ValueError(
                f"shares[{names[each]!r}]={shares[names[each]]}: no clip ends with such a frame; give it no share, or prepare "
                "more data"
            )
        items = kind == each
        out[items] = clips[(place[items] * len(clips)).astype(np.int64)]
    return out
