import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from neural_computer.models.vae import LATENT_STD, WanVAE, WanVAEConfig, statistics, tiled
from neural_computer.models.vae_layers import RmsNorm
from neural_computer.sharding import make_mesh

SHAPE = WanVAEConfig(width=4, channels=3, multipliers=(1, 2, 2, 2), blocks=1)
VAE = WanVAE(SHAPE)


@functools.cache
def make():
    """Parameters with nothing zero, drawn by numpy: compiling `init` takes longer than all tests here."""
    rng = np.random.default_rng(0)

    def draw(leaf):
        fan_in = max(1, int(np.prod(leaf.shape[:-1])))
        x = rng.normal(size=leaf.shape) / fan_in**0.5
        return (x if leaf.ndim > 1 else 0.7 + 0.2 * x).astype(np.float32)

    return jax.tree.map(draw, jax.eval_shape(VAE.init, jax.random.key(0)))


def video(t=21, h=16, w=24, rows=2):
    return np.random.default_rng(1).uniform(-1, 1, (rows, t, h, w, 3)).astype(np.float32)


def latents(f=6, rows=2):
    return np.random.default_rng(2).normal(size=(rows, f, 2, 3, 3)).astype(np.float32)


def both_ways(vae, params, x, z):
    """Latents of a video, and video of latents."""
    return vae.encode(params, x), vae.decode(params, z)


run = jax.jit(both_ways, static_argnums=0)


@functools.cache
def whole():
    return run(VAE, make(), video(), latents())


@jax.jit
def inner(params, x, z):
    """Posterior mean and log variance of a video; video, not clipped, of latents."""
    return *VAE.posterior(params, x), VAE.reconstruct(params, z * params["std"] + params["mean"])


def test_published_size():
    """Spec: 126.89 M parameters."""
    params = jax.eval_shape(WanVAE().init, jax.random.key(0))
    networks = jax.tree.leaves((params["encoder"], params["decoder"]))
    assert sum(leaf.size for leaf in networks) == pytest.approx(126.89e6, rel=5e-5)
    np.testing.assert_array_equal(statistics(16)["std"], np.float32(LATENT_STD))


def close(ours, expected):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), ours, expected)


def test_a_video_in_chunks_is_the_video():
    """Six latent frames: the first, two at once, two more by the same graph, one left over."""
    close(run(dataclasses.replace(VAE, chunk=2), make(), video(), latents()), whole())


def test_a_video_that_goes_on():
    """The carry is made of arrays, can be saved, keeps its structure, and leads on as if nothing had been cut."""
    z, decoded = whole()
    for advance, given, cut, answer in ((VAE.encode_chunk, video(), 5, z), (VAE.decode_chunk, latents(), 2, decoded)):
        carry, start = jax.jit(advance)(make(), None, given[:, :cut])
        carry = jax.tree.map(np.asarray, carry)
        after, rest = jax.jit(advance)(make(), carry, given[:, cut:])
        close(np.concatenate([start, rest], 1), answer)
        assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, carry)


def test_half_precision_is_near_float32():
    rough = dataclasses.replace(VAE, dtype=jnp.bfloat16)
    half = jax.jit(rough.encode)(make(), video())
    assert half.dtype == jnp.float32
    assert 0 < np.abs(whole()[0] - half).max() < 0.05 * np.abs(half).max()
    # A scan refuses a carry that changes its type.
    parts = dataclasses.replace(rough, chunk=1)
    assert jax.eval_shape(parts.decode, make(), latents()).shape == video().shape
    assert jax.eval_shape(parts.encode, make(), video()).shape == latents().shape


@functools.partial(jax.jit, static_argnums=0)
def reach(function, params, x):
    """[i, t]: does frame i of the answer depend on frame t of x, of which x has as many rows?

    By derivatives that are exactly zero: in row t, frame t is moved.
    """
    frames = np.arange(len(x))
    moved = np.zeros(x.shape, np.float32)
    moved[frames, frames] = np.random.default_rng(3).normal(size=x.shape[1:])
    _, tangent = jax.jvp(functools.partial(function, params), (x,), (moved,))
    return jnp.abs(tangent).max((2, 3, 4)).T > 0


def test_latent_frame_sees_no_later_frame():
    """Latent frame i depends on video frames up to 4i, its own four among them."""
    seen = np.asarray(reach(VAE.encode, make(), video(9, rows=9)))
    assert seen.shape == (3, 9)
    for i in range(3):
        assert not seen[i, 4 * i + 1 :].any()
        assert seen[i, max(0, 4 * i - 3) : 4 * i + 1].all()


def test_frame_needs_no_later_latent():
    """Video frames up to 4i depend on latent frames up to i, on their own among them."""
    seen = np.asarray(reach(VAE.reconstruct, make(), latents(3, rows=3)))
    assert seen.shape == (9, 3)
    for t in range(9):
        own = -(-t // 4)
        assert not seen[t, own + 1 :].any()
        assert seen[t, own]


def test_latents_are_the_normalised_mean():
    """z = (mean of the posterior - mean) / std, whatever its variance: no sample."""
    params, (mean, logvar, _) = make(), inner(make(), video(), latents())
    quant = params["encoder"]["quant"]
    wide = quant | {"bias": quant["bias"] + np.float32([0, 0, 0, 1, 2, 3])}
    other = params | {"encoder": params["encoder"] | {"quant": wide}}
    z, same = whole()[0], run(VAE, other, video(), latents())[0]
    larger = inner(other, video(), latents())[1]
    close(z * params["std"] + params["mean"], mean)
    np.testing.assert_array_equal(z, same)
    close(larger - logvar, np.broadcast_to(np.float32([1, 2, 3]), z.shape))


def test_a_decoded_video_is_clipped():
    _, _, raw = inner(make(), video(), latents())
    assert np.abs(raw).max() > 1
    close(whole()[1], np.clip(raw, -1, 1))


def test_neither_direction_needs_the_other_network():
    coder, maker = ({name: make()[name] for name in (part, "mean", "std")} for part in ("encoder", "decoder"))
    assert jax.eval_shape(VAE.encode, coder, video()).shape == latents().shape
    assert jax.eval_shape(VAE.decode, maker, latents()).shape == video().shape


def test_a_black_vector_has_a_gradient():
    params = {"params": {"scale": jnp.ones(4)}}
    grad = jax.jit(jax.grad(lambda x: RmsNorm().apply(params, x).sum()))(jnp.zeros((1, 4)))
    assert jnp.isfinite(grad).all()


@pytest.mark.slow
def test_height_split_over_devices_is_the_video():
    """What replaces tiles on a mesh: two videos on two devices each, split in height."""
    mesh = make_mesh({"data": 2, "context": 2}, jax.devices()[:4])
    split = NamedSharding(mesh, PartitionSpec("data", None, "context"))
    spread = jax.jit(both_ways, static_argnums=0, out_shardings=split)
    spread = spread(VAE, make(), *jax.device_put((video(), latents()), split))
    close(spread, whole())


@pytest.mark.parametrize("size", [4, 5, 8])
def test_tiles_of_a_pixelwise_function_are_seamless(size):
    """Wherever an answer depends on its own pixel alone, tiles give the whole: the blending weights add up to 1."""
    x = video(1, h=72, w=104)
    z = 2 * x[:, :, ::8, ::8]
    down, up = (lambda x: 2 * x[:, :, ::8, ::8]), (lambda z: jnp.repeat(jnp.repeat(z + 1, 8, 2), 8, 3))
    got = jax.jit(lambda x, z: (tiled(down, x, (9, 13), size), tiled(up, z, (9, 13), size)))(x, z)
    np.testing.assert_allclose(got[0], z, atol=1e-6)
    np.testing.assert_allclose(got[1], (z + 1).repeat(8, 2).repeat(8, 3), atol=1e-6)


def test_one_tile_over_everything_is_exact():
    one = dataclasses.replace(VAE, tile=32)
    close(jax.jit(one.encode)(make(), video()), whole()[0])


def test_tiles_show_no_seams_in_a_smooth_video():
    """Two tiles that overlap differ from the whole by what their borders do not see: some, and little."""
    y, x = np.meshgrid(np.linspace(0, 1, 8), np.linspace(0, 1, 12), indexing="ij")
    z = np.stack([np.sin(3 * x), np.cos(2 * y), 0.7 * np.sin(2 * (x + y))], -1)[None, None].astype(np.float32)
    seams = dataclasses.replace(VAE, tile=64)
    exact, two = (np.asarray(jax.jit(vae.reconstruct)(make(), z)) for vae in (VAE, seams))
    assert 35 < 10 * np.log10(np.ptp(exact) ** 2 / np.mean((exact - two) ** 2)) < 80


@pytest.mark.parametrize(
    "change, message",
    [
        ({"width": 5}, "width=5: must be even"),
        ({"blocks": 0}, "blocks=0: must be at least 1"),
        ({"multipliers": (1, 2)}, "multipliers="),
        ({"temporal": (True, True, True)}, "temporal="),
    ],
)
def test_impossible_shapes_name_the_field(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SHAPE, **change)


@pytest.mark.parametrize(
    "change, message", [({"chunk": -1}, "chunk=-1"), ({"tile": 40}, "tile=40: must be a multiple of 32")]
)
def test_impossible_pieces_name_the_field(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(VAE, **change)


def test_frames_that_do_not_fit_are_rejected():
    with pytest.raises(ValueError, match="try 9"):
        VAE.encode(make(), jnp.asarray(video(8)))
    with pytest.raises(ValueError, match="frames=3: .* multiples of 4"):
        VAE.encode_chunk(make(), {}, jnp.asarray(video(3)))
