import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from neural_computer.models import flops, layers
from neural_computer.models import window as window_module
from neural_computer.models.attention import Causal
from neural_computer.models.dit import REMAT, DiT, DiTConfig
from neural_computer.models.injection import External, Injection
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
    return drawn(jax.eval_shape(dit.init, jax.random.key(0), *inputs(f=4), image))


@functools.partial(jax.jit, static_argnums=0)
def output(dit, params, *args):
    return dit.apply(params, *args)


@functools.partial(jax.jit, static_argnums=0)
def both_streams(dit, params, *args):
    return dit.apply(params, *args, streams=2).prediction


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


# Causal networks: two streams, and a window


CAUSAL = DiT(SHAPE, Injection(every=2), causal=Causal(window=2))


def causal(frames=4):
    """Latents, a time a frame, text and parameters of a causal network."""
    z, _, text = inputs(f=frames)
    return z, np.float32([np.linspace(0, 900, frames)] * 2), text, make(CAUSAL)


@pytest.mark.parametrize("chunk, window", [(1, 1), (1, 3), (2, 1)])
def test_a_chunk_after_the_window_is_the_noisy_stream_after_the_context(chunk, window):
    """Longer than the window: what is older is out of sight in both."""
    dit = DiT(SHAPE, Injection(every=2), causal=Causal(chunk, window))
    z, _, text = inputs(f=12)
    frames, params = 6, make(dit)
    t = np.float32([[*np.zeros(frames), *np.linspace(100, 900, frames)]] * 2)
    whole = np.asarray(both_streams(dit, params, z, t, text))
    cache, parts = dit.empty_cache(2, 6), []
    for first in range(0, frames, chunk):
        clean, noisy = slice(first, first + chunk), slice(frames + first, frames + first + chunk)
        own = output(dit, params, z[:, clean], t[:, clean], text, None, None, cache).own
        cache = window_module.write(cache, own, jnp.ones(2, bool))
        parts.append(output(dit, params, z[:, noisy], t[:, noisy], text, None, None, cache).prediction)
    np.testing.assert_allclose(np.concatenate(parts, 1), whole, atol=1e-5 * np.abs(whole).max())


def test_an_old_window_is_a_young_one():
    """Bit for bit, whatever slots the entries are in: nothing depends on how many there were before."""
    dit = DiT(SHAPE, Injection(every=2), causal=Causal(window=3))
    z, t, text, params = causal()
    young = dit.empty_cache(2, 6)
    old = young._replace(written=jnp.full(2, 10**6))
    for first in range(3):
        own = output(dit, params, z[:, first : first + 1], t[:, :1], text, None, None, young).own
        young, old = (window_module.write(cache, own, jnp.ones(2, bool)) for cache in (young, old))
    predictions = [predict(dit, params, z[:, 3:], t[:, 3:], text, None, None, cache) for cache in (young, old)]
    np.testing.assert_array_equal(*predictions)


def test_what_does_not_enter_leaves_the_window_as_it_is():
    z, t, text, params = causal()
    empty = CAUSAL.empty_cache(2, 6)
    own = output(CAUSAL, params, z[:, :1], t[:, :1], text, None, None, empty).own
    cache = window_module.write(empty, own, jnp.asarray([True, False]))
    for new, old, one in zip(cache.ring, empty.ring, own, strict=True):
        np.testing.assert_array_equal(new[:, :, 1], old[:, :, 1])
        np.testing.assert_array_equal(new[:, :, 0, 0], one[:, :, 0])
    np.testing.assert_array_equal(cache.written, [1, 0])


def test_no_frame_sees_a_later_one():
    z, t, text, params = causal(3)

    def influence(z, t, text):
        return jnp.abs(CAUSAL.apply(params, z, t, text).prediction[:, 1]).sum()

    by_z, by_t = jax.jit(jax.grad(influence, (0, 1)))(z, t, text)
    np.testing.assert_array_equal(by_z[:, 2:], 0)
    np.testing.assert_array_equal(by_t[:, 2:], 0)
    assert (np.abs(by_z[:, :2]).max(axis=(0, 2, 3, 4)) > 0).all()


def test_no_noisy_frame_sees_another_or_the_context_of_its_own_time():
    """Frames [context 0 1 2; noisy 1 2 3] with a window of 2: noisy 2 sees context 0, 1 and itself."""
    z, _, text = (jnp.asarray(x) for x in inputs(f=6))
    t, params = jnp.full((2, 6), 500.0), make(CAUSAL)

    def influence(z):
        return jnp.abs(CAUSAL.apply(params, z, t, text, streams=2).prediction[:, 1]).sum()

    seen = np.abs(jax.jit(jax.grad(influence))(z)).max(axis=(0, 2, 3, 4)) > 0
    np.testing.assert_array_equal(seen, [True, True, False, False, True, False])


@pytest.mark.parametrize(
    "dit, message",
    [
        (DiT(SHAPE), "window: only a causal network with a window has a cache"),
        (DiT(SHAPE, causal=Causal()), "window: only a causal network with a window"),
        (DiT(SHAPE, External(), causal=Causal(window=2)), "injection: External looks at the whole video"),
    ],
)
def test_who_has_no_window(dit, message):
    with pytest.raises(ValueError, match=message):
        dit.empty_cache(2, 6)


def test_a_window_of_nothing_needs_no_cache():
    assert DiT(SHAPE, causal=Causal(window=0)).empty_cache(2, 6) is None


def test_a_window_has_no_positions_in_time():
    with pytest.raises(ValueError, match=r"positions=\(4, 2, 3\): a window rolls on for ever"):
        DiT(dataclasses.replace(SHAPE, positions=(4, 2, 3)), causal=Causal(window=2)).check()


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
