import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_computer import flow


def pair():
    key = jax.random.key(0)
    return jax.random.normal(key, (3, 2, 4)), jax.random.normal(jax.random.fold_in(key, 1), (3, 2, 4))


def test_path_runs_from_film_to_noise():
    z0, eps = pair()
    np.testing.assert_allclose(flow.interpolate(z0, eps, jnp.zeros(3)), z0)
    np.testing.assert_allclose(flow.interpolate(z0, eps, jnp.ones(3)), eps)


@pytest.mark.parametrize("target", flow.TARGETS)
@pytest.mark.parametrize("steps", [1, 5])
def test_euler_with_the_true_answer_arrives_at_the_film(target, steps):
    z0, eps = pair()
    z, times = eps, flow.sampling_times(steps, shift=3.0)
    for t, s in zip(times[:-1], times[1:], strict=True):
        velocity = flow.TARGETS[target].velocity(flow.TARGETS[target].of(z0, eps), z, jnp.full(3, t))
        z = flow.euler(z, velocity, t, s)
    np.testing.assert_allclose(z, z0, atol=1e-5)


def test_shift_pushes_times_towards_noise_and_keeps_the_ends():
    times = flow.sampling_times(4, shift=3.0)
    np.testing.assert_allclose(times, [1, 0.9, 0.75, 0.5, 0])
    np.testing.assert_allclose(flow.shift_time(jnp.asarray([0.0, 0.5, 1.0]), 3.0), [0, 0.75, 1])


def test_noise_of_a_sample_depends_on_its_index_alone():
    key = jax.random.key(3)
    many = flow.noise(key, jnp.arange(6), (2, 2))
    np.testing.assert_array_equal(many[4], flow.noise(key, jnp.asarray([4]), (2, 2))[0])
    assert not np.allclose(many[0], many[1])
