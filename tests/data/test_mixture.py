"""Terminals without a log of actions and desktops with one, in one mixture."""

import functools

import jax
import numpy as np
import pytest

from neural_computer.data import pipeline
from neural_computer.data.encoded import EncodedClip
from neural_computer.data.episodes import EpisodeWriter
from neural_computer.data.windows import ClipSource
from neural_computer.types import Clip, Episode, Event, TokenIds
from tests import builders
from tests.builders import TERMS, desktop

FRAMES, FPS = 5, 10.0
EVENTS = (
    *(Event(0.1, "press", "left", x=9.0, y=7.0), Event(0.2, "release", "left", x=20.0, y=9.0)),
    *(Event(0.3, "press", "a"), Event(0.35, "release", "a")),
)


class Mixture(list):
    """Clips as a source: `len()` and `[i]`."""

    def __repr__(self) -> str:
        return f"Mixture of {len(self)}"


def video(seed: int, frames: int = FRAMES) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (frames, 16, 32, 3)).astype(np.uint8)


GUI = Clip("gui", video(0), FPS, {"plain": "a click"}, events=EVENTS)
CLI = Clip("cli", video(1), FPS, {"plain": "ls -l"})


@functools.cache
def experiment():
    return desktop("internal", "reference", **TERMS)


def batch_of(*clips, **settings):
    options = {
        "tokenizer": experiment().tokenizer,
        "captions": {"plain": 1.0},
        "seed": 0,
        "inputs": experiment().inputs,
    }
    return next(pipeline.batches(Mixture(clips), batch_size=len(clips), **options | settings))


def rows(batch, *numbers: int):
    return jax.tree.map(lambda x: x[np.asarray(numbers)], batch)


def encoded_clip(name: str, actions) -> EncodedClip:
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(2, 2, 4, 4)).astype(np.float32)
    return EncodedClip(name, 0, latents, latents[:1], {"plain": np.arange(3, dtype=np.int32)}, actions=actions)


def test_a_mixed_batch_has_the_actions_of_every_clip_that_has_some():
    batch = batch_of(CLI, GUI, CLI)
    is_gui = batch.actions.mouse[:, -1, 0] == 20
    assert sorted(batch.actions.valid.tolist()) == [False, False, True]
    np.testing.assert_array_equal(batch.actions.valid, is_gui)
    own = experiment().inputs(GUI)
    stored = rows(batch.actions, *np.flatnonzero(is_gui))
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(x[0], y), stored, own)
    others = rows(batch.actions, *np.flatnonzero(~is_gui))
    assert not others.raw.any() and not others.meta.kind.any() and np.isnan(others.mouse).all()


def test_a_batch_is_of_one_structure_whichever_clips_are_in_it():
    """A compiled update takes batches of one structure, shapes and dtypes."""
    own = experiment().inputs(GUI)
    for clips in ((GUI, CLI), (encoded_clip("gui", own), encoded_clip("cli", None))):
        shapes = [
            jax.tree.map(lambda x: (x.shape, x.dtype), batch_of(*pair))
            for pair in (clips, clips[:1] * 2, clips[1:] * 2)
        ]
        assert shapes[0] == shapes[1] == shapes[2]
    texts = np.ones((experiment().inputs.texts, 6), np.float32)
    wide = [
        EncodedClip(c.id, 0, c.latents, c.condition, {"plain": np.ones((3, 6), np.float32)}, actions=c.actions)
        for c in (encoded_clip("gui", own._replace(texts=texts)), encoded_clip("cli", None))
    ]
    shapes = [jax.tree.map(lambda x: (x.shape, x.dtype), batch_of(*pair)) for pair in (wide, wide[1:] * 2)]
    assert shapes[0] == shapes[1] and shapes[0].actions.texts[0] == (2, experiment().inputs.texts, 6)


def test_encoded_clips_with_and_without_actions_are_one_batch():
    """With or without the experiment's featurizer, nothing is cut."""
    for inputs in (experiment().inputs, None):
        batch = batch_of(
            *(encoded_clip(n, a) for n, a in (("cli", None), ("gui", experiment().inputs(GUI)))), inputs=inputs
        )
        assert sorted(batch.actions.valid.tolist()) == [False, True]
        assert isinstance(batch.actions.texts, TokenIds)
    assert batch_of(encoded_clip("cli", None), inputs=None).actions is None
    assert not batch_of(encoded_clip("cli", None)).actions.valid.any()


def test_a_stored_episode_remembers_whether_it_has_a_log(tmp_path):
    """A clip in which nothing happens is one thing in a session with a log, and another in a video without one."""
    with EpisodeWriter(tmp_path, window=FRAMES) as writer:
        writer.write(Episode("logged", video(2, 10), FPS, {"plain": "x"}, events=EVENTS))
        writer.write(Episode("bare", video(3, 10), FPS, {"plain": "x"}))
    source = ClipSource(tmp_path, "train", FRAMES)
    clips = [source[i] for i in range(len(source))]
    assert any(clip.id == "logged" and not clip.events for clip in clips)
    for clip in clips:
        assert clip.logged == (clip.id == "logged") == bool(experiment().inputs(clip).valid)


@pytest.mark.slow
def test_rows_of_a_mixture_train_as_alone():
    """Flow: the mean of the rows. Losses on actions: those of the row with actions. The other row trains no action encoder."""
    made = experiment()
    network, frozen, key = builders.params(made).network, builders.frozen(made), jax.random.key(0)
    mixed = batch_of(GUI, CLI)
    gui = int(np.flatnonzero(mixed.actions.valid)[0])

    @jax.jit
    def gradient(network, frozen, batch, weights):
        """Of the loss's two parts so weighed; and the parts, and all terms."""

        def weighed(network):
            loss, terms = made.trainer.objective(made.computer, network, made.computer.encode(frozen, batch), key)
            parts = {"flow": terms["loss_flow"], "actions": loss - terms["loss_flow"]}
            return weights["flow"] * parts["flow"] + weights["actions"] * parts["actions"], (parts, terms)

        return jax.grad(weighed, has_aux=True)(network)

    def of(batch):
        """The loss's parts, all terms, and the gradient of each part."""
        found = {
            part: jax.device_get(gradient(network, frozen, batch, {"flow": 0.0, "actions": 0.0} | {part: 1.0}))
            for part in ("flow", "actions")
        }
        return *found["flow"][1], {part: one for part, (one, _) in found.items()}

    values, terms, both = of(mixed)
    assert set(terms) >= {"loss_cursor", "loss_contrastive", "loss_future"}
    (own, _, alone), (_, _, other) = (of(rows(mixed, row)) for row in (gui, 1 - gui))
    np.testing.assert_allclose(values["actions"], own["actions"], rtol=1e-5)
    assert own["actions"] > 0

    def alike(one, two):
        largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(one))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * largest), one, two)

    alike(both["actions"], alone["actions"])
    alike(both["flow"], jax.tree.map(lambda a, b: (a + b) / 2, alone["flow"], other["flow"]))
    assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(alone["flow"]["actions"])) > 0
    for leaf in jax.tree.leaves((other["flow"]["actions"], other["actions"])):
        np.testing.assert_array_equal(leaf, 0)
