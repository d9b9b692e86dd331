import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_computer import flow


def pair():
    key = jax.random.key(0)
    return jax.random.normal(key, (3, 2, 4)), jax.random.normal(jax.random.fold_in(key, 1), (3, 2, 4))


def test_path_runs_from_video_to_noise():
    z0, eps = pair()
    np.testing.assert_allclose(flow.interpolate(z0, eps, jnp.zeros(3)), z0)
    np.testing.assert_allclose(flow.interpolate(z0, eps, jnp.ones(3)), eps)


@pytest.mark.parametrize("target", flow.PREDICTION_TYPES)
@pytest.mark.parametrize("solver", flow.SAMPLERS)
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_with_the_true_answer_every_solver_arrives_at_the_video(solver, target, steps):
    z0, eps = pair()
    plan, asked = flow.SAMPLERS[solver](steps, 3.0), flow.PREDICTION_TYPES[target]
    start = flow.interpolate(z0, eps, jnp.full(3, plan.times[0]))
    end = flow.sample(plan, start, lambda z, t, told: asked.to_x0(asked.target(z0, eps), z, jnp.full(3, t)))
    np.testing.assert_allclose(end, z0, atol=1e-5)


def test_unipc_is_of_a_higher_order_than_euler():
    """dz/dt of z e^-t-like fields: the error falls faster with the number of steps."""

    def error(solver, steps):
        def video(z, t, told):
            return z - t * (1 + jnp.cos(3 * t) * z)  # velocity 1 + cos(3 t) z

        return float(jnp.abs(flow.sample(solver(steps, 1.0), jnp.ones(1), video) - exact)[0])

    exact = flow.sample(flow.euler(20000, 1.0), jnp.ones(1), lambda z, t, told: z - t * (1 + jnp.cos(3 * t) * z))
    assert error(flow.unipc, 32) < error(flow.euler, 32) / 4


def test_shift_pushes_times_towards_noise_and_keeps_the_ends():
    np.testing.assert_allclose(flow.euler(4, 3.0).times, [1, 0.9, 0.75, 0.5])
    np.testing.assert_allclose(flow.shift_time(jnp.asarray([0.0, 0.5, 1.0]), 3.0), [0, 0.75, 1])


def test_unipc_tells_whole_thousandths():
    """Truncated, not rounded: the release hands the network integers."""
    plan = flow.unipc(5, 5.0)
    np.testing.assert_array_equal(plan.timesteps, [999, 952, 882, 768, 555])


def test_noise_of_a_sample_depends_on_its_index_alone():
    key = jax.random.key(3)
    many = flow.noise(key, jnp.arange(6), (2, 2))
    np.testing.assert_array_equal(many[4], flow.noise(key, jnp.asarray([4]), (2, 2))[0])
    assert not np.allclose(many[0], many[1])
