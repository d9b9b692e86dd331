import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_computer.models import flops, layers
from neural_computer.models.dit import REMAT, DiT, Shape
from neural_computer.models.injection import Injection
from tests.builders import scrambled

SHAPE = Shape(width=32, ffn=64, heads=2, layers=4, in_channels=6, out_channels=3, text_width=8, time_width=16)


def inputs(f=3, h=4, w=6):
    key = jax.random.key(1)
    z = jax.random.normal(key, (2, f, h, w, 6))
    return z, jnp.asarray([[300.0], [700.0]]), jax.random.normal(key, (2, 5, 8))


def make(dit, *args):
    return {"params": scrambled(jax.jit(dit.init)(jax.random.key(0), *args)["params"])}


def answer(dit, params, *args):
    return jax.jit(dit.apply)(params, *args)


def test_answer_is_zero_at_start():
    dit = DiT(SHAPE)
    args = inputs()
    out = answer(dit, jax.jit(dit.init)(jax.random.key(0), *args), *args)
    assert out.shape == (2, 3, 4, 6, 3)
    np.testing.assert_array_equal(out, 0)


def test_one_time_for_all_frames_is_that_time_for_each():
    dit, (z, t, text) = DiT(SHAPE), inputs()
    params = make(dit, z, t, text)
    each = answer(dit, params, z, jnp.repeat(t, 3, axis=1), text)
    np.testing.assert_allclose(answer(dit, params, z, t, text), each, atol=2e-5)


def test_each_frame_has_its_own_time():
    dit, (z, _, text) = DiT(SHAPE), inputs()
    times = jnp.asarray([[0.0, 500.0, 900.0]] * 2)
    params = make(dit, z, times, text)
    changed = answer(dit, params, z, times.at[:, 1].set(100.0), text)
    assert not np.allclose(answer(dit, params, z, times, text), changed, atol=1e-3)


@pytest.mark.parametrize("remat", REMAT)
def test_rematerialisation_changes_no_gradient(remat):
    args = inputs()
    plain = DiT(SHAPE)
    params = make(plain, *args)

    def gradient(dit):
        return jax.jit(jax.grad(lambda p: jnp.sum(jnp.square(dit.apply(p, *args)))))(params)

    saved = gradient(DiT(SHAPE, remat=remat))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4), gradient(plain), saved)


def test_groups_of_blocks_are_the_same_network():
    """Depth in groups of two: block i of the flat network is block i % 2 of group i // 2."""
    args = inputs()
    flat, grouped = DiT(SHAPE), DiT(SHAPE, Injection(every=2))
    params = make(flat, *args)["params"]
    blocks = params["blocks"]["block_0"]
    two = {f"block_{i}": jax.tree.map(lambda x, i=i: x[i::2], blocks) for i in range(2)}
    out = answer(grouped, {"params": params | {"blocks": two}}, *args)
    np.testing.assert_allclose(answer(flat, {"params": params}, *args), out, atol=2e-5)


def test_bfloat16_stays_near_float32():
    args = inputs()
    params = make(DiT(SHAPE), *args)
    exact, rough = (np.asarray(answer(DiT(SHAPE, dtype=d), params, *args)) for d in (jnp.float32, jnp.bfloat16))
    assert rough.dtype == np.float32
    assert np.abs(exact - rough).max() < 0.03 * np.abs(exact).max()


def test_image_branch_reads_the_image_and_must_be_fed():
    shape = dataclasses.replace(SHAPE, image_width=10)
    dit, (z, t, text) = DiT(shape), inputs()
    image = jax.random.normal(jax.random.key(5), (2, 7, 10))
    params = make(dit, z, t, text, image)
    assert not np.allclose(answer(dit, params, z, t, text, image), answer(dit, params, z, t, text, -image), atol=1e-3)
    with pytest.raises(ValueError, match="image features are missing"):
        answer(dit, params, z, t, text)


def test_rope_turns_scores_by_distance_alone():
    """Moving the whole film in time changes no query-key product."""
    assert layers.rope_dims(128) == (44, 42, 42)
    q, k = jax.random.normal(jax.random.key(0), (2, 1, 12, 1, 16))
    table = layers.rope((8, 2, 2), 16).reshape(2, 32, -1)
    near, far = table[:, :12], table[:, 20:]
    scores = [jnp.einsum("bnkd,bmkd->nm", layers.rotate(q, t), layers.rotate(k, t)) for t in (near, far)]
    np.testing.assert_allclose(*scores, atol=1e-5)


def test_rope_table_is_the_complex_power():
    table = layers.rope((2, 3, 4), 24)
    t, h, w = 1, 2, 3
    angles = np.concatenate(
        [p * 10000.0 ** (-np.arange(0, d, 2) / d) for p, d in zip((t, h, w), (8, 8, 8), strict=True)]
    )
    np.testing.assert_allclose(table[:, t, h * 4 + w], [np.cos(angles), np.sin(angles)], atol=1e-7)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"heads": 3}, "heads=3: width=32"),
        ({"heads": 16}, "heads=16"),
        ({"patch": (2, 2, 2)}, "patch="),
        ({"layers": 0}, "layers=0: must be at least 1"),
    ],
)
def test_impossible_shapes_name_the_field(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SHAPE, **change)


def test_every_must_divide_depth():
    with pytest.raises(ValueError, match="injection.every=3: must divide layers=4"):
        DiT(SHAPE, Injection(every=3)).check()


@pytest.mark.parametrize(
    "width, ffn, heads, depth, image, operations",
    [(1536, 8960, 12, 30, 0, 283.0e12), (5120, 13824, 40, 40, 1280, 1686.4e12)],
)
def test_operations_of_wan_at_480p(width, ffn, heads, depth, image, operations):
    """81 frames of 480x832: 32,760 tokens; the published networks' counts."""
    shape = Shape(width, ffn, heads, depth, 36 if image else 16, 16, 4096, image_width=image)
    counted = flops.forward(shape, (21, 30, 52), text=512, image=257 if image else 0)
    assert counted == pytest.approx(operations, rel=0.005)
