"""Converted published weights, for notebooks and programs: a network's module and its parameters, on one device or a mesh."""

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from flax.traverse_util import flatten_dict, unflatten_dict
from jax.sharding import Mesh, NamedSharding, Sharding, SingleDeviceSharding

from neural_computer import sharding
from neural_computer.errors import first_line
from neural_computer.models import weights
from neural_computer.models.dit import DiTConfig
from neural_computer.models.weights.dit import regroup
from neural_computer.train.checkpoint import CheckpointError, read_json
from neural_computer.train.update import Trainer
from neural_computer.types import PyTree

PREFIX = {"dit": "dit", "vae": "codec", "umt5": "text_encoder", "clip": "image_encoder"}
"""Paths of a network's parameters in `sharding.RULES`"""


def is_machine(directory: str | Path) -> bool:
    """Whether a folder is a trained machine's, a workdir or a saved one, and not of converted weights."""
    return (Path(directory) / "config.json").exists() and not (Path(directory) / "preset.json").exists()


def networks(directory: str | Path) -> dict[str, dict[str, Any]]:
    """What a converted folder holds: by network its config, source files, dtype and number of parameters.

    Raises CheckpointError for a folder that holds none.
    """
    preset = Path(directory) / "preset.json"
    if not preset.exists():
        raise CheckpointError(
            f"{directory}: no preset.json there; convert published weights first "
            f"(neural-computer convert_weights --input=PATH --out={directory})"
        )
    return read_json(preset)


def load_pretrained(
    directory: str | Path, network: str = "dit", *, dtype: Any = None, mesh: Mesh | None = None
) -> tuple[Any, PyTree]:
    """(module, parameters) of a converted network: dit, vae, umt5 or clip.

    The module multiplies in `dtype`, float32 by default. Parameters keep the dtype they were converted to. With a mesh they
    are placed by `sharding.RULES`, every device reading its own part alone; without, they go to the default device.
    Raises CheckpointError for a folder without the network, ValueError for a mesh that does not divide it.
    """
    presets = networks(directory)
    if network not in presets:
        raise CheckpointError(f"{directory}: holds no {network}; it holds {', '.join(presets)}")
    preset = presets[network]
    module = weights.module(network, preset["config"], dtype or jnp.float32)
    params = _restore(Path(directory) / network, network, preset, mesh)
    fixed = weights.fixed(network, preset)
    return module, params | jax.tree.map(lambda x: jax.device_put(x, _place(mesh)), fixed)


def _place(mesh: Mesh | None) -> Sharding:
    return SingleDeviceSharding(jnp.zeros(()).device) if mesh is None else sharding.replicated(mesh)


def _restore(folder: Path, network: str, preset: Mapping[str, Any], mesh: Mesh | None) -> PyTree:
    dtype = jnp.dtype(preset["dtype"])

    def abstract(keys: tuple, leaf: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        place = _place(mesh)
        if mesh is not None:
            path = f"{PREFIX[network]}/{sharding.path_of(keys)}"
            place = NamedSharding(mesh, sharding.spec(path, leaf.shape, mesh))
        return jax.ShapeDtypeStruct(leaf.shape, dtype, sharding=place)

    like = jax.tree_util.tree_map_with_path(abstract, weights.parameters(network, preset["config"]))
    largest = max(prod(leaf.shape) for leaf in jax.tree.leaves(like)) * dtype.itemsize
    # What is read at a time counts twice in memory: no more than the largest parameter, which must fit.
    handler = ocp.StandardCheckpointHandler(restore_concurrent_gb=largest // 10**9 + 1)
    try:
        with ocp.Checkpointer(handler) as reader:
            return reader.restore(folder.absolute(), args=ocp.args.StandardRestore(like))
    except Exception as error:
        raise CheckpointError(
            f"{folder}: does not restore ({first_line(error)}); delete it and convert it again"
        ) from error


# A network to train from


def fresh(trainer: Trainer, seed: int, mesh: Mesh | None = None) -> PyTree:
    """Freshly initialised parameters of a network; every device computes its own part."""
    return _fresh_leaves(trainer, seed, jax.eval_shape(lambda: trainer.network(seed)), mesh)


def initial(directory: str | Path, trainer: Trainer, seed: int, mesh: Mesh | None = None) -> PyTree:
    """The trainer's network with what a converted folder holds of it, and fresh parameters for the rest.

    A folder without a DiT gives a computer its encoders alone. Raises CheckpointError for a codec and a folder without a
    VAE, ValueError for parameters that do not fit.
    """
    wanted = jax.eval_shape(lambda: trainer.network(seed))
    if "codec" in wanted:
        _, vae = load_pretrained(directory, "vae", mesh=mesh)
        return {"codec": {name: vae[name] for name in wanted["codec"]}}
    return merged(directory, trainer, seed, mesh) if "dit" in networks(directory) else fresh(trainer, seed, mesh)


def merged(directory: str | Path, trainer: Trainer, seed: int, mesh: Mesh | None = None) -> PyTree:
    """The trainer's network with the parameters of a converted DiT, and fresh ones for what that one lacks.

    A text-to-video DiT may become an image-to-video one: the patch embedding gets rows of zeros for the condition, and the
    image's values begin at zero, so that the network answers as before until it is trained. That is the paper's
    zero-initialised projection of the condition; an image-to-video DiT has learned its own and keeps it.
    Raises ValueError for parameters that the network has no place for, or in another shape.
    """
    _, converted = load_pretrained(directory, "dit", mesh=mesh)
    converted = regroup(converted, trainer.model.network.dit.injection.every)
    flat = {f"dit/{path}": leaf for path, leaf in flatten_dict(converted, sep="/").items()}
    wanted = flatten_dict(jax.eval_shape(lambda: trainer.network(seed)), sep="/")
    if unknown := sorted(set(flat) - set(wanted)):
        raise ValueError(f"{directory}: its DiT has {unknown[0]}, the config's network has not; is it of another kind?")
    flat["dit/patch_embed/kernel"] = _widened(flat["dit/patch_embed/kernel"], trainer.model.network.dit.shape)
    for path, leaf in flat.items():
        if leaf.shape != wanted[path].shape:
            raise ValueError(
                f"{directory}: {path} is {leaf.shape}, the config's network needs {wanted[path].shape}; set config.network "
                "to the sizes in preset.json"
            )
    lacking = {path: leaf for path, leaf in wanted.items() if path not in flat}
    new = flatten_dict(_fresh_leaves(trainer, seed, unflatten_dict(lacking, sep="/"), mesh), sep="/") if lacking else {}
    new |= {path: jnp.zeros_like(leaf) for path, leaf in new.items() if "/v_img/" in path}
    return unflatten_dict({path: flat.get(path, new.get(path)) for path in wanted}, sep="/")


def _widened(kernel: jax.Array, shape: DiTConfig) -> jax.Array:
    """The patch embedding's rows, (p q c) each, with zeros for channels that it lacks."""
    patch, width = prod(shape.patch), kernel.shape[-1]
    lacking = shape.in_channels - len(kernel) // patch
    if lacking <= 0:
        return kernel
    return jnp.pad(kernel.reshape(patch, -1, width), ((0, 0), (0, lacking), (0, 0))).reshape(-1, width)


def _fresh_leaves(trainer: Trainer, seed: int, wanted: PyTree, mesh: Mesh | None) -> PyTree:
    """The leaves of the fresh network that `wanted` names; what it does not name is never computed."""
    paths = flatten_dict(wanted, sep="/")

    def make() -> PyTree:
        network = flatten_dict(trainer.network(seed), sep="/")
        return unflatten_dict({path: network[path] for path in paths}, sep="/")

    return jax.jit(make, out_shardings=None if mesh is None else sharding.shardings(wanted, mesh, trainer.rules))()
