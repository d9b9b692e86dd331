"""The solvers against diffusers' schedulers, on a network that is a formula."""

import jax.numpy as jnp
import numpy as np
import pytest

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from neural_computer import flow  # noqa: E402
from tests.parity.oracle import distance  # noqa: E402
from tests.parity.pipeline import Sampler  # noqa: E402

STEPS = 10


def velocity(z, timestep):
    """Of arrays of either library."""
    return 0.7 * z * abs(z) ** 0.5 - timestep / 1000


def theirs(scheduler, noise):
    z = torch.tensor(noise)
    for t in scheduler.timesteps:
        z = scheduler.step(velocity(z, t.float()), t, z).prev_sample
    return z.numpy()


@pytest.mark.parametrize("shift", [1.0, 3.0, 8.0])
@pytest.mark.parametrize("solver", ["unipc", "euler"])
def test_ten_steps(solver, shift):
    noise = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    if solver == "unipc":
        scheduler = Sampler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift)
        scheduler.set_timesteps(STEPS)
    else:
        scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
        scheduler.set_timesteps(sigmas=list(np.linspace(1, 0, STEPS + 1)[:-1]))

    def predict_x0(z, time, timestep):
        return flow.PREDICTION_TYPES["v"].to_x0(velocity(z, timestep), z, jnp.full(2, time))

    ours = flow.Sampler(solver, STEPS, shift).sample(jnp.asarray(noise), predict_x0)
    assert distance(ours, theirs(scheduler, noise)) <= 1e-5
