import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from neural_computer import flow
from neural_computer.models import flops, layers
from neural_computer.models.dit import REMAT, DiT, DiTConfig
from neural_computer.models.injection import Injection
from tests.builders import scrambled

SHAPE = DiTConfig(width=32, ffn=64, heads=2, layers=4, in_channels=6, out_channels=3, text_width=8, time_width=16)


def inputs(f=3, h=4, w=6):
    key = jax.random.key(1)
    z = jax.random.normal(key, (2, f, h, w, 6))
    return z, jnp.asarray([[300.0], [700.0]]), jax.random.normal(key, (2, 5, 8))


def make(dit, *args):
    return {"params": scrambled(jax.jit(dit.init)(jax.random.key(0), *args)["params"])}


def output(dit, params, *args):
    return jax.jit(dit.apply)(params, *args)


def predict(dit, params, *args):
    return output(dit, params, *args).prediction


def test_the_prediction_is_zero_at_start():
    dit = DiT(SHAPE)
    args = inputs()
    out = predict(dit, jax.jit(dit.init)(jax.random.key(0), *args), *args)
    assert out.shape == (2, 3, 4, 6, 3)
    np.testing.assert_array_equal(out, 0)


def test_one_time_for_all_frames_is_that_time_for_each():
    dit, (z, t, text) = DiT(SHAPE), inputs()
    params = make(dit, z, t, text)
    each = predict(dit, params, z, jnp.repeat(t, 3, axis=1), text)
    np.testing.assert_allclose(predict(dit, params, z, t, text), each, atol=2e-5)


def test_each_frame_has_its_own_time():
    dit, (z, _, text) = DiT(SHAPE), inputs()
    times = jnp.asarray([[0.0, 500.0, 900.0]] * 2)
    params = make(dit, z, times, text)
    changed = predict(dit, params, z, times.at[:, 1].set(100.0), text)
    assert not np.allclose(predict(dit, params, z, times, text), changed, atol=1e-3)


@pytest.mark.parametrize("remat", REMAT)
def test_rematerialisation_changes_no_gradient(remat):
    args = inputs()
    plain = DiT(SHAPE)
    params = make(plain, *args)

    def gradient(dit):
        return jax.jit(jax.grad(lambda p: jnp.sum(jnp.square(dit.apply(p, *args).prediction))))(params)

    saved = gradient(DiT(SHAPE, remat=remat))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4), gradient(plain), saved)


def test_groups_of_blocks_are_the_same_network():
    """Depth in groups of two: block i of the flat network is block i % 2 of group i // 2."""
    args = inputs()
    flat, grouped = DiT(SHAPE), DiT(SHAPE, Injection(every=2))
    params = make(flat, *args)["params"]
    blocks = params["blocks"]["block_0"]
    two = {f"block_{i}": jax.tree.map(lambda x, i=i: x[i::2], blocks) for i in range(2)}
    out = predict(grouped, {"params": params | {"blocks": two}}, *args)
    np.testing.assert_allclose(predict(flat, {"params": params}, *args), out, atol=2e-5)


def test_bfloat16_stays_near_float32():
    args = inputs()
    params = make(DiT(SHAPE), *args)
    exact, rough = (np.asarray(predict(DiT(SHAPE, dtype=d), params, *args)) for d in (jnp.float32, jnp.bfloat16))
    assert rough.dtype == np.float32
    assert np.abs(exact - rough).max() < 0.03 * np.abs(exact).max()


def test_image_branch_reads_the_image_and_must_be_fed():
    shape = dataclasses.replace(SHAPE, image_width=10)
    dit, (z, t, text) = DiT(shape), inputs()
    image = jax.random.normal(jax.random.key(5), (2, 7, 10))
    params = make(dit, z, t, text, image)
    assert not np.allclose(predict(dit, params, z, t, text, image), predict(dit, params, z, t, text, -image), atol=1e-3)
    with pytest.raises(ValueError, match="image features are missing"):
        predict(dit, params, z, t, text)


def test_rope_turns_scores_by_distance_alone():
    """Moving the whole video in time changes no query-key product."""
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
    shape = DiTConfig(width, ffn, heads, depth, 36 if image else 16, 16, 4096, image_width=image)
    counted = flops.forward(shape, (21, 30, 52), text=512, image=257 if image else 0)
    assert counted == pytest.approx(operations, rel=0.005)


# Block-causal attention and its cache


CAUSAL = DiT(SHAPE, Injection(every=2), causal=True)


def causal(frames=4):
    """Latents, a time a frame, text and parameters of a causal network."""
    z, _, text = inputs(f=frames)
    t = jnp.asarray([np.linspace(0, 900, frames)] * 2, jnp.float32)
    return z, t, text, make(CAUSAL, z, t, text)


def cached(params, z, t, text, chunks):
    """Predictions chunk by chunk, with the keys and values of earlier chunks in the cache."""
    cache, start, predictions = CAUSAL.empty_cache(2, z.shape[1] + 1, 6), 0, []
    for size in chunks:
        now = slice(start, start + size)
        out = output(CAUSAL, params, z[:, now], t[:, now], text, None, None, cache, jnp.asarray(start))
        cache = out.cache
        predictions.append(out.prediction)
        start += size
    return jnp.concatenate(predictions, axis=1)


@pytest.mark.parametrize("chunks", [(4,), (2, 2), (1, 3)])
def test_with_a_cache_chunks_are_the_whole_video(chunks):
    z, t, text, params = causal()
    whole = predict(CAUSAL, params, z, t, text)
    np.testing.assert_allclose(cached(params, z, t, text, chunks), whole, atol=1e-5 * float(jnp.abs(whole).max()))


def test_two_cached_chunks_are_solved_as_one_double_chunk():
    """The second chunk by Euler steps: beside the finished first one, recomputed at time 0, or beside its cache."""
    z, _, text, params = causal()
    first, noise, cond = z[:, :2, ..., :3], z[:, 2:, ..., :3], z[..., 3:]
    schedule = flow.euler(4, 3.0)
    rows, still = jnp.ones((2, 2)), jnp.zeros((2, 2))

    def whole(x, time, timestep):
        video = jnp.concatenate([jnp.concatenate([first, x], axis=1), cond], axis=-1)
        out = predict(CAUSAL, params, video, jnp.concatenate([still, timestep * rows], axis=1), text)[:, 2:]
        return x - time * out

    cache = CAUSAL.empty_cache(2, 4, 6)
    clean = jnp.concatenate([first, cond[:, :2]], axis=-1)
    cache = output(CAUSAL, params, clean, still, text, None, None, cache, 0).cache

    def with_cache(x, time, timestep):
        chunk = jnp.concatenate([x, cond[:, 2:]], axis=-1)
        return x - time * predict(CAUSAL, params, chunk, timestep * rows, text, None, None, cache, 2)

    double = flow.sample(schedule, noise, whole)
    np.testing.assert_allclose(
        flow.sample(schedule, noise, with_cache), double, atol=1e-4 * float(jnp.abs(double).max())
    )


def test_no_frame_sees_a_later_one():
    z, t, text, params = causal()

    def influence(z, t):
        return jnp.abs(CAUSAL.apply(params, z, t, text).prediction[:, 1]).sum()

    by_z, by_t = jax.jit(jax.grad(influence, (0, 1)))(z, t)
    np.testing.assert_array_equal(by_z[:, 2:], 0)
    np.testing.assert_array_equal(by_t[:, 2:], 0)
    assert (jnp.abs(by_z[:, :2]).max(axis=(0, 2, 3, 4)) > 0).all()


def test_a_cache_needs_a_causal_network_and_a_place():
    z, t, text, params = causal()
    for dit, start in ((DiT(SHAPE), 0), (CAUSAL, None)):
        with pytest.raises(ValueError, match="cache: goes with start, in a causal network"):
            dit.apply(params, z, t, text, None, None, CAUSAL.empty_cache(2, 4, 6), start)


# LoRA


def test_lora_adds_to_attention_and_ffn_alone_and_begins_at_nothing():
    args = inputs()
    plain, detour = DiT(SHAPE), DiT(SHAPE, lora=2)
    given = make(plain, *args)
    fresh = jax.jit(detour.init)(jax.random.key(3), *args)["params"]
    base, added = flatten_dict(given["params"], sep="/"), flatten_dict(fresh, sep="/")
    names = {path.split("/")[-2] for path in set(added) - set(base)}
    assert set(base) < set(added)
    assert names == {f"{layer}_lora_{end}" for layer in ("q", "k", "v", "o", "in", "out") for end in "ab"}
    assert not any("embed" in path for path in set(added) - set(base))
    start = {"params": unflatten_dict(added | base, sep="/")}
    np.testing.assert_array_equal(predict(detour, start, *args), predict(plain, given, *args))
    moved = {"params": unflatten_dict(flatten_dict(scrambled(fresh), sep="/") | base, sep="/")}
    assert not np.allclose(predict(detour, moved, *args), predict(plain, given, *args), atol=1e-3)
