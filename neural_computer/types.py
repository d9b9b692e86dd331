"""The nouns of the library and its shape alphabet.

Shapes are written in one alphabet everywhere: `b` batch, `t` video frames, `h` `w` pixels, `f` latent frames, `i` `j`
latent cells, `p` patches of a latent frame, `c` channels, `l` text length, `s` action slots, `u` typed texts of a video,
`m` image features, `n` tokens, `d` `y` widths, `k` heads, `r` regions of the loss.

Everything that crosses into a jitted function is a NamedTuple: a pytree without registration, so that `data/`, which
imports this file, stays free of jax. `Array` below is a numpy or a jax array; the shapes of the fields are checked in the tests.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

Array = Any
"""A numpy or a jax array"""
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
    """One recording: a video with its captions, text, events and cursor. Only `id`, `frames` and `fps` are required."""

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
    """A part of an episode of fixed length; event times count from its first frame."""

    start: int = 0
    """First frame, in frames of the episode."""
    logged: bool = False
    """Whether the episode has a log of input events, even if none of them is in this clip."""


class TokenIds(NamedTuple):
    """Texts as token ids, 0 for padding: what a text encoder reads. What it returns, features, is a plain float array."""

    ids: Int[Array, "... _"]
    """(b, l) for captions, (b, u, l) for typed texts, each with a length l of its own"""


class Meta(NamedTuple):
    """Meta-actions: the slots of every video frame (see `actions.schema`), int32; empty slots have kind 0.

    An action that lasts several frames stands in every frame in which a part of it happens: `edges` are the button's
    presses and releases in that frame, `amount` the scroll notches, `text` the characters. So no frame reveals what a later
    one holds, but for `clicks` and `drag`, which belong to the whole action.
    """

    kind: Int[Array, "*b t s"]
    button: Int[Array, "*b t s"]
    clicks: Int[Array, "*b t s"]
    drag: Int[Array, "*b t s"]
    edges: Int[Array, "*b t s"]
    direction: Int[Array, "*b t s"]
    amount: Int[Array, "*b t s"]
    text: Int[Array, "*b t s"]
    """Index into the texts; 0 is no text"""
    shortcut: Int[Array, "*b t s"]


class Actions(NamedTuple):
    """u: the actions in every frame of a video, in both schemas (see `actions.schema`), and the position of the mouse."""

    raw: Float[Array, "*b t a"]
    """182 flags"""
    meta: Meta
    texts: TokenIds | Float[Array, "*b u d"]
    """The texts that the slots refer to, token ids (b, u, l) or features; the first one is empty"""
    mouse: Float[Array, "*b t 2"]
    """(x, y) in pixels, NaN where unknown"""
    valid: Bool[Array, "*b"]
    """Whether the clip's actions were recorded. Where they were not, the rest is empty, and losses on actions skip the row"""


class Batch(NamedTuple):
    """What the host hands to the device."""

    index: Int[Array, " b"]
    """Each sample's position in the endless training order. All of a sample's randomness is folded from it, so neither
    the number of processes nor a resume can change it."""
    video: UInt8[Array, "b t h w 3"]
    text: TokenIds | Float[Array, "b l d"]
    actions: Actions | None = None
    regions: Float[Array, "b r f i j"] | None = None
    """Masks of the regions that the loss weighs, in the objective's order; None for none"""


class Conditioning(NamedTuple):
    """What the network predicts from, beside noisy latents and their time."""

    cond: Float[Array, "b f i j e"]
    """Frame mask (one channel a video frame of the latent frame) and condition latents: e = 4 + c channels"""
    text: TokenIds | Float[Array, "b l d"]
    image: Float[Array, "b m y"] | None = None
    """Features of the first frame"""
    actions: Actions | None = None


class Encoded(NamedTuple):
    """A batch after the frozen encoders, computed or read from the cache: the update cannot tell which."""

    index: Int[Array, " b"]
    latents: Float[Array, "b f i j c"]
    """The video, z0"""
    cond: Float[Array, "b f i j e"]
    """As in `Conditioning`, like the fields that follow"""
    text: TokenIds | Float[Array, "b l d"]
    image: Float[Array, "b m y"] | None = None
    actions: Actions | None = None
    regions: Float[Array, "b r f i j"] | None = None
    """As in `Batch`"""

    @property
    def conditioning(self) -> Conditioning:
        return Conditioning(self.cond, self.text, self.image, self.actions)


class Output(NamedTuple):
    """What the network returns."""

    prediction: Float[Array, "b f i j c"]
    """Velocity or z0, by the prediction type"""
    heads: tuple[Array, ...] | None = None
    """What the heads of auxiliary losses return, where they were asked for (`models.heads`)"""


class KeyValue(NamedTuple):
    """Keys and values of attention; a DiT's have leading axes (groups of blocks, blocks of a group)."""

    key: Float[Array, "*n k e"]
    value: Float[Array, "*n k e"]


class Cache(NamedTuple):
    """The window of a causal network (`models.window`)."""

    ring: KeyValue
    """(groups, blocks, b, w, g, p, k, e): w entries of g latent frames; entry number n is in slot n mod w"""
    written: Int[Array, " b"]
    """Entries since boot"""


class State(NamedTuple):
    """The runtime state h: all that persists between steps of a run. A pytree of arrays; Orbax can save it."""

    latents: Float[Array, "b f i j c"]
    """The newest chunk"""
    frame: Float[Array, "b h w 3"]
    """In [-1, 1]: the newest rendered frame, with which the next chunk begins"""
    text: TokenIds | Float[Array, "b l d"]
    image: Float[Array, "b m y"] | None
    time: Int[Array, ""]
    """Chunks since boot"""
    negative_prompt: TokenIds | Float[Array, "b l d"] | None = None
    """The text that classifier-free guidance leads away from; None without guidance"""
    cache: Cache | None = None
    """Keys and values of the chunks before the newest, itself included; None without a window"""
    carry: dict[str, Any] | tuple[()] | None = None
    """What the decoder carries from chunk to chunk; None where a chunk is decoded on its own"""


class FrozenParams(NamedTuple):
    """Parameters that an update reads and leaves as they are; None for parts that an experiment lacks."""

    codec: PyTree = None
    text_encoder: PyTree = None
    image_encoder: PyTree = None
    lpips: PyTree = None
    """Of the codec's perceptual loss"""
    network_held: PyTree = None
    """The part of the trained network that the optimizer's `trainable` leaves out"""


class Params(NamedTuple):
    """All that `run` may read and only `update` may replace."""

    network: PyTree
    frozen: FrozenParams


class TrainState(NamedTuple):
    """What `update` returns and a checkpoint holds."""

    step: Int[Array, ""]
    """Updates so far"""
    network: PyTree
    """Trained parameters: all of the network, or the part that the optimizer's `trainable` matches"""
    ema: PyTree
    """Their moving average"""
    optimizer: PyTree
    """Moments of the optimizer"""
