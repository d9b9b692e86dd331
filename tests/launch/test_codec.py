"""A codec that was trained here: gone on with, converted, and used."""

import jax
import numpy as np
import pytest

from neural_computer import load_pretrained
from neural_computer.config import ConfigError
from neural_computer.convert import export_diffusers, import_weights, sources
from neural_computer.train.checkpoint import CheckpointError
from neural_computer.train.metrics_log import read_metrics
from neural_computer.workflows import train, trained_source, workdir
from neural_computer.workflows import trained as trained_computer
from tests import builders
from tests.once import compiled_once, one_device, rollouts_compiled_once, traced_once  # noqa: F401
from tests.train.test_reconstruction import experiment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("traced_once", "compiled_once", "rollouts_compiled_once", "one_device"),
]


def trained_for(steps: int, videos, place, **changes) -> None:
    place.mkdir(exist_ok=True)
    train.train(
        experiment(
            data__directory=str(videos),
            schedule__steps=steps,
            schedule__checkpoint_every=1,
            codec__fit_videos=4,
            **changes,
        ),
        place,
    )


def convert(found, place):
    place.mkdir()
    import_weights.write(import_weights.plan([found], None, None), None, place)
    return place


@pytest.fixture(scope="module")
def codec(videos, tmp_path_factory):
    """(workdir, converted folder) of two updates from nothing."""
    place = tmp_path_factory.mktemp("codec")
    trained_for(2, videos, place / "run", schedule__eval_every=2, evaluation__eval_videos_during_training=2)
    return place / "run", convert(trained_source.source(place / "run"), place / "converted")


def test_n_steps_are_k_and_a_resume(codec, videos, tmp_path):
    for steps in (1, 2):
        trained_for(steps, videos, tmp_path)
    (_, whole, _), (_, parts, step) = workdir.load_codec(codec[0]), workdir.load_codec(tmp_path)
    assert step == 2
    jax.tree.map(np.testing.assert_array_equal, whole, parts)


def test_held_out_videos_are_scored_beside_a_linear_codec(codec):
    last = [line for line in read_metrics(codec[0]) if "held_out/psnr" in line][-1]
    assert last["step"] == 2 and last["linear/psnr"] > last["held_out/psnr"] > 0


def test_it_is_converted_with_its_latents_there_and_back(codec, tmp_path):
    place, converted = codec
    shape = workdir.load_codec(place)[0].shape
    module, params = load_pretrained(converted, "vae")
    assert module.shape == shape
    jax.tree.map(np.testing.assert_array_equal, params, workdir.load_codec(place)[1])
    assert not np.array_equal(params["std"], np.ones(3))
    export_diffusers.write(converted, tmp_path, None)
    found, _ = sources.find(tmp_path)
    again = load_pretrained(convert(found[0], tmp_path / "again"), "vae")[1]
    jax.tree.map(np.testing.assert_array_equal, params, again)


def test_a_computer_is_trained_on_its_latents(codec):
    small = builders.experiment(codec__kind="wan", codec__channels=3, init=str(codec[1]))
    frozen = workdir.encoders(small, None)
    state, metrics = jax.jit(lambda s, b: small.trainer.update(s, frozen, b, 0))(
        builders.start(small), builders.batch()
    )
    assert np.isfinite(metrics["loss"]) and int(state.step) == 1


def test_with_a_held_encoder_the_latents_mean_the_same(codec, videos, tmp_path):
    trained_for(1, videos, tmp_path, init=str(codec[1]), optimizer__trainable="decoder", optimizer__warmup_steps=0)
    _, before = load_pretrained(codec[1], "vae")
    _, after, _ = workdir.load_codec(tmp_path)
    for name in ("encoder", "mean", "std"):
        jax.tree.map(np.testing.assert_array_equal, before[name], after[name])
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), before["decoder"], after["decoder"])
    assert max(jax.tree.leaves(moved)) > 0


def test_what_cannot_be_is_named(codec, videos, tmp_path):
    place, converted = codec
    with pytest.raises(ConfigError, match="config.vae: .*not a computer"):
        trained_computer.load(place)
    with pytest.raises(ConfigError, match=r"config.vae.width=4, .*VAE of other sizes"):
        experiment(init=str(converted), vae__blocks=2)
    (place / workdir.LATENTS).rename(tmp_path / "kept")
    with pytest.raises(CheckpointError, match="is not of step 2.*give the training command again"):
        workdir.load_codec(place)
    (tmp_path / "kept").rename(place / workdir.LATENTS)
