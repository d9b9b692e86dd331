"""The streaming computer: a chunk of latent frames at a time, usually one, for as long as anybody uses it.

A chunk is denoised from the one before it, the actions of its frames and a window of earlier chunks' keys and values. The
denoising steps leave nothing behind; a last pass over the finished chunk at t = 0 writes its keys and values to the window.
Training sees the same: `objective.kind` "teacher_forcing".
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key, UInt8

from neural_computer import flow
from neural_computer.computer import NeuralComputer
from neural_computer.conditioning import happens, no_actions, normalize_pixels
from neural_computer.errors import one_of
from neural_computer.models import window
from neural_computer.models.attention import Causal
from neural_computer.types import Actions, Cache, Conditioning, Params, PyTree, State, TokenIds

ENTRIES = ("chunks", "events")


@dataclass(frozen=True)
class StreamingComputer(NeuralComputer):
    """A neural computer whose network is causal, with a window; `conditioner.frames` is the length of training's clips.

    Attributes:
      entries: what enters the window: "chunks", all of them, or "events", those in which something other than motion of the
        mouse happens. A window of events counts keystrokes, not time.
    """

    entries: str = "chunks"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("entries", self.entries, ENTRIES)
        causal, actions = self.network.dit.causal, self.network.actions
        if causal is None or causal.window is None:
            raise ValueError(
                "window=-1: a computer that streams has a window; set it to chunks, 0 for none before the last"
            )
        if not self.network.dit.injection.streams:
            raise ValueError(
                f"injection.mode: {type(self.network.dit.injection).__name__} looks at the whole video and cannot stream; "
                "use internal or residual"
            )
        if self.conditioner.condition_layout != "previous":
            raise ValueError(
                f"condition_layout={self.conditioner.condition_layout!r}: a chunk is conditioned on the one before it; "
                "use 'previous'"
            )
        if self.denoiser.clean_first_frame:
            raise ValueError("clean_first_frame=True: of a chunk that streams every frame is denoised; set it to False")
        for name in ("guidance", "action_guidance"):
            if (scale := getattr(self.sampler, name)) != 1:
                raise ValueError(f"{name}={scale}: a computer that streams has none; set it to 1")
        if actions is not None and (actions.align.window, actions.align.lag) != (1, 0):
            raise ValueError(
                f"actions.window={actions.align.window}, lag={actions.align.lag}: a chunk is conditioned on the actions of its "
                "own frames; set window to 1 and lag to 0"
            )
        if (self.conditioner.latent_shape[0] - 1) % causal.chunk:
            raise ValueError(
                f"chunk={causal.chunk}: must divide the {self.conditioner.latent_shape[0] - 1} latent frames after a clip's first"
            )

    @property
    def causal(self) -> Causal:
        causal = self.network.dit.causal
        assert causal is not None
        return causal

    @property
    def frames(self) -> int:
        """Video frames of a chunk."""
        return self.causal.chunk * self.codec.stride[0]

    @property
    def latent_shape(self) -> tuple[int, int, int, int]:
        """(f, i, j, c) of a chunk."""
        return (self.causal.chunk, *self.conditioner.latent_shape[1:])

    def boot(
        self,
        params: Params,
        x0: UInt8[Array | np.ndarray, "b h w 3"],
        text: TokenIds | Float[Array, "b l d"],
        negative_prompt: TokenIds | Float[Array, "b l d"] | None = None,
    ) -> State:
        """State of a computer that shows x0, a still, and has a prompt."""
        x, conditioner, frozen = normalize_pixels(x0), self.conditioner, params.frozen
        latent = self.codec.encode(frozen.codec, x[:, None])
        _, ph, pw = self.network.dit.shape.patch
        state = State(
            latents=jnp.repeat(latent, self.causal.chunk, axis=1),
            frame=x,
            text=conditioner.encode_text(frozen, text),
            image=conditioner.encode_image(frozen, x),
            time=jnp.zeros((), jnp.int32),
            cache=self.network.dit.empty_cache(len(x), latent.shape[2] * latent.shape[3] // (ph * pw)),
            carry=self.codec.decode_chunk(frozen.codec, None, latent)[0],
        )
        conditioning = self._conditioning(params, state, latent, self._nothing(params, len(x)))
        return state._replace(cache=self.remember(params, state, conditioning, jnp.ones(len(x), bool)))

    def step(
        self,
        params: Params,
        state: State,
        x: Float[Array, "b h w 3"] | None,
        u: Actions | None,
        key: Key[Array, ""],
    ) -> State:
        """F: the state with the next chunk in its latents, denoised from noise under the actions u of its frames.

        It follows the newest chunk, or frame x in [-1, 1] where a closed loop observed one. Nothing is decoded.
        """
        before = state.latents[:, -1:] if x is None else self.codec.encode(params.frozen.codec, x[:, None])
        conditioning, rows = self._conditioning(params, state, before, u), jnp.arange(before.shape[0])

        def predict_x0(z: Array, time: Array, timestep: Array) -> Array:
            timesteps = jnp.full(rows.shape, timestep)
            output, _ = self.denoiser.predict_chunk(params.network, z, timesteps, conditioning, state.cache)
            return self.denoiser.to_x0(output.prediction, z, jnp.full(rows.shape, time))

        latents = self.sampler.sample(flow.noise(key, rows, self.latent_shape), predict_x0)
        state = state._replace(latents=latents, time=state.time + 1)
        enters = self._enters(u, before.shape[0])
        if self.entries == "chunks" or state.cache is None:
            return state._replace(cache=self.remember(params, state, conditioning, enters))
        # Most frames of a person at a keyboard are without a key: half of their cost is the pass that nothing comes of.
        cache = jax.lax.cond(
            enters.any(), lambda: self.remember(params, state, conditioning, enters), lambda: state.cache
        )
        return state._replace(cache=cache)

    def render(self, params: Params, state: State) -> tuple[State, Float[Array, "b t h w 3"]]:
        """G: the newest chunk's frames in [-1, 1], and the state that shows the last of them."""
        before: PyTree = state.carry  # of this codec's own kind
        carry, frames = self.codec.decode_chunk(params.frozen.codec, before, state.latents)
        return state._replace(frame=frames[:, -1], carry=carry), frames

    def remember(
        self, params: Params, state: State, conditioning: Conditioning, enters: Bool[Array, " b"]
    ) -> Cache | None:
        """The window with the newest chunk in it, from a pass over its latents at t = 0."""
        if state.cache is None:
            return None
        clean = jnp.zeros(state.latents.shape[0])
        _, own = self.denoiser.predict_chunk(params.network, state.latents, clean, conditioning, state.cache)
        assert own is not None
        return window.write(state.cache, own, enters)

    def prompt(
        self,
        params: Params,
        state: State,
        text: TokenIds | Float[Array, "b l d"],
        latents: Float[Array, "b n i j c"],
        u: Actions | None = None,
    ) -> State:
        """The state with another prompt, its window as if it had been made under that one.

        Without this the old prompt lingers in the window's keys and values. `latents` are those of the newest chunks, as
        many as the window holds, after the latent frame before them; `u` their actions, with a leading axis of chunks, as
        `split` gives them.
        """
        state = state._replace(text=self.conditioner.encode_text(params.frozen, text))
        if state.cache is None:
            return state
        newest, chunk = state.latents, self.causal.chunk
        state = state._replace(cache=state.cache._replace(written=jnp.zeros_like(state.cache.written)))
        for number in range((latents.shape[1] - 1) // chunk):
            own = None if u is None else jax.tree.map(lambda x, number=number: x[number], u)
            first = 1 + number * chunk
            conditioning = self._conditioning(params, state, latents[:, first - 1 : first], own)
            state = state._replace(latents=latents[:, first : first + chunk])
            state = state._replace(cache=self.remember(params, state, conditioning, self._enters(own, newest.shape[0])))
        return state._replace(latents=newest)

    @property
    def clip_chunks(self) -> int:
        """Chunks of a training clip, after its first frame."""
        return (self.conditioner.latent_shape[0] - 1) // self.causal.chunk

    def video_frames(self, chunks: int) -> int:
        """Frames of a video of so many chunks, its first one included."""
        return 1 + chunks * self.frames

    def split(self, actions: Actions, chunks: int) -> Actions:
        """A video's actions (b, t, ...), those of its first frame left out, with a leading axis of chunks.

        Raises ValueError for actions of too few frames.
        """
        frames, count = chunks * self.frames, actions.mouse.shape[1] - 1
        if count < frames:
            raise ValueError(
                f"chunks={chunks}: need the actions of {1 + frames} frames, there are {1 + count}; ask for "
                f"{count // self.frames}"
            )

        def cut(x: Array | np.ndarray) -> Array:
            x = jnp.asarray(x)[:, 1 : 1 + frames]
            return jnp.moveaxis(x.reshape(x.shape[0], chunks, self.frames, *x.shape[2:]), 1, 0)

        def repeated(x: Array | np.ndarray) -> Array:
            return jnp.broadcast_to(jnp.asarray(x), (chunks, *x.shape))

        return actions._replace(
            raw=cut(actions.raw),
            meta=jax.tree.map(cut, actions.meta),
            mouse=cut(actions.mouse),
            texts=jax.tree.map(repeated, actions.texts),
            valid=repeated(actions.valid),
        )

    def join(self, first: Float[Array, "b h w 3"], frames: Float[Array, "n b t h w 3"]) -> Float[Array, "b m h w 3"]:
        """The video of a run that began with frame `first`: that frame, and those of all chunks."""
        later = jnp.moveaxis(frames, 0, 1)
        return jnp.concatenate([first[:, None], later.reshape(first.shape[0], -1, *first.shape[1:])], axis=1)

    def _conditioning(
        self, params: Params, state: State, before: Float[Array, "b 1 i j c"], u: Actions | None
    ) -> Conditioning:
        """What a chunk after the latent frame `before` is predicted from."""
        u, chunk = self.conditioner.encode_action_texts(params.frozen, u), self.causal.chunk
        u = None if u is None else after_blank_frame(u)
        mask = self.conditioner.frame_mask(before.shape[0], u)[:, -chunk:]
        cond = jnp.concatenate([mask, jnp.repeat(before, chunk, axis=1)], axis=-1)
        return Conditioning(cond, state.text, state.image, u)

    def _enters(self, u: Actions | None, rows: int) -> Bool[Array, " b"]:
        """Whether a chunk under these actions enters the window."""
        if self.entries == "events" and u is not None:
            return happens(u).any(axis=1)
        return jnp.ones(rows, bool)

    def _nothing(self, params: Params, rows: int) -> Actions | None:
        """Actions of a still: none, as training clears those of a clip's first frame."""
        if self.network.actions is None:
            return None
        return no_actions(self.frames, TokenIds(jnp.zeros((rows, 1, 1), jnp.int32)))


def after_blank_frame(u: Actions) -> Actions:
    """The actions of a chunk after a frame in which nothing happens: as in a video, whose first frame is a latent of its own."""

    def lead(x: Array, value: float = 0) -> Array:
        x = jnp.asarray(x)
        return jnp.pad(x, ((0, 0), (1, 0), *[(0, 0)] * (x.ndim - 2)), constant_values=value)

    return u._replace(raw=lead(u.raw), meta=jax.tree.map(lead, u.meta), mouse=lead(u.mouse, jnp.nan))
