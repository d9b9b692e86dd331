"""Converted published weights, for notebooks and programs: a network's module and its parameters, on one device or a mesh."""

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from jax.sharding import Mesh, NamedSharding, Sharding, SingleDeviceSharding

from neural_computer import sharding
from neural_computer.models import weights
from neural_computer.train.checkpoint import CheckpointError, read_json
from neural_computer.types import PyTree

PREFIX = {"dit": "dit", "vae": "codec", "umt5": "umt5", "clip": "clip"}
"""What a network's parameters are called in `sharding.RULES`."""


def networks(directory: str | Path) -> dict[str, dict[str, Any]]:
    """What a converted folder holds: by network its config, source files, dtype and number of parameters.

    Raises CheckpointError for a folder that holds none.
    """
    preset = Path(directory) / "preset.json"
    if not preset.exists():
        raise CheckpointError(
            f"{directory}: no preset.json there; convert published weights first "
            f"(python -m launch.convert_weights --input=PATH --output={directory})"
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
    found = networks(directory)
    if network not in found:
        raise CheckpointError(f"{directory}: holds no {network}; it holds {', '.join(found)}")
    preset = found[network]
    module = weights.module(network, preset["config"], dtype or jnp.float32)
    params = _restore(Path(directory) / network, network, preset, mesh)
    fixed = weights.NETWORKS[network].fixed(module)
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
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise CheckpointError(f"{folder}: does not restore ({reason}); delete it and convert it again") from error
