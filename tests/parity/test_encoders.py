import jax
import numpy as np
import pytest

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from neural_computer.models import clip, umt5  # noqa: E402
from tests.parity.oracle import distance, loaded, predict, randomised, tensors  # noqa: E402


@pytest.fixture(scope="module")
def text():
    """A small UMT5 encoder with transformers' bucket numbers, so that 160 tokens fill all of them."""
    config = transformers.UMT5Config(
        vocab_size=60, d_model=24, d_kv=6, d_ff=40, num_layers=3, num_heads=4, dropout_rate=0.0
    )
    return randomised(transformers.UMT5EncoderModel(config), scale=0.1)


@pytest.fixture(scope="module")
def image():
    """A small CLIP image encoder of two heads of 80."""
    config = transformers.CLIPVisionConfig(
        hidden_size=160,
        intermediate_size=96,
        num_hidden_layers=4,
        num_attention_heads=2,
        image_size=56,
        patch_size=14,
        hidden_act="gelu",
    )
    return randomised(transformers.CLIPVisionModel(config), scale=0.05)


def captions(length):
    """Three captions, of which two are padded, and which tokens are real."""
    ids = np.random.default_rng(length).integers(1, 60, (3, length))
    ids[1, length // 2 :] = 0
    ids[2, 1:] = 0
    return ids, ids != 0


@pytest.mark.parametrize("length", [9, 160])
def test_text_features(text, length):
    ids, real = captions(length)
    with torch.no_grad():
        theirs = text(input_ids=torch.tensor(ids), attention_mask=torch.tensor(real)).last_hidden_state.numpy()
    fmt, module, variables = loaded(tensors(text))
    assert fmt == "diffusers"
    assert distance(predict(module, variables, ids.astype(np.int32)), theirs * real[..., None]) <= 1e-5


@pytest.mark.parametrize("heads, buckets, max_distance", [(4, 32, 128), (2, 8, 20), (2, 16, 64)])
def test_buckets_of_distances(heads, buckets, max_distance):
    config = transformers.UMT5Config(
        num_heads=heads, relative_attention_num_buckets=buckets, relative_attention_max_distance=max_distance
    )
    layer = transformers.models.umt5.modeling_umt5.UMT5Attention(config, has_relative_attention_bias=True, layer_idx=0)
    offset = torch.arange(600)[None] - torch.arange(600)[:, None]
    theirs = layer._relative_position_bucket(offset).numpy()
    np.testing.assert_array_equal(umt5.position_buckets(600, buckets, max_distance), theirs)


def original_text(found):
    """The tensors under the release's names (T5Encoder of its t5.py)."""
    names = {
        "shared.weight": "token_embedding.weight",
        "encoder.final_layer_norm.weight": "norm.weight",
        "layer.0.layer_norm": "norm1",
        "layer.1.layer_norm": "norm2",
        "layer.0.SelfAttention.relative_attention_bias": "pos_embedding.embedding",
        "layer.0.SelfAttention": "attn",
        "layer.1.DenseReluDense.wi_0": "ffn.gate.0",
        "layer.1.DenseReluDense.wi_1": "ffn.fc1",
        "layer.1.DenseReluDense.wo": "ffn.fc2",
        "encoder.block": "blocks",
    }
    return {renamed(key, names): x for key, x in found.items() if key != "encoder.embed_tokens.weight"}


def original_image(found):
    """The tensors under the release's names (VisionTransformer of its clip.py): q, k, v in one, tables with a batch axis."""
    names = {
        "pre_layrnorm": "pre_norm",
        "post_layernorm": "post_norm",
        "encoder.layers": "transformer",
        "layer_norm": "norm",
        "self_attn.out_proj": "attn.proj",
        "self_attn": "attn",
        "mlp.fc1": "mlp.0",
        "mlp.fc2": "mlp.2",
        "embeddings.patch_embedding": "patch_embedding",
    }
    out = {f"visual.{renamed(key, names)}": x for key, x in found.items() if "_proj" not in key or "out_proj" in key}
    out["visual.cls_embedding"] = out.pop("visual.embeddings.class_embedding")[None, None]
    out["visual.pos_embedding"] = out.pop("visual.embeddings.position_embedding.weight")[None]
    for i in range(4):
        for leaf in ("weight", "bias"):
            parts = [found[f"encoder.layers.{i}.self_attn.{name}_proj.{leaf}"] for name in "qkv"]
            out[f"visual.transformer.{i}.attn.to_qkv.{leaf}"] = np.concatenate(parts)
    zero = np.zeros(1, np.float32)
    return out | {"visual.head": zero, "log_scale": zero, "textual.token_embedding.weight": zero}


def renamed(key, names):
    for theirs, release in names.items():
        key = key.replace(theirs, release)
    return key


def prefixed(found):
    """A whole CLIP as transformers 4 wrote it."""
    extra = ("logit_scale", "visual_projection.weight", "text_model.final_layer_norm.weight")
    extra += ("vision_model.embeddings.position_ids",)
    return {f"vision_model.{key}": x for key, x in found.items()} | dict.fromkeys(extra, np.zeros(1, np.float32))


def whole_text(found):
    """A UMT5 with its decoder, whose embedding goes by its second name."""
    found = {key: x for key, x in found.items() if key != "shared.weight"}
    return found | dict.fromkeys(("decoder.final_layer_norm.weight", "lm_head.weight"), np.zeros(1, np.float32))


@pytest.mark.parametrize("change, expected", [(original_text, "original"), (whole_text, "diffusers")])
def test_text_encoders_under_other_names_are_the_same(text, change, expected):
    _, module, variables = loaded(tensors(text))
    fmt, again, same = loaded(change(tensors(text)))
    assert fmt == expected and again == module
    jax.tree.map(np.testing.assert_array_equal, variables, same)


@pytest.mark.parametrize("change, expected", [(original_image, "original"), (prefixed, "diffusers")])
def test_image_encoders_under_other_names_are_the_same(image, change, expected):
    _, module, variables = loaded(tensors(image))
    fmt, again, same = loaded(change(tensors(image)))
    assert fmt == expected and again == module
    jax.tree.map(np.testing.assert_array_equal, variables, same)


def test_image_features(image):
    """Those that leave the last block but one."""
    pixels = np.random.default_rng(0).normal(size=(2, 56, 56, 3)).astype(np.float32)
    with torch.no_grad():
        theirs = image(torch.tensor(pixels).permute(0, 3, 1, 2), output_hidden_states=True).hidden_states
    _, module, variables = loaded(tensors(image))
    assert module.depth == 3 and len(theirs) == 5
    assert distance(predict(module, variables, pixels), theirs[-2].numpy()) <= 1e-5


@pytest.mark.parametrize("height, width", [(480, 832), (37, 101), (224, 300), (1, 5)])
def test_pixels(height, width):
    """torch itself places pixels in float32: at 832 of them it is 1e-4 off its own float64, to which ours is compared."""
    frames = np.random.default_rng(width).uniform(-1, 1, (1, height, width, 3)).astype(np.float32)
    theirs = torch.tensor(frames, dtype=torch.float64).permute(0, 3, 1, 2)
    theirs = torch.nn.functional.interpolate(theirs, size=(224, 224), mode="bicubic", align_corners=False)
    theirs = theirs.mul(0.5).add(0.5).permute(0, 2, 3, 1).numpy()
    theirs = (theirs - [0.48145466, 0.4578275, 0.40821073]) / [0.26862954, 0.26130258, 0.27577711]
    assert distance(jax.jit(clip.preprocess)(frames), theirs) <= 1e-6
