import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_computer.denoiser import Denoiser
from neural_computer.train.objective import Objective
from neural_computer.train.optim import Optimizer
from neural_computer.train.update import Trainer
from tests.builders import batch, experiment, frozen, params, start

update, gradients = (jax.jit(function, static_argnums=(0, 4)) for function in (Trainer.update, Trainer.gradients))
encode = jax.jit(Trainer.encode, static_argnums=0)


@functools.partial(jax.jit, static_argnums=(0, 1))
def loss(objective, computer, network, encoded, key):
    return objective(computer, network, encoded, key)[0]


@functools.cache
def fast():
    """(experiment that learns fast from its first update on, its first state)."""
    small = experiment(optimizer__learning_rate=5e-3, optimizer__warmup_steps=0)
    return small, start(small)


@functools.cache
def encoded():
    """Eight random videos, for every experiment that differs in its training alone."""
    small, _ = fast()
    return jax.device_get(encode(small.trainer, frozen(small), batch(8)))


def test_accumulated_parts_equal_the_whole_batch():
    small, state = fast()
    parts = experiment(optimizer__accumulate_steps=4)
    (one, a), (two, b) = (gradients(x.trainer, state.network, frozen(small), batch(8), 0) for x in (small, parts))
    np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-5)
    largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(one))
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5 * largest), one, two)


def test_average_follows_the_ramp():
    small, state = fast()
    after, _ = update(small.trainer, state, frozen(small), batch(8), 0)
    expected = jax.tree.map(lambda old, new: 0.1 * np.asarray(old) + 0.9 * np.asarray(new), state.ema, after.network)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), after.ema, expected)


def test_a_samples_loss_is_its_own():
    """The loss of a batch is the mean of its samples' losses among copies of themselves: none depends on its neighbours."""
    small = experiment(objective__dropout_text=0.5, objective__dropout_cond=0.5)
    network, key = params(small).network, jax.random.key(1)

    def of(*rows):
        part = jax.tree.map(lambda x: x[list(rows)], encoded())
        return float(loss(small.trainer.objective, small.computer, network, part, key))

    singles = [of(*[i] * 6) for i in range(6)]
    np.testing.assert_allclose(of(*range(6)), np.mean(singles), rtol=1e-5)
    assert np.std(singles) > 0


def test_the_shift_is_honoured_in_training():
    """Times are u shifted: with a large shift nearly all are near noise, and the loss of target x rises."""
    small, state = fast()
    by_shift = [
        float(loss(Objective(shift=shift), small.computer, state.network, encoded(), jax.random.key(0)))
        for shift in (1.0, 50.0)
    ]
    assert by_shift[0] != pytest.approx(by_shift[1], rel=1e-3)


def test_updates_lower_the_loss_on_one_batch():
    small, state = fast()
    history = []
    for _ in range(40):
        state, metrics = update(small.trainer, state, frozen(small), batch(8), 0)
        history.append(float(metrics["loss"]))
    assert np.mean(history[-5:]) < 0.9 * np.mean(history[:5])
    assert int(state.step) == 40


def test_no_noise_is_used_twice():
    """A network that says nothing, videos of nothing: the loss is the noise's own square, new for every index and seed."""
    small, state = fast()
    network = jax.tree.map(jnp.zeros_like, state.network)
    computer = small.replace(denoiser=Denoiser(small.computer.network)).computer
    silent = jax.tree.map(lambda x: x[:1], encoded()._replace(latents=np.zeros_like(encoded().latents)))

    def square(index, seed):
        part = silent._replace(index=np.full(1, index, np.int32))
        return float(loss(small.trainer.objective, computer, network, part, jax.random.key(seed)))

    squares = [square(i, seed) for i in range(20) for seed in range(2)]
    assert len(set(squares)) == 40 and abs(np.mean(squares) - 1) < 0.1
    assert square(3, 1) == squares[7]


def test_the_rate_rises_from_zero_stays_or_falls_to_the_last():
    """At the steps 0, half of the warm-up, its end, the end of the decay, and beyond."""
    plain = Optimizer(learning_rate=2.0).schedule()
    warm = Optimizer(learning_rate=2.0, warmup_steps=10).schedule()
    cosine = Optimizer(learning_rate=2.0, warmup_steps=10, decay_steps=50, final_learning_rate=0.5).schedule()
    np.testing.assert_allclose([plain(0), plain(100)], [2, 2])
    assert Optimizer(learning_rate=2.0, decay_steps=50).schedule()(50) == 0
    np.testing.assert_allclose([warm(step) for step in (0, 5, 10, 100)], [0, 1, 2, 2], atol=1e-6)
    np.testing.assert_allclose([cosine(step) for step in (0, 5, 10, 30, 50, 99)], [0, 1, 2, 1.25, 0.5, 0.5], atol=1e-6)
