"""The neural computer: boot, step (F), render (G), and run, a scan of both.

    run : (Params, State, Actions, Key) -> (State, Frames)

Running never returns parameters, so it cannot change how the computer behaves. Everything here is pure and jittable.
"""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, Shaped, UInt8

from neural_computer import flow, sharding
from neural_computer.conditioning import Conditioner, no_actions, normalize_pixels
from neural_computer.data.inputs import chunked
from neural_computer.denoiser import Denoiser, Network
from neural_computer.flow import Sampler
from neural_computer.models.linear_codec import LinearCodec
from neural_computer.models.vae import WanVAE
from neural_computer.types import (
    Actions,
    Batch,
    Conditioning,
    Encoded,
    FrozenParams,
    Params,
    PyTree,
    State,
    TokenIds,
)


@dataclass(frozen=True)
class NeuralComputer:
    """Conditioner, denoiser, sampler and codec of a neural computer; holds no parameters.

    One chunk is `conditioner.frames` video frames. An open-loop rollout is autoregressive over chunks: each begins with the
    last frame rendered before it.
    """

    conditioner: Conditioner
    denoiser: Denoiser
    sampler: Sampler = Sampler()

    def __post_init__(self) -> None:
        config, latents, mask = self.network.dit.shape, self.codec.channels, self.conditioner.mask_channels
        if (config.in_channels, config.out_channels) != (2 * latents + mask, latents):
            raise ValueError(
                f"in_channels={config.in_channels}, out_channels={config.out_channels}: a codec of {latents} channels needs "
                f"{2 * latents + mask} (latents, {mask} mask, condition) and {latents}"
            )

    @property
    def network(self) -> Network:
        return self.denoiser.network

    @property
    def codec(self) -> LinearCodec | WanVAE:
        return self.conditioner.codec

    @property
    def frames(self) -> int:
        """Video frames of a chunk."""
        return self.conditioner.frames

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.conditioner.size

    @property
    def latent_shape(self) -> tuple[int, int, int, int]:
        """(f, i, j, c) of a chunk."""
        return self.conditioner.latent_shape

    @property
    def rules(self) -> sharding.Rules:
        """Sharding rules of all parameters: those that the injection mode brings, then the library's table."""
        return (*self.network.dit.injection.rules, *sharding.RULES)

    def init(self, key: Key[Array, ""]) -> PyTree:
        """Freshly initialised network parameters."""
        config, text = self.network.dit.shape, self.network.text
        z = jnp.zeros((1, *self.latent_shape[:3], config.in_channels))
        conditioning = Conditioning(
            cond=jnp.zeros((1, *self.latent_shape[:3], 0)),  # a part of z here
            text=jnp.zeros((1, 1, config.text_width)) if text is None else TokenIds(jnp.zeros((1, text.length), int)),
            image=jnp.zeros((1, 1, config.image_width)) if config.image_width else None,
            actions=no_actions(self.frames, jnp.zeros((1, 1, config.text_width))),
        )
        return self.network.init(key, z, jnp.zeros((1, 1)), conditioning, heads=True)["params"]

    def encode(self, frozen: FrozenParams, batch: Batch) -> Encoded:
        """A batch after the frozen encoders."""
        return self.conditioner.encode(frozen, batch)

    def boot(
        self,
        params: Params,
        x0: UInt8[Array | np.ndarray, "b h w 3"],
        text: TokenIds | Float[Array, "b l d"],
        negative_prompt: TokenIds | Float[Array, "b l d"] | None = None,
    ) -> State:
        """State of a computer that shows x0 and has a prompt; classifier-free guidance needs a negative one too."""
        x, conditioner, frozen = normalize_pixels(x0), self.conditioner, params.frozen
        latents = jnp.repeat(self.codec.encode(frozen.codec, x[:, None]), self.latent_shape[0], axis=1)
        return State(
            latents=latents,
            frame=x,
            text=conditioner.encode_text(frozen, text),
            image=conditioner.encode_image(frozen, x),
            time=jnp.zeros((), jnp.int32),
            negative_prompt=None if negative_prompt is None else conditioner.encode_text(frozen, negative_prompt),
        )

    def step(
        self,
        params: Params,
        state: State,
        x: Float[Array, "b h w 3"] | None,
        u: Actions | None,
        key: Key[Array, ""],
    ) -> State:
        """F: the state with a new chunk in its latents, denoised from noise under the actions u of its frames.

        The chunk begins with frame x in [-1, 1], by default `state.frame`; a closed loop passes the observed frame. Nothing is
        decoded: `state.frame` is x until `render`. A sample's noise depends on the key and its own row alone.
        """
        x, conditioner, frozen = state.frame if x is None else x, self.conditioner, params.frozen
        state = state._replace(frame=x, image=conditioner.encode_image(frozen, x))
        conditioning = Conditioning(
            cond=conditioner.condition_latents(frozen, x, u),
            text=state.text,
            image=state.image,
            actions=conditioner.encode_action_texts(frozen, u),
        )
        clean = self.codec.encode(frozen.codec, x[:, None]) if self.denoiser.clean_first_frame else None
        rows = jnp.arange(x.shape[0])

        def with_clean_frame(z: Array) -> Array:
            return z if clean is None else z.at[:, :1].set(clean)

        def predict_x0(z: Array, time: Array, timestep: Array) -> Array:
            z = with_clean_frame(z)
            prediction = self.denoiser.guided_prediction(
                params.network,
                z,
                jnp.full(rows.shape, timestep),
                conditioning,
                state.negative_prompt,
                self.sampler.guidance,
                self.sampler.action_guidance,
            )
            return with_clean_frame(self.denoiser.to_x0(prediction, z, jnp.full(rows.shape, time)))

        latents = self.sampler.sample(flow.noise(key, rows, self.latent_shape), predict_x0)
        return state._replace(latents=latents, time=state.time + 1)

    def render(self, params: Params, state: State) -> tuple[State, Float[Array, "b t h w 3"]]:
        """G: the newest chunk's frames in [-1, 1], and the state that shows the last of them."""
        frames = self.codec.decode(params.frozen.codec, state.latents)
        return state._replace(frame=frames[:, -1]), frames

    def run(
        self, params: Params, state: State, u: Actions | None, key: Key[Array, ""], chunks: int = 1
    ) -> tuple[State, Float[Array, "n b t h w 3"]]:
        """An open-loop rollout of `chunks` steps: the state after it, and the frames (chunks, b, t, h, w, 3) in [-1, 1].

        `u` has a leading axis of chunks, or is None for no actions (see `data.inputs.chunked`). A chunk's noise is folded
        from its number since boot: k steps, then n - k from the saved state, equal n.
        """

        def advance(state: State, u: Actions | None) -> tuple[State, Array]:
            state = self.step(params, state, None, u, jax.random.fold_in(key, state.time))
            return self.render(params, state)

        return jax.lax.scan(advance, state, u, length=chunks)

    # A video as chunks

    @property
    def clip_chunks(self) -> int:
        """Chunks of a training clip."""
        return 1

    def video_frames(self, chunks: int) -> int:
        """Frames of a video of so many chunks, its first one included."""
        return 1 + chunks * (self.frames - 1)

    def split(self, actions: Actions, chunks: int) -> Actions:
        """A video's actions (b, t, ...) with a leading axis of chunks, as `run` takes them. Raises ValueError for too few."""
        return chunked(actions, self.frames, chunks)

    def join(self, first: Float[Array, "b h w 3"], frames: Float[Array, "n b t h w 3"]) -> Float[Array, "b m h w 3"]:
        """The video of a run that began with frame `first`, from the frames of its chunks."""
        return concat_chunks(frames)

    def with_steps(self, num_steps: int) -> "NeuralComputer":
        """The same computer with another number of denoising steps."""
        return replace(self, sampler=self.sampler.with_steps(num_steps))


def concat_chunks(frames: Shaped[Array, "n b t h w 3"]) -> Shaped[Array, "b m h w 3"]:
    """Joins chunks in time: (n, b, t, h, w, 3) -> (b, 1 + n (t - 1), h, w, 3).

    The first frame of every later chunk repeats the last frame of the one before and is dropped.
    """
    first, rest = frames[0], jnp.moveaxis(frames[1:, :, 1:], 0, 1)
    return jnp.concatenate([first, rest.reshape(first.shape[0], -1, *first.shape[2:])], axis=1)
