"""Wan2.1's causal video VAE: videos in [-1, 1] to normalised latents and back, strides 4x8x8.

Latent frame 0 is video frame 0; latent frame i adds video frames 4i-3 to 4i and sees nothing later. Every convolution in
time reads two frames before its own. What it would need of the frames before a chunk is its carry, so that a video in one
piece and the same video in chunks are the same function. A video's frame 0 passes the layers that change the frame rate as
it is. The residual stream and the norms are float32, convolutions and attention run in `dtype`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from itertools import product
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange, repeat
from jax import lax
from jaxtyping import Array, Float, Key

from neural_computer.models.attention import attend
from neural_computer.models.layers import Dtype, linear
from neural_computer.models.linear_codec import STRIDE, latent_size
from neural_computer.types import PyTree

LATENT_MEAN = (
    *(-0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508),
    *(0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921),
)
LATENT_STD = (
    *(2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743),
    *(3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160),
)
"""Of the published VAE's sixteen channels over its training videos."""


@dataclass(frozen=True)
class WanVAEConfig:
    """The sizes of a VAE; the defaults are the published ones. Raises ValueError, naming the field, for impossible ones."""

    width: int = 96
    channels: int = 16
    """Of the latents."""
    multipliers: tuple[int, ...] = (1, 2, 4, 4)
    """Of the width, one a resolution, from the video's down to the latents'."""
    blocks: int = 2
    """Residual blocks a resolution in the encoder; the decoder has one more."""
    temporal: tuple[bool, ...] = (False, True, True)
    """Which halvings of the size halve the frame rate too, from the video's resolution down."""

    def __post_init__(self) -> None:
        for name in ("width", "channels", "blocks"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least 1")
        if self.width % 2:
            raise ValueError(f"width={self.width}: must be even, the decoder halves it at every enlargement")
        if len(self.multipliers) != 4 or min(self.multipliers) < 1:
            raise ValueError(f"multipliers={self.multipliers}: must be four, one a resolution, each at least 1")
        if len(self.temporal) != 3 or sum(self.temporal) != 2:
            raise ValueError(f"temporal={self.temporal}: must be three, two of them True, for strides {STRIDE}")

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels at each resolution, from the video's down."""
        return tuple(self.width * multiplier for multiplier in self.multipliers)


class RmsNorm(nn.Module):
    """x / max(|x|, 1e-12) * sqrt(c) * scale over the channels, in float32: the eps bounds the norm, it is not added."""

    @nn.compact
    def __call__(self, x: Float[Array, "*n c"]) -> Float[Array, "*n c"]:
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
        x = x.astype(jnp.float32)
        # The square is bounded, not the root: the root's gradient at zero is no number.
        squares = jnp.maximum(jnp.sum(jnp.square(x), -1, keepdims=True), 1e-24)
        return x * lax.rsqrt(squares) * (x.shape[-1] ** 0.5 * scale)


class CausalConv(nn.Module):
    """A convolution that sees a frame and the two before it; height and width keep their size.

    The frames before the first come from the collection "carry" where it is given. Else this is a video's start, and they
    are `before`, or zeros. The last ones are left in the carry where that is mutable.
    """

    features: int
    dtype: Dtype
    kernel: tuple[int, int, int] = (3, 3, 3)
    stride: int = 1
    """In time."""

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c"], before: Float[Array, "b p h w c"] | None = None):
        size = (*self.kernel, x.shape[-1], self.features)
        kernel = jnp.asarray(self.param("kernel", nn.initializers.lecun_normal(), size), self.dtype)
        bias = self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)
        kept = self.kernel[0] - self.stride
        if before is None:
            before = jnp.zeros((x.shape[0], kept, *x.shape[2:]), x.dtype)
        past = before if self.starts() else self.get_variable("carry", "past")
        x = jnp.concatenate([past.astype(self.dtype), x.astype(self.dtype)], axis=1)
        if self.is_mutable_collection("carry"):
            self.put_variable("carry", "past", x[:, x.shape[1] - kept :])
        convolve = by_frames if jax.default_backend() == "cpu" else at_once
        return convolve(x, kernel, self.stride) + bias

    def starts(self) -> bool:
        """Is this a video's start?"""
        return not self.has_variable("carry", "past")

    def split(self, x: Float[Array, "b t h w c"]) -> tuple[Float[Array, "b p h w c"], Float[Array, "b r h w c"]]:
        """A video's frame 0, which passes as it is, and the frames to convolve; none and all of them after the start."""
        first = int(self.starts())
        return x[:, :first], x[:, first:]


def at_once(x: Float[Array, "b t h w c"], kernel: Float[Array, "n p q c d"], stride: int) -> Float[Array, "b s h w d"]:
    """x convolved where all of the kernel's frames are there, every `stride` frames; height and width keep their size."""
    same = [(0, 0), *((side // 2, side // 2) for side in kernel.shape[1:3])]
    layout = ("NTHWC", "THWIO", "NTHWC")
    return lax.conv_general_dilated(x, kernel, (stride, 1, 1), same, dimension_numbers=layout)


def by_frames(
    x: Float[Array, "b t h w c"], kernel: Float[Array, "n p q c d"], stride: int
) -> Float[Array, "b s h w d"]:
    """`at_once` as a sum of convolutions of single frames, which XLA computes two to five times as fast on CPUs."""
    last = x.shape[1] - len(kernel)

    def seen(i: int) -> Float[Array, "m h w d"]:
        frames = rearrange(x[:, i : last + i + 1 : stride], "b s h w c -> (b s) h w c")
        layout = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(
            frames, kernel[i], (1, 1), "SAME", dimension_numbers=layout, preferred_element_type=jnp.float32
        )

    total = reduce(jnp.add, map(seen, range(len(kernel))))
    return rearrange(total, "(b s) h w d -> b s h w d", b=x.shape[0]).astype(x.dtype)


class Residual(nn.Module):
    """x plus two rounds of norm, SiLU and convolution; a projection of x where the width changes."""

    width: int
    dtype: Dtype

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c"]) -> Float[Array, "b t h w d"]:
        h = x
        for i in (1, 2):
            h = CausalConv(self.width, self.dtype, name=f"conv{i}")(nn.silu(RmsNorm(name=f"norm{i}")(h)))
        if x.shape[-1] != self.width:
            x = linear(self.width, self.dtype, "shortcut")(x)
        return x.astype(jnp.float32) + h.astype(jnp.float32)


class Attention(nn.Module):
    """x plus attention with one head among the cells of each frame."""

    dtype: Dtype

    @nn.compact
    def __call__(self, x: Float[Array, "b f i j d"]) -> Float[Array, "b f i j d"]:
        b, _, i, _, width = x.shape
        cells = rearrange(RmsNorm(name="norm")(x), "b f i j d -> (b f) (i j) 1 d")
        query, key, value = jnp.split(linear(3 * width, self.dtype, "qkv")(cells), 3, axis=-1)
        y = linear(width, self.dtype, "proj", nn.initializers.zeros)(attend(query, key, value))
        return x + rearrange(y, "(b f) (i j) 1 d -> b f i j d", b=b, i=i).astype(jnp.float32)


class Middle(nn.Module):
    """Residual block, attention, residual block, at the latents' resolution."""

    width: int
    dtype: Dtype

    @nn.compact
    def __call__(self, x: Float[Array, "b f i j d"]) -> Float[Array, "b f i j d"]:
        x = Residual(self.width, self.dtype, name="block_0")(x)
        x = Attention(self.dtype, name="attention")(x)
        return Residual(self.width, self.dtype, name="block_1")(x)


class Down(nn.Module):
    """Half the height and width, zeros below and to the right; where `time`, half the frames after frame 0.

    Those are made of frames (0, 1, 2), (2, 3, 4), ...
    """

    time: bool
    dtype: Dtype

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c"]) -> Float[Array, "b s i j c"]:
        width = x.shape[-1]
        x = nn.Conv(width, (3, 3), 2, padding=((0, 1), (0, 1)), dtype=self.dtype, name="conv")(x)
        if self.time:
            conv = CausalConv(width, self.dtype, (3, 1, 1), stride=2, name="time_conv")
            first, rest = conv.split(x)
            x = jnp.concatenate([first, conv(rest, before=first)], axis=1)
        return x.astype(jnp.float32)


class Up(nn.Module):
    """Twice the height and width, half the channels; where `time`, two frames for each frame after frame 0.

    Frame 0 is not seen by the convolution that makes them.
    """

    time: bool
    dtype: Dtype

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c"]) -> Float[Array, "b s i j d"]:
        width = x.shape[-1]
        if self.time:
            conv = CausalConv(2 * width, self.dtype, (3, 1, 1), name="time_conv")
            first, rest = conv.split(x)
            pairs = rearrange(conv(rest), "b t h w (s c) -> b (t s) h w c", s=2)
            x = jnp.concatenate([first.astype(self.dtype), pairs], axis=1)
        # Cast before it is four times as large.
        x = repeat(x.astype(self.dtype), "b t h w c -> b t (h p) (w q) c", p=2, q=2)
        return nn.Conv(width // 2, (3, 3), dtype=self.dtype, name="conv")(x).astype(jnp.float32)


class Encoder(nn.Module):
    """Videos to mean and log variance of the latents' posterior, side by side on the channels."""

    shape: WanVAEConfig
    dtype: Dtype

    @nn.compact
    def __call__(self, video: Float[Array, "b t h w 3"]) -> Float[Array, "b f i j m"]:
        shape = self.shape
        h = CausalConv(shape.width, self.dtype, name="conv_in")(video).astype(jnp.float32)
        for level, width in enumerate(shape.widths):
            for i in range(shape.blocks):
                h = Residual(width, self.dtype, name=f"level_{level}_block_{i}")(h)
            if level < len(shape.temporal):
                h = Down(shape.temporal[level], self.dtype, name=f"level_{level}_down")(h)
        h = Middle(shape.widths[-1], self.dtype, name="middle")(h)
        h = CausalConv(2 * shape.channels, self.dtype, name="conv_out")(nn.silu(RmsNorm(name="norm_out")(h)))
        return linear(2 * shape.channels, jnp.float32, "quant")(h)


class Decoder(nn.Module):
    """Latents to videos, not clipped. Levels are numbered as the encoder's: 0 is the video's resolution."""

    shape: WanVAEConfig
    dtype: Dtype

    @nn.compact
    def __call__(self, z: Float[Array, "b f i j c"]) -> Float[Array, "b t h w 3"]:
        shape = self.shape
        h = linear(shape.channels, jnp.float32, "post_quant")(z)
        h = CausalConv(shape.widths[-1], self.dtype, name="conv_in")(h).astype(jnp.float32)
        h = Middle(shape.widths[-1], self.dtype, name="middle")(h)
        for level, width in reversed(tuple(enumerate(shape.widths))):
            for i in range(shape.blocks + 1):
                h = Residual(width, self.dtype, name=f"level_{level}_block_{i}")(h)
            if level > 0:
                h = Up(shape.temporal[level - 1], self.dtype, name=f"level_{level}_up")(h)
        h = CausalConv(3, self.dtype, name="conv_out")(nn.silu(RmsNorm(name="norm_out")(h)))
        return h.astype(jnp.float32)


@dataclass(frozen=True)
class WanVAE:
    """Videos (b, t, h, w, 3) in [-1, 1], t = 4k + 1, to latents (b, k + 1, h/8, w/8, channels) and back.

    `chunk` latent frames at a time pass through the networks, scanned with their carry: memory and compile time then do
    not grow with the video. 0 makes the video one graph: 81 frames of 480x832 take 46 GiB in float32 (on CPUs 82), by chunk=1
    only 7 (8).

    `tile` pixels (0: off) bound memory in space, at the price of exactness: square tiles, a quarter overlapping, one after
    the other. On several devices split the height over the mesh's "context" axis instead; GSPMD exchanges the rows that
    the convolutions need of their neighbours, and the result is the whole video's.
    """

    shape: WanVAEConfig = WanVAEConfig()
    dtype: Dtype = jnp.float32
    chunk: int = 0
    tile: int = 0

    def __post_init__(self) -> None:
        if self.chunk < 0:
            raise ValueError(f"chunk={self.chunk}: must be latent frames a chunk, or 0 for the video in one graph")
        step = 4 * STRIDE[1]
        if self.tile < 0 or self.tile % step:
            raise ValueError(f"tile={self.tile}: must be a multiple of {step} pixels, or 0 for no tiles")

    @property
    def channels(self) -> int:
        return self.shape.channels

    def init(self, key: Key[Array, ""]) -> dict[str, PyTree]:
        """Fresh parameters: {encoder, decoder, mean, std}; encoding reads no decoder, decoding no encoder."""
        t, h, w = STRIDE
        video, z = jnp.zeros((1, 1 + t, h, w, 3)), jnp.zeros((1, 2, 1, 1, self.channels))
        return {
            "encoder": self._encoder.init(jax.random.fold_in(key, 0), video)["params"],
            "decoder": self._decoder.init(jax.random.fold_in(key, 1), z)["params"],
            **statistics(self.channels),
        }

    # What NeuralComputer asks of a codec

    def encode(self, params: PyTree, video: Float[Array, "b t h w 3"]) -> Float[Array, "b f i j c"]:
        """The normalised mean of the latents' posterior; never a sample of it. Raises ValueError for sizes off the strides."""
        return _normalise(params, self.posterior(params, video)[0])

    def decode(self, params: PyTree, z: Float[Array, "b f i j c"]) -> Float[Array, "b t h w 3"]:
        """The video of normalised latents, clipped to [-1, 1]."""
        return jnp.clip(self.reconstruct(params, _restore(params, z)), -1, 1)

    # What training asks

    def posterior(
        self, params: PyTree, video: Float[Array, "b t h w 3"]
    ) -> tuple[Float[Array, "b f i j c"], Float[Array, "b f i j c"]]:
        """Mean and log variance (within [-30, 20]) of the latents of a video, not normalised."""
        _, i, j = latent_size(*video.shape[1:4])
        return _moments(self._run(self._encoder, params["encoder"], video, (i, j), STRIDE[0]))

    def reconstruct(self, params: PyTree, z: Float[Array, "b f i j c"]) -> Float[Array, "b t h w 3"]:
        """The video of latents that are not normalised, not clipped."""
        return self._run(self._decoder, params["decoder"], z, z.shape[2:4], 1)

    # A video that goes on

    def encode_chunk(
        self, params: PyTree, carry: PyTree, frames: Float[Array, "b t h w 3"]
    ) -> tuple[PyTree, Float[Array, "b f i j c"]]:
        """The carry and the normalised latents of the next frames: 4k + 1 at a video's start (carry None), then 4k."""
        t = frames.shape[1]
        if carry is not None and t % STRIDE[0]:
            raise ValueError(f"frames={t}: after a video's start they come in multiples of {STRIDE[0]}")
        latent_size(t + (carry is not None), *frames.shape[2:4])
        carry, moments = _advance(self._encoder, params["encoder"], carry, frames)
        return carry, _normalise(params, _moments(moments)[0])

    def decode_chunk(
        self, params: PyTree, carry: PyTree, z: Float[Array, "b f i j c"]
    ) -> tuple[PyTree, Float[Array, "b t h w 3"]]:
        """The carry and the frames, clipped, of the next latents; at a video's start (carry None) the first makes one frame.

        The published sizes' carry is 3.5 GiB a video of 480x832 in float32 (encoding: 2.1), half in bfloat16.
        """
        carry, video = _advance(self._decoder, params["decoder"], carry, _restore(params, z))
        return carry, jnp.clip(video, -1, 1)

    # Within

    @property
    def _encoder(self) -> Encoder:
        return Encoder(self.shape, self.dtype)

    @property
    def _decoder(self) -> Decoder:
        return Decoder(self.shape, self.dtype)

    def _run(self, network: nn.Module, params: PyTree, x: Array, cells: tuple[int, ...], frames: int) -> Array:
        """`network` over x, whole, chunked or tiled; x has `frames` frames a latent frame and `cells` latent cells."""

        def video(x: Array) -> Array:
            if not self.chunk:
                return jnp.asarray(network.apply({"params": params}, x))
            return stream(lambda carry, x: _advance(network, params, carry, x), x, self.chunk * frames)

        return tiled(video, x, cells, self.tile // STRIDE[1]) if self.tile else video(x)


def statistics(channels: int) -> dict[str, np.ndarray]:
    """{mean, std} of the latents that `encode` normalises by: the published VAE's for its 16 channels, else 0 and 1."""
    if channels == len(LATENT_MEAN):
        return {"mean": np.asarray(LATENT_MEAN, np.float32), "std": np.asarray(LATENT_STD, np.float32)}
    return {"mean": np.zeros(channels, np.float32), "std": np.ones(channels, np.float32)}


def _normalise(params: PyTree, z: Array) -> Array:
    return (z - params["mean"]) / params["std"]


def _restore(params: PyTree, z: Array) -> Array:
    return z * params["std"] + params["mean"]


def _moments(x: Float[Array, "b f i j m"]) -> tuple[Float[Array, "b f i j c"], Float[Array, "b f i j c"]]:
    mean, logvar = jnp.split(x, 2, axis=-1)
    return mean, jnp.clip(logvar, -30, 20)


def _advance(network: nn.Module, params: PyTree, carry: PyTree, x: Array) -> tuple[PyTree, Array]:
    """The carry and the answer for the frames that follow those of `carry`; None at a video's start."""
    variables = {"params": params} if carry is None else {"params": params, "carry": carry}
    y, state = network.apply(variables, x, mutable=["carry"])
    return state["carry"], jnp.asarray(y)


def stream(step: Callable[[Any, Array], tuple[Any, Array]], x: Array, size: int) -> Array:
    """`step` over frame 0 of x (carry None), then over chunks of `size` frames in a scan, then over those left."""
    carry, first = step(None, x[:, :1])
    chunks = (x.shape[1] - 1) // size
    left = x[:, 1 + chunks * size :]
    parts = [first]
    if chunks:
        whole = rearrange(x[:, 1 : 1 + chunks * size], "b (n t) ... -> n b t ...", n=chunks)
        carry, y = lax.scan(step, carry, whole)
        parts.append(rearrange(y, "n b t ... -> b (n t) ..."))
    if left.shape[1]:
        parts.append(step(carry, left)[1])
    return jnp.concatenate(parts, axis=1)


def tiled(network: Callable[[Array], Array], x: Array, cells: tuple[int, ...], size: int) -> Array:
    """`network` over square tiles of `size` latent cells, blended linearly where they overlap, a quarter or more.

    x (b, t, h, w, c) covers `cells` (i, j). The same as the whole wherever an answer depends on nothing outside its tile.
    """
    extent = [min(side, size) for side in cells]
    places = np.asarray(list(product(*(_starts(side, size) for side in cells))))
    scale = x.shape[2] // cells[0]
    cut = (*x.shape[:2], *(scale * side for side in extent), x.shape[-1])
    tile = jax.eval_shape(network, jax.ShapeDtypeStruct(cut, x.dtype))
    grow = tile.shape[2] // extent[0]
    ramps = [_ramp(grow * side, grow * (size // 4)) for side in extent]
    window = (ramps[0][:, None] * ramps[1])[..., None]

    h, w = (grow * side for side in cells)
    weight = np.zeros((h, w, 1), np.float32)
    for i, j in places * grow:
        weight[i : i + window.shape[0], j : j + window.shape[1]] += window

    def add(total: Array, place: Array) -> tuple[Array, None]:
        i, j = place
        y = network(lax.dynamic_slice(x, (0, 0, i * scale, j * scale, 0), cut)) * window
        corner = (0, 0, i * grow, j * grow, 0)
        y = y + lax.dynamic_slice(total, corner, y.shape)
        return lax.dynamic_update_slice(total, y, corner), None

    blank = jnp.zeros((*tile.shape[:2], h, w, tile.shape[-1]), tile.dtype)
    total, _ = lax.scan(add, blank, jnp.asarray(places))
    return total / weight


def _starts(length: int, size: int) -> list[int]:
    """Where tiles of `size` begin that cover `length`; the last one ends with it."""
    last = max(0, length - size)
    return [*range(0, last, size - size // 4), last]


def _ramp(length: int, overlap: int) -> np.ndarray:
    """Weights of a tile along one side: rising over `overlap`, then 1, then falling; two that overlap so add up to 1."""
    place = np.arange(1, length + 1)
    return np.minimum(1, np.minimum(place, place[::-1]) / (overlap + 1)).astype(np.float32)
