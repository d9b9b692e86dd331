"""Published checkpoints as networks: detects the network in a file, converts its parameters, and converts them back.

A format is "diffusers" (transformers' files too) or "original", the release's own. Conversion goes tensor by tensor, so
that a network may be larger than memory.
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
from neural_computer.models.weights.rules import LAYOUTS, KeyTable, Shapes, TensorRule
from neural_computer.sharding import path_of
from neural_computer.types import PyTree

FORMATS = ("diffusers", "original")
PREFIXES = ("model.diffusion_model.", "model.", "module.")
"""Prefixes that some tools put before a network's keys."""


class PublishedNetwork(NamedTuple):
    """A network with published weights: how its files are recognised and its module is built."""

    recognise: Callable[[Shapes], tuple[str, KeyTable] | None]
    module: Callable[..., Any]
    """(config, dtype) -> the module."""
    init: Callable[[Any, jax.Array], PyTree]
    """(module, key) -> parameters, those that a checkpoint holds."""
    fixed: Callable[[Any], dict[str, np.ndarray]] = lambda module: {}
    """module -> parameters that no checkpoint holds."""


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
    "dit": PublishedNetwork(dit.recognise, lambda config, dtype: DiT(DiTConfig(**config), dtype=dtype), _dit),
    "vae": PublishedNetwork(
        vae.recognise,
        lambda config, dtype: vae_net.WanVAE(vae_net.WanVAEConfig(**config), dtype),
        _vae,
        lambda module: vae_net.statistics(module.channels),
    ),
    "umt5": PublishedNetwork(
        umt5.recognise,
        lambda config, dtype: umt5_net.UMT5(**config, dtype=dtype),
        _linen(lambda module: jnp.zeros((1, 1), jnp.int32)),
    ),
    "clip": PublishedNetwork(
        clip.recognise,
        lambda config, dtype: clip_net.CLIPVision(**config, dtype=dtype),
        _linen(lambda module: jnp.zeros((1, module.image, module.image, 3))),
    ),
}


def module(network: str, config: Mapping[str, Any], dtype: Any = jnp.float32) -> Any:
    """The module of a network with the sizes of a `KeyTable.config`, in which JSON made lists of tuples."""
    config = {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}
    return NETWORKS[network].module(config, dtype)


def parameters(network: str, config: Mapping[str, Any]) -> PyTree:
    """Shapes of a network's parameters, nested as in the module, without the fixed ones."""
    built = module(network, config)
    return jax.eval_shape(lambda: NETWORKS[network].init(built, jax.random.key(0)))


def fixed(network: str, preset: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Parameters that a network has beside a checkpoint's: its preset's, else the published ones."""
    own = preset.get("fixed", {})
    if own:
        return {name: np.asarray(values, np.float32) for name, values in own.items()}
    return NETWORKS[network].fixed(module(network, preset["config"]))


# Detection


def strip_prefixes(keys: Iterable[str]) -> dict[str, str]:
    """{key without a tool's prefix: key in the file}. Raises ValueError for two keys that become the same."""
    stripped: dict[str, str] = {}
    for key in keys:
        prefix = next((p for p in PREFIXES if key.startswith(p)), "")
        short = key[len(prefix) :]
        if short in stripped:
            raise ValueError(f"{key}: {stripped[short]} is there too; keep the keys with one prefix")
        stripped[short] = key
    return stripped


def detect(shapes: Shapes, heads: int | None = None) -> tuple[str, KeyTable]:
    """(format, table) of the network with these keys.

    `heads` is a DiT's number of heads, from a config file or the user: shapes do not show it. Raises ValueError for keys of
    no supported network, with the nearest supported key, and for a DiT of unknown heads.
    """
    for network in NETWORKS.values():
        if match := network.recognise(shapes):
            fmt, table = match
            return fmt, _with_heads(table, heads) if table.network == "dit" else table
    supported = {
        getattr(rule, fmt).format(0) for rule in (*dit.RULES, *vae.rules(vae_net.WanVAEConfig())) for fmt in FORMATS
    }
    lead = f"{len(shapes)} keys of no supported network ({', '.join(NETWORKS)})"
    if part := sorted(supported & set(shapes)):
        raise ValueError(f"{lead}, though {part[0]} belongs to one: is this one file of several?")
    near = [(key, name) for key in shapes for name in difflib.get_close_matches(key, supported, 1, 0.8)]
    if near:
        raise ValueError(f"{lead}: {near[0][0]} is nearest to the supported {near[0][1]}")
    raise ValueError(f"{lead}: {next(iter(shapes), 'none')}")


def _with_heads(table: KeyTable, heads: int | None) -> KeyTable:
    if heads is None and "heads" not in table.config:
        raise ValueError(
            f"heads: width={table.config['width']} is no multiple of {dit.HEAD_DIM}, the published width of a head, and "
            "shapes do not show the number of heads; give it (--heads=N)"
        )
    return replace(table, config={**table.config, "heads": heads or table.config["heads"]})


@dataclass(frozen=True)
class KeyReport:
    """A file's keys, compared with a `KeyTable`."""

    used: tuple[str, ...]
    unused: tuple[str, ...]
    """Expected, and not used."""
    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    misshapen: Mapping[str, str]
    """Key -> its shape and the right one, in words"""

    def require_complete(self) -> None:
        """Raises ValueError, naming the first problem, unless every parameter has a tensor and every tensor a use."""
        if self.missing:
            near = difflib.get_close_matches(self.missing[0], self.unknown, 1)
            hint = f"; {near[0]} is there and unknown: is it that?" if near else "; is this one file of several?"
            raise ValueError(f"{self.missing[0]}: is missing{_more(self.missing)}{hint}")
        if self.misshapen:
            key, problem = next(iter(self.misshapen.items()))
            raise ValueError(f"{key}: {problem}{_more(self.misshapen)}")
        if self.unknown:
            near = difflib.get_close_matches(self.unknown[0], self.used, 1)
            hint = f"; the nearest name is {near[0]}" if near else ""
            raise ValueError(
                f"{self.unknown[0]}: is unknown{_more(self.unknown)}, so this network computes more than ours{hint}"
            )


def _more(keys: Any) -> str:
    return f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""


def check(table: KeyTable, fmt: str, shapes: Shapes) -> KeyReport:
    """Compares the keys and shapes of a file with a table and with our module."""
    expected = {path_of(keys): x.shape for keys, x in tree_leaves_with_path(parameters(table.network, table.config))}
    used: dict[str, None] = {}
    missing: dict[str, None] = {}
    misshapen: dict[str, str] = {}
    for rule, block, key in _keys(table, fmt):
        shape = expected[rule.path] if block is None else expected[rule.path][1:]
        if key not in shapes:
            missing[key] = None
            continue
        used[key] = None
        converted = _our_shape(rule, fmt, shapes[key])
        if converted != shape:
            misshapen[key] = f"has shape {shapes[key]}, which makes {converted} of {rule.path}; it must make {shape}"
    rest = [key for key in shapes if key not in used]
    unused = tuple(key for key in rest if any(re.search(pattern, key) for pattern in table.ignored))
    unknown = tuple(key for key in rest if key not in unused)
    return KeyReport(tuple(used), unused, tuple(missing), unknown, misshapen)


def _our_shape(rule: TensorRule, fmt: str, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Shape of a converted tensor, or None for one that does not fit the rule's layout."""
    try:
        return LAYOUTS[rule.layout].to_ours(_part(rule, fmt, np.broadcast_to(np.int8(0), shape))).shape
    except (ValueError, IndexError):
        return None


# Conversion


def pieces(table: KeyTable, fmt: str, get: Callable[[str], np.ndarray]) -> Iterator[tuple[str, int | None, np.ndarray]]:
    """Yields (path, block or None, array) of every parameter, one tensor in memory at a time.

    `get` returns the tensor of a key, without prefix.
    """
    for rule, block, key in _keys(table, fmt):
        yield rule.path, block, LAYOUTS[rule.layout].to_ours(_part(rule, fmt, get(key)))


def params_from(table: KeyTable, fmt: str, get: Callable[[str], np.ndarray]) -> PyTree:
    """Parameters, nested as in the module, from `get(key) -> tensor`; without the fixed ones."""
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
    table: KeyTable, get: Callable[[str, int | None], np.ndarray], shapes: Shapes
) -> Iterator[tuple[str, np.ndarray]]:
    """Yields (diffusers' key, tensor) of every parameter: the exact inverse of `pieces`.

    `get(path, block)` returns a piece; `shapes` are `diffusers_shapes`.
    """
    for rule, block, key in _keys(table, "diffusers"):
        yield key, LAYOUTS[rule.layout].to_published(get(rule.path, block), shapes[key])


def diffusers_shapes(table: KeyTable, fmt: str, shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor of a diffusers file, from the shapes in a file of either format."""
    both = zip(_keys(table, "diffusers"), _keys(table, fmt), strict=True)
    return {key: _diffusers_shape(rule, fmt, shapes[own]) for (rule, _, key), (_, _, own) in both}


def _diffusers_shape(rule: TensorRule, fmt: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    if fmt == "diffusers":
        return tuple(shape)
    if rule.layout == "vector":
        # The release's CLIP stores its tables with leading axes of one, to be added to a batch.
        ones = next((i for i, size in enumerate(shape) if size > 1), 0)
        return tuple(shape[ones:])
    return (shape[0] // rule.part[1], *shape[1:])


def _keys(table: KeyTable, fmt: str) -> Iterator[tuple[TensorRule, int | None, str]]:
    """Yields (rule, block or None, key) of every tensor, the blocks of one parameter in succession."""
    for rule in table.rules:
        key = getattr(rule, fmt)
        if "{}" in key:
            yield from ((rule, block, key.format(block)) for block in range(table.depth))
        else:
            yield rule, None, key


def _part(rule: TensorRule, fmt: str, x: np.ndarray) -> np.ndarray:
    """The part of a tensor that a rule converts."""
    index, count = rule.part
    return x if fmt == "diffusers" or count == 1 else np.split(x, count)[index]
