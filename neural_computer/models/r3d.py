"""R3D-18: an action recognition network, 18 layers of residual 3D convolutions (Tran et al. 2018).

The paper's FVD compares its features before the logits. The network is torchvision's `r3d_18`. No package holds its
published weights: they are read from a file, by torchvision's keys.
"""

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from neural_computer.types import PyTree

SIZE, WIDTHS, BLOCKS = 112, (64, 128, 256, 512), 2
MEAN, STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
"""Of Kinetics-400's videos in [0, 1], by channel"""


class R3D18(nn.Module):
    """R3D-18 in evaluation mode, without its last layer."""

    @nn.compact
    def __call__(self, video: Float[Array, "b t h w 3"]) -> Float[Array, "b 512"]:
        """Features of videos in [0, 1]: mean over time, height and width of the last block's output. Made for 112x112."""
        x = (video - jnp.asarray(MEAN)) / jnp.asarray(STD)
        x = nn.relu(_ConvNorm(WIDTHS[0], (3, 7, 7), (1, 2, 2), name="stem")(x))
        for layer, width in enumerate(WIDTHS, 1):
            for block in range(BLOCKS):
                stride = 2 if layer > 1 and block == 0 else 1
                x = _Block(width, stride, name=f"layer{layer}_{block}")(x)
        return x.mean((1, 2, 3))


class _Block(nn.Module):
    """Two convolutions beside a skip connection, which a stride downsamples and widens."""

    width: int
    stride: int

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c"]) -> Float[Array, "b tt hh ww d"]:
        steps = (self.stride,) * 3
        y = nn.relu(_ConvNorm(self.width, (3, 3, 3), steps, name="conv1")(x))
        y = _ConvNorm(self.width, (3, 3, 3), (1, 1, 1), name="conv2")(y)
        skip = x if self.stride == 1 else _ConvNorm(self.width, (1, 1, 1), steps, name="downsample")(x)
        return nn.relu(y + skip)


class _ConvNorm(nn.Module):
    """A convolution and its batch normalisation; running statistics are folded into one scale and one shift."""

    width: int
    kernel: tuple[int, int, int]
    stride: tuple[int, int, int]

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c"]) -> Float[Array, "b tt hh ww d"]:
        x = _Conv(self.width, self.kernel, self.stride, name="conv")(x)
        scale = self.param("scale", nn.initializers.ones, (self.width,))
        return x * scale + self.param("shift", nn.initializers.zeros, (self.width,))


class _Conv(nn.Module):
    """A convolution centred on its output, padded with zeros."""

    width: int
    kernel: tuple[int, int, int]
    stride: tuple[int, int, int]

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c"]) -> Float[Array, "b tt hh ww d"]:
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (*self.kernel, x.shape[-1], self.width))
        padding = [(k // 2, k // 2) for k in self.kernel]
        if jax.default_backend() != "cpu":
            layout = ("NDHWC", "DHWIO", "NDHWC")
            return jax.lax.conv_general_dilated(x, kernel, self.stride, padding, dimension_numbers=layout)
        # As a sum of convolutions of single frames it is a few times as fast on CPUs.
        frames = jnp.pad(x, ((0, 0), padding[0], (0, 0), (0, 0), (0, 0)))
        count = (x.shape[1] - 1) // self.stride[0] + 1
        parts = (self._convolve(frames[:, k :: self.stride[0]][:, :count], kernel[k]) for k in range(self.kernel[0]))
        return reduce(jnp.add, parts)

    def _convolve(self, x: Float[Array, "b t h w c"], kernel: Float[Array, "hk wk c d"]) -> Float[Array, "b t hh ww d"]:
        padding = [(k // 2, k // 2) for k in self.kernel[1:]]
        layout = ("NHWC", "HWIO", "NHWC")
        flat = x.reshape(-1, *x.shape[2:])
        y = jax.lax.conv_general_dilated(flat, kernel, self.stride[1:], padding, dimension_numbers=layout)
        return y.reshape(*x.shape[:2], *y.shape[1:])


def torchvision_keys() -> dict[str, tuple[str, str]]:
    """{path of a `_ConvNorm`: (torchvision's key of its convolution, of its normalisation)}."""
    keys = {"stem": ("stem.0", "stem.1")}
    for layer in range(1, len(WIDTHS) + 1):
        for block in range(BLOCKS):
            theirs = f"layer{layer}.{block}"
            for unit in ("conv1", "conv2"):
                keys[f"layer{layer}_{block}/{unit}"] = (f"{theirs}.{unit}.0", f"{theirs}.{unit}.1")
            if layer > 1 and block == 0:
                keys[f"layer{layer}_{block}/downsample"] = (f"{theirs}.downsample.0", f"{theirs}.downsample.1")
    return keys


def params_from(shapes: Mapping[str, tuple[int, ...]], get: Callable[[str], np.ndarray]) -> PyTree:
    """Parameters from a file's tensors: `shapes` by key, `get(key)` reads one.

    Raises ValueError, naming the key, where one is missing or of another shape.
    """
    params: dict[str, Any] = {}
    expected = jax.eval_shape(R3D18().init, jax.random.key(0), jnp.zeros((1, 1, 16, 16, 3)))["params"]
    for path, (conv, norm) in torchvision_keys().items():
        node, into = expected, params
        for part in path.split("/"):
            node, into = node[part], into.setdefault(part, {})
        kernel = node["conv"]["kernel"].shape
        tensors = {f"{conv}.weight": (*kernel[:2:-1], *kernel[:3])}
        tensors |= {f"{norm}.{leaf}": kernel[-1:] for leaf in ("weight", "bias", "running_mean", "running_var")}
        for key, shape in tensors.items():
            if shapes.get(key) != shape:
                problem = f"is {shapes[key]}" if key in shapes else "is missing"
                raise ValueError(f"{key}: {problem}, must be {shape}; take torchvision's r3d_18 file")
        weight, bias, mean, var = (np.asarray(get(key), np.float64) for key in list(tensors)[1:])
        scale = weight / np.sqrt(var + 1e-5)
        into["conv"] = {"kernel": np.asarray(get(f"{conv}.weight"), np.float32).transpose(2, 3, 4, 1, 0)}
        into |= {"scale": scale.astype(np.float32), "shift": (bias - mean * scale).astype(np.float32)}
    return params
