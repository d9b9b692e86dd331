"""From recordings to batches: numpy and Grain, no jax."""
