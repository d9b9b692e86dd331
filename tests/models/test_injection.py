"""The four injection points: zero at start, nothing of the future, and the base's parameters in every mode."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from neural_computer import sharding
from neural_computer.models.dit import DiT, DiTConfig
from neural_computer.models.injection import MODES, Contextual, Injection
from tests.builders import scrambled

ACTING = [name for name in MODES if name != "none"]
FRAMES, LAYERS = 4, 4


def dit(mode="none", every=1, causal=False, **fields) -> DiT:
    shape = DiTConfig(24, 32, heads=2, layers=LAYERS, in_channels=6, out_channels=3, text_width=6, patch=(1, 2, 2))
    return DiT(shape, MODES[mode](every, **fields), causal=causal)


def inputs(seed=0):
    keys = jax.random.split(jax.random.key(seed), 3)
    z = jax.random.normal(keys[0], (2, FRAMES, 4, 6, 6))
    u = jax.random.normal(keys[2], (2, FRAMES, 2, 8))
    return z, jnp.full((2, 1), 500.0), jax.random.normal(keys[1], (2, 3, 6)), u


def init(network, seed=1):
    z, t, text, u = inputs()
    return jax.jit(lambda key: network.init(key, z, t, text, None, u))(jax.random.key(seed))["params"]


def run(network, params, u):
    z, t, text, _ = inputs()
    return jax.jit(lambda params, u: network.apply({"params": params}, z, t, text, None, u).prediction)(params, u)


def merged(base: dict, into: dict) -> dict:
    flat, given = flatten_dict(into), flatten_dict(base)
    assert given.keys() <= flat.keys()
    assert all(flat[path].shape == leaf.shape for path, leaf in given.items())
    return unflatten_dict({**flat, **given})


@pytest.mark.parametrize("every", [1, 2, 4])
@pytest.mark.parametrize("mode", ACTING)
def test_a_mode_begins_as_the_base_and_has_its_parameters(mode, every):
    base = scrambled(init(dit(every=every)), seed=2)
    network = dit(mode, every)
    params = merged(base, init(network))
    u = inputs()[-1]
    same = run(network, params, u) - run(dit(every=every), base, u)
    if mode == "contextual":
        assert abs(same).max() > 1e-3, "its tokens are seen from the start"
    else:
        assert abs(same).max() <= 1e-6
    np.testing.assert_array_equal(run(network, params, None), run(dit(every=every), base, None))


@pytest.mark.parametrize("mode", ACTING)
def test_actions_matter_once_nothing_is_zero(mode):
    network = dit(mode)
    params, u = scrambled(init(network)), inputs()[-1]
    assert abs(run(network, params, u) - run(network, params, u + 1)).max() > 1e-3


def reach(function, u):
    """(f, f) truth table: does what comes out for frame i depend on the actions of frame j?"""
    # Frame by frame: jax 0.10 on CPU computes some gradients wrongly when they are mapped over cotangents.
    gradient = jax.jit(jax.grad(lambda u, i: jnp.sin(jnp.take(function(u), i, axis=1)).sum()))
    return np.stack([np.asarray(abs(gradient(u, i)).max(axis=(0, 2, 3))) > 0 for i in range(FRAMES)])


@pytest.mark.parametrize("mode", ["none", "external", "residual", "internal"])
def test_under_causal_attention_no_frame_sees_a_later_action(mode):
    """End to end: what comes out for frame i depends on the actions of frames up to i."""
    network = dit(mode, every=2, causal=True)
    params = scrambled(init(network))
    expected = np.zeros((FRAMES, FRAMES), bool) if mode == "none" else np.tri(FRAMES, dtype=bool)
    np.testing.assert_array_equal(reach(lambda u: run(network, params, u), inputs()[-1]), expected)


@pytest.mark.parametrize("mode", ["external", "residual", "internal"])
def test_under_full_attention_every_frame_sees_every_action(mode):
    network = dit(mode, every=2)
    params = scrambled(init(network))
    assert reach(lambda u: run(network, params, u), inputs()[-1]).all()


@pytest.mark.parametrize("mode", ACTING)
def test_an_injection_point_with_the_video_fixed_shows_no_later_action(mode):
    """One call of a point: frame i of what it returns depends on frame i's actions, external's on earlier ones never."""

    class Points(nn.Module):
        mode: Injection

        @nn.compact
        def __call__(self, h, z, u):
            return (
                self.mode.on_latents(z, u, dit().shape.patch),
                self.mode.on_sequence(h, u),
                self.mode.in_block(h, u, 2, jnp.float32),
                self.mode.after_block(h, u, jnp.float32),
            )

    points, u = Points(MODES[mode]()), inputs()[-1]
    h, z = jax.random.normal(jax.random.key(3), (2, FRAMES, 6, 24)), inputs()[0]
    params = scrambled(points.init(jax.random.key(0), h, z, u)["params"])
    tables = [reach(lambda u, n=n: points.apply({"params": params}, h, z, u)[n], u) for n in range(4)]
    own = ["external", "contextual", "internal", "residual"].index(mode)
    for n, table in enumerate(tables):
        np.testing.assert_array_equal(table, np.eye(FRAMES, dtype=bool) if n == own else np.zeros_like(table))


@pytest.mark.parametrize(("window", "lag"), [(0, 0), (1, 0), (1, 1), (2, 2), (0, 9)])
def test_contextual_attention_is_that_of_the_papers_mask(window, lag):
    """Against plain attention with the mask written out, token by token."""
    mode, patches, rng = Contextual(window=window, lag=lag), 3, np.random.default_rng(0)
    q, k, v = (rng.normal(size=(2, FRAMES, patches + 1, 2, 6)).astype(np.float32) for _ in range(3))
    frame = np.repeat(np.arange(FRAMES), patches + 1)
    acts = np.tile(np.arange(patches + 1) == patches, FRAMES)
    i, j = np.meshgrid(frame, frame, indexing="ij")
    of, to = np.meshgrid(acts, acts, indexing="ij")
    video = np.where(to, (j >= np.maximum(0, i - lag)) & (j <= i), (abs(i - j) <= window) | (window == 0))
    act = np.where(to, i == j, j >= i + lag)
    mask = np.where(of, act, video)
    flat = [jnp.asarray(x.reshape(2, -1, 2, 6)) for x in (q, k, v)]
    plain = jax.nn.dot_product_attention(*flat, mask=jnp.asarray(mask)[None, None])
    got = mode.attend(jnp.asarray(q), jnp.asarray(k), jnp.asarray(v), patches, "xla")
    np.testing.assert_allclose(got.reshape(plain.shape), plain, atol=2e-6)


def test_a_video_with_action_tokens_does_not_stream():
    with pytest.raises(ValueError, match="injection.mode='contextual': its action tokens look ahead"):
        dit("contextual", causal=True).check()


def test_external_keeps_nothing_in_a_cache():
    network = dit("external", causal=True)
    z, t, text, u = inputs()
    with pytest.raises(ValueError, match="cache: External keeps nothing"):
        network.init(jax.random.key(0), z, t, text, None, u, network.empty_cache(2, FRAMES, 6), 0)


@pytest.mark.parametrize("mode", ["residual", "internal"])
def test_chunks_with_a_cache_are_the_whole_video(mode):
    network = dit(mode, causal=True)
    params, (z, t, text, u) = scrambled(init(network)), inputs()
    whole = run(network, params, u)
    cache, parts = network.empty_cache(2, FRAMES, 6), []
    for start in (0, 2):
        span = slice(start, start + 2)
        out = network.apply({"params": params}, z[:, span], t, text, None, u[:, span], cache, start)
        cache = out.cache
        parts.append(out.prediction)
    np.testing.assert_allclose(jnp.concatenate(parts, 1), whole, atol=1e-5 * float(abs(whole).max()))


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [{"data": 4, "fsdp": 2}, {"fsdp": 2, "context": 2, "tensor": 2}])
@pytest.mark.parametrize("mode", ACTING)
def test_a_mode_on_a_mesh_is_that_of_one_device(mode, sizes):
    network = dit(mode, every=2)
    params, (z, t, text, u) = scrambled(init(network)), inputs()

    def loss(params, z):
        return jnp.square(network.apply({"params": params}, z, t, text, None, u).prediction).mean()

    z = jnp.concatenate([z] * 4)
    t, text, u = (jnp.concatenate([x] * 4) for x in (t, text, u))
    expected = jax.jit(jax.value_and_grad(loss))(params, z)
    mesh = sharding.make_mesh(sizes)
    with jax.set_mesh(mesh):
        at = sharding.place({"dit": params}, mesh)["dit"]
        got = jax.jit(jax.value_and_grad(loss))(at, jax.device_put(z, jax.NamedSharding(mesh, sharding.BATCH)))
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * max(1e-3, float(abs(b).max())))
