"""Published checkpoints of random numbers, made without PyTorch."""

import json
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
from safetensors.numpy import save_file

from neural_computer.models import weights
from neural_computer.models.weights import dit
from neural_computer.models.weights.rules import KeyTable
from neural_computer.sharding import path_of

SMALL = {
    "width": 128,
    "ffn": 96,
    "heads": 1,
    "layers": 2,
    "in_channels": 16,
    "out_channels": 16,
    "text_width": 24,
    "patch": [1, 2, 2],
    "time_width": 32,
    "image_width": 0,
}
WAN_1_3B = SMALL | {"width": 1536, "ffn": 8960, "heads": 12, "layers": 30, "text_width": 4096, "time_width": 256}
WAN_14B = WAN_1_3B | {"width": 5120, "ffn": 13824, "heads": 40, "layers": 40}
WAN_I2V_14B = WAN_14B | {"in_channels": 36, "image_width": 1280}


def keys(config: dict, fmt: str = "diffusers") -> Iterator[tuple[str, tuple[int, ...]]]:
    """(key, shape) of every tensor of a DiT's published file."""
    rules = dit.RULES if config["image_width"] else dit.TEXT
    table = KeyTable("dit", config, rules, config["layers"])
    tree = jax.tree_util.tree_leaves_with_path(weights.parameters("dit", config))
    ours = {path_of(path): leaf.shape for path, leaf in tree}
    for rule in table.rules:
        key, shape = getattr(rule, fmt), ours[rule.path]
        if "{}" in key:
            shape = shape[1:]
        if rule.layout == "patch":
            shape = (shape[1], config["in_channels"], *config["patch"])
        if rule.layout == "matrix":
            shape = shape[::-1]
        yield from ((key.format(i), shape) for i in range(config["layers"] if "{}" in key else 1))


def tensors(config: dict, fmt: str = "diffusers", seed: int = 0) -> Iterator[tuple[str, np.ndarray]]:
    """(key, float32 tensor), each drawn when it is asked for, and every seventh zero: files leave zeros out too easily."""
    for i, (key, shape) in enumerate(keys(config, fmt)):
        x = np.random.default_rng([seed, i]).standard_normal(shape, np.float32) * np.float32(0.02)
        yield key, x if i % 7 else np.zeros_like(x)


def write(folder: Path, config: dict, shard: int = 2**30, **options) -> int:
    """Writes a diffusers folder of shards of about `shard` bytes, an index and config.json; returns its bytes."""
    folder.mkdir(parents=True)
    shards: list[dict[str, np.ndarray]] = [{}]
    names: dict[str, str] = {}
    total = 0

    def flush() -> None:
        name = f"diffusion_pytorch_model-{len(shards):05d}.safetensors"
        save_file(shards[-1], folder / name)
        names.update(dict.fromkeys(shards[-1], name))
        shards[-1] = {}

    for key, x in tensors(config, **options):
        if sum(y.nbytes for y in shards[-1].values()) > shard:
            flush()
            shards.append({})
        shards[-1][key] = x
        total += x.nbytes
    flush()
    (folder / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    (folder / "config.json").write_text(json.dumps({"num_attention_heads": config["heads"]}))
    return total
