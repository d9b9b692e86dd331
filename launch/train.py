"""Trains a config: python -m launch.train --config=configs/quickstart.py --workdir=DIR [--init=CONVERTED]

config.data.directory holds videos, or clips that recipe encode of launch.prepare_data made of videos: these train the same
and need no VAE, UMT5 or CLIP in memory. --init starts from published weights that launch.convert_weights has converted
(or --config.init). A config with a section `vae`, as configs/vae.py, trains that codec on videos in the same way.
Resumes from the newest checkpoint in the workdir. Ctrl-C saves first; so does SIGTERM. On several hosts, give every
process --coordinator, --processes and --process (on TPU pods and SLURM, --distributed alone).
"""

import contextlib
from functools import cache, partial
from pathlib import Path

import jax
import numpy as np
from absl import flags, logging
from ml_collections import config_flags

from launch import errors
from neural_computer import build, sharding
from neural_computer.config import ConfigError
from neural_computer.data import encoded, pipeline, windows
from neural_computer.evals.evaluate import evenly_spaced
from neural_computer.experiment import Experiment
from neural_computer.train import loop
from neural_computer.types import Clip, FrozenParams, PyTree
from neural_computer.workflows import checks, distributed, lock
from neural_computer.workflows import workdir as workdirs
from neural_computer.workflows.evaluators import evaluators

CONFIG = config_flags.DEFINE_config_file("config", None, "The experiment.", lock_config=True)
WORKDIR = flags.DEFINE_string("workdir", None, "Where checkpoints, metrics and the config go.")
INIT = flags.DEFINE_string("init", None, "A converted folder to start from; sets config.init.")


def main(argv: list[str]) -> None:
    del argv
    distributed.join()
    if INIT.value is not None:
        CONFIG.value.init = INIT.value
    experiment = build.build(CONFIG.value)
    workdir = Path(WORKDIR.value)
    with lock.held(workdir) if jax.process_index() == 0 else contextlib.nullcontext():
        state = train(experiment, workdir)
    logging.info("%s: trained to step %d", workdir, int(state.step))


def train(experiment: Experiment, workdir: Path):
    """The trained state; reads videos or encoded clips, fits the codec once, then runs the loop.

    Of a codec that was trained, the latents are measured at the end.
    """
    data = experiment.data
    source, held_out = training(experiment), rolled_out(experiment)
    mesh = sharding.make_mesh(experiment.mesh)
    setup(experiment, workdir, source)
    frozen, init_params = FrozenParams(), None
    if experiment.trains_codec:
        frozen = workdirs.codec_loss_params(experiment)
    elif held_out or isinstance(source, windows.ClipSource):
        # Encoded clips need no encoders; a rollout does.
        frozen = workdirs.encoders(experiment, workdir, mesh)
    if experiment.init or experiment.trainer.optimizer.trainable:
        # Kept when a part is held, which is needed now; else read only if there is no checkpoint to go on from.
        init_params = cache(partial(workdirs.init_params, experiment, mesh))
    if experiment.trainer.optimizer.trainable:
        frozen = frozen._replace(network_held=experiment.trainer.optimizer.split(init_params())[1] or None)

    def batches(start: int):
        return pipeline.batches(
            source,
            tokenizer=experiment.tokenizer,
            captions=data.captions,
            batch_size=data.batch_size,
            seed=experiment.seed,
            start=start,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
            inputs=experiment.inputs,
        )

    state = loop.fit(
        experiment.trainer,
        frozen,
        batches,
        experiment.schedule,
        workdir=workdir,
        mesh=mesh,
        seed=experiment.seed,
        init_params=init_params,
        evaluators=evaluators(experiment, frozen, source, held_out) if held_out else {},
    )
    if experiment.trains_codec and jax.process_index() == 0:
        network = experiment.trainer.params(state.ema, frozen).network
        workdirs.save_latents(experiment, workdir, int(state.step), jax.device_get(network), source)
    return state


def training(experiment: Experiment) -> windows.ClipSource | encoded.EncodedSource:
    """The training split, videos or encoded clips, whichever is there. Raises ValueError where it does not fit the config."""
    data = experiment.data
    if encoded.holds(data.directory) and not experiment.trains_codec:
        clips = encoded.EncodedSource(data.directory, data.split)
        checks.check_encoded(experiment, clips.info)
        return clips
    videos = windows.ClipSource(encoded.videos(data.directory), data.split, data.frames, data.stride)
    checks.check_videos(experiment, videos[0])
    return videos


def rolled_out(experiment: Experiment) -> list[Clip]:
    """The held-out videos that are rolled out on the way; none where that is not asked for.

    Raises ConfigError where it is, but the training data are encoded and the videos they were made from are gone.
    """
    data, every = experiment.data, experiment.schedule.eval_every
    if not every:
        return []
    if jax.process_count() > 1:
        logging.warning("no evaluation on the way with several processes; launch.evaluate scores the workdir")
        return []
    try:
        directory = encoded.videos(data.directory)
    except ValueError as error:
        raise ConfigError(f"config.schedule.eval_every={every}: {error}, or set this to 0") from error
    videos = windows.ClipSource(directory, experiment.evaluation.split, data.frames, data.stride)
    return evenly_spaced(videos, experiment.evaluation.eval_videos_during_training)


def setup(experiment: Experiment, workdir: Path, source: windows.ClipSource | encoded.EncodedSource) -> None:
    """Writes, once a workdir, what a run needs later. Raises ConfigError for clips of another codec than the workdir's."""
    path = workdir / workdirs.SETUP
    if not path.exists() and jax.process_index() == 0:
        workdirs.save_setup(experiment, workdir, *origin(experiment, source))
    distributed.wait("setup")
    if isinstance(source, encoded.EncodedSource):
        own, codec = workdirs.load_setup(workdir), origin(experiment, source)[0]
        if not all(np.array_equal(own.get(name), value) for name, value in codec.items()):
            raise ConfigError(
                f"config.data.directory={source.directory}: its clips were encoded with another codec than the one in "
                f"{path}; train on them in a new workdir"
            )


def origin(experiment: Experiment, source: windows.ClipSource | encoded.EncodedSource) -> tuple[PyTree, Clip]:
    """The codec fitted to the training videos, nothing if it is not fitted, and one of the videos: its first frame at least."""
    if isinstance(source, windows.ClipSource):
        return checks.fit_codec(experiment, source), source[0]
    codec = workdirs.load_setup(source.directory)
    return codec, Clip("", codec.pop("first_frame")[None], float(codec.pop("fps")))


if __name__ == "__main__":
    flags.mark_flags_as_required(["config", "workdir"])
    errors.run(main)
