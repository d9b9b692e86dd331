"""CLIGen (General): a folder of asciinema recordings (*.cast), and, if there is one, index.tsv beside them: a line a file
with columns file, licence and whatever else is known of where it comes from.

    neural-computer prepare_data --recipe=cligen_general --input=CASTS --out=DIR --size=480x832 --preview=4

Damaged recordings are repaired where that is possible; what was repaired, masked and rejected is in summary.json.
"""

import csv
from pathlib import Path
from typing import Any

from neural_computer.launch.flags import Flags
from neural_computer.launch.prepare_data.terminal import Terminal

FLAGS = Flags()
TERMINAL = Terminal(FLAGS)
INPUT = FLAGS.input("A folder of recordings (*.cast).", required=True)
SECONDS = FLAGS.number("seconds", 5.0, "The wanted length of a clip.", lower_bound=0.5)
OVERLAP = FLAGS.number("overlap", 0.0, "Seconds that clips share.", lower_bound=0)
STRIDE = FLAGS.number("stride", None, "Seconds between clips, instead of cuts by content.")
WRITER = FLAGS.string("writer", None, "A folder with a text model that words captions.")
TEST_SHARE = FLAGS.test_share()
RATE = 15.0


def settings() -> dict[str, Any]:
    """What the data depend on."""
    names = {"seconds": SECONDS.value, "overlap": OVERLAP.value, "stride": STRIDE.value}
    names |= {"input": INPUT.value, "writer": WRITER.value, **TERMINAL.settings()}
    names |= {"test_share": TEST_SHARE.value}
    return names | {"recordings": len(casts())}


def casts() -> list[Path]:
    """Recordings of the input folder. Raises ValueError if there is none."""
    from neural_computer.recording.cligen.build import files

    return files(Path(INPUT.value), ".cast", "recordings")


def make(out: Path) -> dict[str, Any]:
    """Makes the data and returns the counts."""
    from neural_computer.recording.cligen.clips import Cutting
    from neural_computer.recording.cligen.general import General
    from neural_computer.recording.cligen.llm_captions import Captioner
    from neural_computer.recording.datasets import CligenGeneral
    from neural_computer.recording.terminal.replay import Playing

    seconds = SECONDS.value
    cutting = Cutting(
        TERMINAL.frames.value,
        seconds,
        shortest=0.4 * seconds,
        longest=2 * seconds,
        overlap=OVERLAP.value,
        stride=STRIDE.value,
    )
    captioner = None if WRITER.value is None else Captioner(Path(WRITER.value), out / "captions")
    maker = General(Playing(fps=RATE), cutting, sources=sources(Path(INPUT.value)), captioner=captioner)
    return TERMINAL.build(casts(), maker, CligenGeneral, out, TEST_SHARE.value)


def sources(folder: Path) -> dict[str, dict[str, str]]:
    """The rows of index.tsv by file; none without one, here or in the folder above. Raises ValueError for another table."""
    path = next((p for p in (folder / "index.tsv", folder.parent / "index.tsv") if p.exists()), None)
    if path is None:
        return {}
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    if rows and "file" not in rows[0]:
        raise ValueError(f"{path}:1: has no column file; its columns are {', '.join(map(str, rows[0]))}")
    columns = ("repo", "path", "commit", "licence", "url", "author")
    return {row["file"]: {name: row[name] for name in columns if row.get(name)} for row in rows}
