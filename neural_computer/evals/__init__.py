"""Evaluation: pixels, text, tasks, the mouse; videos beside videos, a trained computer on held-out clips.

`METRICS` is the open table of metrics by name: a new metric is one entry (see `metrics`).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neural_computer.evals.inputs import Instruments as Instruments
    from neural_computer.evals.metrics import METRICS as METRICS
    from neural_computer.evals.metrics import Metric as Metric
    from neural_computer.evals.metrics import SetMetric as SetMetric
    from neural_computer.evals.pairs import VideoPair as VideoPair
    from neural_computer.evals.scorer import Scorer as Scorer

_MODULE_OF = {
    "METRICS": "metrics",
    "Instruments": "inputs",
    "Metric": "metrics",
    "Scorer": "scorer",
    "SetMetric": "metrics",
    "VideoPair": "pairs",
}

__all__ = tuple(_MODULE_OF)


def __getattr__(name: str) -> Any:
    """The public name, imported from its module on first use: numpy-only users of this room need no jax."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
