"""Published checkpoints and the networks they become: which network a file holds, its parameters, and the way back.

A format is "diffusers" (transformers' files too) or "original", the release's own. Everything here goes tensor by
tensor, so that a network larger than memory can pass through.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import tree_leaves_with_path

from neural_computer.models import clip as clip_net
from neural_computer.models import umt5 as umt5_net
from neural_computer.models import vae as vae_net
from neural_computer.models.dit import DiT, DiTConfig
from neural_computer.models.weights import clip, dit, umt5, vae
from neural_computer.models.weights.rules import KINDS, Rule, Shapes, Table
from neural_computer.sharding import path_of
from neural_computer.types import PyTree

FORMATS = ("diffusers", "original")
PREFIXES = ("model.diffusion_model.", "model.", "module.")
"""What some tools put before a network's keys."""


class Network(NamedTuple):
    """One of the four networks."""

    recognise: Callable[[Shapes], tuple[str, Table] | None]
    module: Callable[..., Any]
    """(config, dtype) -> the module."""
    init: Callable[[Any, jax.Array], PyTree]
    """(module, key) -> its parameters as a checkpoint holds them."""
    fixed: Callable[[Any], dict[str, np.ndarray]] = lambda module: {}
    """What the published ones have beside those."""


def _linen(*inputs: Callable[[Any], jax.Array]) -> Callable[[Any, jax.Array], PyTree]:
    return lambda module, key: module.init(key, *(make(module) for make in inputs))["params"]


def _dit(module: DiT, key: jax.Array) -> PyTree:
    shape = module.shape
    _, p, q = shape.patch
    image = jnp.zeros((1, 1, shape.image_width)) if shape.image_width else None
    z, text = jnp.zeros((1, 1, p, q, shape.in_channels)), jnp.zeros((1, 1, shape.text_width))
    return module.init(key, z, jnp.zeros((1, 1)), text, image)["params"]


def _vae(module: vae_net.WanVAE, key: jax.Array) -> PyTree:
    params = module.init(key)
    return {name: params[name] for name in ("encoder", "decoder")}


NETWORKS = {
    "dit": Network(dit.recognise, lambda config, dtype: DiT(DiTConfig(**config), dtype=dtype), _dit),
    "vae": Network(
        vae.recognise,
        lambda config, dtype: vae_net.WanVAE(vae_net.WanVAEConfig(**config), dtype),
        _vae,
        lambda module: vae_net.statistics(module.channels),
    ),
    "umt5": Network(
        umt5.recognise,
        lambda config, dtype: umt5_net.UMT5(**config, dtype=dtype),
        _linen(lambda module: jnp.zeros((1, 1), jnp.int32)),
    ),
    "clip": Network(
        clip.recognise,
        lambda config, dtype: clip_net.CLIPVision(**config, dtype=dtype),
        _linen(lambda module: jnp.zeros((1, module.image, module.image, 3))),
    ),
}


def module(network: str, config: Mapping[str, Any], dtype: Any = jnp.float32) -> Any:
    """The module that `Table.config` describes. Its lists, which JSON makes of tuples, become tuples again."""
    config = {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}
    return NETWORKS[network].module(config, dtype)


def parameters(network: str, config: Mapping[str, Any]) -> PyTree:
    """The shapes of a network's parameters, nested as in the module, without the fixed ones."""
    made = module(network, config)
    return jax.eval_shape(lambda: NETWORKS[network].init(made, jax.random.key(0)))


def fixed(network: str, preset: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What a network's parameters have beside a checkpoint's: what its preset says, else what the published ones have."""
    own = preset.get("fixed", {})
    if own:
        return {name: np.asarray(values, np.float32) for name, values in own.items()}
    return NETWORKS[network].fixed(module(network, preset["config"]))


# What a file holds


def bare(keys: Iterable[str]) -> dict[str, str]:
    """{key without a tool's prefix: key as it stands in the file}. Raises ValueError where two fall together."""
    found: dict[str, str] = {}
    for key in keys:
        prefix = next((p for p in PREFIXES if key.startswith(p)), "")
        short = key[len(prefix) :]
        if short in found:
            raise ValueError(f"{key}: {found[short]} is there too; keep the keys with one prefix")
        found[short] = key
    return found


def detect(shapes: Shapes, heads: int | None = None) -> tuple[str, Table]:
    """(format, table) of the network with these keys.

    `heads` is a DiT's number of heads where a config file or the user tells it: shapes do not. Raises ValueError for keys
    of no network known here, with the nearest known one, and for a DiT whose heads nobody tells.
    """
    for network in NETWORKS.values():
        if found := network.recognise(shapes):
            fmt, table = found
            return fmt, _with_heads(table, heads) if table.network == "dit" else table
    known = {
        getattr(rule, fmt).format(0) for rule in (*dit.RULES, *vae.rules(vae_net.WanVAEConfig())) for fmt in FORMATS
    }
    lead = f"{len(shapes)} keys of no network known here ({', '.join(NETWORKS)})"
    if part := sorted(known & set(shapes)):
        raise ValueError(f"{lead}, though {part[0]} is one's: is this one file of several?")
    near = [(key, name) for key in shapes for name in difflib.get_close_matches(key, known, 1, 0.8)]
    if near:
        raise ValueError(f"{lead}: {near[0][0]} is nearest to {near[0][1]} of those known")
    raise ValueError(f"{lead}: {next(iter(shapes), 'none')}")


def _with_heads(table: Table, heads: int | None) -> Table:
    if heads is None and "heads" not in table.config:
        raise ValueError(
            f"heads: width={table.config['width']} is no multiple of {dit.HEAD_DIM}, the published width of a head, and "
            "shapes do not tell the number of heads; give it (--heads=N)"
        )
    return replace(table, config={**table.config, "heads": heads or table.config["heads"]})


@dataclass(frozen=True)
class Report:
    """What became of a file's keys."""

    used: tuple[str, ...]
    unused: tuple[str, ...]
    """Known to be of no use here."""
    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    misshapen: Mapping[str, str]
    """Key: what its shape is and should be."""

    def demand(self) -> None:
        """Raises ValueError, naming the first fault, unless every parameter has its tensor and every tensor its use."""
        if self.missing:
            near = difflib.get_close_matches(self.missing[0], self.unknown, 1)
            hint = f"; {near[0]} is there and unknown: is it that?" if near else "; is this one file of several?"
            raise ValueError(f"{self.missing[0]}: is missing{_more(self.missing)}{hint}")
        if self.misshapen:
            key, fault = next(iter(self.misshapen.items()))
            raise ValueError(f"{key}: {fault}{_more(self.misshapen)}")
        if self.unknown:
            near = difflib.get_close_matches(self.unknown[0], self.used, 1)
            hint = f"; the nearest name is {near[0]}" if near else ""
            raise ValueError(
                f"{self.unknown[0]}: is unknown{_more(self.unknown)}, so this network computes more than ours{hint}"
            )


def _more(faults: Any) -> str:
    return f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""


def check(table: Table, fmt: str, shapes: Shapes) -> Report:
    """The keys of a file against the table and our module's shapes."""
    wanted = {path_of(keys): x.shape for keys, x in tree_leaves_with_path(parameters(table.network, table.config))}
    used: dict[str, None] = {}
    missing: dict[str, None] = {}
    misshapen: dict[str, str] = {}
    for rule, block, key in _keys(table, fmt):
        shape = wanted[rule.path] if block is None else wanted[rule.path][1:]
        if key not in shapes:
            missing[key] = None
            continue
        used[key] = None
        found = _shape_here(rule, fmt, shapes[key])
        if found != shape:
            misshapen[key] = f"has shape {shapes[key]}, which makes {found} of {rule.path}; it must make {shape}"
    rest = [key for key in shapes if key not in used]
    unused = tuple(key for key in rest if any(re.search(pattern, key) for pattern in table.ignored))
    unknown = tuple(key for key in rest if key not in unused)
    return Report(tuple(used), unused, tuple(missing), unknown, misshapen)


def _shape_here(rule: Rule, fmt: str, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape a tensor takes here, or None for one that cannot be laid out so."""
    try:
        return KINDS[rule.kind].here(_part(rule, fmt, np.broadcast_to(np.int8(0), shape))).shape
    except (ValueError, IndexError):
        return None


# From tensors to parameters and back


def pieces(table: Table, fmt: str, get: Callable[[str], np.ndarray]) -> Iterator[tuple[str, int | None, np.ndarray]]:
    """(path, place on the leading axis or None, array) of every parameter, one tensor in memory at a time.

    `get` returns the tensor of a key, without prefix.
    """
    for rule, block, key in _keys(table, fmt):
        yield rule.path, block, KINDS[rule.kind].here(_part(rule, fmt, get(key)))


def params_from(table: Table, fmt: str, get: Callable[[str], np.ndarray]) -> PyTree:
    """The parameters, nested as in the module, from `get(key) -> tensor`; without the fixed ones."""
    flat: dict[str, np.ndarray] = {}
    for path, block, piece in pieces(table, fmt, get):
        if block is None:
            flat[path] = piece
            continue
        if path not in flat:
            flat[path] = np.empty((table.depth, *piece.shape), piece.dtype)
        flat[path][block] = piece
    return nested(flat)


def nested(flat: Mapping[str, Any]) -> PyTree:
    """{"a/b": x} as {"a": {"b": x}}."""
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        *above, last = path.split("/")
        node = tree
        for name in above:
            node = node.setdefault(name, {})
        node[last] = value
    return tree


def tensors_to(
    table: Table, get: Callable[[str, int | None], np.ndarray], shapes: Shapes
) -> Iterator[tuple[str, np.ndarray]]:
    """(diffusers' key, tensor) of every parameter: the way back of `pieces`, exactly.

    `get(path, place)` returns a piece; `shapes` are `diffusers_shapes`.
    """
    for rule, block, key in _keys(table, "diffusers"):
        yield key, KINDS[rule.kind].back(get(rule.path, block), shapes[key])


def diffusers_shapes(table: Table, fmt: str, shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor of a diffusers file, from the shapes in a file of either format."""
    both = zip(_keys(table, "diffusers"), _keys(table, fmt), strict=True)
    return {key: _shape_there(rule, fmt, shapes[found]) for (rule, _, key), (_, _, found) in both}


def _shape_there(rule: Rule, fmt: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    if fmt == "diffusers":
        return tuple(shape)
    if rule.kind == "vector":
        # The release's CLIP keeps its tables with leading axes of one, ready to be added to a batch.
        ones = next((i for i, size in enumerate(shape) if size > 1), 0)
        return tuple(shape[ones:])
    return (shape[0] // rule.part[1], *shape[1:])


def _keys(table: Table, fmt: str) -> Iterator[tuple[Rule, int | None, str]]:
    """(rule, block or None, key) of every tensor, the blocks of a stacked parameter in a row."""
    for rule in table.rules:
        key = getattr(rule, fmt)
        if "{}" in key:
            yield from ((rule, block, key.format(block)) for block in range(table.depth))
        else:
            yield rule, None, key


def _part(rule: Rule, fmt: str, x: np.ndarray) -> np.ndarray:
    """A rule's part of a tensor."""
    index, count = rule.part
    return x if fmt == "diffusers" or count == 1 else np.split(x, count)[index]
