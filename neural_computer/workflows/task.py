"""What is trained, a computer or a codec: what each needs before the first update, how it is scored, and what it leaves."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jax.sharding import Mesh

from neural_computer.convert import pretrained
from neural_computer.evals.evaluate import BatchedRollout, CodecReconstruction, HeldOut
from neural_computer.evals.scorer import Scorer
from neural_computer.experiment import Experiment
from neural_computer.train.checkpoint import save_arrays
from neural_computer.train.loop import Evaluator
from neural_computer.types import Clip, FrozenParams, TrainState
from neural_computer.workflows import workdir as workdirs
from neural_computer.workflows.checks import codec_fit_videos


@runtime_checkable
class Task(Protocol):
    """Where training a computer differs from training a codec."""

    reads_encoded: bool
    """Whether it may be trained on encoded clips in place of videos"""

    def frozen(self, workdir: Path, mesh: Mesh | None) -> FrozenParams:
        """What the update and the rollout read and do not train. Raises CheckpointError, ConfigError."""

    def held_out(self, frozen: FrozenParams, clips: Sequence[Clip], scorer: Scorer | None) -> Evaluator:
        """Scores held-out clips from a state."""

    def finish(self, workdir: Path, state: TrainState, frozen: FrozenParams, videos: Any) -> None:
        """Writes what is measured once, after the last update."""


@dataclass(frozen=True)
class ComputerTask:
    """A NeuralComputer; held-out clips are scored by rollouts."""

    experiment: Experiment
    reads_encoded = True

    def frozen(self, workdir: Path, mesh: Mesh | None) -> FrozenParams:
        return workdirs.encoders(self.experiment, workdir, mesh)

    def held_out(self, frozen: FrozenParams, clips: Sequence[Clip], scorer: Scorer | None) -> Evaluator:
        experiment, trainer = self.experiment, self.experiment.trainer
        rollout = batched_rollout(experiment)
        tier = next(iter(experiment.data.captions))
        return HeldOut(rollout, lambda state: trainer.params(state.ema, frozen), clips, tier, scorer)

    def finish(self, workdir: Path, state: TrainState, frozen: FrozenParams, videos: Any) -> None:
        """A computer leaves its checkpoints alone."""


@dataclass(frozen=True)
class CodecTask:
    """An Autoencoder; held-out clips are scored by reconstructions."""

    experiment: Experiment
    reads_encoded = False

    def frozen(self, workdir: Path, mesh: Mesh | None) -> FrozenParams:
        lpips = self.experiment.trainer.model.lpips
        return FrozenParams(lpips=lpips.load() if lpips else None)

    def held_out(self, frozen: FrozenParams, clips: Sequence[Clip], scorer: Scorer | None) -> Evaluator:
        trainer = self.experiment.trainer
        reconstruction = CodecReconstruction(trainer.model.codec, self.experiment.evaluation.batch_size)

        def scores(state: TrainState) -> Iterable[tuple[str, float]]:
            params = trainer.model.params(trainer.params(state.ema, frozen).network)
            return reconstruction.scores(params, clips, scorer).items()

        return scores

    def finish(self, workdir: Path, state: TrainState, frozen: FrozenParams, videos: Any) -> None:
        """Measures the latents on training videos and writes mean and std to normalise them by.

        An encoder that was held keeps those it came with: whatever reads its latents still may.
        """
        experiment, trainer = self.experiment, self.experiment.trainer
        network = jax.device_get(trainer.params(state.ema, frozen).network)
        encoder_trained = "encoder" in trainer.optimizer.split(network)[0]["codec"]
        if experiment.init and not encoder_trained:
            _, vae = pretrained.load_pretrained(experiment.init, "vae")
            statistics = {name: np.asarray(vae[name]) for name in ("mean", "std")}
        else:
            statistics = trainer.model.statistics(network["codec"], codec_fit_videos(experiment, videos))
        save_arrays(workdir / workdirs.LATENTS, statistics | {"step": np.asarray(int(state.step))})


def batched_rollout(experiment: Experiment) -> BatchedRollout:
    """Rollouts of an experiment's computer as its evaluation makes them."""
    return BatchedRollout(
        experiment.computer,
        experiment.tokenizer,
        experiment.evaluation.batch_size,
        experiment.negative_prompt_ids(),
        experiment.inputs,
    )


def task(experiment: Experiment) -> Task:
    """The task of an experiment."""
    return (CodecTask if experiment.trains_codec else ComputerTask)(experiment)
