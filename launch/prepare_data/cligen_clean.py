"""CLIGen (Clean): tapes typed to a real shell in a sandbox, a clip each; its caption, tier `script`, is the tape itself.

    bash launch/install_sandbox.sh
    python -m launch.prepare_data --recipe=cligen_clean --clips=1000 --output=DIR --size=480x832 --preview=4
    python -m launch.prepare_data --recipe=cligen_clean --input=TAPES --output=DIR

Without --input, tapes of our own: sixteen families of scripts with words drawn into them by --seed.
"""

from pathlib import Path
from typing import Any

from absl import flags

from neural_computer.launch.prepare_data import terminal
from neural_computer.launch.prepare_data.cligen_general import FRAMES
from neural_computer.launch.prepare_data.videos import INPUT, LICENCE

CLIPS = flags.DEFINE_integer(
    "clips", 1000, "Recipes cligen_clean, arithmetic, guiworld: how many to make.", lower_bound=1
)
SEED = flags.DEFINE_integer("seed", 0, "Recipes cligen_clean, arithmetic, guiworld: what they are drawn by.")
UNSAFE = flags.DEFINE_boolean("unsafe", False, "Play tapes that you wrote without a sandbox where none works.")
OURS = "CC0-1.0"


def settings() -> dict[str, Any]:
    """What the data depend on."""
    names: dict[str, Any] = {"frames": FRAMES.value, "seed": SEED.value, **terminal.settings()}
    if INPUT.value is None:
        return names | {"clips": CLIPS.value}
    return names | {"input": INPUT.value, "licence": LICENCE.value, "tapes": len(terminal.files(".tape", "tapes"))}


def make(output: Path) -> dict[str, Any]:
    """Makes the data; returns the report."""
    from neural_computer.recording.cligen import scripts
    from neural_computer.recording.cligen.clean import Script

    if INPUT.value is None:
        return played(output, scripts.scripts(CLIPS.value, SEED.value), OURS)
    files = terminal.files(".tape", "tapes")
    named = [Script(path.stem, path.read_text(errors="replace"), path.parent.name) for path in files]
    return played(output, named, LICENCE.value)


def played(output: Path, scripts: list[Any], licence: str) -> dict[str, Any]:
    """Plays scripts and draws what came of them; returns the report."""
    from neural_computer.recording.cligen.clean import Clean
    from neural_computer.recording.datasets import CligenClean
    from neural_computer.recording.sandbox import confined

    confined(UNSAFE.value)
    maker = Clean(FRAMES.value, seed=SEED.value, licence=licence, unsafe=UNSAFE.value)
    return terminal.make(output, maker, scripts, CligenClean)
