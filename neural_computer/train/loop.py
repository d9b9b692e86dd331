"""The training loop: restore, update, log, evaluate, save. All of the library's training I/O is here."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import jax
from absl import logging
from jax.sharding import Mesh
from tqdm import tqdm

from neural_computer import sharding
from neural_computer.computer import NeuralComputer
from neural_computer.models import flops
from neural_computer.train.checkpoint import Checkpoints
from neural_computer.train.cost import bytes_per_device
from neural_computer.train.guards import FiniteGuard, Interrupted, stop_signals
from neural_computer.train.metrics_log import MetricsLog
from neural_computer.train.update import Trainer
from neural_computer.types import Batch, Encoded, FrozenParams, Metrics, PyTree, TrainState

Evaluator = Callable[[TrainState], Iterable[tuple[str, float]]]


@dataclass(frozen=True)
class LoopConfig:
    """Length of a training run and what happens during it, in updates; 0 turns `eval_every` off."""

    steps: int
    checkpoint_every: int = 1000
    max_to_keep: int = 2
    log_every: int = 10
    eval_every: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "checkpoint_every", "max_to_keep", "log_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least 1")


def fit(
    trainer: Trainer,
    frozen: FrozenParams,
    batches: Callable[[int], Iterator[Batch | Encoded]],
    config: LoopConfig,
    *,
    workdir: Path,
    mesh: Mesh,
    seed: int,
    init_params: Callable[[], PyTree] | None = None,
    evaluators: Mapping[str, Evaluator] | None = None,
    clip_ids: Callable[[int], Sequence[str]] | None = None,
) -> TrainState:
    """The state after `config.steps` updates, from the newest checkpoint in `workdir`, or from the network's parameters
    that `init_params` returns, or from `seed`.

    `batches(start)` yields this process's share of every batch from number `start` on; `clip_ids(number)` names the clips of
    one. Resuming gives the parameters of an uninterrupted run, bit for bit on the same topology. Raises Interrupted after
    Ctrl-C or SIGTERM, with the state saved, and NonFiniteError for a loss or gradient that is not finite, with nothing saved.
    """
    checkpoints = Checkpoints(workdir / "checkpoints", config.max_to_keep)
    stream: Iterator[Batch | Encoded] = iter(())
    try:
        state, seconds = _restore_or_init(trainer, checkpoints, mesh, seed, init_params)
        step = int(state.step)
        log, guard = MetricsLog(workdir, step, seconds), FiniteGuard(clip_ids)
        frozen = sharding.place(frozen, mesh, trainer.rules)
        stream, update = batches(step), None
        with stop_signals() as stop_after, _progress(config.steps, step) as bar:
            waited, since = 0.0, time.monotonic()
            while step < config.steps:
                begin = time.monotonic()
                local = next(stream)
                waited += time.monotonic() - begin
                batch = sharding.place_batch(local, mesh)
                if update is None:
                    report(trainer, state, frozen, local, mesh)
                    update = _compile(trainer, mesh, state, frozen, batch, seed)
                state, metrics = update(state, frozen, batch)
                step += 1
                guard.add(step, metrics)
                bar.update()
                if before := log.flush():
                    bar.set_postfix(loss=f"{before['loss']:.4f}")
                last, stopping = step == config.steps, stop_after(step)
                if last or step % config.log_every == 0:
                    guard.check(newest=False)
                    now = time.monotonic()
                    # No more than this can the device have waited: it computes while the host waits.
                    log.defer(step, metrics | {"waiting_for_data": waited / (now - since)})
                    waited, since = 0.0, now
                if evaluators and config.eval_every and (last or step % config.eval_every == 0):
                    guard.check()
                    log.write(step, _evaluate(evaluators, state))
                if last or stopping or step % config.checkpoint_every == 0:
                    log.flush()  # first: a checkpoint that counts has the metrics of all its steps
                    guard.check()  # a checkpoint that is not finite would retire one that is
                    checkpoints.save(step, jax.block_until_ready(state), {"seconds": log.seconds})
                if stopping and not last:
                    raise Interrupted(f"stopped at step {step}, saved; the same command goes on from there")
        return state
    finally:
        if hasattr(stream, "close"):
            stream.close()
        checkpoints.close()


def _restore_or_init(
    trainer: Trainer, checkpoints: Checkpoints, mesh: Mesh, seed: int, init_params: Callable[[], PyTree] | None
) -> tuple[TrainState, float]:
    """The state to train from, and the seconds already spent."""
    abstract = jax.eval_shape(lambda: trainer.init(seed))
    at = sharding.shardings(abstract, mesh, trainer.rules)
    restored = checkpoints.restore(abstract, at)
    if restored is not None:
        step, state, note = restored
        logging.info("resuming from step %d", step)
        return state, float(note["seconds"])
    if init_params is None:
        return jax.jit(lambda: trainer.init(seed), out_shardings=at)(), 0.0
    return jax.jit(trainer.start, out_shardings=at)(init_params()), 0.0


def _compile(trainer: Trainer, mesh: Mesh, state: TrainState, frozen: FrozenParams, batch: Any, seed: int) -> Callable:
    """The compiled update; logs the memory that XLA allots to it."""
    with jax.set_mesh(mesh):
        compiled = trainer.compile(mesh, state, frozen, seed).lower(state, frozen, batch).compile()
    logging.info("compiled memory a device, MiB: %s", memory(compiled))
    return compiled


def _progress(steps: int, initial: int) -> tqdm:
    main = jax.process_index() == 0
    return tqdm(
        total=steps, initial=initial, desc="train", unit="step", disable=not main, mininterval=1, dynamic_ncols=True
    )


def _evaluate(evaluators: Mapping[str, Evaluator], state: TrainState) -> Metrics:
    return {f"{name}/{key}": value for name, evaluate in evaluators.items() for key, value in evaluate(state)}


def report(trainer: Trainer, state: PyTree, frozen: PyTree, sample: Any, mesh: Mesh) -> None:
    """Logs parameters, operations, memory and bytes per device before the first step; allocates nothing."""
    if jax.process_index() != 0:
        return
    from clu import parameter_overview

    overview = parameter_overview.get_parameter_overview(state.network, include_stats=False, max_lines=60)
    logging.info("parameters that are trained\n%s", overview)
    rows = len(sample.index) * jax.process_count()
    work = f"{rows} videos"
    if isinstance(trainer.model, NeuralComputer):
        each = operations(trainer, jax.tree.leaves(sample.text)[0].shape[1])
        work += f" of {prod(tokens(trainer.model))} tokens, {rows * each:.3g} operations by formula"
    logging.info(
        "a step: %s; state %.1f MiB a device, frozen %.1f MiB",
        work,
        bytes_per_device(state, mesh, trainer.rules) / 2**20,
        bytes_per_device(frozen, mesh, trainer.rules) / 2**20,
    )


def tokens(computer: NeuralComputer) -> tuple[int, int, int]:
    """A chunk in tokens (f, h, w)."""
    f, i, j, _ = computer.latent_shape
    _, p, q = computer.network.dit.shape.patch
    return f, i // p, j // q


def operations(trainer: Trainer, text: int) -> float:
    """Floating-point operations of a training step a video, by formula; `text` counts context rows."""
    computer, dit = trainer.model, trainer.model.network.dit
    image = 0 if computer.conditioner.image_encoder is None else computer.conditioner.image_encoder.rows
    return flops.train_step(dit.shape, tokens(computer), text, image, remat=dit.remat != "none")


def memory(compiled) -> dict[str, float]:
    """MiB a device of a compiled program, by XLA's account: arguments, outputs, temporaries."""
    analysis = compiled.memory_analysis()
    kinds = ("argument", "output", "temp")
    return {kind: round(getattr(analysis, f"{kind}_size_in_bytes") / 2**20, 1) for kind in kinds}
