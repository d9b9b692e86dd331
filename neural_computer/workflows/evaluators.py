"""Evaluators of a training run: what is measured on held-out clips every `config.schedule.eval_every` steps.

`EVALUATORS` is an open table. Add your own; what it yields is logged as NAME/KEY:

    def weight_norm(setting):
        return lambda state: [("l2", optax.global_norm(state.network))]

    EVALUATORS["weights"] = weight_norm
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from neural_computer import sharding
from neural_computer.evals.evaluate import BatchedRollout, CodecReconstruction, HeldOut
from neural_computer.evals.scorer import Scorer
from neural_computer.experiment import Experiment
from neural_computer.models.linear_codec import LinearCodec
from neural_computer.train.loop import Evaluator
from neural_computer.types import Clip, FrozenParams, TrainState
from neural_computer.workflows import checks, metrics


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
    return _reconstructions(setting) if setting.experiment.trains_codec else _rollouts(setting)


def _rollouts(setting: Setting) -> Evaluator:
    experiment, trainer = setting.experiment, setting.experiment.trainer
    rollout = BatchedRollout(
        experiment.computer,
        experiment.tokenizer,
        experiment.evaluation.batch_size,
        experiment.negative_prompt_ids(),
        experiment.inputs,
    )
    tier = next(iter(experiment.data.captions))
    return HeldOut(
        rollout, lambda state: trainer.params(state.ema, setting.frozen), setting.clips, tier, setting.scorer
    )


def _reconstructions(setting: Setting) -> Evaluator:
    experiment, trainer = setting.experiment, setting.experiment.trainer
    reconstruction = CodecReconstruction(trainer.model.codec, experiment.evaluation.batch_size)

    def scores(state: TrainState) -> Iterable[tuple[str, float]]:
        params = trainer.model.params(trainer.params(state.ema, setting.frozen).network)
        return reconstruction.scores(params, setting.clips, setting.scorer).items()

    return scores


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
