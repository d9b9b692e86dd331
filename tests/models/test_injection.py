"""The four injection points: zero at start, nothing of the future, and the base's parameters in every mode."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from neural_computer import sharding
from neural_computer.models import window
from neural_computer.models.attention import Causal
from neural_computer.models.dit import DiT, DiTConfig
from neural_computer.models.injection import MODES, Contextual, Injection
from tests.builders import drawn

ACTING = [name for name in MODES if name != "none"]
FRAMES, LAYERS = 3, 4


def dit(mode="none", every=1, causal=None, **fields) -> DiT:
    shape = DiTConfig(24, 32, heads=2, layers=LAYERS, in_channels=6, out_channels=3, text_width=6, patch=(1, 2, 2))
    return DiT(shape, MODES[mode](every, **fields), causal=causal)


def inputs(rows=2, frames=FRAMES):
    rng = np.random.default_rng(0)
    z, text, u = (
        rng.normal(size=(rows, *size)).astype(np.float32) for size in ((frames, 4, 6, 6), (3, 6), (frames, 2, 8))
    )
    return z, np.full((rows, 1), 500.0, np.float32), text, u


def init(network, z, t, text, u):
    return network.init(jax.random.key(1), z, t, text, None, u)["params"]


@functools.cache
def params(network):
    """Parameters with nothing zero."""
    return drawn(jax.eval_shape(functools.partial(init, network), *inputs()), seed=1)


@functools.partial(jax.jit, static_argnums=0)
def run(network, params, z, t, text, u, cache=None):
    return network.apply({"params": params}, z, t, text, None, u, cache)


@functools.cache
def alone(network):
    """What the base predicts, with actions that it has no place for."""
    return run(network, params(network), *inputs()).prediction


@functools.partial(jax.jit, static_argnums=0)
def begun(network, base, z, t, text, u):
    """Predictions with actions and without, at the network's own initial parameters beside the base's."""
    flat, given = flatten_dict(init(network, z, t, text, u)), flatten_dict(base)
    assert given.keys() <= flat.keys()
    assert all(flat[path].shape == leaf.shape for path, leaf in given.items())
    merged = {"params": unflatten_dict({**flat, **given})}
    return tuple(network.apply(merged, z, t, text, None, actions).prediction for actions in (u, None))


@pytest.mark.parametrize(
    ("mode", "every"),
    [("external", 1), ("contextual", 2), ("residual", 1), ("residual", 2), ("internal", 2), ("internal", 4)],
)
def test_a_mode_begins_as_the_base_and_has_its_parameters(mode, every):
    base = dit(every=every)
    acting, without = begun(dit(mode, every), params(base), *inputs())
    if mode == "contextual":
        assert abs(acting - alone(base)).max() > 1e-3, "its tokens are seen from the start"
    else:
        assert abs(acting - alone(base)).max() <= 1e-6
    np.testing.assert_array_equal(without, alone(base))


def reach(function, *args):
    """(f, f) truth table: does what comes out for frame i depend on the actions of frame j?

    Row j of the videos has its actions of frame j moved: `function` of them is differentiated in that direction.
    """
    *rest, u = args
    moved = np.zeros(u.shape, u.dtype)
    moved[range(FRAMES), range(FRAMES)] = 1
    tangent = jax.jvp(lambda u: function(*rest, u), (u,), (moved,))[1]
    return jax.tree.map(lambda x: abs(x).max(axis=tuple(range(2, x.ndim))).T, tangent)


@functools.partial(jax.jit, static_argnums=0)
def reach_of(network, params, *args):
    return reach(lambda *args: run(network, params, *args).prediction, *args)


@pytest.mark.parametrize("mode", ["none", "external", "residual", "internal"])
def test_under_causal_attention_no_frame_sees_a_later_action(mode):
    """End to end: what comes out for frame i depends on the actions of frames up to i."""
    network = dit(mode, every=2, causal=Causal())
    expected = np.zeros((FRAMES, FRAMES), bool) if mode == "none" else np.tri(FRAMES, dtype=bool)
    np.testing.assert_array_equal(reach_of(network, params(network), *inputs(FRAMES)) > 0, expected)


@pytest.mark.parametrize("mode", ACTING)
def test_under_full_attention_every_frame_sees_every_action(mode):
    network = dit(mode, every=2)
    table = reach_of(network, params(network), *inputs(FRAMES))
    assert (table > 0).all() and table.max() > 1e-3


class Points(nn.Module):
    """What every injection point of a mode returns."""

    mode: Injection

    @nn.compact
    def __call__(self, h, z, u):
        return (
            self.mode.on_latents(z, u, dit().shape.patch),
            self.mode.on_sequence(h, u),
            self.mode.in_block(h, u, 2, jnp.float32),
            self.mode.after_block(h, u, jnp.float32),
        )


@pytest.mark.parametrize("mode", ACTING)
def test_an_injection_point_with_the_video_fixed_shows_no_later_action(mode):
    """One call of a point: frame i of what it returns depends on frame i's actions, external's on earlier ones never."""
    points, (z, _, _, u) = Points(MODES[mode]()), inputs(FRAMES)
    h = np.random.default_rng(3).normal(size=(FRAMES, FRAMES, 6, 24)).astype(np.float32)
    params = drawn(jax.eval_shape(points.init, jax.random.key(0), h, z, u))
    tables = jax.jit(lambda *args: reach(functools.partial(points.apply, params), *args))(h, z, u)
    own = ["external", "contextual", "internal", "residual"].index(mode)
    for n, table in enumerate(tables):
        np.testing.assert_array_equal(table > 0, np.eye(FRAMES, dtype=bool) if n == own else np.zeros_like(table))


@pytest.mark.parametrize(("window", "lag"), [(0, 0), (1, 0), (1, 1), (2, 2), (0, 9)])
def test_contextual_attention_is_that_of_the_papers_mask(window, lag):
    """Against plain attention with the mask written out, token by token."""
    mode, frames, patches, rng = Contextual(window=window, lag=lag), 4, 3, np.random.default_rng(0)
    q, k, v = (rng.normal(size=(2, frames, patches + 1, 2, 6)).astype(np.float32) for _ in range(3))
    frame = np.repeat(np.arange(frames), patches + 1)
    acts = np.tile(np.arange(patches + 1) == patches, frames)
    i, j = np.meshgrid(frame, frame, indexing="ij")
    of, to = np.meshgrid(acts, acts, indexing="ij")
    video = np.where(to, (j >= np.maximum(0, i - lag)) & (j <= i), (abs(i - j) <= window) | (window == 0))
    act = np.where(to, i == j, j >= i + lag)
    mask = np.where(of, act, video)
    query, key, value = (x.reshape(2, -1, 2, 6) for x in (q, k, v))
    weights = np.exp(np.einsum("bnkd,bmkd->bknm", query, key) / 6**0.5) * mask
    plain = np.einsum("bknm,bmkd->bnkd", weights / weights.sum(-1, keepdims=True), value)
    got = jax.jit(mode.attend, static_argnums=(3, 4))(q, k, v, patches, "xla")
    np.testing.assert_allclose(got.reshape(plain.shape), plain, atol=2e-6)


def test_a_video_with_action_tokens_does_not_stream():
    with pytest.raises(ValueError, match="injection.mode='contextual': its action tokens look ahead"):
        dit("contextual", causal=Causal()).check()


@pytest.mark.parametrize("mode", ["residual", "internal"])
def test_chunks_after_a_window_are_those_of_the_whole_video(mode):
    network, (z, t, text, u) = dit(mode, causal=Causal(chunk=2, window=1)), inputs(frames=4)
    weights = params(dit(mode))
    whole = run(network, weights, z, t, text, u).prediction
    cache, parts = network.empty_cache(2, 6), []
    for span in (slice(0, 2), slice(2, 4)):
        out = run(network, weights, z[:, span], t, text, u[:, span], cache)
        cache = window.write(cache, out.own, jnp.ones(2, bool))
        parts.append(out.prediction)
    np.testing.assert_allclose(np.concatenate(parts, 1), whole, atol=1e-5 * float(abs(whole).max()))


def test_the_widths_that_a_config_gets():
    assert (MODES["residual"]().width, MODES["external"]().width, MODES["external"]().heads) == (256, 128, 4)


@functools.partial(jax.jit, static_argnums=0)
def loss_and_gradient(network, params, *args):
    return jax.value_and_grad(lambda params: jnp.square(run(network, params, *args).prediction).mean())(params)


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "every"), [("external", 1), ("contextual", 1), ("residual", 1), ("internal", 2)])
def test_a_mode_on_a_mesh_is_that_of_one_device(mode, every):
    network, rows = dit(mode, every), inputs(8)
    expected = loss_and_gradient(network, params(network), *rows)
    mesh = sharding.make_mesh({"fsdp": 2, "context": 2, "tensor": 2})
    with jax.set_mesh(mesh):
        at = sharding.place({"dit": params(network)}, mesh)["dit"]
        z = jax.device_put(rows[0], jax.NamedSharding(mesh, sharding.BATCH))
        got = loss_and_gradient(network, at, z, *rows[1:])
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * max(1e-3, float(abs(b).max())))
