"""The quickstart: NC_CLIGen micro on recorded Python sessions, `A+B`, in half of the captions with its answer.

It learns to add: of operand pairs that it never saw, it draws the sum that no caption gave it (configs/arithmetic.py).

    bash launch/quickstart.sh

or, with the data made by `python -m launch.prepare_data --recipe=repl --output=runs/quickstart/data`,

    python -m launch.train --config=configs/quickstart.py --workdir=runs/quickstart

`:smoke` is the two-minute form: 180 steps.
"""

from ml_collections import ConfigDict

from neural_computer.configs import arithmetic, cligen


def get_config(form: str = "full") -> ConfigDict:
    """The `full` or the `smoke` form."""
    if form not in ("full", "smoke"):
        raise ValueError(f"configs/quickstart.py:{form}: unknown form; full or smoke")
    config = cligen.get_config("micro")
    steps = 1000 if form == "full" else 180
    config.data.update(directory="runs/quickstart/data" if form == "full" else "runs/smoke/data")
    config.data.captions = ConfigDict({"plain": 0.5, "answered": 0.5})
    arithmetic.computing(config, steps)
    config.schedule.update(checkpoint_every=100, eval_every=90)
    if form == "smoke":
        config.evaluation.update(videos=64)
    return config
