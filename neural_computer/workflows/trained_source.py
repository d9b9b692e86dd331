"""A trained workdir as published weights: its averaged DiT under diffusers' keys, a LoRA folded into what it stands beside;
or the VAE that it trained, with the mean and std of its latents."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from neural_computer.convert.sources import Source, Tensor
from neural_computer.models import vae as vae_net
from neural_computer.models.dit import DiT
from neural_computer.models.weights import dit, vae
from neural_computer.models.weights.rules import KINDS
from neural_computer.types import PyTree
from neural_computer.workflows import trained as trained_computer
from neural_computer.workflows import workdir


class Memory(Source):
    """A source whose tensors are at hand."""

    def __init__(
        self, place: Path, arrays: dict[str, np.ndarray], step: int, heads: int | None = None, fixed: PyTree = None
    ):
        tensors = {key: Tensor(place, key, x.shape, x.dtype.name) for key, x in arrays.items()}
        super().__init__(place, tensors, heads, {name: x.tolist() for name, x in (fixed or {}).items()})
        self.arrays, self.step = arrays, step

    @property
    def files(self) -> dict[str, int]:
        return {f"{self.place.name}, step {self.step}": sum(x.nbytes for x in self.arrays.values())}

    def get(self, key: str) -> np.ndarray:
        return self.arrays[key]


def is_workdir(place: Path) -> bool:
    """Was this folder written by training?"""
    return (place / workdir.SETUP).exists() and (place / "checkpoints").is_dir()


def source(place: Path) -> Source:
    """The DiT or the VAE trained in a workdir. Raises ValueError for a DiT that published files cannot describe."""
    if workdir.trains_codec(place):
        codec, params, step = workdir.load_codec(place)
        params = jax.device_get(params)
        fixed = {name: np.asarray(params.pop(name)) for name in ("mean", "std")}
        return Memory(place, codec_tensors(codec.shape, params), step, fixed=fixed)
    trained = trained_computer.load(place)
    network = trained.computer.network.dit
    if any(network.shape.positions):
        raise ValueError(f"{place}: its network has learned positions (config.network.positions); Wan2.1's has none")
    params = ungrouped(folded(trained.params.network["dit"]), network.injection.every)
    return Memory(place, tensors(network, jax.device_get(params)), trained.step, network.shape.heads)


def tensors(network: DiT, params: PyTree) -> dict[str, np.ndarray]:
    """A DiT's parameters as diffusers holds them. Raises ValueError for parameters that diffusers has not."""
    shape, flat = network.shape, flatten_dict(params, sep="/")
    rules = dit.RULES if shape.image_width else dit.TEXT
    if unknown := sorted(set(flat) - {rule.path for rule in rules}):
        raise ValueError(f"{unknown[0]}: Wan2.1 has no such parameter, and a diffusers file has no place for it")
    out: dict[str, np.ndarray] = {}
    for rule in rules:
        leaf = np.asarray(flat[rule.path])
        stacked = "{}" in rule.diffusers
        for block, piece in enumerate(leaf if stacked else [leaf]):
            out[rule.diffusers.format(block)] = KINDS[rule.kind].back(piece, _shape(rule.kind, piece, shape))
    return out


def _shape(kind: str, piece: np.ndarray, shape: Any) -> tuple[int, ...]:
    """A tensor's shape in diffusers' file."""
    return (piece.shape[-1], shape.in_channels, *shape.patch) if kind == "patch" else piece.shape


def codec_tensors(shape: vae_net.WanVAEConfig, params: PyTree) -> dict[str, np.ndarray]:
    """A VAE's parameters as diffusers holds them."""
    flat = flatten_dict(params, sep="/")
    out: dict[str, np.ndarray] = {}
    for rule in vae.rules(shape):
        leaf = np.asarray(flat[rule.path])
        # Attention and its norm work on single frames; all else that has no extent in our layout has three of one in theirs.
        ones = (1, 1) if "attention" in rule.path else (1, 1, 1)
        *kernel, into, made = leaf.shape if leaf.ndim > 1 else (0, *leaf.shape)
        there = {"conv": (made, into, *kernel), "patch": (made, into, *ones), "vector": (made, *ones), "same": (made,)}
        out[rule.diffusers] = KINDS[rule.kind].back(leaf, there[rule.kind])
    return out


def folded(params: PyTree) -> PyTree:
    """The parameters with every LoRA added to the kernel it stands beside: the same network without a detour."""
    flat = flatten_dict(params, sep="/")
    out = {path: leaf for path, leaf in flat.items() if "_lora_" not in path}
    for path, down in flat.items():
        if path.endswith("_lora_a/kernel"):
            beside = path.replace("_lora_a", "")
            out[beside] = out[beside] + jnp.matmul(down, flat[path.replace("_lora_a", "_lora_b")], precision="highest")
    return unflatten_dict(out, sep="/")


def ungrouped(params: PyTree, every: int) -> PyTree:
    """The parameters for single blocks, from those of groups of `every`: the way back of `weights.dit.regroup`."""
    groups = [params["blocks"][f"block_{i}"] for i in range(every)]
    blocks = jax.tree.map(lambda *x: jnp.stack(x, axis=1).reshape(-1, *x[0].shape[1:]), *groups)
    return params | {"blocks": {"block_0": blocks}}
