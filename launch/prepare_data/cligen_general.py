"""CLIGen (General): a folder of asciinema recordings (*.cast), and, if there is one, index.tsv beside them: a line a file
with columns file, licence and whatever else is known of where it comes from.

    python -m launch.prepare_data --recipe=cligen_general --input=CASTS --output=DIR --size=480x832 --preview

Damaged recordings are repaired where that is possible; what was repaired, masked and rejected is in summary.json.
"""

import csv
from pathlib import Path
from typing import Any

from absl import flags

from launch.prepare_data import terminal
from launch.prepare_data.videos import INPUT

SECONDS = flags.DEFINE_float("seconds", 5.0, "Recipe cligen_general: the wanted length of a clip.", lower_bound=0.5)
FRAMES = flags.DEFINE_integer("frames", 81, "Recipes of terminals: frames of a clip, 4k + 1.")
OVERLAP = flags.DEFINE_float("overlap", 0.0, "Recipe cligen_general: seconds that clips share.", lower_bound=0)
STRIDE = flags.DEFINE_float("stride", None, "Recipe cligen_general: seconds between clips, instead of cuts by content.")
WRITER = flags.DEFINE_string("writer", None, "Recipe cligen_general: a folder with a text model that words captions.")
RATE = 15.0


def settings() -> dict[str, Any]:
    """What the data depend on."""
    names: dict[str, Any] = {
        "seconds": SECONDS.value,
        "frames": FRAMES.value,
        "overlap": OVERLAP.value,
        "stride": STRIDE.value,
    }
    names |= {"input": INPUT.value, "writer": WRITER.value, **terminal.settings()}
    return names | {"recordings": len(terminal.files(".cast", "recordings"))}


def make(output: Path) -> dict[str, Any]:
    """Makes the data; returns the report."""
    from neural_computer.recording.cligen.clips import Cutting
    from neural_computer.recording.cligen.general import General
    from neural_computer.recording.cligen.llm_captions import Captioner
    from neural_computer.recording.datasets import CligenGeneral
    from neural_computer.recording.terminal.replay import Playing

    seconds = SECONDS.value
    cutting = Cutting(
        FRAMES.value,
        seconds,
        shortest=0.4 * seconds,
        longest=2 * seconds,
        overlap=OVERLAP.value,
        stride=STRIDE.value,
    )
    captioner = None if WRITER.value is None else Captioner(Path(WRITER.value), output / "captions")
    maker = General(Playing(fps=RATE), cutting, sources=sources(Path(INPUT.value)), captioner=captioner)
    return terminal.make(output, maker, terminal.files(".cast", "recordings"), CligenGeneral)


def sources(folder: Path) -> dict[str, dict[str, str]]:
    """What index.tsv says of each file; nothing without one, here or in the folder above. Raises ValueError for another table."""
    path = next((p for p in (folder / "index.tsv", folder.parent / "index.tsv") if p.exists()), None)
    if path is None:
        return {}
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    if rows and "file" not in rows[0]:
        raise ValueError(f"{path}:1: has no column file; its columns are {', '.join(map(str, rows[0]))}")
    told = ("repo", "path", "commit", "licence", "url", "author")
    return {row["file"]: {name: row[name] for name in told if row.get(name)} for row in rows}
