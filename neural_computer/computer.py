"""The neural computer: boot, step (F), render (G), and run, a scan of steps.

    run : (Params, State, Actions, Key) -> (State, Frames)

Running never returns parameters, so it cannot change how the computer behaves. Everything here is pure and jittable.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, Shaped, UInt8

from neural_computer import flow
from neural_computer.actions import cursor
from neural_computer.actions.encode import ActionEncoder
from neural_computer.actions.schema import FLAGS, SLOTS
from neural_computer.actions.schema.frames import Meta
from neural_computer.models.clip import CLIPVision, preprocess
from neural_computer.models.dit import DiT
from neural_computer.models.heads import Heads
from neural_computer.models.linear_codec import STRIDE, LinearCodec, latent_size
from neural_computer.models.text import ByteTextEncoder
from neural_computer.models.umt5 import UMT5
from neural_computer.models.vae import WanVAE
from neural_computer.types import Actions, Batch, Encoded, Params, PyTree, State

CONDITION_LAYOUTS = ("repeat", "wan")


class Network(nn.Module):
    """All that is trained: the DiT, the action encoder, the text encoder when it is small enough to be learned with them,
    and the heads of losses that need some."""

    dit: DiT
    text: ByteTextEncoder | None = None
    actions: ActionEncoder | None = None
    heads: Heads | None = None

    def __call__(self, z, t, text, image=None, actions: Actions | None = None, compare: bool = False):
        """The DiT's answer; with `compare`, (answer, what the heads make of its hidden states)."""
        u = None
        if self.actions is not None and actions is not None:
            u = self.actions(actions, self._typed(actions.texts))
        text = text if self.text is None else self.text(text)
        if not compare or self.heads is None or u is None:
            return self.dit(z, t, text, image, u)
        out, features = self.dit(z, t, text, image, u, features=True)
        return out, (*self.heads(features, u), features)

    def _typed(self, texts: Shaped[Array, "b u _"]) -> Float[Array, "b u d"]:
        """Features of typed texts, from their ids if they are that still."""
        if self.text is None or not jnp.issubdtype(texts.dtype, jnp.integer):
            return texts
        return masked_mean_pool(self.text, texts)


@dataclass(frozen=True)
class NeuralComputer:
    """The networks and how they are asked: everything but parameters.

    `frames` video frames of `size` (height, width) make one chunk. `target` is what the network predicts (`flow.PREDICTION_TYPES`).
    `condition` lays out what it knows of the first frame x: "wan", the paper's (Wan2.1 I2V), encodes x followed by grey;
    "repeat" repeats x's latent over time. `clean_first` keeps latent frame 0 clean at time 0 instead of generating it.
    `guidance` other than 1 asks twice, with the prompt and with the state's negative one, and goes that many times the way
    from the second answer to the first (Ho and Salimans 2022). `words` and `vision` are frozen encoders: without `words`
    the network takes captions as they come. With `skip`, for target "x" alone, the network says how the video differs from
    the condition: where nothing happens it need say nothing. `arrow` is the height of the screen's mouse pointer in
    pixels; with `reference` it is drawn where the mouse is into what the network knows, with its mask (the paper's cursor
    references).
    """

    network: Network
    codec: LinearCodec | WanVAE
    frames: int
    size: tuple[int, int]
    prediction_type: str = "v"
    condition_layout: str = "wan"
    clean_first_frame: bool = False
    predict_residual: bool = False
    solver: str = "euler"
    steps: int = 40
    shift: float = 3.0
    guidance: float = 1.0
    text_encoder: UMT5 | None = None
    image_encoder: CLIPVision | None = None
    cursor_height: float = 19.0
    cursor_reference: bool = False

    def __post_init__(self) -> None:
        latent_size(self.frames, *self.size)
        if self.prediction_type not in flow.PREDICTION_TYPES:
            raise ValueError(
                f"prediction_type={self.prediction_type!r}: unknown; one of {', '.join(flow.PREDICTION_TYPES)}"
            )
        if self.solver not in flow.SAMPLERS:
            raise ValueError(f"solver={self.solver!r}: unknown; one of {', '.join(flow.SAMPLERS)}")
        if self.condition_layout not in CONDITION_LAYOUTS:
            raise ValueError(
                f"condition_layout={self.condition_layout!r}: unknown; one of {', '.join(CONDITION_LAYOUTS)}"
            )
        if self.predict_residual and self.prediction_type != "x":
            raise ValueError(
                f"predict_residual=True: adds what is known of the video to the video; set prediction_type={self.prediction_type!r} to 'x'"
            )
        if self.num_steps < 1:
            raise ValueError(f"steps={self.num_steps}: sampling needs at least 1 step")
        if self.shift <= 0:
            raise ValueError(f"shift={self.shift}: must be positive; 1 leaves the times as they are")
        shape, latents = self.network.dit.shape, self.codec.channels
        if (shape.in_channels, shape.out_channels) != (2 * latents + STRIDE[0], latents):
            raise ValueError(
                f"in_channels={shape.in_channels}, out_channels={shape.out_channels}: a codec of {latents} channels needs "
                f"{2 * latents + STRIDE[0]} (latents, {STRIDE[0]} mask, condition) and {latents}"
            )

    @property
    def latent_shape(self) -> tuple[int, int, int, int]:
        """(f, i, j, c) of a chunk."""
        return (*latent_size(self.frames, *self.size), self.codec.channels)

    def init(self, key: Key[Array, ""]) -> PyTree:
        """Fresh network parameters."""
        shape = self.network.dit.shape
        z = jnp.zeros((1, *self.latent_shape[:3], shape.in_channels))
        image = jnp.zeros((1, 1, shape.image_width)) if shape.image_width else None
        along = self.network.text
        text = jnp.zeros((1, 1, shape.text_width)) if along is None else jnp.zeros((1, along.length), jnp.int32)
        actions = no_actions(self.frames, jnp.zeros((1, 1, shape.text_width)))
        return self.network.init(key, z, jnp.zeros((1, 1)), text, image, actions, compare=True)["params"]

    # What the network is told

    def condition_latents(
        self, frozen: PyTree, x: Float[Array, "b h w 3"], actions: Actions | None = None
    ) -> Float[Array, "b f i j c"]:
        """The condition of a chunk that begins with frame x: masks, then condition latents, on the channels.

        With `reference`, the frames after the first show it where the mouse is, on grey ("wan", the paper's) or on x
        ("repeat"), and the masks show how much of a place it covers.
        """
        if self.cursor_reference and actions is not None:
            video, masks = self.references(x, jnp.asarray(actions.mouse))
            return jnp.concatenate([cursor.tags(masks), self.codec.encode(frozen["codec"], video)], axis=-1)
        f, h, w, _ = self.latent_shape
        if self.condition_layout == "repeat":
            latents = jnp.repeat(self.codec.encode(frozen["codec"], x[:, None]), f, axis=1)
        else:
            grey = jnp.zeros((x.shape[0], self.frames - 1, *x.shape[1:]), x.dtype)
            latents = self.codec.encode(frozen["codec"], jnp.concatenate([x[:, None], grey], axis=1))
        mask = jnp.zeros((x.shape[0], f, h, w, STRIDE[0]), latents.dtype).at[:, 0].set(1)
        return jnp.concatenate([mask, latents], axis=-1)

    def references(
        self, x: Float[Array, "b h w 3"], mouse: Float[Array, "b t 2"]
    ) -> tuple[Float[Array, "b t h w 3"], Float[Array, "b t h w 1"]]:
        """The video of cursor references that begins with x, and its masks.

        What x's own arrow hides is not known of the later frames ("repeat"): the mean of what is seen around it.
        """
        arrow = cursor.template(self.cursor_height)
        video, masks = cursor.references(x[:, None], mouse, arrow)
        if self.condition_layout == "repeat":
            _, hidden = cursor.stamp(arrow, mouse[:, 0], *self.size)
            seen = (hidden == 0).astype(x.dtype)
            ground = jnp.where(hidden > 0, local_mean(x, seen, math.ceil(self.cursor_height)), x)
            video = video.at[:, 1:].add(ground[:, None] * (1 - masks[:, 1:]))
        return video, masks

    def encode_text(self, frozen: PyTree, text: Shaped[Array | np.ndarray, "b ..."]) -> Array:
        """Captions as the network takes them: token ids through the frozen text encoder, if there is one."""
        text = jnp.asarray(text)
        if self.text_encoder is None or not jnp.issubdtype(text.dtype, jnp.integer):
            return text
        return jnp.asarray(self.text_encoder.apply({"params": frozen["umt5"]}, text))

    def encode_action_texts(self, frozen: PyTree, actions: Actions | None) -> Actions | None:
        """Actions with the features of their texts, if the text encoder is a frozen one."""
        if actions is None or self.text_encoder is None or not jnp.issubdtype(actions.texts.dtype, jnp.integer):
            return actions
        return actions._replace(
            texts=masked_mean_pool(lambda ids: self.encode_text(frozen, ids), jnp.asarray(actions.texts))
        )

    def encode_image(self, frozen: PyTree, x: Float[Array, "b h w 3"]) -> Float[Array, "b m y"] | None:
        """Frame x through the frozen image encoder, if there is one."""
        if self.image_encoder is None:
            return None
        return jnp.asarray(
            self.image_encoder.apply({"params": frozen["clip"]}, preprocess(x, self.image_encoder.image))
        )

    def encode(self, frozen: PyTree, batch: Batch) -> Encoded:
        """A batch through the frozen encoders."""
        video = normalize_pixels(batch.video)
        return Encoded(
            index=batch.index,
            latents=self.codec.encode(frozen["codec"], video),
            cond=self.condition_latents(frozen, video[:, 0], batch.actions),
            text=self.encode_text(frozen, batch.text),
            image=self.encode_image(frozen, video[:, 0]),
            actions=self.encode_action_texts(frozen, batch.actions),
        )

    def predict(
        self,
        network: PyTree,
        z: Array,
        t: Float[Array, " b"],
        cond: Any,
        text: Any,
        image: Any,
        actions: Actions | None = None,
        compare: bool = False,
    ) -> Any:
        """What the network says of noisy latents z at time t in [0, 1000]; with `clean_first`, frame 0 is at time 0.

        With `compare`, what its heads say too.
        """
        times = t[:, None]
        if self.clean_first_frame:
            times = jnp.repeat(times, z.shape[1], axis=1).at[:, 0].set(0.0)
        x = jnp.concatenate([z, cond], axis=-1)
        told = self.network.apply({"params": network}, x, times, text, image, actions, compare=compare)
        if not self.predict_residual:
            return told
        known = cond[..., STRIDE[0] :]
        return (told[0] + known, told[1]) if isinstance(told, tuple) else told + known

    def guided_prediction(
        self, network: PyTree, z: Array, t: Float[Array, " b"], cond: Any, state: State, u: Actions | None
    ) -> Array:
        """`answer` to the state's prompt, led away from its negative prompt: both asked in one batch."""
        if self.guidance == 1:
            return self.predict(network, z, t, cond, state.text, state.image, u)
        if state.negative is None:
            raise ValueError(f"guidance={self.guidance}: needs a negative prompt; boot with one, an empty one perhaps")
        z, t, cond, image, u = jax.tree.map(lambda x: jnp.concatenate([x, x]), (z, t, cond, state.image, u))
        text = jnp.concatenate([state.text, state.negative])
        told, away = jnp.split(self.predict(network, z, t, cond, text, image, u), 2)
        return away + self.guidance * (told - away)

    # The machine

    def boot(
        self,
        params: Params,
        x0: UInt8[Array | np.ndarray, "b h w 3"],
        text: Shaped[Array | np.ndarray, "b ..."],
        negative: Shaped[Array | np.ndarray, "b ..."] | None = None,
    ) -> State:
        """The state of a computer that shows x0 and was given a prompt (token ids or features), perhaps a negative one."""
        x = normalize_pixels(x0)
        latents = jnp.repeat(self.codec.encode(params.frozen["codec"], x[:, None]), self.latent_shape[0], axis=1)
        read = self.encode_text(params.frozen, text)
        away = None if negative is None else self.encode_text(params.frozen, negative)
        return State(latents, x, read, self.encode_image(params.frozen, x), jnp.zeros((), jnp.int32), away)

    def step(
        self, params: Params, state: State, x: Float[Array, "b h w 3"], u: Actions | None, key: Key[Array, ""]
    ) -> State:
        """F: one chunk that begins with frame x and has the actions u, solved from noise; all of a sample's noise from its
        own row."""
        cond, u = self.condition_latents(params.frozen, x, u), self.encode_action_texts(params.frozen, u)
        clean = self.codec.encode(params.frozen["codec"], x[:, None]) if self.clean_first_frame else None
        state = state._replace(frame=x, image=self.encode_image(params.frozen, x))
        rows = jnp.arange(x.shape[0])

        def hold(z: Array) -> Array:
            return z if clean is None else z.at[:, :1].set(clean)

        def video(z: Array, time: Array, told: Array) -> Array:
            z = hold(z)
            out = self.guided_prediction(params.network, z, jnp.full(rows.shape, told), cond, state, u)
            return hold(flow.PREDICTION_TYPES[self.prediction_type].video(out, z, jnp.full(rows.shape, time)))

        plan = flow.SAMPLERS[self.solver](self.num_steps, self.shift)
        latents = flow.sample(plan, flow.noise(key, rows, self.latent_shape), video)
        return state._replace(latents=latents, time=state.time + 1)

    def render(self, params: Params, state: State) -> Float[Array, "b t h w 3"]:
        """G: the frames of the newest chunk, in [-1, 1]."""
        return self.codec.decode(params.frozen["codec"], state.latents)

    def run(self, params: Params, state: State, u: Actions | None, key: Key[Array, ""], chunks: int = 1):
        """`chunks` steps in open loop, each beginning with the last frame rendered.

        Returns the state and the frames (chunks, b, t, h, w, 3) in [-1, 1]. `u` has a leading axis of chunks, or is None
        where nothing is done (see `data.inputs.chunked`).
        A chunk's noise is folded from its number since boot: k steps, then n - k from the saved state, equal n.
        """

        def advance(state: State, u: Any) -> tuple[State, Array]:
            state = self.step(params, state, state.frame, u, jax.random.fold_in(key, state.time))
            frames = self.render(params, state)
            return state._replace(frame=frames[:, -1]), frames

        return jax.lax.scan(advance, state, u, length=chunks)

    def with_steps(self, steps: int) -> "NeuralComputer":
        """The same computer, sampling in another number of steps."""
        return replace(self, steps=steps)


def masked_mean_pool(read: Callable[[Array], Array], ids: Int[Array, "b u l"]) -> Float[Array, "b u d"]:
    """Features of short texts: the mean over what is no padding; zeros for the empty text."""
    b, u, length = ids.shape
    features = read(ids.reshape(b * u, length))
    real = (ids.reshape(b * u, length, 1) != 0).astype(features.dtype)
    mean = (features * real).sum(axis=1) / jnp.maximum(real.sum(axis=1), 1)
    return mean.reshape(b, u, -1)


def no_actions(frames: int, texts: Array) -> Actions:
    """The actions of a video in which nothing is done and the mouse is nowhere."""
    rows = texts.shape[0]
    slots = jnp.zeros((rows, frames, SLOTS), jnp.int32)
    return Actions(
        raw=jnp.zeros((rows, frames, len(FLAGS))),
        meta=Meta(*(slots for _ in Meta._fields)),
        texts=texts,
        mouse=jnp.full((rows, frames, 2), jnp.nan),
    )


def local_mean(x: Float[Array, "b h w 3"], seen: Float[Array, "b h w 1"], reach: int) -> Float[Array, "b h w 3"]:
    """The mean of what is seen of x, where `seen` is 1 and not 0, within `reach` pixels of every place."""
    total, side = jnp.concatenate([x * seen, seen], axis=-1), 2 * reach + 1
    for window in ((1, side, 1, 1), (1, 1, side, 1)):
        total = jax.lax.reduce_window(total, 0.0, jax.lax.add, window, (1, 1, 1, 1), "SAME")
    return total[..., :3] / jnp.maximum(total[..., 3:], 1.0)


def normalize_pixels(frames: Shaped[Array | np.ndarray, "*s 3"]) -> Float[Array, "*s 3"]:
    """Pixels in [-1, 1]. Refuses floats: frames scaled twice ruin image-to-video training without a word."""
    if frames.dtype != jnp.uint8:
        raise ValueError(f"frames: dtype {frames.dtype}; pixels come as uint8 and are scaled here, once")
    return jnp.asarray(frames).astype(jnp.float32) / 127.5 - 1


def to_uint8(frames: Float[Array, "*s 3"]) -> UInt8[Array, "*s 3"]:
    """Frames in [-1, 1] as uint8."""
    return jnp.round((jnp.clip(frames, -1, 1) + 1) * 127.5).astype(jnp.uint8)


def concat_chunks(frames: Shaped[Array, "n b t h w 3"]) -> Shaped[Array, "b m h w 3"]:
    """Rolled-out chunks end to end; a later chunk's first frame, the one it was given, is left out."""
    first, rest = frames[0], frames[1:, :, 1:]
    rest = jnp.moveaxis(rest, 0, 1)
    return jnp.concatenate([first, rest.reshape(first.shape[0], -1, *first.shape[2:])], axis=1)
