"""The names of CLIP ViT-H/14's parameters in published files: transformers' CLIPVisionModel and the release's .pth."""

import re
from math import isqrt

from neural_computer.models.weights.rules import KeyTable, Shapes, TensorRule

HEAD_DIM = 80
"""Width of a head of ViT-H/14, which no tensor's shape shows."""


def recognise(shapes: Shapes) -> tuple[str, KeyTable] | None:
    """("diffusers" | "original", table) when the keys hold a CLIP ViT-H's image encoder; else None.

    Published files hold one block more than is used and the norm after it: a file with that norm has that block.
    Raises ValueError for a ViT of another family, whose heads have another width.
    """
    # transformers 5 names a CLIPVisionModel's tensors without the prefix of published files.
    prefix = "" if "embeddings.class_embedding" in shapes else "vision_model."
    rules = tuple(_rules(prefix))
    for fmt, after in (("diffusers", f"{prefix}post_layernorm.weight"), ("original", "visual.post_norm.weight")):
        key = {rule.path.removeprefix("blocks/"): getattr(rule, fmt) for rule in rules}
        blocks = next(i for i in range(len(shapes) + 1) if key["mlp/up/kernel"].format(i) not in shapes)
        if blocks == 0 or not {key["class"], key["position"], key["patch_embed/kernel"]} <= set(shapes):
            continue
        width, _, patch, _ = shapes[key["patch_embed/kernel"]]
        if width % HEAD_DIM:
            raise ValueError(
                f"{key['patch_embed/kernel']}: width {width} is not made of heads of {HEAD_DIM}; "
                "Wan2.1's image encoder is a CLIP ViT-H/14, this is another"
            )
        depth = blocks - (after in shapes)
        sizes = {
            "image": patch * isqrt(shapes[key["position"]][-2] - 1),
            "patch": patch,
            "width": width,
            "ffn": shapes[key["mlp/up/kernel"].format(0)][0],
            "heads": width // HEAD_DIM,
            "depth": depth,
        }
        return fmt, KeyTable("clip", sizes, rules, depth, tuple(_ignored(fmt, prefix, depth)))
    return None


def _ignored(fmt: str, prefix: str, depth: int) -> tuple[str, ...]:
    """Regexes of keys after the blocks used, and of CLIP's text encoder."""
    if fmt == "original":
        return (rf"^visual\.(transformer\.{depth}\..*|post_norm\..*|head)$", r"^textual\..*$", "^log_scale$")
    vision = rf"^{re.escape(prefix)}(encoder\.layers\.{depth}\..*|post_layernorm\..*|embeddings\.position_ids)$"
    return (vision, r"^text_model\..*$", r"^(visual|text)_projection\.weight$", "^logit_scale$")


def _rules(prefix: str) -> list[TensorRule]:
    layer, block = f"{prefix}encoder.layers.{{}}", "visual.transformer.{}"
    rules = [
        TensorRule("class", f"{prefix}embeddings.class_embedding", "visual.cls_embedding", "vector"),
        TensorRule("position", f"{prefix}embeddings.position_embedding.weight", "visual.pos_embedding", "vector"),
        TensorRule(
            "patch_embed/kernel", f"{prefix}embeddings.patch_embedding.weight", "visual.patch_embedding.weight", "patch"
        ),
        *_pair("norm_in", f"{prefix}pre_layrnorm", "visual.pre_norm", "scale"),
        *_pair("blocks/norm1", f"{layer}.layer_norm1", f"{block}.norm1", "scale"),
    ]
    for i, name in enumerate("qkv"):
        rules += _pair(f"blocks/attn/{name}", f"{layer}.self_attn.{name}_proj", f"{block}.attn.to_qkv", part=(i, 3))
    rules += _pair("blocks/attn/o", f"{layer}.self_attn.out_proj", f"{block}.attn.proj")
    rules += _pair("blocks/norm2", f"{layer}.layer_norm2", f"{block}.norm2", "scale")
    rules += _pair("blocks/mlp/up", f"{layer}.mlp.fc1", f"{block}.mlp.0")
    return rules + _pair("blocks/mlp/down", f"{layer}.mlp.fc2", f"{block}.mlp.2")


def _pair(
    path: str, diffusers: str, original: str, weight: str = "kernel", part: tuple[int, int] = (0, 1)
) -> list[TensorRule]:
    """Rules of a layer's weight and bias."""
    layout = "matrix" if weight == "kernel" else "same"
    return [
        TensorRule(f"{path}/{weight}", f"{diffusers}.weight", f"{original}.weight", layout, part),
        TensorRule(f"{path}/bias", f"{diffusers}.bias", f"{original}.bias", "same", part),
    ]
