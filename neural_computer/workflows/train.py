"""Trains an experiment: on what its config names, or on a source of clips that a notebook brings."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from absl import logging
from jax.sharding import Mesh

from neural_computer import sharding
from neural_computer.config import ConfigError, at
from neural_computer.convert import pretrained
from neural_computer.data import encoded, pipeline, windows
from neural_computer.data.balanced import BalancedSource
from neural_computer.data.stages import StagedSource, begins
from neural_computer.evals.evaluate import evenly_spaced
from neural_computer.experiment import Experiment
from neural_computer.train import loop
from neural_computer.types import Batch, Clip, Encoded, FrozenParams, PyTree, TrainState
from neural_computer.workflows import checks, distributed, lock
from neural_computer.workflows import workdir as workdirs
from neural_computer.workflows.evaluators import evaluators as standard_evaluators
from neural_computer.workflows.task import task

Source = windows.ClipSource | encoded.EncodedSource | Sequence[Clip]
"""Anything with a length and `[i]` of clips, or of clips that were encoded."""


def train(experiment: Experiment, workdir: str | Path) -> TrainState:
    """Trains on the data set of config.data.directory and scores its held-out split meanwhile; returns the last state.

    Raises ValueError where the data do not fit the config.
    """
    return fit(experiment, None, workdir)


def fit(
    experiment: Experiment,
    source: Source | None,
    workdir: str | Path,
    *,
    held_out: Sequence[Clip] | None = None,
    evaluators: Mapping[str, loop.Evaluator] | None = None,
) -> TrainState:
    """Trains on `source` until config.schedule.steps and returns the last state.

    Without a source, the data are those of config.data.directory, held-out clips included. `workdir` gets the config, the
    fitted codec, checkpoints and metrics; if it has a checkpoint, training goes on from the newest. Clips of `held_out` are
    scored every config.schedule.eval_every steps, and so is whatever `evaluators` compute from the state. Raises ConfigError
    for encoded clips of another codec than the workdir's, RuntimeError if another process trains there.
    """
    workdir = Path(workdir)
    with lock.exclusive(workdir) if jax.process_index() == 0 else contextlib.nullcontext():
        if source is None:
            source, held_out = training_split(experiment), held_out_split(experiment) if held_out is None else held_out
        setup = prepare(experiment, source, workdir, held_out or ())
        scores = standard_evaluators(experiment, setup.frozen, source, held_out) if held_out else {}
        state = loop.fit(
            experiment.trainer,
            setup.frozen,
            setup.batches,
            experiment.schedule,
            workdir=workdir,
            mesh=setup.mesh,
            seed=experiment.seed,
            init_params=setup.init_params,
            evaluators={**scores, **(evaluators or {})},
            clip_ids=setup.clip_ids,
        )
        if jax.process_index() == 0:
            task(experiment).finish(workdir, state, setup.frozen, source)
    logging.info("%s: trained to step %d", workdir, int(state.step))
    return state


class Setup(NamedTuple):
    """What the loop needs beside the experiment, made once."""

    mesh: Mesh
    frozen: FrozenParams
    """Parameters of the encoders, of a codec's loss, and of the part of the network that is not trained"""
    init_params: Callable[[], PyTree] | None
    """Returns the network's first parameters, where they do not come from the seed alone"""
    batches: Callable[[int], Iterator[Batch | Encoded]]
    """Returns this process's share of every batch from a step on"""
    clip_ids: Callable[[int], Sequence[str]]
    """Names the clips of the global batch with that number"""


def prepare(experiment: Experiment, source: Source, workdir: Path, held_out: Sequence[Clip] = ()) -> Setup:
    """Writes what a workdir needs beside checkpoints, reads the frozen parameters and opens the stream of batches."""
    mesh, trainer = sharding.make_mesh(experiment.mesh), experiment.trainer
    save_setup(experiment, workdir, source)
    frozen, init_params = FrozenParams(), None
    if held_out or not isinstance(source, encoded.EncodedSource):
        # Encoded clips need no encoders; a rollout does.
        frozen = task(experiment).frozen(workdir, mesh)
    if experiment.init or trainer.optimizer.trainable:
        # Cached: needed now if part of the network is frozen, and by the loop only where there is no checkpoint.
        init_params = cache(partial(workdirs.init_params, experiment, mesh))
    if init_params is not None and trainer.optimizer.trainable:
        frozen = frozen._replace(network_held=trainer.optimizer.split(init_params())[1] or None)

    def batches(start: int) -> Iterator[Batch | Encoded]:
        return pipeline.batches(
            source,
            tokenizer=experiment.tokenizer,
            captions=experiment.data.captions,
            batch_size=experiment.data.batch_size,
            seed=experiment.seed,
            start=start,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
            inputs=experiment.inputs,
            regions=experiment.regions,
        )

    def clip_ids(batch: int) -> list[str]:
        return pipeline.clip_ids(source, batch_size=experiment.data.batch_size, seed=experiment.seed, batch=batch)

    return Setup(mesh, frozen, init_params, batches, clip_ids)


def save_setup(experiment: Experiment, workdir: Path, source: Source) -> None:
    """Writes the config, the fitted codec and a first frame, once a workdir.

    Raises ConfigError for encoded clips of another codec than the workdir's.
    """
    path = workdir / workdirs.SETUP
    if not path.exists() and jax.process_index() == 0:
        workdirs.save_setup(experiment, workdir, *codec_and_clip(experiment, source))
    distributed.wait("setup")
    if isinstance(source, encoded.EncodedSource):
        own, codec = workdirs.load_setup(workdir), codec_and_clip(experiment, source)[0]
        if not all(name in own and np.array_equal(own[name], value) for name, value in codec.items()):
            raise ConfigError(
                f"config.data.directory={source.directory}: its clips were encoded with another codec than the one in "
                f"{path}; train on them in a new workdir"
            )


def codec_and_clip(experiment: Experiment, source: Source) -> tuple[PyTree, Clip]:
    """The codec's parameters if it is fitted to training videos, else {}; and a clip that has at least its first frame.

    A computer that goes on from a trained machine keeps that one's.
    """
    if not isinstance(source, encoded.EncodedSource):
        if experiment.init and pretrained.is_machine(experiment.init) and experiment.codec.kind == "linear":
            return workdirs.read(Path(experiment.init)).params.frozen.codec, source[0]
        return checks.fit_codec(experiment, source), source[0]
    codec = workdirs.load_setup(source.directory)
    codec.pop("prompt", None)
    return codec, Clip("", codec.pop("first_frame")[None], float(codec.pop("fps")))


# The data that a config names


def training_split(
    experiment: Experiment,
) -> windows.ClipSource | BalancedSource | StagedSource | encoded.EncodedSource:
    """Videos or encoded clips of config.data.split, whichever the directory holds; by config.data.shares, or
    in config.data.stages, where these are given.

    Raises ValueError where they do not fit the config.
    """
    data = experiment.data
    if encoded.holds(data.directory) and task(experiment).reads_encoded:
        clips = encoded.EncodedSource(data.directory, data.split)
        checks.check_encoded(experiment, clips.info)
        return clips
    videos = windows.ClipSource(encoded.videos(data.directory), data.split, data.frames, data.stride)
    checks.check_videos(experiment, videos[0])
    if data.stages:
        with at("config.data"):
            parts = begins(data.stages).items()
            return StagedSource({step: BalancedSource(videos, dict(s), experiment.seed) for step, s in parts})
    if data.shares:
        return BalancedSource(videos, data.shares, experiment.seed)
    return videos


def held_out_split(experiment: Experiment) -> list[Clip]:
    """Clips of config.evaluation.split that are scored during training; none if config.schedule.eval_every is 0.

    Raises ConfigError if the training data are encoded and the videos that they were made from are gone.
    """
    data, every = experiment.data, experiment.schedule.eval_every
    if not every:
        return []
    if jax.process_count() > 1:
        logging.warning("no evaluation during training with several processes; score the workdir after it")
        return []
    try:
        directory = encoded.videos(data.directory)
    except ValueError as error:
        raise ConfigError(f"config.schedule.eval_every={every}: {error}, or set this to 0") from error
    videos = windows.ClipSource(directory, experiment.evaluation.split, data.frames, data.stride)
    return evenly_spaced(videos, experiment.evaluation.eval_videos_during_training)
