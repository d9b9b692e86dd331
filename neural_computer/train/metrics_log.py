"""metrics.jsonl and TensorBoard: what a training run reports, one line a step that is logged."""

import json
import math
import time
from pathlib import Path

import jax

from neural_computer.files import write_whole
from neural_computer.types import Metrics


class MetricsLog:
    """metrics.jsonl in the workdir, one object a line, and TensorBoard where it is installed; process 0 writes."""

    def __init__(self, workdir: Path, step: int, seconds: float):
        """Begins after `step`, `seconds` into the run: lines beyond it, from a run that was cut off, are dropped."""
        self.path = workdir / "metrics.jsonl"
        self._begin = time.monotonic() - seconds
        self._deferred: tuple[int, Metrics] | None = None
        self._board = None
        if jax.process_index() != 0:
            return
        kept = [line for line in read_metrics(workdir) if line["step"] <= step]
        write_whole(self.path, "".join(_line(line) for line in kept))
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            return
        self._board = SummaryWriter(str(workdir / "tensorboard"), purge_step=step + 1)

    @property
    def seconds(self) -> float:
        """Wall time of the run so far, of its earlier parts too."""
        return time.monotonic() - self._begin

    def defer(self, step: int, metrics: Metrics) -> None:
        """Keeps the metrics of a step for the next `flush`: fetched a step late, they do not make the device wait."""
        self._deferred = step, metrics

    def flush(self) -> dict[str, float]:
        """Records the deferred metrics and returns them; empty if there are none."""
        kept, self._deferred = self._deferred, None
        return self.write(*kept) if kept else {}

    def write(self, step: int, metrics: Metrics) -> dict[str, float]:
        """Fetches and records the metrics of a step; returns them as floats."""
        values = {name: float(value) for name, value in jax.device_get(metrics).items()}
        if jax.process_index() == 0:
            with self.path.open("a") as file:
                file.write(_line({"step": step, "seconds": round(self.seconds, 2), **values}))
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


def _line(values: Metrics) -> str:
    """A line of JSON; what is not finite, for which JSON has no number, becomes null."""
    finite = {name: value if value is None or math.isfinite(value) else None for name, value in values.items()}
    return json.dumps(finite, allow_nan=False) + "\n"
