"""The streaming computer: a run with the window is what training saw, at any age, from a saved state or not."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from neural_computer import flow, sharding
from neural_computer.conditioning import happens
from neural_computer.config import ConfigError
from neural_computer.data.encoded import EncodedClip
from neural_computer.data.inputs import stacked
from neural_computer.train.corruption import teacher_forcing
from neural_computer.train.objective import Objective
from neural_computer.types import Batch, Clip, Encoded, Event, TokenIds
from neural_computer.workflows.encode import ClipEncoder
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


@functools.partial(jax.jit, static_argnums=0)
def step(computer, params, state, u, key):
    return computer.step(params, state, None, u, key)


@functools.partial(jax.jit, static_argnums=0)
def run(computer, params, state, u, key):
    return computer.run(params, state, u, key, chunks=len(u.mouse))


def boot(computer, params, text):
    return jax.jit(computer.boot)(params, builders.batch(2, size=(5, 16, 32)).video[:, 0], text)


def chunk_of(actions, first: int, frames: int):
    """The actions of some frames of a video, if it has any."""
    if actions is None:
        return None
    part = jax.tree.map(lambda x: x[:, first : first + frames], (actions.raw, actions.meta, actions.mouse))
    return actions._replace(raw=part[0], meta=part[1], mouse=part[2])


@pytest.mark.parametrize(
    ("mode", "chunk", "window"),
    [("internal", 1, 2), ("residual", 1, 2), ("none", 1, 2), ("internal", 1, 0), ("residual", 2, 1)],
)
def test_a_run_equals_one_pass_over_both_streams(mode, chunk, window):
    """x0 of teacher forcing is what the run made, its context what the run made and its noise the run's."""
    small = streaming(mode, network__chunk=chunk, network__window=window)
    computer, params, video = small.computer, builders.params(small), encoded(small)
    state, keys = boot(computer, params, video.text), jax.random.split(jax.random.key(3), 4 // chunk)
    chunks = [state.latents[:, -1:]]
    for i, key in enumerate(keys):
        state = step(computer, params, state, chunk_of(video.actions, 1 + i * chunk, chunk), key)
        chunks.append(state.latents)
    latents = np.concatenate(chunks, axis=1)

    x0 = both_streams(computer, params.network, video._replace(latents=latents), keys)
    np.testing.assert_allclose(x0, latents[:, 1:], atol=1e-5)


@functools.partial(jax.jit, static_argnums=0)
def both_streams(computer, network, video, keys):
    """x0 of all chunks after the first frame from pure noise, the noise that a run with these keys begins with."""
    noisy = teacher_forcing(Objective(kind="teacher_forcing"), computer, video, keys[0])
    rows = jnp.arange(video.latents.shape[0])
    eps = jnp.concatenate([flow.noise(key, rows, computer.latent_shape) for key in keys], axis=1)
    length = eps.shape[1]
    z = jnp.concatenate([noisy.z[:, :-length], eps], axis=1)
    t = noisy.t.at[:, -length:].set(1.0) * flow.TIME_SCALE
    return computer.denoiser.predict(network, z, t, noisy.conditioning, streams=noisy.streams).prediction


def test_a_saved_state_goes_on_bit_for_bit(tmp_path):
    small = streaming()
    computer, params, video = small.computer, builders.params(small), encoded(small)
    u = jax.tree.map(lambda x: x[None], chunk_of(video.actions, 1, 1))
    u = jax.tree.map(lambda x: jnp.repeat(x, 4, axis=0), u)
    key, state = jax.random.key(0), boot(computer, params, video.text)
    end, frames = run(computer, params, state, u, key)
    half = jax.tree.map(lambda x: x[:2], u)
    middle, _ = run(computer, params, state, half, key)
    with ocp.StandardCheckpointer() as saver:
        saver.save(tmp_path / "state", middle)
        saver.wait_until_finished()
        restored = saver.restore(tmp_path / "state", jax.tree.map(ocp.utils.to_shape_dtype_struct, middle))
    again, rest = run(computer, params, restored, half, key)
    jax.tree.map(np.testing.assert_array_equal, again, end)
    np.testing.assert_array_equal(rest, frames[2:])


def test_a_window_of_events_keeps_what_idle_frames_would_push_out():
    small = streaming(network__entries="events")
    computer, params, video = small.computer, builders.params(small), encoded(small)
    state = boot(computer, params, video.text)
    press = chunk_of(video.actions, 1, 1)
    idle = press._replace(raw=np.zeros_like(press.raw), meta=jax.tree.map(np.zeros_like, press.meta))
    assert np.asarray(happens(press)).all() and not np.asarray(happens(idle)).any()
    for u, entries in ((press, 2), (idle, 2), (idle, 2), (press, 3)):
        before, state = state, step(computer, params, state, u, jax.random.key(1))
        np.testing.assert_array_equal(state.cache.written, entries)
        if u is idle:
            jax.tree.map(np.testing.assert_array_equal, state.cache, before.cache)


def test_another_prompt_leaves_nothing_of_the_old_one():
    """The window is that of a run under the new prompt, whose chunks were the same ones."""
    small = streaming()
    computer, params, video = small.computer, builders.params(small), encoded(small)
    other = TokenIds(jnp.flip(video.text.ids, axis=1))
    u = computer.split(video.actions, 2)

    def begun(text):
        """Two chunks of the video, given, under a prompt."""
        state = boot(computer, params, text)
        return jax.jit(computer.prompt)(params, state, text, video.latents[:, :3], u)

    switched = jax.jit(computer.prompt)(params, begun(video.text), other, video.latents[:, :3], u)
    wanted, before = begun(other), begun(video.text)
    for ours, theirs, old in zip(*map(jax.tree.leaves, (switched.cache, wanted.cache, before.cache)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
        if ours.ndim > 1:
            assert not np.array_equal(ours, old)
    np.testing.assert_array_equal(switched.text.ids, other.ids)


def test_a_closed_loop_follows_the_frame_that_it_observes():
    small = streaming("none")
    computer, params, video = small.computer, builders.params(small), encoded(small)
    state, key = boot(computer, params, video.text), jax.random.key(1)
    same = computer.codec.decode(params.frozen.codec, state.latents)[:, 0]
    observed = [
        np.asarray(jax.jit(computer.step)(params, state, x, None, key).latents)
        for x in (None, same, jnp.zeros_like(same))
    ]
    np.testing.assert_allclose(observed[0], observed[1], atol=1e-4)
    assert abs(observed[0] - observed[2]).max() > 1e-2


def gradients(sizes, devices=None, **changes):
    """Loss and gradients of an update, nothing of the network zero."""
    small, mesh = streaming("internal", data__batch_size=8, **changes), sharding.make_mesh(sizes, devices)
    whole, held = builders.network(small), sharding.place(builders.frozen(small), mesh)
    rows = builders.batch(8)._replace(actions=builders.actions(small, 8))
    at = sharding.shardings(whole, mesh)

    @functools.partial(jax.jit, out_shardings=(at, sharding.replicated(mesh)))
    def compute(whole, held, rows):
        return small.trainer.gradients(whole, held, rows, 0)

    with jax.set_mesh(mesh):
        return jax.device_get(compute(jax.device_put(whole, at), held, sharding.place_batch(rows, mesh)))


@functools.cache
def on_one_device():
    return gradients({"data": 1}, jax.devices()[:1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sizes", "changes"),
    [
        ({"data": 2, "fsdp": 2, "context": 2}, {"network__context_parallel": "gather"}),
        ({"data": 2, "context": 2, "tensor": 2}, {"network__attention": "blockwise", "network__remat": "full"}),
    ],
)
def test_teacher_forcing_on_a_mesh_is_that_on_one_device(sizes, changes):
    one, loss = on_one_device()
    many, same = gradients(sizes, **changes)
    np.testing.assert_allclose(same["loss"], loss["loss"], rtol=1e-5)
    largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(one))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * largest), one, many)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"network__lora": 2, "optimizer__trainable": "lora", "actions__cursor": "reference"},
        {"codec__temporal_stride": 4, "data__frames": 17, "objective__dropout_actions": 0.1, "objective__cursor": 0.5},
    ],
    ids=str,
)
def test_every_kind_of_network_learns_and_runs(changes):
    """The loss of one batch falls, and a chunk comes out in the frames' shape."""
    small = streaming("internal", optimizer__learning_rate=1e-2, **changes)
    frames, held = small.data.frames, builders.frozen(small)
    whole = builders.network(small)
    state = jax.jit(small.trainer.start)(whole)
    held = held._replace(network_held=small.trainer.optimizer.split(whole)[1] or None)
    rows = builders.batch(2, size=(frames, 16, 32))._replace(actions=builders.actions(small, 2))
    encoded = jax.jit(small.computer.encode)(held, rows)

    def update(state, _):
        state, metrics = small.trainer.update(state, held, encoded, 0)
        return state, metrics["loss"]

    state, losses = jax.jit(lambda state: jax.lax.scan(update, state, length=20))(state)
    assert losses[-1] < losses[0]
    computer, params = small.computer, small.trainer.params(state.ema, held)
    begun = jax.jit(computer.boot)(params, rows.video[:, 0], rows.text)
    _, video = run(computer, params, begun, computer.split(rows.actions, 2), jax.random.key(0))
    assert video.shape == (2, 2, computer.frames, 16, 32, 3) and np.isfinite(video).all()


@pytest.mark.parametrize("changes", [{}, {"actions__cursor": "reference"}], ids=str)
def test_encoded_clips_are_the_videos(changes):
    small = streaming(**changes)
    mesh = sharding.make_mesh({"data": 1}, jax.devices()[:1])
    events = [Event(0.1, "press", "left", x=9.0, y=7.0), Event(0.2, "release", "left"), Event(0.3, "press", "a")]
    video = builders.batch(1, size=(5, 16, 32)).video[0]
    clip = Clip("one", video, 10.0, {"plain": "a"}, events=tuple(events), logged=True)
    encoder = ClipEncoder(small, builders.frozen(small), mesh, 1, "float32")
    stored = EncodedClip.from_bytes(encoder([clip])[0].to_bytes())
    ours = stored.encoded(stored.captions["plain"], small.tokenizer.length, small.inputs)
    text = TokenIds(small.tokenizer(["a"]))
    batch = Batch(np.zeros(1, np.int32), video[None], text, stacked([small.inputs(clip)]))
    theirs = jax.jit(small.computer.encode)(builders.frozen(small), batch)
    for name in ("latents", "cond"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name)[0], atol=1e-6, err_msg=name)
    np.testing.assert_array_equal(ours.actions.raw, theirs.actions.raw[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network__window": -1}, "window=-1: a computer that streams has a window"),
        ({"network__clean_first_frame": True}, "clean_first_frame=True"),
        ({"network__condition_layout": "repeat"}, "condition_layout='repeat': .*use 'previous'"),
        ({"sampling__guidance": 2.0}, "guidance=2.0: a computer that streams has none"),
        ({"actions__lag": 1}, "actions.window=1, lag=1: a chunk is conditioned on the actions of its own frames"),
        ({"network__chunk": 3}, "chunk=3: must divide the 4 latent frames after a clip's first"),
        ({"network__entries": "keys"}, "entries='keys': unknown; one of chunks, events"),
        ({"injection__mode": "external"}, "injection.mode: External looks at the whole video and cannot stream"),
        ({"injection__mode": "contextual"}, "injection.mode='contextual': its action tokens look ahead"),
        ({"network__positions": (5, 1, 2)}, r"positions=\(5, 1, 2\): a window rolls on for ever"),
        ({"network__causal": False}, "window=2, chunk=1: of a causal network alone"),
    ],
)
def test_what_cannot_stream_is_named_before_anything_is_compiled(changes, message):
    with pytest.raises(ConfigError, match=message):
        streaming(**changes)
