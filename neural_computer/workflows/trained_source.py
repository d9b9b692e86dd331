"""A trained workdir as a source of weights: its averaged DiT under diffusers' keys, with LoRAs merged into the kernels; or
the VAE that it trained, with the mean and std of its latents."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from neural_computer.convert.sources import StoredTensor, WeightSource
from neural_computer.models import vae as vae_net
from neural_computer.models.dit import DiT
from neural_computer.models.weights import dit, vae
from neural_computer.models.weights.rules import LAYOUTS
from neural_computer.types import PyTree
from neural_computer.workflows import trained as trained_computer
from neural_computer.workflows import workdir


class InMemorySource(WeightSource):
    """A source whose tensors are in memory."""

    def __init__(
        self, place: Path, arrays: dict[str, np.ndarray], step: int, heads: int | None = None, fixed: PyTree = None
    ):
        tensors = {key: StoredTensor(place, key, x.shape, x.dtype.name) for key, x in arrays.items()}
        super().__init__(place, tensors, heads, {name: x.tolist() for name, x in (fixed or {}).items()})
        self.arrays, self.step = arrays, step

    @property
    def files(self) -> dict[str, int]:
        return {f"{self.place.name}, step {self.step}": sum(x.nbytes for x in self.arrays.values())}

    def get(self, key: str) -> np.ndarray:
        return self.arrays[key]


def is_workdir(place: Path) -> bool:
    """Whether launch.train wrote this folder."""
    return (place / workdir.SETUP).exists() and (place / "checkpoints").is_dir()


def source(place: Path) -> WeightSource:
    """The DiT or the VAE trained in a workdir. Raises ValueError for a DiT that published files cannot describe."""
    if workdir.trains_codec(place):
        codec, params, step = workdir.load_codec(place)
        params = jax.device_get(params)
        fixed = {name: np.asarray(params.pop(name)) for name in ("mean", "std")}
        return InMemorySource(place, codec_tensors(codec.shape, params), step, fixed=fixed)
    trained = trained_computer.load(place)
    network = trained.computer.network.dit
    if any(network.shape.positions):
        raise ValueError(f"{place}: its network has learned positions (config.network.positions); Wan2.1's has none")
    params = ungrouped(lora_merged(trained.params.network["dit"]), network.injection.every)
    return InMemorySource(place, tensors(network, jax.device_get(params)), trained.step, network.shape.heads)


def tensors(network: DiT, params: PyTree) -> dict[str, np.ndarray]:
    """A DiT's parameters under diffusers' keys. Raises ValueError for parameters that Wan2.1 lacks."""
    shape, flat = network.shape, flatten_dict(params, sep="/")
    rules = dit.RULES if shape.image_width else dit.TEXT
    if unknown := sorted(set(flat) - {rule.path for rule in rules}):
        raise ValueError(f"{unknown[0]}: Wan2.1 has no such parameter, and a diffusers file has no place for it")
    out: dict[str, np.ndarray] = {}
    for rule in rules:
        leaf = np.asarray(flat[rule.path])
        stacked = "{}" in rule.diffusers
        for block, piece in enumerate(leaf if stacked else [leaf]):
            out[rule.diffusers.format(block)] = LAYOUTS[rule.layout].to_published(
                piece, _shape(rule.layout, piece, shape)
            )
    return out


def _shape(layout: str, piece: np.ndarray, shape: Any) -> tuple[int, ...]:
    """A tensor's shape in a diffusers file."""
    return (piece.shape[-1], shape.in_channels, *shape.patch) if layout == "patch" else piece.shape


def codec_tensors(shape: vae_net.WanVAEConfig, params: PyTree) -> dict[str, np.ndarray]:
    """A VAE's parameters under diffusers' keys."""
    flat = flatten_dict(params, sep="/")
    out: dict[str, np.ndarray] = {}
    for rule in vae.rules(shape):
        leaf = np.asarray(flat[rule.path])
        # Attention and its norm work on single frames: two axes of one where other layers have three.
        ones = (1, 1) if "attention" in rule.path else (1, 1, 1)
        *kernel, into, out_channels = leaf.shape if leaf.ndim > 1 else (0, *leaf.shape)
        shapes = {
            "conv": (out_channels, into, *kernel),
            "patch": (out_channels, into, *ones),
            "vector": (out_channels, *ones),
            "same": (out_channels,),
        }
        out[rule.diffusers] = LAYOUTS[rule.layout].to_published(leaf, shapes[rule.layout])
    return out


def lora_merged(params: PyTree) -> PyTree:
    """Parameters with every LoRA added to its kernel: the same network without low-rank branches."""
    flat = flatten_dict(params, sep="/")
    out = {path: leaf for path, leaf in flat.items() if "_lora_" not in path}
    for path, down in flat.items():
        if path.endswith("_lora_a/kernel"):
            kernel = path.replace("_lora_a", "")
            out[kernel] = out[kernel] + jnp.matmul(down, flat[path.replace("_lora_a", "_lora_b")], precision="highest")
    return unflatten_dict(out, sep="/")


def ungrouped(params: PyTree, every: int) -> PyTree:
    """Parameters of single blocks, from those in groups of `every`: the inverse of `weights.dit.regroup`."""
    groups = [params["blocks"][f"block_{i}"] for i in range(every)]
    blocks = jax.tree.map(lambda *x: jnp.stack(x, axis=1).reshape(-1, *x[0].shape[1:]), *groups)
    return params | {"blocks": {"block_0": blocks}}
