"""Arithmetic that is computed: NC_CLIGen on Python sessions whose captions do not have the answer.

    python -m launch.prepare_data --recipe=repl --source=drawn --operands=0,99 --paste --out=DATA
    python -m launch.train --config=configs/arithmetic.py:sums --config.data.directory=DATA --workdir=DIR
    python -m launch.evaluate --machine=DIR

The argument names the problems, which the recipe's flags must match, and optionally a size:

sums         + to 99: 1,500 steps
sums999      + to 999 (--operands=0,999 --clips=60000): 3,000 steps
plus_minus   + and - to 99 (--operations=add,subtract), + alone for 1,250 steps: 3,000 steps
probe        the paper's five operators (--problems=probe --clips=60000 --operations=add,subtract,multiply,divide,modulo),
             one after another: 8,000 steps

small        0.4 M parameters
base         1.7 M, the default
large        7 M

What it takes: Muon, for the text encoder's matrices too (AdamW draws the line and does not add); four in five samples at pure
noise, where only the caption can say what the answer is; noisy latents scaled, so that there the noise does not enter at all; a
deeper text encoder that knows every digit's place; and, for several operators, one at a time. Of sums to 49 (--operands=1,49),
.81 of the held-out pairs are right after 500 steps, four minutes of one CPU thread; .15 with the latents as they are. The other
problems were not trained yet.
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from neural_computer.configs import cligen

SIZES = {
    "small": {"width": 64, "layers": 4, "heads": 1},
    "base": {"width": 128, "layers": 4, "heads": 2},
    "large": {"width": 256, "layers": 5, "heads": 4},
}
STAGES: Mapping[str, Mapping[str, Mapping[str, float]]] = {
    "plus_minus": {"0": {"add": 1.0}, "1250": {"add": 1.0, "subtract": 1.0}},
    "probe": {
        "0": {"add": 1.0},
        "1500": {"add": 1.0, "subtract": 1.0},
        "3000": {"add": 1.0, "subtract": 1.0, "modulo": 1.0},
        "4000": {"add": 1.0, "subtract": 1.0, "modulo": 1.0, "divide": 1.0, "multiply": 1.0},
    },
}
"""From which step on which operations are drawn, by their shares"""
STEPS = {"sums": 1500, "sums999": 3000, "plus_minus": 3000, "probe": 8000}


def get_config(form: str = "sums") -> ConfigDict:
    """The learning problem of some problems at a size, "sums" or "sums,large"."""
    problems, _, size = form.partition(",")
    size = size or "base"
    if problems not in STEPS or size not in SIZES:
        raise ValueError(
            f"configs/arithmetic.py:{form}: unknown; PROBLEMS or PROBLEMS,SIZE of {', '.join(STEPS)}; {', '.join(SIZES)}"
        )
    config = cligen.get_config("micro")
    config.data.frames = 5
    config.network.positions = (2, 3, 8)
    computing(config, STEPS[problems])
    resized(config, **SIZES[size])
    if problems in STAGES:
        config.text.depth = 4
        config.data.stages = ConfigDict(STAGES[problems])
    config.evaluation.videos = 1000
    return config


def computing(config: ConfigDict, steps: int) -> None:
    """Of any size of NC_CLIGen: the recipe by which it computes what its captions ask, in so many steps."""
    config.text.update(depth=2, digit_places=True)
    config.objective.update(pure_noise=0.8, regions=ConfigDict({"answer": 0.05}))
    config.network.scale_noisy_latents = True
    config.optimizer.update(kind="muon", muon_matrices=r"(blocks|text)/.*kernel$")
    config.optimizer.update(learning_rate=3e-3, warmup_steps=50, b2=0.98, weight_decay=0.01)
    config.optimizer.update(decay_steps=steps, final_learning_rate=6e-5, ema_decay=0.99)
    config.schedule.update(steps=steps, checkpoint_every=250, log_every=10)
    config.evaluation.further_splits = "train,larger"


def resized(config: ConfigDict, width: int, layers: int, heads: int) -> None:
    """Sets width and depth of network and text encoder."""
    sizes: dict[str, Any] = {"width": width, "heads": heads}
    config.network.update(ffn=4 * width, layers=layers, **sizes)
    config.text.update(**sizes)
