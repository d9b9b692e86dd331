"""Converted weights to the folders that diffusers and transformers load."""

import shutil
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from itertools import chain, groupby
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import save_file
from tqdm import tqdm

from neural_computer.convert import pretrained, store
from neural_computer.convert.import_weights import NOTE, copy_tokenizer, is_complete, write_json
from neural_computer.models import vae, weights
from neural_computer.models.weights.rules import Shapes
from neural_computer.train.checkpoint import read_json

SHARD = 2**31
"""Most bytes of a file, which is assembled in memory."""

Config = Mapping[str, Any]


class DiffusersFolder(NamedTuple):
    """A network's folder, the stem of its files' names, and its config.json."""

    folder: str
    stem: str
    config: Callable[[Config], dict[str, Any]]


def _dit(c: Config) -> dict[str, Any]:
    return {
        "_class_name": "WanTransformer3DModel",
        "patch_size": c["patch"],
        "num_attention_heads": c["heads"],
        "attention_head_dim": c["width"] // c["heads"],
        "in_channels": c["in_channels"],
        "out_channels": c["out_channels"],
        "text_dim": c["text_width"],
        "freq_dim": c["time_width"],
        "ffn_dim": c["ffn"],
        "num_layers": c["layers"],
        "cross_attn_norm": True,
        "qk_norm": "rms_norm_across_heads",
        "eps": 1e-6,
        "image_dim": c["image_width"] or None,
        "added_kv_proj_dim": c["width"] if c["image_width"] else None,
        "rope_max_seq_len": 1024,
        "pos_embed_seq_len": None,
    }


def _vae(c: Config) -> dict[str, Any]:
    published = c["channels"] == len(vae.LATENT_MEAN)
    mean, std = (vae.LATENT_MEAN, vae.LATENT_STD) if published else ([0.0] * c["channels"], [1.0] * c["channels"])
    return {
        "_class_name": "AutoencoderKLWan",
        "base_dim": c["width"],
        "z_dim": c["channels"],
        "dim_mult": c["multipliers"],
        "num_res_blocks": c["blocks"],
        "attn_scales": [],
        "temperal_downsample": c["temporal"],
        "dropout": 0.0,
        "latents_mean": c.get("mean", mean),
        "latents_std": c.get("std", std),
    }


def _umt5(c: Config) -> dict[str, Any]:
    return {
        "architectures": ["UMT5EncoderModel"],
        "model_type": "umt5",
        "vocab_size": c["vocab"],
        "d_model": c["width"],
        "d_kv": c["head_dim"],
        "d_ff": c["ffn"],
        "num_layers": c["depth"],
        "num_heads": c["heads"],
        "relative_attention_num_buckets": c["buckets"],
        "relative_attention_max_distance": 128,
        "feed_forward_proj": "gated-gelu",
        "layer_norm_epsilon": 1e-6,
        "pad_token_id": 0,
        "eos_token_id": 1,
    }


def _clip(c: Config) -> dict[str, Any]:
    return {
        "architectures": ["CLIPVisionModel"],
        "model_type": "clip_vision_model",
        "hidden_size": c["width"],
        "intermediate_size": c["ffn"],
        "num_hidden_layers": c["depth"] + 1,
        "num_attention_heads": c["heads"],
        "image_size": c["image"],
        "patch_size": c["patch"],
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
    }


FOLDERS = {
    "dit": DiffusersFolder("transformer", "diffusion_pytorch_model", _dit),
    "vae": DiffusersFolder("vae", "diffusion_pytorch_model", _vae),
    "umt5": DiffusersFolder("text_encoder", "model", _umt5),
    "clip": DiffusersFolder("image_encoder", "model", _clip),
}


def write(converted: Path, output: Path, dtype: str | None) -> None:
    """Writes a folder a network, and the tokenizer's; folders that are complete already stay."""
    for name, preset in pretrained.networks(converted).items():
        spec, preset = FOLDERS[name], {**preset, "dtype": dtype or preset["dtype"]}
        folder = output / spec.folder
        if is_complete(folder, preset):
            print(f"{folder}: is there already")
            continue
        partial_folder = folder.with_name(folder.name + ".partial")
        shutil.rmtree(partial_folder, ignore_errors=True)
        partial_folder.mkdir()
        shapes = {key: tuple(s) for key, s in read_json(converted / "keys.json")[name]["diffusers"].items()}
        _, table = weights.detect(shapes, preset["config"].get("heads"))
        tensors = weights.tensors_to(table, _reader(converted / name), shapes)
        extra = _unused(shapes, table.depth) if name == "clip" else {}
        sizes = {key: prod(s) for key, s in shapes.items()} | {key: x.size for key, x in extra.items()}
        _write_tensors(partial_folder / spec.stem, chain(tensors, extra.items()), sizes, np.dtype(preset["dtype"]))
        write_json(partial_folder / "config.json", spec.config({**preset["config"], **preset.get("fixed", {})}))
        write_json(partial_folder / NOTE, {"preset": preset})
        partial_folder.rename(folder)
        print(f"{folder}: {len(sizes)} tensors, {preset['dtype']}")
    copy_tokenizer(converted / "tokenizer", output)


def _reader(folder: Path) -> Callable[[str, int | None], np.ndarray]:
    """(path, block or None) -> piece of a converted network; a parameter is opened once for all its blocks."""
    opened = lru_cache(1)(partial(store.array, folder))

    def read(path: str, block: int | None) -> np.ndarray:
        array = opened(path)
        return (array if block is None else array[block]).read().result()

    return read


def _unused(shapes: Shapes, depth: int) -> dict[str, np.ndarray]:
    """A last block that adds zero, and a norm: transformers expects both, Wan2.1 uses neither."""
    before, after = f"encoder.layers.{depth - 1}.", f"encoder.layers.{depth}."
    block = {key.replace(before, after): np.zeros(s, np.float32) for key, s in shapes.items() if before in key}
    norm = {key: shapes[key] for key in shapes if "pre_layrnorm" in key}
    return block | {
        key.replace("pre_layrnorm", "post_layernorm"): np.full(s, key.endswith("weight"), np.float32)
        for key, s in norm.items()
    }


def _write_tensors(
    stem: Path, tensors: Iterable[tuple[str, np.ndarray]], sizes: Mapping[str, int], dtype: np.dtype
) -> None:
    """Writes STEM.safetensors; beyond `SHARD` bytes, files of at most that (or of one tensor) and their index.

    `sizes` are numbers of elements, in the order of the tensors.
    """
    shard_of: dict[str, int] = {}
    filled = count = 0
    for key, size in sizes.items():
        if filled and filled + size * dtype.itemsize > SHARD:
            filled, count = 0, count + 1
        filled, shard_of[key] = filled + size * dtype.itemsize, count
    names = [f"{stem.name}-{i + 1:05d}-of-{count + 1:05d}.safetensors" for i in range(count + 1)]
    if count == 0:
        names = [f"{stem.name}.safetensors"]
    total = sum(sizes.values()) * dtype.itemsize
    with tqdm(total=total, desc=stem.parent.stem, unit="B", unit_scale=True, dynamic_ncols=True) as bar:
        for number, shard in groupby(tensors, lambda item: shard_of[item[0]]):
            arrays = {}
            for key, x in shard:
                arrays[key] = np.ascontiguousarray(x, dtype)
                bar.update(arrays[key].nbytes)
            # transformers refuses a file without it.
            save_file(arrays, stem.with_name(names[number]), {"format": "pt"})
    if count:
        index = {"metadata": {"total_size": total}, "weight_map": {key: names[n] for key, n in shard_of.items()}}
        write_json(stem.with_name(f"{stem.name}.safetensors.index.json"), index)
