"""Runs of a streaming computer beside the true machine, and what they are counted by, be it a terminal or a desktop.

An open-loop run goes by the computer's own frames from the first one on, a closed loop by the true ones; a single step begins
with the true screen and remembers nothing. What a run gets wrong first, by kind of transition, says what has not been learned:
an average hides a kind that is always wrong.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from neural_computer.conditioning import normalize_pixels, to_uint8
from neural_computer.data.inputs import ActionFeaturizer
from neural_computer.streaming import StreamingComputer
from neural_computer.types import Actions, Params, State, TokenIds

SEGMENT = 100
"""Frames that are run before they are looked at: a long run need not be in memory as pictures"""
SPAN = 25
"""Frames up to a horizon that are counted for it"""
BRIGHTEST = 100.0
"""Decibels of a picture without any error"""


def ignore(frames: int) -> None:
    """Nothing: whoever does not ask hears of no progress."""


@dataclass(frozen=True)
class Runs:
    """Runs of one computer, a frame at a time, as it is used; compiled once a number of rows."""

    computer: StreamingComputer
    params: Params
    tokenizer: Callable[[Sequence[str]], Int[np.ndarray, "n l"]]
    inputs: ActionFeaturizer
    done: Callable[[int], object] = field(default=ignore, compare=False)
    """Receives the number of frames whenever some have been made"""

    def __post_init__(self) -> None:
        if self.computer.frames > 1:
            raise ValueError(
                f"temporal_stride, chunk: a chunk has {self.computer.frames} frames; actions are looked up one frame at a time"
            )

    def start(self, pictures: UInt8[np.ndarray, "n h w 3"], caption: str) -> State:
        """States of computers that show these pictures."""
        text = TokenIds(np.repeat(self.tokenizer([caption]), len(pictures), axis=0))
        return _boot(self.computer, self.params, pictures, text)

    def follow(
        self, state: State, u: Actions, seed: int = 0, seen: UInt8[np.ndarray, "t n h w 3"] | None = None
    ) -> tuple[State, UInt8[np.ndarray, "n t h w 3"]]:
        """The state after the actions (t, n, 1, ...) of some frames, and these frames; each follows the one `seen` before it."""
        chosen, drawn = jax.random.key(seed), []
        for number in range(u.raw.shape[0]):
            now = jax.tree.map(lambda x, number=number: x[number], u)
            before = None if seen is None else seen[number]
            state, frame = _advance(self.computer, self.params, state, now, before, chosen)
            drawn.append(frame)
        frames = np.stack(drawn, axis=1)
        self.done(frames.shape[0] * frames.shape[1])
        return state, frames


@functools.partial(jax.jit, static_argnums=0)
def _boot(computer: StreamingComputer, params: Params, first: Any, text: TokenIds) -> State:
    return computer.boot(params, first, text)


@functools.partial(jax.jit, static_argnums=0)
def _advance(computer: StreamingComputer, params: Params, state: State, u: Actions, seen: Any, key: Any) -> Any:
    """The state after one frame, and it as uint8 (n, h, w, 3)."""
    x = None if seen is None else normalize_pixels(seen)
    state = computer.step(params, state, x, u, jax.random.fold_in(key, state.time))
    state, frames = computer.render(params, state)
    return state, to_uint8(frames[:, 0])


def segments(frames: int) -> Iterator[slice]:
    """Frames 1 to `frames` - 1 in parts of at most SEGMENT."""
    return (slice(first, min(first + SEGMENT, frames)) for first in range(1, frames, SEGMENT))


def decibels(shown: UInt8[np.ndarray, "n t h w 3"], truth: UInt8[np.ndarray, "n t h w 3"]) -> Float[np.ndarray, "n t"]:
    """PSNR of every frame, at most BRIGHTEST."""
    error = np.stack([np.square(a.astype(np.float32) - b).mean((1, 2, 3)) for a, b in zip(shown, truth, strict=True)])
    return np.minimum(BRIGHTEST, 10 * np.log10(255**2 / np.maximum(error, 1e-9)))


def report(
    right: Bool[np.ndarray, "n t"],
    psnr: Float[np.ndarray, "n t"],
    kinds: UInt8[np.ndarray, "n t"],
    names: Sequence[str],
    horizons: Sequence[int],
) -> dict[str, Any]:
    """Shares of screens that are right, in all, by quarter and up to horizons, and the kinds of first errors."""
    quarters = np.array_split(np.arange(1, right.shape[1]), 4)
    return {
        "screens": float(right[:, 1:].mean()),
        "quarters": [float(right[:, part].mean()) for part in quarters],
        "horizons": {str(h): _at(span, right, psnr) for h, span in spans(horizons, right.shape[1])},
        "first_errors": first_errors(right, kinds, names),
    }


def spans(horizons: Sequence[int], frames: int) -> Iterator[tuple[int, slice]]:
    """Yields the horizons within so many frames, by number of the frame, and the frames that count for each."""
    yield from ((horizon, slice(max(1, horizon - SPAN), horizon)) for horizon in horizons if horizon <= frames)


def _at(span: slice, right: Bool[np.ndarray, "n t"], psnr: Float[np.ndarray, "n t"]) -> dict[str, float]:
    return {"screens": float(right[:, span].mean()), "psnr": float(psnr[:, span].mean())}


def first_errors(
    right: Bool[np.ndarray, "n t"], kinds: UInt8[np.ndarray, "n t"], names: Sequence[str]
) -> dict[str, int]:
    """How many runs have their first wrong screen in a frame of each kind; "none" where all are right."""
    found = dict.fromkeys(("none", *names), 0)
    for row, labels in zip(right, kinds, strict=True):
        found["none" if row.all() else names[labels[row.argmin()]]] += 1
    return {name: count for name, count in found.items() if count}


def exactness(
    kinds: UInt8[np.ndarray, "n t"],
    names: Sequence[str],
    right: Callable[[Int[np.ndarray, " m"], Int[np.ndarray, " m"]], Bool[np.ndarray, " m"]],
    most: int = 256,
    seed: int = 0,
) -> dict[str, float]:
    """Share of single steps from the true screen that are right, by kind; of `most` of a kind, drawn.

    `right` says it of the steps (session, frame), which are always `most`: fewer of a kind are repeated, so that one
    compilation serves all.
    """
    rng, found = np.random.default_rng(seed), {}
    for kind, name in enumerate(names):
        places = np.argwhere(kinds[:, 1:] == kind)
        if len(places):
            count = min(most, len(places))
            drawn = rng.choice(len(places), count, replace=False)
            numbers, frames = places[np.resize(drawn, most)].T
            found[name] = float(right(numbers, frames + 1)[:count].mean())
    return found
