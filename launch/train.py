"""Trains a config: python -m launch.train --config=configs/quickstart.py --workdir=DIR [--init=CONVERTED]

--init starts from published weights that launch.convert_weights has converted (or --config.init).
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

from launch import faults, hosts, lock
from neural_computer import build, sharding
from neural_computer import workdir as workdirs
from neural_computer.data import pipeline, windows
from neural_computer.evals import evaluate
from neural_computer.models.codec import LinearCodec
from neural_computer.train import loop

CONFIG = config_flags.DEFINE_config_file("config", None, "The experiment.", lock_config=True)
WORKDIR = flags.DEFINE_string("workdir", None, "Where checkpoints, metrics and the config go.")
INIT = flags.DEFINE_string("init", None, "A converted folder to start from; sets config.init.")


def main(argv: list[str]) -> None:
    del argv
    hosts.join()
    if INIT.value is not None:
        CONFIG.value.init = INIT.value
    experiment = build.build(CONFIG.value)
    workdir = Path(WORKDIR.value)
    with lock.held(workdir) if jax.process_index() == 0 else contextlib.nullcontext():
        state = train(experiment, workdir)
    logging.info("%s: trained to step %d", workdir, int(state.step))


def train(experiment: build.Experiment, workdir: Path):
    """The trained state; reads the films, fits the codec once, then runs the loop."""
    data = experiment.data
    source = windows.WindowSource(data.directory, "train", data.frames, data.stride)
    build.check_films(experiment, source[0])
    mesh = sharding.make_mesh(experiment.mesh)
    setup(experiment, workdir, source)
    frozen, begin = workdirs.encoders(experiment, workdir, mesh), None
    if experiment.init or experiment.trainer.optimizer.train:
        # Kept when a part is held, which is needed now; else read only if there is no checkpoint to go on from.
        begin = cache(partial(workdirs.begin, experiment, mesh))
    if experiment.trainer.optimizer.train:
        frozen |= workdirs.held(experiment.trainer, begin())

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
        )

    evaluators = {}
    if experiment.schedule.eval_every and jax.process_count() > 1:
        logging.warning("no evaluation on the way with several processes; launch.evaluate scores the workdir")
    elif experiment.schedule.eval_every:
        held_out = windows.WindowSource(data.directory, experiment.evaluation.split, data.frames, data.stride)
        some = evaluate.spread(held_out, experiment.evaluation.films_on_the_way)
        evaluators["held_out"] = evaluate.HeldOut(
            evaluate.Rollout(
                experiment.computer, experiment.tokenizer, experiment.evaluation.batch_size, experiment.away()
            ),
            lambda state: experiment.trainer.params(state.ema, frozen),
            some,
            next(iter(data.captions)),
        )
    return loop.fit(
        experiment.trainer,
        frozen,
        batches,
        experiment.schedule,
        workdir=workdir,
        mesh=mesh,
        seed=experiment.seed,
        begin=begin,
        evaluators=evaluators,
    )


def setup(experiment: build.Experiment, workdir: Path, source: windows.WindowSource) -> None:
    """Writes, once a workdir, what a run needs later; fits the linear codec to films spread over the training split."""
    if not (workdir / workdirs.SETUP).exists() and jax.process_index() == 0:
        codec, fitted = experiment.computer.codec, {}
        if isinstance(codec, LinearCodec):
            count = min(experiment.codec.fit_films, len(source))
            places = np.linspace(0, len(source) - 1, count).astype(int)
            fitted = codec.fit(source[int(i)].frames for i in places)
        workdirs.save_setup(experiment, workdir, fitted, source[0])
    hosts.wait("setup")


if __name__ == "__main__":
    flags.mark_flags_as_required(["config", "workdir"])
    faults.run(main)
