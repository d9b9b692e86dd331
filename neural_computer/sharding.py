"""The mesh, the rule table, and putting trees on devices.

Axes: `data` replicates parameters and splits batches; `fsdp` splits both; `context` splits tokens; `tensor` splits the
width inside a layer. The table is read top to bottom, the first match wins, and a parameter that nothing matches raises.
"""

import re
from collections.abc import Mapping
from math import prod

import jax
import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec

from neural_computer.types import PyTree

AXES = ("data", "fsdp", "context", "tensor")
BATCH = PartitionSpec(("data", "fsdp"))

Rules = tuple[tuple[str, tuple[str | None, ...]], ...]
RULES: Rules = (
    # Linear layers that widen or leave a head split split their output; those that come back split their input.
    (r"(self_attn|cross_attn)/(q|k|v|k_img|v_img)/kernel$", ("fsdp", "tensor")),
    (r"(self_attn|cross_attn)/(q|k|v|k_img|v_img)/bias$", ("tensor",)),
    (r"(self_attn|cross_attn)/o/kernel$", ("tensor", "fsdp")),
    (r"ffn/in/kernel$", ("fsdp", "tensor")),
    (r"ffn/in/bias$", ("tensor",)),
    (r"ffn/out/kernel$", ("tensor", "fsdp")),
    # The rank of a LoRA stays whole, its other dimension follows the matrix it stands beside.
    (r"_lora_a/kernel$", ("fsdp", None)),
    (r"_lora_b/kernel$", (None, "tensor")),
    # Action injection.
    (r"blocks/.*action_attn/(q|k|v)/kernel$", ("fsdp", "tensor")),
    (r"blocks/.*action_attn/(q|k|v)/bias$", ("tensor",)),
    (r"blocks/.*action_attn/o/kernel$", ("tensor", "fsdp")),
    (r"action_branch/(in|mix|actions)/kernel$", (None, "fsdp")),
    (r"(action_branch/out|dit/action_token)/kernel$", (None, "fsdp")),
    (r"dit/external/.*kernel$", ()),
    # The remaining matrices of the DiT are split once; its vectors and tables are small and stay whole.
    (r"dit/(patch_embed|time_in|time_proj)/kernel$", (None, "fsdp")),
    (r"dit/(time_out|text_embed/(in|out)|image_embed/(in|out)|head)/kernel$", ("fsdp", None)),
    (r"dit/.*(bias|scale|modulation|position_[thw])$", ()),
    # The frozen encoders of text and image; a row lookup in an embedding split by width stays local.
    (r"(text_encoder|image_encoder)/blocks/attn/(q|k|v)/kernel$", ("fsdp", "tensor")),
    (r"image_encoder/blocks/attn/(q|k|v)/bias$", ("tensor",)),
    (r"(text_encoder|image_encoder)/blocks/attn/o/kernel$", ("tensor", "fsdp")),
    (r"(text_encoder|image_encoder)/blocks/mlp/(gate|up)/kernel$", ("fsdp", "tensor")),
    (r"image_encoder/blocks/mlp/up/bias$", ("tensor",)),
    (r"(text_encoder|image_encoder)/blocks/mlp/down/kernel$", ("tensor", "fsdp")),
    (r"text_encoder/embedding$", (None, "fsdp")),
    (r"image_encoder/patch_embed/kernel$", (None, "fsdp")),
    (r"(text_encoder|image_encoder)/.*(bias|scale|position|class)$", ()),
    # The byte text encoder, the action encoder, the codecs and LPIPS are small: whole on every device.
    (r"text/.*(kernel|bias|scale|embedding|position|digit_place|digit_number)$", ()),
    (r"(actions|heads)/.*$", ()),
    (r"lpips/.*(kernel|bias)$", ()),
    (r"codec/(mean|basis|scale|std|((en|de)coder/.*))$", ()),
    (r"(step|count|ns_coeffs)$", ()),
)
"""(path regex, axes of the trailing dimensions). Right-aligned: a scan over depth adds leading axes, which stay whole. An
experiment may put rules of its own before these."""


def make_mesh(sizes: Mapping[str, int] | None = None, devices: list | None = None) -> Mesh:
    """A mesh over all devices. `sizes` gives axes by name; missing ones are 1, and one -1 takes what is left.

    Raises ValueError when the sizes do not multiply to the number of devices.
    """
    devices = jax.devices() if devices is None else devices
    sizes = {"data": -1} if sizes is None else dict(sizes)
    unknown = set(sizes) - set(AXES)
    if unknown:
        raise ValueError(f"mesh.{sorted(unknown)[0]}: unknown axis; the axes are {', '.join(AXES)}")
    shape = [sizes.get(axis, 1) for axis in AXES]
    if shape.count(-1) == 1:
        rest = prod(size for size in shape if size != -1)
        shape[shape.index(-1)] = max(1, len(devices) // rest)
    if prod(shape) != len(devices):
        sizes_text = ", ".join(f"{axis}={sizes.get(axis, 1)}" for axis in AXES)
        raise ValueError(
            f"mesh: {sizes_text} makes {abs(prod(shape))} places for {len(devices)} devices; use -1 for one axis"
        )
    return Mesh(np.asarray(devices).reshape(shape), AXES, axis_types=(AxisType.Auto,) * len(AXES))


def sizes_of(text: str) -> dict[str, int]:
    """Axis sizes written as "fsdp:8,context:2". Raises ValueError for anything else."""
    pairs = re.findall(r"(\w+):(-?\d+)", text)
    if ",".join(f"{axis}:{size}" for axis, size in pairs) != text or len(dict(pairs)) != len(pairs):
        raise ValueError(f"mesh={text!r}: is no list of AXIS:SIZE; write data:1,fsdp:8, with axes {', '.join(AXES)}")
    return {axis: int(size) for axis, size in pairs}


def path_of(keys: tuple) -> str:
    """A pytree path as a/b/c."""
    return "/".join(str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key)))) for key in keys)


def spec(path: str, shape: tuple[int, ...], mesh: Mesh | AbstractMesh, rules: Rules = RULES) -> PartitionSpec:
    """The partition of one parameter. Raises ValueError if no rule matches or an axis does not divide its dimension."""
    for pattern, axes in rules:  # noqa: B007
        if re.search(pattern, path):
            break
    else:
        raise ValueError(
            f"{path}: no sharding rule matches this parameter; give its injection mode `rules`, or add one to "
            "neural_computer.sharding.RULES"
        )
    if len(axes) > len(shape):
        raise ValueError(f"{path}: rule {pattern!r} names {len(axes)} dimensions, the parameter has {len(shape)}")
    full = (None,) * (len(shape) - len(axes)) + tuple(axes)
    for size, axis in zip(shape, full, strict=True):
        if axis is not None and size % mesh.shape[axis]:
            raise ValueError(f"{path}: dimension {size} of {shape} cannot be split over {axis}={mesh.shape[axis]}")
    return PartitionSpec(*full)


def shardings(tree: PyTree, mesh: Mesh | AbstractMesh, rules: Rules = RULES) -> PyTree:
    """The NamedSharding of every leaf of `tree` (arrays or shapes), optimizer states included: they end in the same paths."""
    return jax.tree_util.tree_map_with_path(
        lambda keys, leaf: NamedSharding(mesh, spec(path_of(keys), np.shape(leaf), mesh, rules)), tree
    )


def place(tree: PyTree, mesh: Mesh, rules: Rules = RULES) -> PyTree:
    """`tree` on the mesh, by the table."""
    return jax.device_put(tree, shardings(tree, mesh, rules))


def place_batch(batch: PyTree, mesh: Mesh) -> PyTree:
    """A process's share of a batch as global arrays, split over `data` and `fsdp`.

    Raises ValueError when the global batch does not divide among them.
    """
    ways = mesh.shape["data"] * mesh.shape["fsdp"]
    sharding = NamedSharding(mesh, BATCH)

    def put(local):
        rows = len(local) * jax.process_count()
        if rows % ways:
            raise ValueError(f"batch_size={rows}: must be a multiple of data * fsdp = {ways}")
        return jax.make_array_from_process_local_data(sharding, np.asarray(local))

    return jax.tree.map(put, batch)


def replicated(mesh: Mesh) -> NamedSharding:
    """Whole on every device."""
    return NamedSharding(mesh, PartitionSpec())
