"""What the network is conditioned on: the first frame as condition latents, captions, image features, actions.

All of it comes from frozen encoders, whose parameters are arguments; nothing here is trained.
"""

import math
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped, UInt8

from neural_computer.actions import cursor
from neural_computer.actions.schema import FLAGS, SLOTS
from neural_computer.actions.schema.frames import Meta
from neural_computer.errors import one_of
from neural_computer.models.clip import CLIPVision, preprocess
from neural_computer.models.linear_codec import LinearCodec, latent_size
from neural_computer.models.text import masked_mean_pool
from neural_computer.models.umt5 import UMT5
from neural_computer.models.vae import WanVAE
from neural_computer.types import Actions, Batch, Encoded, FrozenParams, TokenIds

CONDITION_LAYOUTS = ("repeat", "wan", "previous")


@dataclass(frozen=True)
class Conditioner:
    """Frozen encoders of the conditioning; holds no parameters.

    Attributes:
      codec: video <-> latents.
      frames, size: length of a chunk in video frames, and (height, width) in pixels.
      text_encoder, image_encoder: frozen; without a text encoder captions stay token ids, which the network encodes itself.
      condition_layout: "wan", the first frame followed by grey frames, encoded together (Wan2.1 image-to-video);
        "repeat", the first frame's latent repeated over time; or "previous", for a network that runs chunk by chunk: the
        latent frame before the chunk, which is not known here (`objective`, `StreamingComputer`).
      cursor_height: pixels.
      cursor_reference: draws the cursor and its mask into the condition (the paper's cursor references).
    """

    codec: LinearCodec | WanVAE
    frames: int
    size: tuple[int, int]
    text_encoder: UMT5 | None = None
    image_encoder: CLIPVision | None = None
    condition_layout: str = "wan"
    cursor_height: float = 19.0
    cursor_reference: bool = False

    def __post_init__(self) -> None:
        latent_size(self.frames, *self.size, stride=self.codec.stride)
        one_of("condition_layout", self.condition_layout, CONDITION_LAYOUTS)

    @property
    def latent_shape(self) -> tuple[int, int, int, int]:
        """(f, i, j, c) of a chunk."""
        return (*latent_size(self.frames, *self.size, stride=self.codec.stride), self.codec.channels)

    @property
    def mask_channels(self) -> int:
        """Of the condition: one a video frame of a latent frame."""
        return self.codec.stride[0]

    def encode(self, frozen: FrozenParams, batch: Batch) -> Encoded:
        """A batch after the frozen encoders."""
        video = normalize_pixels(batch.video)
        return Encoded(
            index=batch.index,
            latents=self.codec.encode(frozen.codec, video),
            cond=self.condition_latents(frozen, video[:, 0], batch.actions),
            text=self.encode_text(frozen, batch.text),
            image=self.encode_image(frozen, video[:, 0]),
            actions=self.encode_action_texts(frozen, batch.actions),
            regions=batch.regions,
        )

    def condition_latents(
        self, frozen: FrozenParams, x: Float[Array, "b h w 3"], actions: Actions | None = None
    ) -> Float[Array, "b f i j e"]:
        """Condition (b, f, i, j, s + c) of a chunk that begins with frame x: frame mask, then condition latents.

        With condition_layout "previous", the mask alone. With `cursor_reference`, later frames show the cursor where the
        mouse is, on grey ("wan", the paper's) or on x ("repeat"), and the mask is the share of a latent cell that it covers.
        """
        if self.condition_layout == "previous":
            return self.frame_mask(x.shape[0], actions)
        if self.cursor_reference and actions is not None:
            video, masks = self.cursor_references(x, jnp.asarray(actions.mouse))
            tags = cursor.tags(masks, self.mask_channels)
            return jnp.concatenate([tags, self.codec.encode(frozen.codec, video)], axis=-1)
        f, i, j, _ = self.latent_shape
        if self.condition_layout == "repeat":
            latents = jnp.repeat(self.codec.encode(frozen.codec, x[:, None]), f, axis=1)
        else:
            grey = jnp.zeros((x.shape[0], self.frames - 1, *x.shape[1:]), x.dtype)
            latents = self.codec.encode(frozen.codec, jnp.concatenate([x[:, None], grey], axis=1))
        mask = jnp.zeros((x.shape[0], f, i, j, self.mask_channels), latents.dtype).at[:, 0].set(1)
        return jnp.concatenate([mask, latents], axis=-1)

    def frame_mask(self, rows: int, actions: Actions | None) -> Float[Array, "b f i j s"]:
        """Frame mask of condition_layout "previous": ones, or with `cursor_reference` the share that the cursor covers.

        Of as many latent frames as the actions have; without actions, of a chunk.
        """
        f, i, j, _ = self.latent_shape
        if not self.cursor_reference or actions is None:
            frames = f if actions is None else (actions.mouse.shape[1] - 1) // self.mask_channels + 1
            return jnp.ones((rows, frames, i, j, self.mask_channels))
        _, masks = cursor.stamp(cursor.template(self.cursor_height), jnp.asarray(actions.mouse), *self.size)
        return cursor.tags(masks, self.mask_channels)

    def cursor_references(
        self, x: Float[Array, "b h w 3"], mouse: Float[Array, "b t 2"]
    ) -> tuple[Float[Array, "b t h w 3"], Float[Array, "b t h w 1"]]:
        """Frame x followed by cursor reference frames, and their masks.

        With condition_layout "repeat", later frames show x without its cursor: the pixels it covers are filled with the
        local mean of the uncovered ones.
        """
        template = cursor.template(self.cursor_height)
        video, masks = cursor.references(x[:, None], mouse, template)
        if self.condition_layout == "repeat":
            _, covered = cursor.stamp(template, mouse[:, 0], *self.size)
            visible = (covered == 0).astype(x.dtype)
            background = jnp.where(covered > 0, local_mean(x, visible, math.ceil(self.cursor_height)), x)
            video = video.at[:, 1:].add(background[:, None] * (1 - masks[:, 1:]))
        return video, masks

    def encode_text(
        self, frozen: FrozenParams, text: TokenIds | Float[Array, "b l d"]
    ) -> TokenIds | Float[Array, "b l d"]:
        """Text features (b, l, d) of token ids; ids stay ids without a frozen text encoder, features are features already."""
        if self.text_encoder is None or not isinstance(text, TokenIds):
            return text
        return self._text_features(frozen, jnp.asarray(text.ids))

    def encode_action_texts(self, frozen: FrozenParams, actions: Actions | None) -> Actions | None:
        """Actions with token ids of typed texts (b, u, l) replaced by mean-pooled text features (b, u, d).

        Without a frozen text encoder, or where the texts are features already, `actions` as they are.
        """
        if actions is None or self.text_encoder is None or not isinstance(actions.texts, TokenIds):
            return actions

        features = masked_mean_pool(partial(self._text_features, frozen), jnp.asarray(actions.texts.ids))
        return actions._replace(texts=features)

    def _text_features(self, frozen: FrozenParams, ids: Int[Array, "n l"]) -> Float[Array, "n l d"]:
        assert self.text_encoder is not None
        return jnp.asarray(self.text_encoder.apply({"params": frozen.text_encoder}, ids))

    def encode_image(self, frozen: FrozenParams, x: Float[Array, "b h w 3"]) -> Float[Array, "b m y"] | None:
        """Image features of frame x; None without an image encoder."""
        if self.image_encoder is None:
            return None
        images = preprocess(x, self.image_encoder.image)
        return jnp.asarray(self.image_encoder.apply({"params": frozen.image_encoder}, images))


def happens(actions: Actions) -> Bool[Array, "*b t"]:
    """Whether anything but motion of the mouse happens in a frame."""
    flags = jnp.asarray(actions.raw)
    return (flags.sum(axis=-1) - flags[..., FLAGS["mouse_move"]] > 0) | (jnp.asarray(actions.meta.kind) > 0).any(
        axis=-1
    )


def no_actions(frames: int, texts: TokenIds | Float[Array, "b u d"]) -> Actions:
    """Actions of videos in which nothing happens and the mouse is nowhere; `texts` gives batch and width."""
    rows = jax.tree.leaves(texts)[0].shape[0]
    slots = jnp.zeros((rows, frames, SLOTS), jnp.int32)
    return Actions(
        raw=jnp.zeros((rows, frames, len(FLAGS))),
        meta=Meta(*(slots for _ in Meta._fields)),
        texts=texts,
        mouse=jnp.full((rows, frames, 2), jnp.nan),
        valid=jnp.ones(rows, bool),
    )


def local_mean(x: Float[Array, "b h w 3"], visible: Float[Array, "b h w 1"], reach: int) -> Float[Array, "b h w 3"]:
    """Mean of x over the visible pixels (visible == 1) in a square of 2 reach + 1; 0 where none is visible."""
    total, side = jnp.concatenate([x * visible, visible], axis=-1), 2 * reach + 1
    # The square as two windows of one dimension: the cost falls from side^2 to 2 side.
    for window in ((1, side, 1, 1), (1, 1, side, 1)):
        total = jax.lax.reduce_window(total, 0.0, jax.lax.add, window, (1, 1, 1, 1), "SAME")
    return total[..., :3] / jnp.maximum(total[..., 3:], 1.0)


def normalize_pixels(frames: Shaped[Array | np.ndarray, "*s 3"]) -> Float[Array, "*s 3"]:
    """Pixels in [-1, 1]. Raises ValueError for floats: frames scaled twice ruin image-to-video training without a word."""
    if frames.dtype != jnp.uint8:
        raise ValueError(f"frames: dtype {frames.dtype}; pixels come as uint8 and are scaled here, once")
    return jnp.asarray(frames).astype(jnp.float32) / 127.5 - 1


def to_uint8(frames: Float[Array, "*s 3"]) -> UInt8[Array, "*s 3"]:
    """Frames in [-1, 1] as uint8 pixels."""
    return jnp.round((jnp.clip(frames, -1, 1) + 1) * 127.5).astype(jnp.uint8)
