"""Real bash sessions that print a file of numbers, with captions of three tiers: semantic, regular, detailed.

    neural-computer prepare_data --recipe=number_files --clips=1500 --out=DIR

What is printed does not follow from what is typed, so it is the caption that matters. A key is typed a frame, 9 frames of 6x16
characters. One file in ten, by the hash of its numbers, is in split test.
"""

from pathlib import Path
from typing import Any

from neural_computer.launch.flags import Flags

FLAGS = Flags()
CLIPS = FLAGS.clips()
SEED = FLAGS.seed()
WORKERS = FLAGS.workers()


def settings() -> dict[str, Any]:
    """What the data depend on."""
    return {"clips": CLIPS.value, "seed": SEED.value}


def make(out: Path) -> dict[str, Any]:
    """Records the sessions, writes them and returns the counts."""
    from neural_computer.recording.datasets import NumberFiles
    from neural_computer.recording.terminal import number_files

    files = number_files.number_files(CLIPS.value, SEED.value)
    recordings = number_files.record_all(files, out / "recordings", WORKERS.value)
    builder = NumberFiles(number_files.Sessions(files, recordings), data_dir=str(out))
    builder.download_and_prepare()
    splits = {name: split.num_examples for name, split in builder.info.splits.items()}
    return {"kept": sum(splits.values()), "splits": splits, "rejected": {}}
