"""The names of UMT5's encoder parameters in published files: transformers' UMT5EncoderModel and the release's .pth."""

from neural_computer.models.weights.rules import KeyTable, Shapes, TensorRule

EMBEDDINGS = ("shared.weight", "encoder.embed_tokens.weight")
"""transformers' two names of one tensor; a file may hold either or both."""
IGNORED = (r"^(shared|encoder\.embed_tokens)\.weight$", r"^decoder\..*$", r"^lm_head\.weight$")
"""The second name, and a whole UMT5's parts beside the encoder."""


def recognise(shapes: Shapes) -> tuple[str, KeyTable] | None:
    """("diffusers" | "original", table) when the keys are a UMT5 encoder's, its sizes read from the shapes; else None.

    A T5, which has one table of relative positions for all its blocks, is not recognised.
    """
    embedding = next((key for key in EMBEDDINGS if key in shapes), EMBEDDINGS[0])
    rules = _rules(embedding)
    for fmt in ("diffusers", "original"):
        key = {rule.path.removeprefix("blocks/"): getattr(rule, fmt) for rule in rules}
        depth = next(i for i in range(len(shapes) + 1) if key["attn/q/kernel"].format(i) not in shapes)
        required = {key[path].format(i) for path in ("embedding", "position", "mlp/up/kernel") for i in (0, depth - 1)}
        if depth == 0 or not required <= set(shapes):
            continue
        buckets, heads = shapes[key["position"].format(0)]
        inner, width = shapes[key["attn/q/kernel"].format(0)]
        sizes = {
            "vocab": shapes[key["embedding"]][0],
            "width": width,
            "ffn": shapes[key["mlp/up/kernel"].format(0)][0],
            "heads": heads,
            "head_dim": inner // heads,
            "depth": depth,
            "buckets": buckets,
        }
        return fmt, KeyTable("umt5", sizes, rules, depth, IGNORED)
    return None


def _rules(embedding: str) -> tuple[TensorRule, ...]:
    attention, ffn = "encoder.block.{}.layer.0", "encoder.block.{}.layer.1"
    return (
        TensorRule("embedding", embedding, "token_embedding.weight"),
        TensorRule("blocks/norm1/scale", f"{attention}.layer_norm.weight", "blocks.{}.norm1.weight"),
        *(
            TensorRule(
                f"blocks/attn/{name}/kernel",
                f"{attention}.SelfAttention.{name}.weight",
                f"blocks.{{}}.attn.{name}.weight",
                "matrix",
            )
            for name in "qkvo"
        ),
        TensorRule(
            "blocks/position",
            f"{attention}.SelfAttention.relative_attention_bias.weight",
            "blocks.{}.pos_embedding.embedding.weight",
        ),
        TensorRule("blocks/norm2/scale", f"{ffn}.layer_norm.weight", "blocks.{}.norm2.weight"),
        *(
            TensorRule(
                f"blocks/mlp/{path}/kernel",
                f"{ffn}.DenseReluDense.{name}.weight",
                f"blocks.{{}}.ffn.{key}.weight",
                "matrix",
            )
            for path, name, key in (("gate", "wi_0", "gate.0"), ("up", "wi_1", "fc1"), ("down", "wo", "fc2"))
        ),
        TensorRule("norm/scale", "encoder.final_layer_norm.weight", "norm.weight"),
    )
