import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_computer.models.linear_codec import LinearCodec, latent_size

BLOCK = 4 * 8 * 8 * 3


def videos(n=6, t=9):
    return np.random.default_rng(0).integers(0, 256, (n, t, 16, 24, 3)).astype(np.uint8)


def signed(video):
    return jnp.asarray(video, jnp.float32) / 127.5 - 1


def test_all_components_give_the_video_back():
    codec = LinearCodec(BLOCK)
    video = videos(40)
    params = codec.fit(video)
    z = codec.encode(params, signed(video))
    assert z.shape == (40, 3, 2, 3, BLOCK)
    np.testing.assert_allclose(codec.decode(params, z), signed(video), atol=1e-3)


def test_latents_have_unit_variance():
    codec, video = LinearCodec(8), videos()
    z = np.asarray(codec.encode(codec.fit(video), signed(video)))
    np.testing.assert_allclose(z.reshape(-1, 8).std(0), 1, atol=1e-2)


def test_more_components_never_lose_detail():
    video = videos()
    errors = []
    for channels in (2, 8, 32):
        codec = LinearCodec(channels)
        params = codec.fit(video)
        errors.append(
            float(jnp.square(codec.decode(params, codec.encode(params, signed(video))) - signed(video)).mean())
        )
    assert errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize(
    ("stride", "frames"), [(4, [range(1), range(1, 5), range(5, 9)]), (1, map(range, range(9), range(1, 10)))]
)
def test_latent_frame_sees_its_own_frames_only(stride, frames):
    """Latent frame i is made of video frames s (i - 1) + 1 .. s i, frame 0 alone of frame 0: by zero gradients."""
    codec, video = LinearCodec(4, temporal_stride=stride), videos(1)
    params = codec.fit(video)
    gradient = jax.jit(jax.grad(lambda x, i: jnp.square(codec.encode(params, x)[:, i]).sum()))
    for i, seen in enumerate(frames):
        grad = gradient(signed(video), i)
        touched = {t for t in range(9) if np.abs(grad[0, t]).max() > 0}
        assert touched == set(seen)


@pytest.mark.parametrize("stride", [1, 4])
def test_chunk_by_chunk_is_at_once(stride):
    codec, video = LinearCodec(4, temporal_stride=stride), signed(videos(2))
    params = codec.fit(videos(2))
    carry, latents = codec.encode_chunk(params, None, video[:, :5])
    latents = jnp.concatenate([latents, codec.encode_chunk(params, carry, video[:, 5:])[1]], axis=1)
    whole = codec.encode(params, video)
    np.testing.assert_array_equal(latents, whole)
    carry, frames = codec.decode_chunk(params, None, whole[:, :1])
    assert frames.shape[1] == 1
    frames = jnp.concatenate([frames, codec.decode_chunk(params, carry, whole[:, 1:])[1]], axis=1)
    np.testing.assert_array_equal(frames, codec.decode(params, whole))


def stills(components=3, n=40):
    """Videos that stand still, whose blocks vary in `components` directions alone."""
    rng = np.random.default_rng(1)
    directions = np.linalg.qr(rng.normal(size=(8 * 8 * 3, components)))[0] * np.asarray([300, 150, 100])[:components]
    blocks = rng.uniform(-1, 1, size=(n, components)) @ directions.T + 128
    return np.clip(np.round(blocks), 0, 255).astype(np.uint8).reshape(n, 1, 8, 8, 3).repeat(5, axis=1)


@pytest.mark.parametrize("whiten", [0.0, 0.5, 1.0])
def test_variances_are_those_of_the_components_to_the_power_of_one_minus_whiten(whiten):
    """Their mean is 1 in any case."""
    video = videos(20)
    codec = LinearCodec(6, whiten)
    z = np.asarray(codec.encode(codec.fit(video), signed(video))).reshape(-1, 6)
    plain = LinearCodec(6, 0.0)
    params = plain.fit(video)
    components = np.asarray(plain.encode(params, signed(video))).reshape(-1, 6).var(0) * params["scale"] ** 2
    expected = components ** (1 - whiten)
    np.testing.assert_allclose(z.var(0), expected / expected.mean(), rtol=1e-3)
    assert (np.diff(components) < 1e-6).all(), "from the largest down"


def test_a_fit_is_the_same_on_every_machine():
    """A component's largest entry is positive, and components are orthonormal."""
    params = LinearCodec(8).fit(videos())
    basis = params["basis"]
    assert (basis[np.abs(basis).argmax(0), np.arange(8)] > 0).all()
    np.testing.assert_allclose(basis.T @ basis, np.eye(8), atol=1e-4)
    blocks = (videos()[:, :1].astype(float) / 127.5 - 1).mean()
    assert abs(params["mean"].mean() - blocks) < 0.05
    assert {x.dtype for x in params.values()} == {np.dtype(np.float32)}


def test_components_that_no_video_uses_stay_finite():
    """Of a video of one colour there is nothing to divide by; of three directions, five components."""
    codec = LinearCodec(5)
    grey = np.full((2, 5, 8, 8, 3), 90, np.uint8)
    for video in (grey, stills()):
        params = codec.fit(video)
        z = codec.encode(params, signed(video))
        assert np.isfinite(z).all() and np.abs(z).max() < 10
        np.testing.assert_allclose(codec.decode(params, z), signed(video), atol=0.05)


def test_a_decoded_video_is_clipped_and_starts_with_one_frame():
    codec = LinearCodec(4)
    params = codec.fit(videos())
    z = np.full((1, 3, 1, 2, 4), 100, np.float32)
    video = np.asarray(codec.decode(params, jnp.asarray(z)))
    assert video.shape == (1, 9, 8, 16, 3) and video.min() == -1 and video.max() == 1


def test_parameters_before_the_fit_have_the_shapes_of_those_after():
    blank, params = LinearCodec(8).init(), LinearCodec(8).fit(videos())
    assert {n: (x.shape, x.dtype) for n, x in blank.items()} == {n: (x.shape, x.dtype) for n, x in params.items()}
    with pytest.raises(ValueError, match="videos: there are none"):
        LinearCodec(8).fit([])


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"channels": 0}, "channels=0"), ({"channels": BLOCK + 1}, f"channels={BLOCK + 1}"), ({"whiten": 1.01}, "whiten=1.01"),
     ({"whiten": -0.01}, "whiten=-0.01")],
)  # fmt: skip
def test_values_that_no_codec_has_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        LinearCodec(**{"channels": 4} | fields)
    assert LinearCodec(BLOCK, 0.0).channels == BLOCK == 4 * 8 * 8 * 3


@pytest.mark.parametrize("channels", [1, BLOCK])
def test_one_channel_and_a_whole_block_are_codecs(channels):
    assert LinearCodec(channels).init()["basis"].shape == (BLOCK, channels)


@pytest.mark.parametrize(
    ("video", "latents"),
    [((1, 8, 8), (1, 1, 1)), ((5, 8, 16), (2, 1, 2)), ((9, 16, 24), (3, 2, 3)), ((81, 480, 832), (21, 60, 104))],
)
def test_latent_sizes(video, latents):
    assert latent_size(*video) == latents


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((8, 16, 16), r"frames=8: must be 4k \+ 1; try 9"),
        ((6, 16, 16), "frames=6: .*try 5"),
        ((0, 16, 16), "frames=0: .*try 1"),
        ((-3, 16, 16), "frames=-3: .*try 1"),
        ((9, 12, 16), "size=12x16: must be multiples of 8x8"),
        ((9, 16, 12), "size=16x12"),
        ((9, 0, 16), "size=0x16"),
        ((9, 16, 0), "size=16x0"),
        ((9, -8, 16), "size=-8x16"),
    ],
)
def test_sizes_that_do_not_fit_the_strides(size, message):
    with pytest.raises(ValueError, match=message):
        latent_size(*size)
