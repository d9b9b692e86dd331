import dataclasses
import functools
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from neural_computer import flow
from neural_computer.models import flops, layers
from neural_computer.models.dit import REMAT, DiT, DiTConfig
from neural_computer.models.injection import Injection
from tests.builders import drawn

SHAPE = DiTConfig(width=32, ffn=64, heads=2, layers=4, in_channels=6, out_channels=3, text_width=8, time_width=16)


def inputs(f=3, h=4, w=6):
    rng = np.random.default_rng(1)
    z, text = (rng.normal(size=size).astype(np.float32) for size in ((2, f, h, w, 6), (2, 5, 8)))
    return z, np.float32([[300.0], [700.0]]), text


@functools.cache
def make(dit):
    """Parameters with nothing zero, for videos of any length."""
    image = np.zeros((2, 7, dit.shape.image_width), np.float32) if dit.shape.image_width else None
    return drawn(jax.eval_shape(dit.init, jax.random.key(0), *inputs(), image))


@functools.partial(jax.jit, static_argnums=0)
def output(dit, params, *args):
    return dit.apply(params, *args)


def predict(dit, params, *args):
    return np.asarray(output(dit, params, *args).prediction)


def test_the_prediction_is_zero_at_start():
    dit, args = DiT(SHAPE), inputs()
    out = jax.jit(lambda key, *args: dit.apply(dit.init(key, *args), *args).prediction)(jax.random.key(0), *args)
    assert out.shape == (2, 3, 4, 6, 3)
    np.testing.assert_array_equal(out, 0)


def test_one_time_for_all_frames_is_that_time_for_each():
    dit, (z, t, text) = DiT(SHAPE), inputs()
    each = predict(dit, make(dit), z, np.repeat(t, 3, axis=1), text)
    np.testing.assert_allclose(predict(dit, make(dit), z, t, text), each, atol=2e-5)


def test_each_frame_has_its_own_time():
    dit, (z, _, text) = DiT(SHAPE), inputs()
    times, other = (np.float32([[0.0, time, 900.0]] * 2) for time in (500.0, 100.0))
    changed = predict(dit, make(dit), z, other, text)
    assert not np.allclose(predict(dit, make(dit), z, times, text), changed, atol=1e-3)


@functools.partial(jax.jit, static_argnums=0)
def gradient(dit, params, *args):
    return jax.grad(lambda p: jnp.sum(jnp.square(dit.apply(p, *args).prediction)))(params)


@pytest.mark.parametrize("remat", REMAT)
def test_rematerialisation_changes_no_gradient(remat):
    plain, args = DiT(SHAPE), inputs()
    kept, saved = (gradient(dit, make(plain), *args) for dit in (plain, DiT(SHAPE, remat=remat)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4), kept, saved)


def test_groups_of_blocks_are_the_same_network():
    """Depth in groups of two: block i of the flat network is block i % 2 of group i // 2."""
    args = inputs()
    flat, grouped = DiT(SHAPE), DiT(SHAPE, Injection(every=2))
    params = make(flat)["params"]
    blocks = params["blocks"]["block_0"]
    two = {f"block_{i}": jax.tree.map(lambda x, i=i: np.asarray(x)[i::2], blocks) for i in range(2)}
    out = predict(grouped, {"params": params | {"blocks": two}}, *args)
    np.testing.assert_allclose(predict(flat, {"params": params}, *args), out, atol=2e-5)


def test_bfloat16_stays_near_float32():
    exact, rough = (predict(DiT(SHAPE, dtype=d), make(DiT(SHAPE)), *inputs()) for d in (jnp.float32, jnp.bfloat16))
    assert rough.dtype == np.float32
    assert np.abs(exact - rough).max() < 0.03 * np.abs(exact).max()


def test_image_branch_reads_the_image_and_must_be_fed():
    dit, args = DiT(dataclasses.replace(SHAPE, image_width=10)), inputs()
    image = np.random.default_rng(5).normal(size=(2, 7, 10)).astype(np.float32)
    seen, other = (predict(dit, make(dit), *args, x) for x in (image, -image))
    assert not np.allclose(seen, other, atol=1e-3)
    with pytest.raises(ValueError, match="image features are missing"):
        predict(dit, make(dit), *args)


def test_rope_turns_scores_by_distance_alone():
    """Moving the whole video in time changes no query-key product."""
    assert layers.rope_dims(128) == (44, 42, 42)
    q, k = jnp.asarray(np.random.default_rng(0).normal(size=(2, 1, 12, 1, 16)), jnp.float32)
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
    return z, np.float32([np.linspace(0, 900, frames)] * 2), text, make(CAUSAL)


def continued(params, z, t, text, cache, start):
    """What comes after the first `start` frames, whose keys and values are in the cache."""
    return output(CAUSAL, params, z, t, text, None, None, cache, np.int32(start))


def cached(params, z, t, text, chunks):
    """Predictions chunk by chunk, with the keys and values of earlier chunks in the cache."""
    cache, start, predictions = CAUSAL.empty_cache(2, z.shape[1] + 1, 6), 0, []
    for size in chunks:
        now = slice(start, start + size)
        out = continued(params, z[:, now], t[:, now], text, cache, start)
        cache = out.cache
        predictions.append(out.prediction)
        start += size
    return np.concatenate(predictions, axis=1)


@pytest.mark.parametrize("chunks", [(4,), (2, 2), (1, 1, 2)])
def test_with_a_cache_chunks_are_the_whole_video(chunks):
    z, t, text, params = causal()
    whole = predict(CAUSAL, params, z, t, text)
    np.testing.assert_allclose(cached(params, z, t, text, chunks), whole, atol=1e-5 * np.abs(whole).max())


def test_two_cached_chunks_are_solved_as_one_double_chunk():
    """The second chunk by Euler steps: beside the finished first one, recomputed at time 0, or beside its cache."""
    z, _, text, params = causal()
    first, noise, cond = z[:, :2, ..., :3], z[:, 2:, ..., :3], z[..., 3:]
    rows, still = np.ones((2, 2), np.float32), np.zeros((2, 2), np.float32)

    def solved(velocity):
        x, schedule = noise, flow.euler(4, 3.0)
        for (time, then), timestep in zip(pairwise([*schedule.times, 0]), schedule.timesteps, strict=True):
            x = x + (then - time) * velocity(x, timestep)
        return x

    def whole(x, timestep):
        video = np.concatenate([np.concatenate([first, x], axis=1), cond], axis=-1)
        return predict(CAUSAL, params, video, np.concatenate([still, timestep * rows], axis=1), text)[:, 2:]

    clean = np.concatenate([first, cond[:, :2]], axis=-1)
    cache = continued(params, clean, still, text, CAUSAL.empty_cache(2, 5, 6), 0).cache

    def with_cache(x, timestep):
        chunk = np.concatenate([x, cond[:, 2:]], axis=-1)
        return np.asarray(continued(params, chunk, timestep * rows, text, cache, 2).prediction)

    double = solved(whole)
    np.testing.assert_allclose(solved(with_cache), double, atol=1e-4 * np.abs(double).max())


def test_no_frame_sees_a_later_one():
    z, t, text, params = causal(3)

    def influence(z, t, text):
        return jnp.abs(CAUSAL.apply(params, z, t, text).prediction[:, 1]).sum()

    by_z, by_t = jax.jit(jax.grad(influence, (0, 1)))(z, t, text)
    np.testing.assert_array_equal(by_z[:, 2:], 0)
    np.testing.assert_array_equal(by_t[:, 2:], 0)
    assert (np.abs(by_z[:, :2]).max(axis=(0, 2, 3, 4)) > 0).all()


def test_a_cache_needs_a_causal_network_and_a_place():
    z, t, text, params = causal()
    for dit, start in ((DiT(SHAPE), 0), (CAUSAL, None)):
        with pytest.raises(ValueError, match="cache: goes with start, in a causal network"):
            output(dit, params, z, t, text, None, None, CAUSAL.empty_cache(2, 4, 6), start)


# LoRA


def test_lora_adds_to_attention_and_ffn_alone_and_begins_at_nothing():
    args = inputs()
    plain, detour = DiT(SHAPE), DiT(SHAPE, lora=2)
    base, whole = (flatten_dict(make(dit), sep="/") for dit in (plain, detour))
    names = {path.split("/")[-2] for path in set(whole) - set(base)}
    assert set(base) < set(whole)
    assert names == {f"{layer}_lora_{end}" for layer in ("q", "k", "v", "o", "in", "out") for end in "ab"}
    assert not any("embed" in path for path in set(whole) - set(base))

    @jax.jit
    def fresh(*args):
        made = flatten_dict(detour.init(jax.random.key(3), *args), sep="/")
        return {path: leaf for path, leaf in made.items() if path not in base}

    start, moved = (unflatten_dict(added | base, sep="/") for added in (fresh(*args), whole))
    without = predict(plain, make(plain), *args)
    np.testing.assert_array_equal(predict(detour, start, *args), without)
    assert not np.allclose(predict(detour, moved, *args), without, atol=1e-3)
