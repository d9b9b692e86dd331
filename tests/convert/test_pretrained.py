"""Training from published weights: which parameters are merged, trained and stored."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from neural_computer import build, load_pretrained, sharding
from neural_computer.configs import cligen
from neural_computer.convert import import_weights, pretrained, sources
from neural_computer.train.metrics_log import read_metrics
from neural_computer.train.optim import Optimizer, join
from neural_computer.workflows import trained as trained_computer
from neural_computer.workflows import workdir
from tests import builders, checkpoints
from tests.checkpoints import SMALL
from tests.conftest import program

SIZES = {"width": 128, "heads": 1, "ffn": 96, "layers": 2, "time_width": 32, "positions": (0, 0, 0)}


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """A small text-to-video DiT, converted."""
    folder = tmp_path_factory.mktemp("weights")
    checkpoints.write(folder / "theirs", SMALL)
    networks, tokenizer = sources.find(folder / "theirs")
    import_weights.write(import_weights.plan(networks, None, None), tokenizer, folder / "ours")
    return folder / "ours"


def config(converted, **changes):
    """The tiny experiment at the DiT's sizes."""
    tiny = cligen.get_config("tiny")
    tiny.init = str(converted)
    tiny.network.update(SIZES)
    tiny.text.width, tiny.codec.channels = 24, 16
    for name, value in changes.items():
        tiny.update_from_flattened_dict({name.replace("__", "."): value})
    return tiny


@pytest.fixture(scope="module")
def merged(converted):
    """The network that training of those weights begins with."""
    return workdir.init_params(build.build(config(converted)))


def inputs():
    rng = np.random.default_rng(0)
    z, cond, text, image = (rng.normal(size=(2, *shape)).astype(np.float32) for shape in SHAPES)
    return z, cond, np.full((2, 1), 300.0, np.float32), text, image


SHAPES = ((2, 2, 4, 16), (2, 2, 4, 20), (5, 24), (3, 20))


@functools.partial(jax.jit, static_argnums=0)
def predict(dit, params, *args):
    return dit.apply({"params": params}, *args).prediction


@functools.partial(jax.jit, static_argnums=0)
def predict_and_gradient(dit, params, *args):
    def energy(params):
        prediction = predict(dit, params, *args)
        return jnp.square(prediction).sum(), prediction

    gradient, prediction = jax.grad(energy, has_aux=True)(params)
    return prediction, gradient


@pytest.mark.slow
@pytest.mark.parametrize("image_width, every", [(0, 1), (20, 2)])
def test_text_to_video_weights_begin_as_image_to_video(converted, merged, image_width, every):
    """For any condition and image: their projections begin at zero."""
    small = build.build(config(converted, injection__every=every))
    network = small.computer.network
    shape = dataclasses.replace(network.dit.shape, image_width=image_width)
    network = network.clone(dit=network.dit.clone(shape=shape))
    denoiser = dataclasses.replace(small.computer.denoiser, network=network)
    trainer = dataclasses.replace(small.trainer, model=dataclasses.replace(small.computer, denoiser=denoiser))
    params = (pretrained.merged(converted, trainer, 0) if image_width else merged)["dit"]
    z, cond, t, text, image = inputs()
    theirs, given = load_pretrained(converted)
    x = np.concatenate([z, cond], -1)
    ours, moved = predict_and_gradient(network.dit, params, x, t, text, image if image_width else None)
    np.testing.assert_allclose(ours, predict(theirs, given, z, t, text), atol=1e-5)
    rows = np.asarray(moved["patch_embed"]["kernel"]).reshape(4, 36, -1)
    assert (np.abs(rows).max(axis=(0, 2)) > 0).all(), "the condition's rows are trained"
    if image_width:
        assert np.abs(moved["blocks"]["block_0"]["cross_attn"]["v_img"]["kernel"]).max() > 0


def test_sizes_that_differ_are_named(converted):
    small = build.build(config(converted, network__ffn=64))
    with pytest.raises(ValueError, match=r"ffn/in/.* is \(2, .*96\), the config.s network needs \(2, .*64\)"):
        workdir.init_params(small)


def test_weights_are_merged_sharded_as_whole(converted, merged):
    spread = workdir.init_params(build.build(config(converted)), sharding.make_mesh({"fsdp": 4, "tensor": 2}))
    kernel = spread["dit"]["blocks"]["block_0"]["ffn"]["in"]["kernel"]
    assert len({str(shard.index) for shard in kernel.addressable_shards}) == 8
    jax.tree.map(np.testing.assert_array_equal, merged, spread)


# A part of the network


def test_a_held_part_gets_no_gradient_and_the_rest_the_same():
    everything, part = builders.experiment(), builders.experiment(optimizer__trainable="self_attn|head")
    network, frozen, rows = builders.network(everything), builders.frozen(everything), builders.batch()
    trained, held = part.trainer.optimizer.split(network)
    jax.tree.map(np.testing.assert_array_equal, join(trained, held), network)
    assert all("self_attn" in path or "head" in path for path in flatten_dict(trained, sep="/"))
    whole, _ = jax.jit(lambda n, b: everything.trainer.gradients(n, frozen, b, 0))(network, rows)
    some, _ = jax.jit(lambda n, b: part.trainer.gradients(n, frozen._replace(network_held=held), b, 0))(trained, rows)
    expected = part.trainer.optimizer.split(whole)[0]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), some, expected)


@pytest.mark.parametrize("train, message", [("lora", "matches none of the"), ("(", "is no regular expression")])
def test_an_impossible_part_is_named(train, message):
    with pytest.raises(ValueError, match=message):
        Optimizer(1e-3, trainable=train).split({"dit": {"head": {"kernel": np.zeros(1)}}})


@pytest.mark.slow
def test_lora_from_published_weights_stores_itself_alone(converted, videos, tmp_path):
    """Trained through the programs, broken off and gone on; the workdir gives base and LoRA together."""
    lora = config(converted, network__lora=2, optimizer__trainable="lora", optimizer__learning_rate=1e-2)
    path = tmp_path / "config.py"
    path.write_text(
        f"from ml_collections import ConfigDict\ndef get_config():\n    return ConfigDict({lora.to_dict()!r})\n"
    )
    command = ["launch.train", f"--config={path}", f"--config.data.directory={videos}", f"--workdir={tmp_path}/run"]
    end = ["--config.schedule.steps=3", "--config.schedule.checkpoint_every=1", "--config.schedule.log_every=1"]
    program(*command, *end, "--config.schedule.steps=1")
    program(*command, *end)
    steps = [line["step"] for line in read_metrics(tmp_path / "run") if "loss" in line]
    assert steps == [1, 2, 3], "the second run resumes at step 1"
    trained = trained_computer.load(tmp_path / "run")
    assert trained.step == 3
    base = flatten_dict(load_pretrained(converted)[1], sep="/")
    network = flatten_dict(trained.params.network["dit"], sep="/")
    for name, leaf in base.items():
        if name != "patch_embed/kernel":
            np.testing.assert_array_equal(network[name], leaf)
    branches = [leaf for name, leaf in network.items() if "lora_b" in name]
    assert branches and all(np.abs(leaf).max() > 0 for leaf in branches)
    stored = sum(file.stat().st_size for file in (tmp_path / "run/checkpoints/3").rglob("*") if file.is_file())
    assert stored < sum(leaf.nbytes for leaf in base.values())
