"""The training loop: restore, update, log, evaluate, save. All of the library's training I/O is here."""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import jax
from absl import logging
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from tqdm import tqdm

from neural_computer import sharding
from neural_computer.computer import NeuralComputer
from neural_computer.models import flops
from neural_computer.train.checkpoint import Checkpoints
from neural_computer.train.cost import bytes_per_device
from neural_computer.train.update import Trainer
from neural_computer.types import Batch, Encoded, Metrics, PyTree, TrainState

Evaluator = Callable[[TrainState], Iterable[tuple[str, float]]]


@dataclass(frozen=True)
class LoopConfig:
    """How long to train and what happens on the way, in steps; 0 turns `eval_every` off."""

    steps: int
    checkpoint_every: int = 1000
    keep: int = 2
    log_every: int = 10
    eval_every: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "checkpoint_every", "keep", "log_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least 1")


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop and has saved its state."""


def fit(
    trainer: Trainer,
    frozen: PyTree,
    batches: Callable[[int], Iterator[Batch | Encoded]],
    schedule: LoopConfig,
    *,
    workdir: Path,
    mesh: Mesh,
    seed: int,
    begin: Callable[[], PyTree] | None = None,
    evaluators: Mapping[str, Evaluator] | None = None,
) -> TrainState:
    """The state after `schedule.steps` updates, from the newest checkpoint in `workdir`, or from the network's parameters
    that `begin` returns, or from `seed`.

    `batches(start)` yields this process's share of every batch from step `start` on. Ctrl-C and SIGTERM save, then raise
    Interrupted. Resuming gives the parameters of an uninterrupted run, bit for bit on the same topology.
    """
    checkpoints = Checkpoints(workdir / "checkpoints", schedule.max_to_keep)
    stream: Iterator[Batch | Encoded] = iter(())
    try:
        state, seconds = _start(trainer, frozen, batches, checkpoints, mesh, seed, begin)
        step = int(state.step)
        log = MetricsLog(workdir, step, seconds)
        frozen = sharding.place(frozen, mesh)
        stream = batches(step)
        compiled = None
        main = jax.process_index() == 0
        with (
            _stop_signals() as stop_after,
            tqdm(
                total=schedule.steps,
                initial=step,
                desc="train",
                unit="step",
                disable=not main,
                mininterval=1,
                dynamic_ncols=True,
            ) as bar,
        ):
            waited, since = 0.0, time.monotonic()
            while step < schedule.steps:
                asked = time.monotonic()
                local = next(stream)
                waited += time.monotonic() - asked
                batch = sharding.place_batch(local, mesh)
                if compiled is None:
                    with jax.set_mesh(mesh):
                        compiled = trainer.compile(mesh, state, frozen, seed).lower(state, frozen, batch).compile()
                    logging.info("compiled memory a device, MiB: %s", memory(compiled))
                state, metrics = compiled(state, frozen, batch)
                step += 1
                bar.update()
                if before := log.flush():
                    bar.set_postfix(loss=f"{before['loss']:.4f}")
                last, stopping = step == schedule.steps, stop_after(step)
                if last or step % schedule.log_every == 0:
                    now = time.monotonic()
                    # No more than this can the device have waited: it works on while the host waits.
                    log.later(step, metrics | {"waiting_for_data": waited / (now - since)})
                    waited, since = 0.0, now
                if evaluators and schedule.eval_every and (last or step % schedule.eval_every == 0):
                    log.write(step, _evaluate(evaluators, state))
                if last or stopping or step % schedule.checkpoint_every == 0:
                    log.flush()  # first: a checkpoint that counts has the metrics of all its steps
                    checkpoints.save(step, jax.block_until_ready(state), {"seconds": log.seconds})
                if stopping and not last:
                    raise Interrupted(f"stopped at step {step}, saved; the same command goes on from there")
        return state
    finally:
        if hasattr(stream, "close"):
            stream.close()
        checkpoints.close()


def _start(trainer, frozen, batches, checkpoints, mesh, seed, begin) -> tuple[TrainState, float]:
    """The state to train from and the seconds already spent, after a report of what it costs."""
    sample = next(iter(batches(0)))
    abstract = jax.eval_shape(lambda: trainer.init(seed))
    at = sharding.shardings(abstract, mesh)
    report(trainer, abstract, frozen, sample, mesh)
    found = checkpoints.restore(abstract, at)
    if found is None:
        if begin is None:
            return jax.jit(lambda: trainer.init(seed), out_shardings=at)(), 0.0
        return jax.jit(trainer.start, out_shardings=at)(begin()), 0.0
    step, state, note = found
    logging.info("resuming from step %d", step)
    return state, float(note["seconds"])


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
    if isinstance(trainer.computer, NeuralComputer):
        each = operations(trainer, sample.text.shape[1])
        work += f" of {prod(tokens(trainer.computer))} tokens, {rows * each:.3g} operations by formula"
    logging.info(
        "a step: %s; state %.1f MiB a device, frozen %.1f MiB",
        work,
        bytes_per_device(state, mesh) / 2**20,
        bytes_per_device(frozen, mesh) / 2**20,
    )


def tokens(computer: NeuralComputer) -> tuple[int, int, int]:
    """A chunk in tokens (f, h, w)."""
    f, i, j, _ = computer.latent_shape
    _, p, q = computer.network.dit.shape.patch
    return f, i // p, j // q


def operations(trainer: Trainer, text: int) -> float:
    """Floating-point operations of a training step a video, by formula; `text` counts context rows."""
    computer, dit = trainer.computer, trainer.computer.network.dit
    image = 0 if computer.image_encoder is None else computer.image_encoder.rows
    return flops.train_step(dit.shape, tokens(computer), text, image, remat=dit.remat != "none")


def memory(compiled) -> dict[str, float]:
    """MiB a device of a compiled program, by XLA's account: arguments, outputs, temporaries."""
    analysis = compiled.memory_analysis()
    kinds = ("argument", "output", "temp")
    return {kind: round(getattr(analysis, f"{kind}_size_in_bytes") / 2**20, 1) for kind in kinds}


class MetricsLog:
    """metrics.jsonl in the workdir, one object a line, and TensorBoard where it is installed; process 0 writes."""

    def __init__(self, workdir: Path, step: int, seconds: float):
        """Begins after `step`, `seconds` into the run: lines beyond it, from a run that was cut off, are dropped."""
        self.path = workdir / "metrics.jsonl"
        self._begin = time.monotonic() - seconds
        self._later: tuple[int, Metrics] | None = None
        self._board = None
        if jax.process_index() != 0:
            return
        kept = [line for line in read_metrics(workdir) if line["step"] <= step]
        temporary = self.path.with_suffix(".partial")
        temporary.write_text("".join(json.dumps(line) + "\n" for line in kept))
        temporary.replace(self.path)
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            return
        self._board = SummaryWriter(str(workdir / "tensorboard"), purge_step=step + 1)

    @property
    def seconds(self) -> float:
        """Wall time of the run so far, of its earlier parts too."""
        return time.monotonic() - self._begin

    def later(self, step: int, metrics: Metrics) -> None:
        """Keeps the metrics of a step for the next `flush`: fetched a step late, they do not make the device wait."""
        self._later = step, metrics

    def flush(self) -> dict[str, float]:
        """Records what `later` kept and returns it; empty if that was nothing."""
        kept, self._later = self._later, None
        return self.write(*kept) if kept else {}

    def write(self, step: int, metrics: Metrics) -> dict[str, float]:
        """Fetches and records the metrics of a step; returns them as floats."""
        values = {name: float(value) for name, value in jax.device_get(metrics).items()}
        if jax.process_index() == 0:
            with self.path.open("a") as file:
                file.write(json.dumps({"step": step, "seconds": round(self.seconds, 2), **values}) + "\n")
            if self._board is not None:
                for name, value in values.items():
                    self._board.add_scalar(name, value, step)
        return values


def read_metrics(workdir: Path) -> list[dict[str, float]]:
    """The lines of a workdir's metrics.jsonl; a last line cut off by a kill is left out."""
    lines = []
    path = workdir / "metrics.jsonl"
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines


@contextmanager
def _stop_signals() -> Iterator[Callable[[int], bool]]:
    """Whether to stop after a step: the first Ctrl-C or SIGTERM asks for it, a second one acts as usual.

    Several processes must stop after the same step: jax's preemption service hears the SIGTERM of any and agrees on one.
    """
    asked, several = threading.Event(), jax.process_count() > 1
    ours = [signal.SIGINT] if several else [signal.SIGINT, signal.SIGTERM]
    if threading.current_thread() is not threading.main_thread():
        ours = []
    before = {number: signal.getsignal(number) for number in ours}

    def ask(number, frame):
        signal.signal(number, before[number])
        asked.set()
        if several:
            signal.raise_signal(signal.SIGTERM)

    for number in ours:
        signal.signal(number, ask)
    try:
        yield multihost_utils.reached_preemption_sync_point if several else lambda step: asked.is_set()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
