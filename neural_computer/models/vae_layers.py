"""The encoder and the decoder of Wan2.1's causal video VAE, and their layers.

Temporal convolutions look back only, at two frames. The last two input frames of each are carried to the next chunk of a
video. A video's frame 0 skips the layers that change the frame rate. The residual stream and the norms are float32;
convolutions and attention run in `dtype`.
"""

from dataclasses import dataclass
from functools import reduce

import flax.linen as nn
import jax
import jax.numpy as jnp
from einops import rearrange, repeat
from jax import lax
from jaxtyping import Array, Float

from neural_computer.models.attention import attend
from neural_computer.models.layers import Dtype, linear
from neural_computer.models.linear_codec import STRIDE


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
    """Which of the three halvings of the resolution halve the frame rate too, from the video's down."""

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
    """A convolution over a frame and the two before it; height and width stay.

    The frames before the first come from the collection "carry", if it is given. Otherwise a video begins here, and they are
    `before`, or zeros. A mutable carry receives the last frames.
    """

    features: int
    dtype: Dtype
    kernel: tuple[int, int, int] = (3, 3, 3)
    stride: int = 1
    """In time."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "b t h w c"], before: Float[Array, "b p h w c"] | None = None
    ) -> Float[Array, "b s h w d"]:
        size = (*self.kernel, x.shape[-1], self.features)
        kernel = jnp.asarray(self.param("kernel", nn.initializers.lecun_normal(), size), self.dtype)
        bias = self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)
        carried = self.kernel[0] - self.stride
        if before is None:
            before = jnp.zeros((x.shape[0], carried, *x.shape[2:]), x.dtype)
        past = before if self.starts() else self.get_variable("carry", "past")
        x = jnp.concatenate([past.astype(self.dtype), x.astype(self.dtype)], axis=1)
        if self.is_mutable_collection("carry"):
            self.put_variable("carry", "past", x[:, x.shape[1] - carried :])
        convolve = conv_by_frames if jax.default_backend() == "cpu" else conv3d
        return convolve(x, kernel, self.stride) + bias

    def starts(self) -> bool:
        """Whether a video begins here."""
        return not self.has_variable("carry", "past")

    def split(self, x: Float[Array, "b t h w c"]) -> tuple[Float[Array, "b p h w c"], Float[Array, "b r h w c"]]:
        """(a video's frame 0, which skips the convolution, the other frames); where no video begins, (none, all)."""
        first = int(self.starts())
        return x[:, :first], x[:, first:]


def conv3d(x: Float[Array, "b t h w c"], kernel: Float[Array, "n p q c d"], stride: int) -> Float[Array, "b s h w d"]:
    """x convolved, unpadded in time with `stride`, padded to the same height and width."""
    same = [(0, 0), *((side // 2, side // 2) for side in kernel.shape[1:3])]
    layout = ("NTHWC", "THWIO", "NTHWC")
    return lax.conv_general_dilated(x, kernel, (stride, 1, 1), same, dimension_numbers=layout)


def conv_by_frames(
    x: Float[Array, "b t h w c"], kernel: Float[Array, "n p q c d"], stride: int
) -> Float[Array, "b s h w d"]:
    """`conv3d` as a sum of convolutions of single frames, which XLA computes two to five times as fast on CPUs."""
    last = x.shape[1] - len(kernel)

    def convolve(i: int) -> Float[Array, "m h w d"]:
        frames = rearrange(x[:, i : last + i + 1 : stride], "b s h w c -> (b s) h w c")
        layout = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(
            frames, kernel[i], (1, 1), "SAME", dimension_numbers=layout, preferred_element_type=jnp.float32
        )

    total = reduce(jnp.add, map(convolve, range(len(kernel))))
    return rearrange(total, "(b s) h w d -> b s h w d", b=x.shape[0]).astype(x.dtype)


class ResidualBlock(nn.Module):
    """x plus two rounds of norm, SiLU and convolution; x is projected where the width changes."""

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


class FrameAttention(nn.Module):
    """x plus self-attention with one head among the cells of each frame."""

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
        x = ResidualBlock(self.width, self.dtype, name="block_0")(x)
        x = FrameAttention(self.dtype, name="attention")(x)
        return ResidualBlock(self.width, self.dtype, name="block_1")(x)


class Down(nn.Module):
    """Downsampling: half the height and width; with `time`, half the frames after frame 0.

    Padding is zeros below and to the right. In time, frames (0, 1, 2), (2, 3, 4), ... become one each.
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
    """Upsampling: twice the height and width, half the channels; with `time`, two frames for each frame after frame 0.

    The convolution in time begins after frame 0, which it does not read.
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


class VAEEncoder(nn.Module):
    """Videos to mean and log variance of the latents' posterior, concatenated on the channels."""

    shape: WanVAEConfig
    dtype: Dtype

    @nn.compact
    def __call__(self, video: Float[Array, "b t h w 3"]) -> Float[Array, "b f i j m"]:
        shape = self.shape
        h = CausalConv(shape.width, self.dtype, name="conv_in")(video).astype(jnp.float32)
        for level, width in enumerate(shape.widths):
            for i in range(shape.blocks):
                h = ResidualBlock(width, self.dtype, name=f"level_{level}_block_{i}")(h)
            if level < len(shape.temporal):
                h = Down(shape.temporal[level], self.dtype, name=f"level_{level}_down")(h)
        h = Middle(shape.widths[-1], self.dtype, name="middle")(h)
        h = CausalConv(2 * shape.channels, self.dtype, name="conv_out")(nn.silu(RmsNorm(name="norm_out")(h)))
        return linear(2 * shape.channels, jnp.float32, "quant")(h)


class VAEDecoder(nn.Module):
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
                h = ResidualBlock(width, self.dtype, name=f"level_{level}_block_{i}")(h)
            if level > 0:
                h = Up(shape.temporal[level - 1], self.dtype, name=f"level_{level}_up")(h)
        h = CausalConv(3, self.dtype, name="conv_out")(nn.silu(RmsNorm(name="norm_out")(h)))
        return h.astype(jnp.float32)
