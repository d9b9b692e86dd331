"""The nouns of the library and its shape alphabet.

Shapes are written in one alphabet everywhere: `b` batch, `t` video frames, `h` `w` pixels, `f` latent frames, `i` `j`
latent cells, `p` patches of a latent frame, `c` channels, `l` text length, `s` action slots, `n` tokens, `d` width, `k` heads.

Whatever crosses into a jitted function is a NamedTuple: a pytree without a registration, so that `data/`, which
imports this file, stays free of jax.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8

PyTree = Any
Metrics = dict[str, Any]
"""What `update` and the evaluators report: scalars by name."""


class Event(NamedTuple):
    """One input event of a terminal or a desktop, on the episode's clock.

    `kind` is press, release (keys and mouse buttons), move, scroll or text; `key` is a character, an X keysym name
    ("Return") or a button ("left"); `x`, `y` are pixels of the episode's frames; `dx`, `dy` scroll notches, to the right
    and down. A drag is a press, moves and a release.
    """

    time: float
    kind: str
    key: str = ""
    text: str = ""
    x: float = float("nan")
    y: float = float("nan")
    dx: float = 0.0
    dy: float = 0.0


@dataclass(frozen=True)
class Episode:
    """One recording: a video and whatever else is known of it. Only `id`, `frames` and `fps` are required."""

    id: str
    frames: UInt8[np.ndarray, "t h w 3"]
    fps: float
    captions: Mapping[str, str] = field(default_factory=dict)
    """Captions by tier."""
    cells: tuple[str, ...] | None = None
    """The screen's text, one string a frame: rows of equal width joined by newlines."""
    events: tuple[Event, ...] = ()
    cursor: Float[np.ndarray, "t 2"] | None = None
    """Mouse position (x, y) in pixels of `frames`; NaN where unknown."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """JSON values: provenance, licence, what a task needs to score the clip."""


@dataclass(frozen=True)
class Clip(Episode):
    """A stretch of an episode of fixed length; event times count from its first frame."""

    start: int = 0
    """First frame, in frames of the episode."""


class Actions(NamedTuple):
    """u: what was done in every frame of a video, in both schemas (see `actions.schema`), and where the mouse was."""

    raw: Any
    """float32 (b, t, 182): flags"""
    meta: Any
    """`actions.schema.frames.Meta` of int32 (b, t, s): slots"""
    texts: Any
    """what the slots' texts are, the first of them none: ids (b, u, l), or features (b, u, d)"""
    mouse: Any
    """float32 (b, t, 2): (x, y) in pixels, NaN where unknown"""


class Batch(NamedTuple):
    """What the host hands to the device."""

    index: Int[np.ndarray, " b"]  # type: ignore[assignment]  # shadows tuple.index, which nobody asks a batch
    """Each sample's place in the endless training order. All of a sample's randomness is folded from it, so neither
    the number of processes nor a resume can change it."""
    video: UInt8[np.ndarray, "b t h w 3"]
    text: Int[np.ndarray, "b l"]
    actions: Actions | None = None


class Encoded(NamedTuple):
    """A batch after the frozen encoders: from them, or read from the cache; the update cannot tell."""

    index: Any
    """int32 (b,)"""
    latents: Any
    """(b, f, i, j, c): the video, z0"""
    cond: Any
    """(b, f, i, j, 4 + c): frame mask (one channel a video frame) and condition latents"""
    text: Any
    """ids (b, l), or features (b, l, d)"""
    image: Any = None
    """features (b, n, d) of the first frame, or None"""
    actions: Actions | None = None


class State(NamedTuple):
    """The runtime state h: all that persists between steps of a run. A pytree of arrays; Orbax can save it."""

    latents: Any
    """(b, f, i, j, c) of the newest chunk"""
    frame: Any
    """(b, h, w, 3) float32 in [-1, 1]: the newest frame, the next step's x"""
    text: Any
    image: Any
    time: Any
    """int32: chunks run since boot"""
    negative: Any = None
    """What guidance leads away from, as `text`; None where there is no guidance"""


class Params(NamedTuple):
    """All that `run` may read and only `update` may replace."""

    network: PyTree
    frozen: PyTree
    """The codec, the frozen encoders, and, in training, what of the network is held fixed."""


class TrainState(NamedTuple):
    """What `update` returns and a checkpoint holds."""

    step: Any
    network: PyTree
    """What is trained of the network: all of it, or the part that the optimizer's regex names"""
    ema: PyTree
    optimizer: PyTree
