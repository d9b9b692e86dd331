import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_computer.denoiser import Denoiser
from neural_computer.train.objective import Objective
from tests.builders import batch, experiment, frozen, params, start


def step(small, state, rows, held):
    return jax.jit(lambda s, b: small.trainer.update(s, held, b, 0))(state, rows)


def test_accumulated_parts_equal_the_whole_batch():
    whole, parts = experiment(), experiment(optimizer__accumulate_steps=4)
    held, state = frozen(whole), start(whole)
    state = state._replace(network=params(whole).network)
    (one, a), (two, b) = (step(x, state, batch(8), held) for x in (whole, parts))
    np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-5)
    np.testing.assert_allclose(a["gradient_norm"], b["gradient_norm"], rtol=1e-4)
    moved = jax.tree.map(lambda x, y: np.abs(x - y).max(), one.network, state.network)
    apart = jax.tree.map(lambda x, y: np.abs(x - y).max(), one.network, two.network)
    assert max(jax.tree.leaves(apart)) <= 0.05 * max(jax.tree.leaves(moved)) + 1e-7


def test_average_follows_the_ramp():
    small = experiment(optimizer__warmup_steps=0)
    state = start(small)
    after, _ = step(small, state, batch(8), frozen(small))
    expected = jax.tree.map(lambda old, new: 0.1 * old + 0.9 * new, state.ema, after.network)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), after.ema, expected)


def test_a_samples_loss_is_its_own():
    """The loss of a batch is the mean of its samples' losses: none depends on its neighbours."""
    small = experiment(objective__dropout_text=0.5, objective__dropout_cond=0.5)
    parameters, rows, key = params(small), batch(6), jax.random.key(1)
    encoded = small.trainer.encode(parameters.frozen, jax.tree.map(jnp.asarray, rows))
    objective = jax.jit(lambda network, part: small.trainer.objective(small.computer, network, part, key))

    def loss(part):
        return float(objective(parameters.network, part)[0])

    singles = [loss(jax.tree.map(lambda x, i=i: x[i : i + 1], encoded)) for i in range(6)]
    np.testing.assert_allclose(loss(encoded), np.mean(singles), rtol=1e-5)
    assert np.std(singles) > 0


def test_the_shift_is_honoured_in_training():
    """Times are u shifted: with a large shift nearly all are near noise, and the loss of target x rises."""
    small = experiment()
    parameters = params(small)
    encoded = small.trainer.encode(parameters.frozen, jax.tree.map(jnp.asarray, batch(64)))
    by_shift = [
        float(Objective(shift)(small.computer, parameters.network, encoded, jax.random.key(0))[0])
        for shift in (1.0, 50.0)
    ]
    assert by_shift[0] != pytest.approx(by_shift[1], rel=1e-3)


def test_updates_lower_the_loss_on_one_batch():
    small = experiment(optimizer__learning_rate=5e-3, optimizer__warmup_steps=0)
    held, state = frozen(small), start(small)
    history = []
    update = jax.jit(lambda s, b: small.trainer.update(s, held, b, 0))
    for _ in range(40):
        state, metrics = update(state, batch(8))
        history.append(float(metrics["loss"]))
    assert np.mean(history[-5:]) < 0.9 * np.mean(history[:5])
    assert int(state.step) == 40


def test_no_noise_is_used_twice():
    """A network that says nothing, videos of nothing: the loss is the noise's own square, new for every index and seed."""
    small = experiment()
    network = jax.tree.map(jnp.zeros_like, params(small).network)
    computer = small.replace(denoiser=Denoiser(small.computer.network)).computer
    encoded = small.trainer.encode(frozen(small), jax.tree.map(jnp.asarray, batch(1)))
    silent = encoded._replace(latents=jnp.zeros_like(encoded.latents))
    objective = jax.jit(lambda i, k: small.trainer.objective(computer, network, silent._replace(index=i), k)[0])
    squares = [float(objective(jnp.asarray([i]), jax.random.key(seed))) for i in range(20) for seed in range(2)]
    assert len(set(squares)) == 40 and abs(np.mean(squares) - 1) < 0.1
    assert float(objective(jnp.asarray([3]), jax.random.key(1))) == squares[7]
