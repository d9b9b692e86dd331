"""CLIGen (Clean): tapes typed to a real shell in a sandbox, a clip each; its caption, tier `script`, is the tape itself.

    neural-computer install_sandbox
    neural-computer prepare_data --recipe=cligen_clean --clips=1000 --out=DIR --size=480x832 --preview=4
    neural-computer prepare_data --recipe=cligen_clean --input=TAPES --out=DIR

Without --input, tapes of our own: sixteen families of scripts with words drawn into them by --seed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neural_computer.launch.flags import Flags, Holder
from neural_computer.launch.prepare_data.terminal import Terminal

FLAGS = Flags()
TERMINAL = Terminal(FLAGS)
INPUT = FLAGS.input("A folder of tapes (*.tape); by default tapes of our own.")
LICENCE = FLAGS.licence()
CLIPS = FLAGS.clips()
SEED = FLAGS.seed()
UNSAFE = FLAGS.unsafe()
TEST_SHARE = FLAGS.test_share()
OURS = "CC0-1.0"


def settings() -> dict[str, Any]:
    """What the data depend on."""
    names = {"seed": SEED.value, "test_share": TEST_SHARE.value, **TERMINAL.settings()}
    if INPUT.value is None:
        return names | {"clips": CLIPS.value}
    return names | {"input": INPUT.value, "licence": LICENCE.value, "tapes": len(tapes())}


def tapes() -> list[Path]:
    """Tapes of the input folder. Raises ValueError if there is none."""
    from neural_computer.recording.cligen.build import files

    return files(Path(INPUT.value), ".tape", "tapes")


def make(out: Path) -> dict[str, Any]:
    """Makes the data and returns the counts."""
    from neural_computer.recording.cligen import scripts
    from neural_computer.recording.cligen.clean import Script

    if INPUT.value is None:
        return play(out, scripts.scripts(CLIPS.value, SEED.value), OURS, TERMINAL, SEED, UNSAFE, TEST_SHARE.value)
    own = [Script(path.stem, path.read_text(errors="replace"), path.parent.name) for path in tapes()]
    return play(out, own, LICENCE.value, TERMINAL, SEED, UNSAFE, TEST_SHARE.value)


def play(
    out: Path,
    scripts: Sequence[Any],
    licence: str,
    terminal: Terminal,
    seed: Holder,
    unsafe: Holder,
    test_share: float = 0.0,
) -> dict[str, Any]:
    """Plays scripts, draws the clips and returns the counts. Raises SandboxError without a sandbox."""
    from neural_computer.recording.cligen.clean import Clean
    from neural_computer.recording.datasets import CligenClean
    from neural_computer.recording.sandbox import confined

    confined(unsafe.value)
    maker = Clean(terminal.frames.value, seed=seed.value, licence=licence, unsafe=unsafe.value)
    return terminal.build(scripts, maker, CligenClean, out, test_share)
