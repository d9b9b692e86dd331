"""Scores of pairs of videos by named metrics of `metrics.METRICS`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from neural_computer.evals import metrics
from neural_computer.evals.features import Extractor
from neural_computer.evals.inputs import Instruments, MetricInput
from neural_computer.evals.metrics import METRICS, SetMetric
from neural_computer.evals.pairs import VideoPair


class Scores(NamedTuple):
    """A clip's values by metric, and, of set metrics, its (generated, reference) rows of features."""

    values: dict[str, float]
    features: dict[str, np.ndarray]


@dataclass(frozen=True)
class Scorer:
    """Scores pairs by the metrics in `names`, measured with `instruments`.

    Raises ValueError for an unknown metric and for one whose weights the instruments lack.
    """

    names: tuple[str, ...]
    instruments: Instruments = field(default_factory=Instruments)

    def __post_init__(self) -> None:
        for name in self.names:
            metrics.check(name)
            weights = getattr(METRICS[name], "weights", "")
            if weights and getattr(self.instruments, weights) is None:
                raise ValueError(
                    f"metric={name!r}: needs the network's weights; give {weights}, the file that has them"
                )

    def __call__(self, pairs: Sequence[VideoPair]) -> list[Scores]:
        """Every pair's scores; a pair has no score of a metric whose needs it lacks or whose value is not finite."""
        scores = [Scores({}, {}) for _ in pairs]
        clips: dict[str, dict[int, list[np.ndarray]]] = {}
        extractors: dict[str, Extractor] = {}
        for number, pair in enumerate(pairs):
            x = MetricInput(pair, self.instruments)
            for name in self.names:
                metric = METRICS[name]
                if metric.needs and getattr(pair, metric.needs) is None:
                    continue
                if isinstance(metric, SetMetric):
                    if frames := metric.call(x):
                        extractors[name] = self.instruments.once(metric.extractor)
                        two = [extractors[name].clip(video) for video in (frames.generated, frames.reference)]
                        clips.setdefault(name, {})[number] = two
                elif (value := metric.call(x)) is not None and np.isfinite(value):
                    scores[number].values[name] = float(value)
        # All pairs at once: a mesh's devices share them.
        for name, by_pair in clips.items():
            rows = extractors[name].of_clips([clip for two in by_pair.values() for clip in two])
            for place, number in enumerate(by_pair):
                scores[number].features[name] = rows[2 * place : 2 * place + 2]
        return scores
