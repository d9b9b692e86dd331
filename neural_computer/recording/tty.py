"""A data set of sessions of the simulated terminal, a split after the other."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from neural_computer.data.episodes import EpisodeWriter
from neural_computer.files import write_whole
from neural_computer.simulators.tty import kinds, sessions
from neural_computer.simulators.tty.typists import TYPISTS

TRAIN, TEST = "train", "test"
MOST = 1_000_000
"""Sessions of a split at most; those of split test are numbered from here on, so session n is the same whatever else is made."""


@dataclass(frozen=True)
class Part:
    """The sessions of a split: their typist's name, how many, the most frames of a clip, the first one's number."""

    typist: str
    count: int
    window: int
    first: int = 0


@dataclass(frozen=True)
class Making:
    """What all splits share: frames of a session, rows and columns of the screen, the seed."""

    frames: int
    rows: int
    cols: int
    seed: int


def build(splits: Mapping[str, Part], output: Path, making: Making) -> dict[str, Any]:
    """Writes the splits that are not there yet and returns the counts, those of frames by kind among them."""
    counts = {split: write(split, part, output, making) for split, part in splits.items()}
    kept = sum(part.count for part in splits.values())
    return {
        "kept": kept,
        "splits": {split: part.count for split, part in splits.items()},
        "rejected": {},
        "hours": round(kept * making.frames / sessions.FPS / 3600, 3),
        **{f"frames by kind, {split}": by_kind for split, by_kind in counts.items()},
    }


def write(split: str, part: Part, output: Path, making: Making) -> dict[str, int]:
    """Writes a split, unless it is there with the same settings; returns its frames by kind.

    A split appears when it is whole; the file that says what it was made with is written after that.
    """
    done, settings = output / f".{split}.json", {**asdict(making), **asdict(part)}
    if done.exists() and (before := json.loads(done.read_text()))["settings"] == settings:
        return before["kinds"]
    by_kind = Counter(dict.fromkeys(kinds.KINDS, 0))
    with EpisodeWriter(output, split, window=part.window) as writer:
        for number in tqdm(range(part.first, part.first + part.count), split, unit="session", dynamic_ncols=True):
            seed = (making.seed, number)
            episode = sessions.simulated(
                TYPISTS[part.typist], seed, f"tty/{making.seed}/{number}", making.frames, making.rows, making.cols
            )
            by_kind.update(kinds.KINDS[kind] for kind in kinds.unpack(episode.meta["kinds"]))
            writer.write(episode)
    write_whole(done, json.dumps({"settings": settings, "kinds": by_kind}) + "\n")
    return dict(by_kind)
