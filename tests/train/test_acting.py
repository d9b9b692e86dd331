"""A computer that is told of actions trains as any other: on a mesh, from a cache, from published weights, in part."""

import functools

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from neural_computer import sharding
from neural_computer.convert import pretrained
from neural_computer.data.episodes import EpisodeWriter
from neural_computer.data.windows import ClipSource
from neural_computer.experiment import Experiment
from neural_computer.types import Episode, Event, FrozenParams
from neural_computer.workflows import checks, workdir
from tests import builders
from tests.builders import TERMS, desktop
from tests.convert.test_pretrained import SIZES, converted  # noqa: F401  # a fixture
from tests.data.test_encoded import cached, some

ROWS = 8
ACTION_PATHS = "action|heads|external"


def batch(made: Experiment, rows: int = ROWS):
    return builders.batch(rows)._replace(actions=builders.actions(made, rows))


def gradients(made, sizes, devices=None):
    """Loss terms and gradients of the whole network, nothing of it zero."""
    mesh, whole = sharding.make_mesh(sizes, devices), builders.network(made)
    at = sharding.shardings(whole, mesh)
    held, rows = sharding.place(builders.frozen(made), mesh), sharding.place_batch(batch(made), mesh)

    @functools.partial(jax.jit, out_shardings=(at, sharding.replicated(mesh)))
    def compute(whole, held, rows):
        return made.trainer.gradients(whole, held, rows, 0)

    with jax.set_mesh(mesh):
        return jax.device_get(compute(jax.device_put(whole, at), held, rows))


def alike(one, two, rtol=1e-4):
    largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(one))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-5 * largest), one, two)


@functools.cache
def on_one_device(mode):
    return gradients(desktop(mode, **TERMS), {"data": 1}, jax.devices()[:1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "sizes", "changes"),
    [
        ("internal", {"data": 2, "context": 2, "tensor": 2}, {}),
        (
            "residual",
            {"data": 1, "fsdp": 4, "context": 2},
            {"network__context_parallel": "ring", "network__remat": "full"},
        ),
        ("external", {"data": 2, "fsdp": 2, "tensor": 2}, {}),
        ("contextual", {"data": 4, "fsdp": 2}, {}),
    ],
)
def test_gradients_of_every_term_on_a_mesh_are_those_of_one_device(mode, sizes, changes):
    one, terms = on_one_device(mode)
    many, same = gradients(desktop(mode, **TERMS, **changes), sizes)
    assert set(terms) == {"loss", "loss_flow", "loss_cursor", "loss_contrastive", "loss_future"}
    for name, value in terms.items():
        np.testing.assert_allclose(same[name], value, rtol=1e-5)
    alike(one, many)


@pytest.mark.slow
def test_bfloat16_is_near_float32():
    _, exact = on_one_device("internal")
    rough, near = gradients(desktop(**TERMS, network__dtype="bfloat16"), {"data": 1}, jax.devices()[:1])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(rough))
    for name, value in exact.items():
        assert 0 < abs(near[name] - value) < 0.02 * value, name


@pytest.fixture(scope="module")
def clicked(tmp_path_factory):
    """Videos with a click at another place and a letter typed, each."""
    folder, rng = tmp_path_factory.mktemp("clicked"), np.random.default_rng(0)
    for split, count in (("random_slow", 8), ("random_slow_test", 1)):
        with EpisodeWriter(folder, split, window=5) as writer:
            for i in range(count):
                events = [
                    Event(0.05, "move", x=3.0 * i, y=8.0),
                    Event(0.1, "press", "left"),
                    Event(0.2, "release", "left"),
                ]
                events += [Event(0.3, kind, "abcdefgh"[i]) for kind in ("press", "release")]
                cursor = np.asarray([[3.0 * i, 8.0]] * 5, np.float32)
                frames = rng.integers(0, 256, (5, 16, 32, 3)).astype(np.uint8)
                told = {"plain": f"video {i}"}
                writer.write(Episode(f"{split}-{i}", frames, 10.0, told, events=tuple(events), cursor=cursor))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("cursor", ["reference", "fourier"])
def test_training_from_encoded_clips_is_training_from_videos(clicked, tmp_path, cursor):
    """The cache keeps what was done and the masks of the cursor references; the loss cannot tell."""
    made = desktop("internal", cursor, **TERMS)
    videos = ClipSource(clicked, "random_slow", 5)
    source = cached(made, clicked, tmp_path, split="random_slow")
    frozen, network = FrozenParams(codec=checks.fit_codec(made, videos)), builders.network(made)
    settings = {"tokenizer": made.tokenizer, "captions": {"plain": 1.0}, "batch_size": ROWS}
    gradients = jax.jit(lambda frozen, rows: made.trainer.gradients(network, frozen, rows, 0))
    (video,), (read,) = some(videos, 1, **settings, inputs=made.inputs), some(source, 1, **settings)
    jax.tree.map(np.testing.assert_array_equal, read.actions, video.actions)
    (one, right), (two, same) = gradients(frozen, video), gradients(FrozenParams(), read)
    for name, value in right.items():
        np.testing.assert_allclose(same[name], value, rtol=1e-5)
    alike(one, two)


@pytest.mark.parametrize("mode", ["external", "contextual", "residual", "internal"])
def test_only_what_actions_need_can_be_trained(mode):
    made = desktop(mode, "fourier", **TERMS, optimizer__trainable=ACTION_PATHS)
    whole, plain = (jax.eval_shape(lambda x=x: x.trainer.network(0)) for x in (made, desktop("none", "fourier")))
    trained, held = made.trainer.optimizer.split(whole)
    base = set(flatten_dict(plain["dit"], sep="/"))
    assert set(flatten_dict(held["dit"], sep="/")) == base, "the base is held, all of it and nothing else"
    assert {name.split("/")[0] for name in flatten_dict(trained, sep="/")} == {"dit", "actions", "heads"}


@pytest.mark.slow
@pytest.mark.parametrize("every", [1, 2])
def test_published_weights_go_into_a_mode_whose_own_part_is_trained(converted, every):  # noqa: F811
    changes = {f"network__{name}": value for name, value in SIZES.items()} | {"text__width": 24, "codec__channels": 16}
    train = f"lora|{ACTION_PATHS}"
    made = desktop(
        **changes,
        **TERMS,
        init=str(converted),
        injection__every=every,
        network__lora=2,
        optimizer__trainable=train,
        optimizer__warmup_steps=0,
    )
    network = workdir.init_params(made)
    given = flatten_dict(pretrained.load_pretrained(converted)[1], sep="/")
    ours = flatten_dict(network["dit"], sep="/")
    assert any("action_attn" in name for name in ours)
    for name, leaf in given.items():
        if name.startswith("head/"):
            np.testing.assert_array_equal(ours[name], leaf)
    state = made.trainer.start(network)
    held = builders.frozen(made)._replace(network_held=made.trainer.optimizer.split(network)[1])
    new, metrics = jax.jit(lambda s, b: made.trainer.update(s, held, b, 0))(state, batch(made))
    assert np.isfinite(metrics["loss"]) and metrics["gradient_norm"] > 0
    moved = flatten_dict(jax.tree.map(lambda a, b: abs(a - b).max(), state.network, new.network), sep="/")
    assert {"lora", "action_attn"} <= {
        word for word in ("lora", "action_attn") for n, x in moved.items() if word in n and x
    }
