"""Sessions that were recorded on the page of a live machine, as one data set.

    neural-computer live --out=LIVE                      # where the person agrees, a session is kept in LIVE/recordings
    neural-computer prepare_data --recipe=sessions --input=LIVE/recordings --out=DIR

The screens are those of the true machine, given the same keys: what a machine should have drawn. --screens=generated takes what
it did draw. The hash of a recording's name decides its split, so that adding one moves no other.
"""

from pathlib import Path
from typing import Any

from neural_computer.launch.flags import Flags
from neural_computer.machine import recordings

FLAGS = Flags()
INPUT = FLAGS.input("The folder of recordings.", required=True)
SCREENS = FLAGS.choice(
    "screens", "true", ["true", "generated"], "Whose screens: the true machine's, or the neural one's."
)
FRAMES = FLAGS.frames(17, "Most frames of a training clip; shorter recordings are rejected.")
TEST_SHARE = FLAGS.test_share()


def settings() -> dict[str, Any]:
    """What the data depend on. Raises ValueError for a folder without recordings."""
    names = {"input": INPUT.value, "screens": SCREENS.value, "window": FRAMES.value, "test_share": TEST_SHARE.value}
    return names | {"recordings": [path.name for path in recordings.folders(Path(INPUT.value))]}


def make(out: Path) -> dict[str, Any]:
    """Writes the recordings as one data set and returns the counts."""
    split = recordings.TRUE if SCREENS.value == "true" else recordings.GENERATED
    return recordings.merge(recordings.folders(Path(INPUT.value)), out, FRAMES.value, TEST_SHARE.value, split)
