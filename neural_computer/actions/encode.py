"""Actions and mouse as embeddings: one of each a latent frame, which is what the doors of `models.injection` take.

Features of typed texts come from outside: no text encoder is called here.
"""

from dataclasses import dataclass, field
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from neural_computer.actions import schema
from neural_computer.actions.align import Alignment
from neural_computer.actions.schema.frames import Meta, normalised
from neural_computer.models import layers
from neural_computer.types import Actions

SCHEMAS = ("raw", "meta")
MICE = ("xy", "fourier")
POOLS = ("mean", "attention")
MOST_EDGES = 7
LIVELY = nn.initializers.normal(0.5)
"""Of tables: at linen's default they drown beside what else a sum holds."""


@dataclass(frozen=True)
class Encoding:
    """How actions become embeddings of `width` numbers, the actions by `schema` and the mouse by `mouse`.

    `pool` makes one of a frame's slots (meta only). `fourier` is the number of random frequencies of a mouse position and
    `scale` their standard deviation, in turns over half of the screen.
    """

    schema: str = "meta"
    mouse: str = "fourier"
    width: int = 128
    pool: str = "mean"
    fourier: int = 64
    scale: float = 4.0
    align: Alignment = field(default_factory=Alignment)

    def __post_init__(self) -> None:
        for name, known in (("schema", SCHEMAS), ("mouse", MICE), ("pool", POOLS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name}={getattr(self, name)!r}: unknown; one of {', '.join(known)}")
        if self.width < 1 or self.fourier < 1 or self.scale <= 0:
            raise ValueError(f"width={self.width}, fourier={self.fourier}, scale={self.scale}: must be positive")


class ActionEncoder(nn.Module):
    """u: the embeddings (b, f, 2, width) of action and mouse, a latent frame's from its window alone.

    `size` is (height, width) of the video, whose pixels the mouse is in; `texts` (b, u, d) are features of what was typed.
    """

    how: Encoding
    size: tuple[int, int]

    @property
    def align(self) -> Alignment:
        """Which video frames' actions a latent frame sees: all that the losses need to know of an action encoder."""
        return self.how.align

    @nn.compact
    def __call__(self, actions: Actions, texts: Float[Array, "b u d"]) -> Float[Array, "b f 2 e"]:
        how, (height, width) = self.how, self.size
        if how.schema == "raw":
            flags = _rows(how.align.windows(jnp.asarray(actions.raw, jnp.float32)))
            told = layers.Mlp(2 * how.width, how.width, name="raw")(flags)
        else:
            slots = MetaSlots(how.width, how.pool, name="meta")(actions.meta, texts)
            told = layers.linear(how.width, jnp.float32, "meta_window")(_rows(how.align.windows(slots)))
        place = normalised(jnp.asarray(actions.mouse, jnp.float32), (width, height))
        mouse = Mouse(how, name="mouse")(place)
        seen = layers.linear(how.width, jnp.float32, "mouse_window")(_rows(how.align.windows(mouse)))
        return jnp.stack([told, seen], axis=2)


def _rows(windows: Float[Array, "b f p d"]) -> Float[Array, "b f n"]:
    """Windows flattened, so that a linear layer tells their frames apart."""
    return windows.reshape(*windows.shape[:2], -1)


class Mouse(nn.Module):
    """Places in [0, 1] as embeddings; zeros where the place is unknown.

    "xy" gives the two numbers in [-1, 1] to an MLP; "fourier" sine and cosine of them times a fixed Gaussian matrix too.
    """

    how: Encoding

    @nn.compact
    def __call__(self, place: Float[Array, "b t 2"]) -> Float[Array, "b t e"]:
        known = jnp.isfinite(place).all(axis=-1, keepdims=True)
        x = jnp.clip(jnp.where(known, place, 0.5), 0, 1) * 2 - 1
        if self.how.mouse == "fourier":
            turns = np.random.default_rng(0).normal(size=(2, self.how.fourier)) * self.how.scale
            angle = jnp.matmul(x, np.float32(2 * np.pi * turns), precision="highest")
            x = jnp.concatenate([x, jnp.cos(angle), jnp.sin(angle)], axis=-1)
        return layers.Mlp(self.how.width, self.how.width, name="mlp")(x) * known


class MetaSlots(nn.Module):
    """A frame's slots as one embedding, zeros where all are empty: by type, each from the fields that belong to it."""

    width: int
    pool: str

    @nn.compact
    def __call__(self, meta: Meta, texts: Float[Array, "b u d"]) -> Float[Array, "b t e"]:
        def table(name: str, size: int, index: Any) -> Float[Array, "b t s e"]:
            return self.param(name, LIVELY, (size, self.width))[jnp.clip(index, 0, size - 1)]

        typed = layers.linear(self.width, jnp.float32, "text")(texts)
        typed = jnp.take_along_axis(typed[:, None], jnp.asarray(meta.text)[..., None], axis=2)
        amount = jnp.log1p(jnp.asarray(meta.amount, jnp.float32))[..., None]
        fields = {
            schema.CLICK: (
                table("button", len(schema.BUTTONS), meta.button)
                + table("clicks", schema.CLICKS + 1, meta.clicks)
                + table("drag", 2, meta.drag)
                + table("edges", MOST_EDGES + 1, meta.edges)
            ),
            schema.SCROLL: table("direction", len(schema.DIRECTIONS), meta.direction)
            + amount * self.param("amount", LIVELY, (self.width,)),
            schema.TEXT: typed,
            schema.SHORTCUT: table("shortcut", len(schema.SHORTCUTS), meta.shortcut),
        }
        kind = jnp.asarray(meta.kind)[..., None]
        x = table("kind", 5, meta.kind) + sum(jnp.where(kind == k, own, 0.0) for k, own in fields.items())
        x = layers.Mlp(self.width, self.width, name="mlp")(x + self.param("slot", LIVELY, (kind.shape[2], self.width)))
        return self._pooled(x, kind[..., 0] != schema.NONE)

    def _pooled(self, x: Float[Array, "b t s e"], valid: Bool[Array, "b t s"]) -> Float[Array, "b t e"]:
        if self.pool == "mean":
            share = valid / jnp.maximum(valid.sum(axis=-1, keepdims=True), 1)
        else:
            score = jnp.where(valid, layers.linear(1, jnp.float32, "score")(x)[..., 0], -1e9)
            share = nn.softmax(score) * valid
        return (x * share[..., None]).sum(axis=2)
