"""The action encoder: embeddings of actions and mouse, one of each a latent frame, for `models.injection`.

Features of typed texts are an argument: no text encoder is called here.
"""

from dataclasses import dataclass, field

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from neural_computer.actions import schema
from neural_computer.actions.align import Alignment
from neural_computer.actions.schema.frames import normalised
from neural_computer.errors import one_of
from neural_computer.models import layers
from neural_computer.types import Actions, Meta

SCHEMAS = ("raw", "meta")
MICE = ("xy", "fourier")
POOLS = ("mean", "attention")
MAX_EDGES = 7
TABLE_INIT = nn.initializers.normal(0.5)
"""Of embedding tables. linen's default is so small that the other terms of a sum dominate."""


@dataclass(frozen=True)
class ActionEncoding:
    """How actions and mouse positions become embeddings of `width` numbers each.

    Attributes:
      schema: "raw", the flags of every frame, or "meta", its slots (`actions.schema`).
      mouse: "xy", two numbers, or "fourier", Fourier features of them too.
      pool: how the slots of a frame become one embedding, "mean" or "attention"; schema "meta" alone.
      fourier: random frequencies of the Fourier features (Tancik et al. 2020).
      scale: their standard deviation, in periods over half of the screen.
      align: the video frames that a latent frame's embedding depends on.
    """

    schema: str = "meta"
    mouse: str = "fourier"
    width: int = 128
    pool: str = "mean"
    fourier: int = 64
    scale: float = 4.0
    align: Alignment = field(default_factory=Alignment)

    def __post_init__(self) -> None:
        for name, names in (("schema", SCHEMAS), ("mouse", MICE), ("pool", POOLS)):
            one_of(name, getattr(self, name), names)
        if self.width < 1 or self.fourier < 1 or self.scale <= 0:
            raise ValueError(f"width={self.width}, fourier={self.fourier}, scale={self.scale}: must be positive")


class ActionEncoder(nn.Module):
    """Embeddings u (b, f, 2, width) of action and mouse, a latent frame's from its window alone; zero in rows that are not
    valid.

    `size` is (height, width) of the video, in whose pixels the mouse is. `texts` are features of the typed texts.
    """

    config: ActionEncoding
    size: tuple[int, int]

    @property
    def align(self) -> Alignment:
        """Which video frames' actions a latent frame sees: all that the losses need to know of an action encoder."""
        return self.config.align

    @nn.compact
    def __call__(self, actions: Actions, texts: Float[Array, "b u d"]) -> Float[Array, "b f 2 e"]:
        config, (height, width) = self.config, self.size
        if config.schema == "raw":
            flags = _flat(config.align.windows(jnp.asarray(actions.raw, jnp.float32)))
            action = layers.Mlp(2 * config.width, config.width, name="raw")(flags)
        else:
            slots = MetaSlots(config.width, config.pool, name="meta")(actions.meta, texts)
            action = layers.linear(config.width, jnp.float32, "meta_window")(_flat(config.align.windows(slots)))
        position = normalised(jnp.asarray(actions.mouse, jnp.float32), (width, height))
        positions = _flat(config.align.windows(MouseEncoder(config, name="mouse")(position)))
        mouse = layers.linear(config.width, jnp.float32, "mouse_window")(positions)
        return jnp.stack([action, mouse], axis=2) * jnp.asarray(actions.valid)[:, None, None, None]


def _flat(windows: Float[Array, "b f p d"]) -> Float[Array, "b f n"]:
    """The frames of a window side by side, so that a linear layer tells them apart."""
    return windows.reshape(*windows.shape[:2], -1)


class MouseEncoder(nn.Module):
    """Embeddings of mouse positions in [0, 1]; zero where the position is unknown.

    "xy" feeds the two numbers, in [-1, 1], to an MLP; "fourier" also their Fourier features: cosine and sine of them times a
    fixed Gaussian matrix.
    """

    config: ActionEncoding

    @nn.compact
    def __call__(self, position: Float[Array, "b t 2"]) -> Float[Array, "b t e"]:
        config, visible = self.config, jnp.isfinite(position).all(axis=-1, keepdims=True)
        x = jnp.clip(jnp.where(visible, position, 0.5), 0, 1) * 2 - 1
        if config.mouse == "fourier":
            frequencies = np.random.default_rng(0).normal(size=(2, config.fourier)) * config.scale
            angle = jnp.matmul(x, np.float32(2 * np.pi * frequencies), precision="highest")
            x = jnp.concatenate([x, jnp.cos(angle), jnp.sin(angle)], axis=-1)
        return layers.Mlp(config.width, config.width, name="mlp")(x) * visible


class MetaSlots(nn.Module):
    """One embedding of a frame's slots, zero where all are empty; a slot's from its type and the fields of that type."""

    width: int
    pool: str

    @nn.compact
    def __call__(self, meta: Meta, texts: Float[Array, "b u d"]) -> Float[Array, "b t e"]:
        def table(name: str, size: int, index: Int[Array | np.ndarray, "b t s"]) -> Float[Array, "b t s e"]:
            return self.param(name, TABLE_INIT, (size, self.width))[jnp.clip(index, 0, size - 1)]

        text = layers.linear(self.width, jnp.float32, "text")(texts)
        text = jnp.take_along_axis(text[:, None], jnp.asarray(meta.text)[..., None], axis=2)
        amount = jnp.log1p(jnp.asarray(meta.amount, jnp.float32))[..., None]
        fields = {
            schema.CLICK: (
                table("button", len(schema.BUTTONS), meta.button)
                + table("clicks", schema.CLICKS + 1, meta.clicks)
                + table("drag", 2, meta.drag)
                + table("edges", MAX_EDGES + 1, meta.edges)
            ),
            schema.SCROLL: table("direction", len(schema.DIRECTIONS), meta.direction)
            + amount * self.param("amount", TABLE_INIT, (self.width,)),
            schema.TEXT: text,
            schema.SHORTCUT: table("shortcut", len(schema.SHORTCUTS), meta.shortcut),
        }
        kind = jnp.asarray(meta.kind)[..., None]
        x = table("kind", 5, meta.kind) + sum(jnp.where(kind == k, own, 0.0) for k, own in fields.items())
        x = x + self.param("slot", TABLE_INIT, (kind.shape[2], self.width))
        x = layers.Mlp(self.width, self.width, name="mlp")(x)
        return self._pooled(x, kind[..., 0] != schema.NONE)

    def _pooled(self, x: Float[Array, "b t s e"], used: Bool[Array, "b t s"]) -> Float[Array, "b t e"]:
        """Mean of the used slots, or their mean weighted by attention; 0 where none is used."""
        if self.pool == "mean":
            weight = used / jnp.maximum(used.sum(axis=-1, keepdims=True), 1)
        else:
            score = jnp.where(used, layers.linear(1, jnp.float32, "score")(x)[..., 0], -1e9)
            weight = nn.softmax(score) * used
        return (x * weight[..., None]).sum(axis=2)
