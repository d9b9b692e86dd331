import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_computer.models.linear_codec import BLOCK, LinearCodec, latent_size


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


def test_latent_frame_sees_its_own_frames_only():
    """Latent frame i is made of video frames 4i-3 .. 4i, frame 0 alone of frame 0: by zero gradients."""
    codec, video = LinearCodec(4), videos(1)
    params = codec.fit(video)
    for i, seen in enumerate([range(1), range(1, 5), range(5, 9)]):
        grad = jax.grad(lambda x, i=i: jnp.square(codec.encode(params, x)[:, i]).sum())(signed(video))
        touched = {t for t in range(9) if np.abs(grad[0, t]).max() > 0}
        assert touched == set(seen)


@pytest.mark.parametrize("size, message", [((8, 16, 16), "try 9"), ((9, 12, 16), "multiples of 8x8")])
def test_sizes_that_do_not_fit_the_strides(size, message):
    with pytest.raises(ValueError, match=message):
        latent_size(*size)
