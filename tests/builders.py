"""Small configs, computers and batches for the tests."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from neural_computer import build
from neural_computer.configs import cligen, guiworld
from neural_computer.data.inputs import stacked
from neural_computer.experiment import Experiment
from neural_computer.types import Actions, Batch, Event, FrozenParams, Params, TokenIds, TrainState


def experiment(**changes) -> Experiment:
    """The tiny experiment, with config values changed by dotted name (dots as double underscores)."""
    config = cligen.get_config("tiny")
    for name, value in changes.items():
        config.update_from_flattened_dict({name.replace("__", "."): value})
    return build.build(config)


TERMS = {"objective__cursor": 0.5, "objective__contrastive": 0.1, "objective__future": 0.1}


def desktop(mode: str = "internal", cursor: str = "reference", **changes) -> Experiment:
    """The tiny experiment on a desktop, likewise."""
    config = guiworld.get_config(f"random_slow,tiny,{mode},{cursor}")
    for name, value in changes.items():
        config.update_from_flattened_dict({name.replace("__", "."): value})
    return build.build(config)


def network(experiment: Experiment, seed: int = 0):
    """Parameters of the whole network with nothing zero."""
    return drawn(jax.eval_shape(lambda: experiment.trainer.network(seed)), seed)


def start(experiment: Experiment, seed: int = 0) -> TrainState:
    """A state before the first update, with nothing of the network zero."""
    return jax.jit(experiment.trainer.start)(network(experiment, seed))


def batch(rows: int = 8, start: int = 0, seed: int = 0, size: tuple[int, int, int] = (5, 16, 32)) -> Batch:
    """Random videos with random captions."""
    rng = np.random.default_rng(seed)
    return Batch(
        index=np.arange(start, start + rows, dtype=np.int32),
        video=rng.integers(0, 256, (rows, *size, 3)).astype(np.uint8),
        text=TokenIds(rng.integers(0, 257, (rows, 40)).astype(np.int32)),
    )


def actions(experiment: Experiment, rows: int) -> Actions | None:
    """A click and a typed letter in every video, if the experiment has actions."""
    if experiment.inputs is None:
        return None
    data, events = experiment.data, [Event(0.1, "press", "left", x=9.0, y=7.0), Event(0.2, "release", "left")]
    events += [Event(0.3, "press", "a"), Event(0.35, "release", "a")]
    one = experiment.inputs.of("video", events, None, data.frames, 10.0, (data.height, data.width))
    return stacked([one] * rows)


def regions(experiment: Experiment, rows: int) -> np.ndarray | None:
    """Masks of everything, if the experiment's loss has regions."""
    if experiment.regions is None:
        return None
    shape = len(experiment.regions.names), *experiment.computer.conditioner.latent_shape[:3]
    return np.ones((rows, *shape), np.float32)


def frozen(experiment: Experiment) -> FrozenParams:
    """A codec fitted to random videos."""
    return FrozenParams(codec=_fitted(experiment.computer.codec))


@functools.cache
def _fitted(codec):
    return codec.fit(batch(seed=9).video)


def scrambled(tree, seed: int = 0):
    """The tree with noise on every leaf: zero-initialised layers hide what they multiply."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: jnp.asarray(leaf + 0.1 * rng.normal(size=leaf.shape), leaf.dtype), tree)


def drawn(shapes, seed: int = 0):
    """Parameters of these shapes with nothing zero, drawn by numpy: compiling `init` takes seconds, or minutes."""
    rng = np.random.default_rng(seed)

    def draw(leaf):
        x = rng.normal(size=leaf.shape) / max(1, np.prod(leaf.shape[:-1])) ** 0.5
        return jnp.asarray(x if leaf.ndim > 1 else 0.7 + 0.2 * x, jnp.float32)

    return jax.tree.map(draw, shapes)


def params(experiment: Experiment, seed: int = 0) -> Params:
    """Parameters with nothing zero."""
    trained = jax.eval_shape(lambda: experiment.trainer.init(seed).network)
    return Params(drawn(trained, seed), frozen(experiment))
