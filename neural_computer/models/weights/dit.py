"""The names of the DiT's parameters in published files: Wan2.1's own and diffusers', text- and image-to-video."""

import re

import jax

from neural_computer.models.weights.rules import KeyTable, Shapes, TensorRule
from neural_computer.types import PyTree

HEAD_DIM = 128
"""Width of a head in every published DiT; shapes do not show it."""
BLOCK = "blocks/block_0"


def _linear(path: str, diffusers: str, original: str) -> tuple[TensorRule, ...]:
    return (
        TensorRule(f"{path}/kernel", f"{diffusers}.weight", f"{original}.weight", "matrix"),
        TensorRule(f"{path}/bias", f"{diffusers}.bias", f"{original}.bias"),
    )


def _norm(path: str, diffusers: str, original: str) -> tuple[TensorRule, ...]:
    return (
        TensorRule(f"{path}/scale", f"{diffusers}.weight", f"{original}.weight"),
        TensorRule(f"{path}/bias", f"{diffusers}.bias", f"{original}.bias"),
    )


def _block(path: str, diffusers: str, original: str, linear: bool = True) -> tuple[TensorRule, ...]:
    """Rules of a layer inside a block."""
    rules = _linear if linear else _norm
    return rules(f"{BLOCK}/{path}", f"blocks.{{}}.{diffusers}", f"blocks.{{}}.{original}")


def _gain(path: str, diffusers: str, original: str) -> TensorRule:
    """An RMSNorm inside a block: a scale and no bias."""
    return _block(path, diffusers, original, linear=False)[0]


def _attention(ours: str, diffusers: str) -> tuple[TensorRule, ...]:
    layers = [_block(f"{ours}/{n}", f"{diffusers}.to_{n}", f"{ours}.{n}") for n in "qkv"]
    out = _block(f"{ours}/o", f"{diffusers}.to_out.0", f"{ours}.o")
    gains = (_gain(f"{ours}/{n}", f"{diffusers}.{n}", f"{ours}.{n}") for n in ("norm_q", "norm_k"))
    return (*sum(layers, ()), *out, *gains)


TEXT = (
    TensorRule("patch_embed/kernel", "patch_embedding.weight", "patch_embedding.weight", "patch"),
    TensorRule("patch_embed/bias", "patch_embedding.bias", "patch_embedding.bias"),
    *_linear("time_in", "condition_embedder.time_embedder.linear_1", "time_embedding.0"),
    *_linear("time_out", "condition_embedder.time_embedder.linear_2", "time_embedding.2"),
    *_linear("time_proj", "condition_embedder.time_proj", "time_projection.1"),
    *_linear("text_embed/in", "condition_embedder.text_embedder.linear_1", "text_embedding.0"),
    *_linear("text_embed/out", "condition_embedder.text_embedder.linear_2", "text_embedding.2"),
    TensorRule(f"{BLOCK}/modulation", "blocks.{}.scale_shift_table", "blocks.{}.modulation"),
    *_attention("self_attn", "attn1"),
    *_attention("cross_attn", "attn2"),
    # The original numbers its norms in the order of creation: the third is before the cross-attention.
    *_block("norm_cross", "norm2", "norm3", linear=False),
    *_block("ffn/in", "ffn.net.0.proj", "ffn.0"),
    *_block("ffn/out", "ffn.net.2", "ffn.2"),
    *_linear("head", "proj_out", "head.head"),
    TensorRule("head_modulation", "scale_shift_table", "head.modulation"),
)
"""Rules of every DiT."""

IMAGE = (
    *_norm("image_embed/norm_in", "condition_embedder.image_embedder.norm1", "img_emb.proj.0"),
    *_linear("image_embed/in", "condition_embedder.image_embedder.ff.net.0.proj", "img_emb.proj.1"),
    *_linear("image_embed/out", "condition_embedder.image_embedder.ff.net.2", "img_emb.proj.3"),
    *_norm("image_embed/norm_out", "condition_embedder.image_embedder.norm2", "img_emb.proj.4"),
    *_block("cross_attn/k_img", "attn2.add_k_proj", "cross_attn.k_img"),
    *_block("cross_attn/v_img", "attn2.add_v_proj", "cross_attn.v_img"),
    _gain("cross_attn/norm_k_img", "attn2.norm_added_k", "cross_attn.norm_k_img"),
)
"""Rules that image-to-video adds."""

RULES = TEXT + IMAGE
# Some conversions hold a norm of the image queries, which no forward pass uses.
IGNORED = (r"blocks\.\d+\.attn2\.norm_added_q\.weight$",)


def recognise(shapes: Shapes) -> tuple[str, KeyTable] | None:
    """("diffusers" | "original", table) when the keys are this network's, its sizes read from the shapes; else None.

    `heads` is the width over 128; if 128 does not divide it, config lacks `heads`. Raises ValueError if a key that a size
    is read from is missing or of another rank.
    """
    if "head.modulation" in shapes and "head.head.weight" in shapes:
        fmt, image_key = "original", "img_emb.proj.1.weight"
    elif "scale_shift_table" in shapes and "condition_embedder.time_proj.weight" in shapes:
        fmt, image_key = "diffusers", "condition_embedder.image_embedder.ff.net.0.proj.weight"
    else:
        return None
    keys = {rule.path: getattr(rule, fmt) for rule in TEXT}

    def size(path: str, rank: int) -> tuple[int, ...]:
        key = keys[path].format(0)
        shape = shapes.get(key, ())
        if len(shape) != rank:
            problem = f"has shape {shape}" if shape else "is missing (is this one file of several?)"
            raise ValueError(f"{key}: {problem}; the DiT's sizes are read from it")
        return shape

    width, in_channels, *patch = size("patch_embed/kernel", 5)
    blocks = {int(number) for key in shapes for number in re.findall(r"^blocks\.(\d+)\.", key)}
    depth = max(blocks, default=-1) + 1
    image = image_key in shapes
    config = {
        "width": width,
        "ffn": size(f"{BLOCK}/ffn/in/kernel", 2)[0],
        "layers": depth,
        "in_channels": in_channels,
        "out_channels": size("head/kernel", 2)[0] // (patch[0] * patch[1] * patch[2]),
        "text_width": size("text_embed/in/kernel", 2)[1],
        "patch": patch,
        "time_width": size("time_in/kernel", 2)[1],
        "image_width": shapes[image_key][-1] if image else 0,
    }
    if width % HEAD_DIM == 0:
        config["heads"] = width // HEAD_DIM
    return fmt, KeyTable("dit", config, RULES if image else TEXT, depth, IGNORED)


def regroup(params: PyTree, every: int) -> PyTree:
    """Parameters of a DiT in groups of `every` blocks, from those of single blocks.

    Block i of the flat network is block i % every of group i // every. Raises ValueError if `every` does not divide the
    depth.
    """
    blocks = params["blocks"]["block_0"]
    depth = len(blocks["modulation"])
    if depth % every:
        raise ValueError(f"injection.every={every}: must divide layers={depth}")
    groups = {f"block_{i}": jax.tree.map(lambda x, i=i: x[i::every], blocks) for i in range(every)}
    return params | {"blocks": groups}
