"""The streaming computer: a run with the window is what training saw, at any age, from a saved state or not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_computer.types import Encoded
from tests import builders

SIZE = {"data__height": 16, "data__width": 32, "data__frames": 5}
STREAM = {
    **SIZE,
    "codec__temporal_stride": 1,
    "codec__channels": 6,
    "network__causal": True,
    "network__window": 2,
    "network__positions": (0, 1, 2),
    "network__condition_layout": "previous",
    "network__clean_first_frame": False,
    "network__prediction_type": "x0",
    "network__scale_noisy_latents": True,
    "objective__kind": "teacher_forcing",
    "objective__dropout_text": 0.0,
    "objective__dropout_image": 0.0,
    "objective__dropout_cond": 0.0,
    "sampling__guidance": 1.0,
    "sampling__solver": "euler",
    "sampling__num_steps": 1,
    "sampling__shift": 3.0,
}


def streaming(mode="internal", **changes):
    return builders.desktop(mode, "fourier", **{**STREAM, **changes})


def encoded(small, rows=2) -> Encoded:
    frames = small.data.frames
    batch = builders.batch(rows, size=(frames, 16, 32))._replace(actions=builders.actions(small, rows))
    return jax.jit(small.computer.encode)(builders.frozen(small), batch)


def chunk_of(actions, first: int, frames: int):
    """The actions of some frames of a video."""
    part = jax.tree.map(lambda x: x[:, first : first + frames], (actions.raw, actions.meta, actions.mouse))
    return actions._replace(raw=part[0], meta=part[1], mouse=part[2])


@pytest.mark.parametrize("mode", ["internal", "residual", "none"])
@pytest.mark.parametrize(("chunk", "window"), [(1, 2), (1, 0), (2, 1)])
def test_a_run_equals_one_pass_over_both_streams(mode, chunk, window):
    """x0 of teacher forcing, its context what the run made and its noise the run's, is what the run made."""
    small = streaming(mode, network__chunk=chunk, network__window=window)
    computer, params = small.computer, builders.params(small)
    video = encoded(small)
    text, key, chunks = video.text, jax.random.key(3), 4 // chunk
    first = builders.batch(2, size=(5, 16, 32)).video[:, 0]
    state = jax.jit(computer.boot)(params, first, text)
    made, noises = [state.latents[:, -1:]], []
    step = jax.jit(lambda state, u, key: computer.step(params, state, None, u, key))
    for i in range(chunks):
        u = None if video.actions is None else chunk_of(video.actions, 1 + i * chunk, chunk)
        noise = jax.random.fold_in(key, i)
        state = step(state, u, noise)
        made.append(state.latents)
        noises.append(noise)
    latents = jnp.concatenate(made, axis=1)

    from neural_computer import flow
    from neural_computer.denoiser import streams_of
    from neural_computer.train.corruption import _before, begun

    still = jnp.repeat(latents[:, :1], chunk, axis=1)
    context = jnp.concatenate([still, latents[:, 1:-chunk]], axis=1)
    eps = jnp.concatenate([flow.noise(noise, jnp.arange(2), computer.latent_shape) for noise in noises], axis=1)
    after = jnp.repeat(context[:, chunk - 1 :: chunk], chunk, axis=1)
    mask = streams_of(video.cond, chunk)
    conditioning = video.conditioning._replace(actions=begun(video.actions))
    if window:
        z, t = jnp.concatenate([context, eps], 1), jnp.concatenate([jnp.zeros((2, 4)), jnp.full((2, 4), 1000.0)], 1)
        cond = jnp.concatenate([mask, jnp.concatenate([_before(context, chunk), after], 1)], -1)
    else:
        z, t, cond = eps, jnp.full((2, 4), 1000.0), jnp.concatenate([mask[:, 4:], after], -1)
    predict = jax.jit(
        lambda z, t, c: computer.denoiser.predict(params.network, z, t, c, streams=2 if window else 1).prediction
    )
    x0 = predict(z, t, conditioning._replace(cond=cond))
    np.testing.assert_allclose(x0, latents[:, 1:], atol=1e-5)
