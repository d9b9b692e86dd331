import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from neural_computer.data.tokens import ByteTokenizer
from neural_computer.models import clip, text, umt5
from neural_computer.models.clip import CLIPVision
from neural_computer.models.umt5 import UMT5
from neural_computer.models.weights import clip as clip_weights
from neural_computer.models.weights import umt5 as umt5_weights

TEXT = UMT5(vocab=40, width=16, ffn=24, heads=2, head_dim=6, depth=2, buckets=8, max_distance=20)
IMAGE = CLIPVision(image=28, width=16, ffn=24, heads=2, depth=2)
IDS = jnp.asarray([[5, 7, 30, 1, 0, 0, 0], [39, 2, 2, 9, 11, 3, 1]])
PIXELS = jax.random.normal(jax.random.key(1), (2, 28, 28, 3))


def make(module, *args):
    """Parameters with nothing zero."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(module.init, jax.random.key(0), *args)
    return jax.tree.map(lambda x: rng.normal(0, 0.3, x.shape).astype(np.float32), shapes)


def output(module, params, *args):
    return np.asarray(jax.jit(module.apply)(params, *args))


def count(module, *args):
    shapes = jax.eval_shape(module.init, jax.random.key(0), *args)["params"]
    return sum(x.size for x in jax.tree.leaves(shapes))


def test_published_sizes():
    """UMT5-XXL's encoder; ViT-H/14 without its last block, last norm and projection."""
    assert count(UMT5(), jnp.zeros((1, 8), jnp.int32)) == 5_680_910_336
    assert count(CLIPVision(), jnp.zeros((1, 224, 224, 3))) == 611_086_080


def test_padding_changes_nothing_and_comes_out_zero():
    params = make(TEXT, IDS)
    out = output(TEXT, params, IDS)
    assert out.shape == (2, 7, 16) and out.dtype == np.float32
    np.testing.assert_array_equal(out[0, 4:], 0)
    np.testing.assert_allclose(out[:1, :4], output(TEXT, params, IDS[:1, :4]), atol=1e-5)


def test_a_caption_of_padding_alone_is_zero():
    """Deduplicated slot texts are filled up with such rows."""
    params = make(TEXT, IDS)
    np.testing.assert_array_equal(output(TEXT, params, jnp.zeros((1, 3), jnp.int32)), 0)


def test_order_reaches_the_features_through_every_layer():
    """The tokens of a row reversed are not its features reversed, by the positions of any one layer alone."""
    params = make(TEXT, IDS)
    table = params["params"]["blocks"]["position"]
    for layer in range(TEXT.depth):
        params["params"]["blocks"]["position"] = table * (np.arange(TEXT.depth) == layer)[:, None, None]
        forth, back = output(TEXT, params, IDS[1:]), output(TEXT, params, IDS[1:, ::-1])[:, ::-1]
        assert not np.allclose(forth, back, atol=1e-3)
    params["params"]["blocks"]["position"] = np.zeros_like(table)
    forth, back = output(TEXT, params, IDS[1:]), output(TEXT, params, IDS[1:, ::-1])[:, ::-1]
    np.testing.assert_allclose(forth, back, atol=1e-5)


def test_buckets_of_distances():
    """0 to 7 alone, then steps of sqrt(2) with the powers of two as edges, the last from 91 on; 16 more to the right."""
    table = umt5.position_buckets(300, 32, 128)
    assert list(table[0, :8]) == [0, *range(17, 24)]
    edges = {8: 8, 11: 8, 12: 9, 15: 9, 16: 10, 31: 11, 32: 12, 63: 13, 64: 14, 90: 14, 91: 15, 128: 15, 299: 15}
    for distance, bucket in edges.items():
        assert table[distance, 0] == bucket
        assert table[0, distance] == bucket + 16


@pytest.mark.parametrize("module, value", [(TEXT, IDS), (IMAGE, PIXELS)], ids=["umt5", "clip"])
def test_bfloat16_stays_near_float32(module, value):
    params = make(module, value)
    exact, rough = (output(module.clone(dtype=d), params, value) for d in (jnp.float32, jnp.bfloat16))
    assert rough.dtype == np.float32
    assert 0 < np.abs(exact - rough).max() < 0.03 * np.abs(exact).max()


def test_images_come_as_a_class_row_and_a_row_a_patch():
    params = make(IMAGE, PIXELS)
    assert output(IMAGE, params, PIXELS).shape == (2, 5, 16)
    with pytest.raises(ValueError, match="image=28: the pixels are 14x28"):
        IMAGE.apply(params, PIXELS[:, :14])


def test_all_of_a_screen_reaches_the_features():
    """480x832 with one bright column at an edge: the features are not those of the dark screen. A crop would cut it off."""
    module = CLIPVision(width=8, ffn=8, heads=1, depth=1)
    dark = jnp.full((1, 480, 832, 3), -1.0)
    screens = jnp.concatenate([dark, dark.at[:, :, 0].set(1.0), dark.at[:, :, -1].set(1.0), dark.at[:, -1].set(1.0)])
    pixels = jax.jit(clip.preprocess)(screens)
    assert pixels.shape == (4, 224, 224, 3)
    patches = output(module, make(module, pixels), pixels)[:, 1:].reshape(4, 16, 16, 8)
    changed = np.abs(patches - patches[0]).max(-1)
    assert changed[1, :, 0].min() > 1e-3 and changed[2, :, -1].min() > 1e-3 and changed[3, -1].min() > 1e-3


def test_a_plain_frame_is_its_colour_normalised():
    grey = clip.preprocess(jnp.zeros((1, 30, 50, 3)), size=14)
    expected = np.broadcast_to((0.5 - np.asarray(clip.MEAN)) / clip.STD, (1, 14, 14, 3))
    np.testing.assert_allclose(grey, expected, atol=1e-5)


def test_frames_of_the_right_size_are_not_resampled():
    np.testing.assert_array_equal(clip.bicubic(224, 224), np.eye(224))


def umt5_keys(positions=2):
    """The keys of a transformers file that tell its sizes, two blocks, the first `positions` of them with positions."""
    shapes = {"shared.weight": (40, 16)}
    for i in range(2):
        layer = f"encoder.block.{i}.layer"
        shapes[f"{layer}.0.SelfAttention.q.weight"] = (12, 16)
        shapes[f"{layer}.1.DenseReluDense.wi_1.weight"] = (24, 16)
        if i < positions:
            shapes[f"{layer}.0.SelfAttention.relative_attention_bias.weight"] = (8, 2)
    return umt5_weights.recognise(shapes)


def test_sizes_of_a_text_encoder_are_read_from_shapes():
    fmt, table = umt5_keys()
    assert fmt == "diffusers"
    assert UMT5(**table.config, max_distance=20) == TEXT and table.depth == 2


def test_rules_name_every_parameter():
    for module, value, table in ((TEXT, IDS, umt5_keys()[1]), (IMAGE, PIXELS, clip_keys()[1])):
        got = jax.eval_shape(module.init, jax.random.key(0), value)["params"]
        assert sorted(flatten_dict(got, sep="/")) == sorted(rule.path for rule in table.rules)


def test_a_t5_is_not_taken_for_a_umt5():
    """Its first block alone has relative positions."""
    assert umt5_keys(positions=1) is None


def clip_keys(width=80, last_norm=True):
    shapes = {
        "visual.cls_embedding": (1, 1, width),
        "visual.pos_embedding": (1, 5, width),
        "visual.patch_embedding.weight": (width, 3, 14, 14),
        **{f"visual.transformer.{i}.mlp.0.weight": (24, width) for i in range(3)},
    }
    if last_norm:
        shapes["visual.post_norm.weight"] = (width,)
    return clip_weights.recognise(shapes)


def test_the_last_block_of_a_published_image_encoder_is_left_out():
    fmt, table = clip_keys()
    assert fmt == "original"
    assert CLIPVision(**table.config) == CLIPVision(image=28, width=80, ffn=24, heads=1, depth=2)
    assert table.depth == 2


def test_a_file_of_the_blocks_used_keeps_them_all():
    """As this library writes it: no norm after the blocks, and so no block too many."""
    assert clip_keys(last_norm=False)[1].depth == 3


def test_another_vision_transformer_is_rejected():
    with pytest.raises(ValueError, match="width 1024 is not made of heads of 80"):
        clip_keys(width=1024)


def test_digit_places_count_from_the_units_and_numbers_from_the_left():
    ids = ByteTokenizer(16)(["12+7 is 19", "0"])
    place, number = text.digit_places(jnp.asarray(ids))
    assert place[0].tolist()[:10] == [2, 1, 0, 1, 0, 0, 0, 0, 2, 1] and place[1].tolist() == [1] + [0] * 15
    assert number[0].tolist()[:10] == [1, 1, 0, 2, 0, 0, 0, 0, 3, 3]


def test_digit_places_and_numbers_beyond_the_table_share_its_last_row():
    ids = ByteTokenizer(24)(["9" * 10 + " 1 2 3 4 5"])
    place, number = text.digit_places(jnp.asarray(ids))
    assert place[0].tolist()[:10] == [8, 8, 8, 7, 6, 5, 4, 3, 2, 1]
    assert number[0].tolist()[10:20] == [0, 2, 0, 3, 0, 4, 0, 4, 0, 4]


def test_only_digits_are_given_places():
    encoder = text.ByteTextEncoder(8, 6, digit_places=True)
    plain = text.ByteTextEncoder(8, 6)
    ids = jnp.asarray(ByteTokenizer(6)(["ab+cd", "a1+cd"]))
    params = encoder.init(jax.random.key(0), ids)["params"]
    assert {"digit_place", "digit_number"} == set(params) - set(plain.init(jax.random.key(0), ids)["params"])
    same = {name: value for name, value in params.items() if not name.startswith("digit")}
    words, digits = encoder.apply({"params": params}, ids) - plain.apply({"params": same}, ids)
    assert (words == 0).all() and float(jnp.abs(digits).max()) > 0.1
