"""Projection heads."""

import jax
import jax.numpy as jnp
import numpy as np

from neural_computer.models.heads import Heads
from tests.builders import drawn


def test_embeddings_have_length_one_and_come_from_their_own_input():
    features = jax.random.normal(jax.random.key(0), (2, 3, 5))
    u = jax.random.normal(jax.random.key(1), (2, 3, 2, 4))
    module = Heads(8)
    params = {"params": drawn(jax.eval_shape(module.init, jax.random.key(2), features, u)["params"])}
    out = module.apply(params, features, u)
    assert out.video_embedding.shape == (2, 3, 8) and out.action_embedding.shape == (2, 3, 2, 8)
    for x in (out.video_embedding, out.action_embedding):
        np.testing.assert_allclose(jnp.linalg.norm(x, axis=-1), 1, atol=1e-5)
    np.testing.assert_array_equal(out.features, features)
    # An embedding of the mouse alone, of the action alone, and a prediction from both.
    other = module.apply(params, features, u.at[:, :, 1].add(1.0))
    np.testing.assert_array_equal(other.action_embedding[:, :, 0], out.action_embedding[:, :, 0])
    np.testing.assert_array_equal(other.video_embedding, out.video_embedding)
    assert abs(other.action_embedding[:, :, 1] - out.action_embedding[:, :, 1]).max() > 1e-3
    assert abs(other.predicted_features - out.predicted_features).max() > 1e-3
    scaled = module.apply(params, 3 * features + 1, u)
    np.testing.assert_allclose(scaled.video_embedding, out.video_embedding, atol=1e-4)


def test_zero_has_a_finite_gradient():
    module, zero = Heads(8), jnp.zeros((1, 1, 2, 4))
    params = module.init(jax.random.key(2), jnp.zeros((1, 1, 5)), zero)
    grad = jax.grad(lambda u: module.apply(params, jnp.zeros((1, 1, 5)), u).action_embedding.sum())(zero)
    assert jnp.isfinite(grad).all()
