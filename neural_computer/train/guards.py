"""What stops a run before it does harm: a loss that is not finite, and signals from outside."""

import math
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import jax
from jax.experimental import multihost_utils

from neural_computer.errors import Error
from neural_computer.types import Metrics


class NonFiniteError(Error, FloatingPointError):
    """A loss or a gradient is NaN or infinite; nothing was saved since."""


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop and has saved its state."""


class FiniteGuard:
    """Finds the first update whose loss or gradient is not finite.

    Metrics are fetched late, at `check`, so that no update waits for the host. They are the same on every process, so all
    of them stop at the same check.
    """

    def __init__(self, clip_ids: Callable[[int], Sequence[str]] | None = None):
        """`clip_ids(batch)` names the clips of the global batch with that number, from 0 on."""
        self._clip_ids = clip_ids
        self._pending: list[tuple[int, Metrics]] = []

    def add(self, step: int, metrics: Metrics) -> None:
        """Remembers the metrics of update number `step`, counted from 1."""
        self._pending.append((step, {name: metrics[name] for name in ("loss", "gradient_norm")}))

    def check(self, newest: bool = True) -> None:
        """Raises NonFiniteError for the first bad update; without `newest` the last one, still running perhaps, waits."""
        due = self._pending if newest else self._pending[:-1]
        self._pending = self._pending[len(due) :]
        for (step, _), metrics in zip(due, jax.device_get([metrics for _, metrics in due]), strict=True):
            bad = [f"{name} is {float(value)}" for name, value in metrics.items() if not math.isfinite(value)]
            if bad:
                clips = f" on clips {', '.join(self._clip_ids(step - 1))}" if self._clip_ids else ""
                raise NonFiniteError(
                    f"step {step}: {', '.join(bad)}{clips}. Nothing was saved since; checkpoints are of earlier steps. Look at "
                    "these clips, or lower config.optimizer.learning_rate, and give the same command again: it goes on from "
                    "the last checkpoint"
                )


@contextmanager
def stop_signals() -> Iterator[Callable[[int], bool]]:
    """A function step -> whether to stop after it: the first Ctrl-C or SIGTERM asks for that, a second one acts as usual.

    Several processes must stop after the same step: jax's preemption service hears the SIGTERM of any and agrees on one.
    """
    requested, several = threading.Event(), jax.process_count() > 1
    ours = [signal.SIGINT] if several else [signal.SIGINT, signal.SIGTERM]
    if threading.current_thread() is not threading.main_thread():
        ours = []
    before = {number: signal.getsignal(number) for number in ours}

    def ask(number, frame):
        signal.signal(number, before[number])
        requested.set()
        if several:
            signal.raise_signal(signal.SIGTERM)

    for number in ours:
        signal.signal(number, ask)
    try:
        yield multihost_utils.reached_preemption_sync_point if several else lambda step: requested.is_set()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
