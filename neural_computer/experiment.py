"""An experiment: everything that a config stands for, and parts replaced in code."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from neural_computer.computer import NeuralComputer
from neural_computer.config import CodecConfig, ConfigError, DataConfig, EvaluationConfig, at
from neural_computer.data.inputs import ActionFeaturizer
from neural_computer.data.regions import RegionMasks
from neural_computer.data.tokens import ByteTokenizer, UMT5Tokenizer
from neural_computer.errors import one_of
from neural_computer.train.loop import LoopConfig
from neural_computer.train.reconstruction import Autoencoder
from neural_computer.train.update import Trainer
from neural_computer.types import TokenIds


@dataclass(frozen=True)
class Experiment:
    """Everything a config stands for."""

    config: ConfigDict
    seed: int
    init: str
    """The converted folder that training starts from; "" for none"""
    data: DataConfig
    codec: CodecConfig
    negative_prompt: str
    trainer: Trainer
    schedule: LoopConfig
    evaluation: EvaluationConfig
    tokenizer: ByteTokenizer | UMT5Tokenizer
    inputs: ActionFeaturizer | None
    """Makes actions of a clip's events; None where no actions enter"""
    mesh: Mapping[str, int]
    regions: RegionMasks | None = None
    """Makes masks of the loss's regions; None where it has none"""
    overridden: tuple[str, ...] = ()
    """Parts replaced in code, which `config` does not describe"""

    @property
    def computer(self) -> NeuralComputer:
        """Raises ConfigError where it is a codec that is trained."""
        if self.trains_codec:
            raise ConfigError(
                "config.vae: trains a codec, not a computer; convert the trained one (neural-computer convert_weights) "
                "and train a computer with config.codec.kind='wan' and it as config.init"
            )
        return self.trainer.model

    @property
    def trains_codec(self) -> bool:
        return isinstance(self.trainer.model, Autoencoder)

    def negative_prompt_ids(self, negative_prompt: str | None = None) -> TokenIds | None:
        """Token ids (1, l) of a negative prompt, by default config.text.negative_prompt; None without guidance.

        "" is no text at all, what dropout trains, and not the encoding of an empty text.
        """
        if self.computer.sampler.guidance == 1:
            return None
        text = self.negative_prompt if negative_prompt is None else negative_prompt
        return TokenIds(self.tokenizer([text]) if text else np.zeros((1, self.tokenizer.length), np.int32))

    def replace(self, **parts: Any) -> "Experiment":
        """The experiment with parts of its own in place of the config's.

        `injection` (an Injection), `actions` (an action encoder), `network`, `conditioner`, `denoiser`, `sampler`; `model`,
        `objective`, `optimizer`; or any field of this class. What was replaced is noted in the workdir, and `nc.load` then
        asks for a `build` that does the same. Raises ConfigError for an unknown part.
        """
        experiment = self
        for name, value in parts.items():
            experiment = _replaced(experiment, name, value)
        return dataclasses.replace(experiment, overridden=tuple(dict.fromkeys((*self.overridden, *parts))))


def _replaced(experiment: Experiment, name: str, value: Any) -> Experiment:
    trainer = experiment.trainer
    fields = {
        "trainer": {field.name for field in dataclasses.fields(Trainer)},
        "computer": {"conditioner", "denoiser", "sampler"},
        "network": {"injection", "actions", "network"},
        "experiment": {field.name for field in dataclasses.fields(Experiment)} - {"config", "overridden"},
    }
    with at("replace"):
        one_of("part", name, sorted(set().union(*fields.values())))
    if name in fields["trainer"]:
        return dataclasses.replace(experiment, trainer=dataclasses.replace(trainer, **{name: value}))
    if name in fields["computer"]:
        return _replaced(experiment, "model", dataclasses.replace(experiment.computer, **{name: value}))
    if name in fields["network"]:
        denoiser = experiment.computer.denoiser
        if name == "injection":
            name, value = "dit", denoiser.network.dit.clone(injection=value)
        network = value if name == "network" else denoiser.network.clone(**{name: value})
        return _replaced(experiment, "denoiser", dataclasses.replace(denoiser, network=network))
    return dataclasses.replace(experiment, **{name: value})
