"""Evaluators of a training run: what is measured on held-out clips every `config.schedule.eval_every` steps.

`EVALUATORS` is an open table. Add your own; what it yields is logged as NAME/KEY:

    def weight_norm(setting):
        return lambda state: [("l2", optax.global_norm(state.network))]

    EVALUATORS["weights"] = weight_norm
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from neural_computer import sharding
from neural_computer.evals.evaluate import CodecReconstruction
from neural_computer.evals.scorer import Scorer
from neural_computer.experiment import Experiment
from neural_computer.models.linear_codec import LinearCodec
from neural_computer.train.loop import Evaluator
from neural_computer.types import Clip, FrozenParams
from neural_computer.workflows import checks, metrics
from neural_computer.workflows.task import task


@dataclass(frozen=True)
class Setting:
    """What an evaluator is made of: the experiment, its frozen parameters, the training source, held-out clips, and the
    scorer of config.evaluation.metrics, None where it names none."""

    experiment: Experiment
    frozen: FrozenParams
    source: Any
    clips: Sequence[Clip]
    scorer: Scorer | None


def held_out(setting: Setting) -> Evaluator:
    """Scores, on the held-out clips, a computer's rollouts, or the reconstructions of a codec that is trained."""
    return task(setting.experiment).held_out(setting.frozen, setting.clips, setting.scorer)


def linear_codec(setting: Setting) -> Evaluator | None:
    """Scores a linear codec of as many channels, for comparison with the trained one; None for a computer."""
    experiment = setting.experiment
    if not experiment.trains_codec:
        return None
    codec = LinearCodec(experiment.codec.channels)
    params = codec.fit(checks.codec_fit_videos(experiment, setting.source))
    scores = CodecReconstruction(codec, experiment.evaluation.batch_size).scores(params, setting.clips, setting.scorer)
    return lambda state: scores.items()


EVALUATORS: dict[str, Callable[[Setting], Evaluator | None]] = {"held_out": held_out, "linear": linear_codec}
"""Makers of evaluators, by the name under which values are logged; a maker returns None where it does not apply"""


def evaluators(
    experiment: Experiment, frozen: FrozenParams, source: Any, clips: Sequence[Clip]
) -> dict[str, Evaluator]:
    """The evaluators of `EVALUATORS` that apply to an experiment, on held-out clips."""
    options = metrics.config_options(experiment, sharding.make_mesh(experiment.mesh))
    setting = Setting(experiment, frozen, source, clips, options.scorer() if options else None)
    applicable = ((name, make(setting)) for name, make in EVALUATORS.items())
    return {name: evaluator for name, evaluator in applicable if evaluator is not None}
