"""A data set of long sessions in which every frame's kind is known, a split after the other: of terminals, of desktops."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from neural_computer.data.episodes import EpisodeWriter
from neural_computer.data.kinds import of_meta
from neural_computer.files import write_whole
from neural_computer.types import Episode

TRAIN, TEST = "train", "test"
MOST = 1_000_000
"""Sessions of a split at most; those of split test are numbered from here on, so session n is the same whatever else is made."""


@dataclass(frozen=True)
class Split:
    """`count` sessions, read in clips of `window` frames at most. `settings` are all that they depend on, `kinds` the names of
    the kinds of their frames, `make` makes them."""

    count: int
    window: int
    settings: Mapping[str, Any]
    kinds: tuple[str, ...]
    make: Callable[[], Iterable[Episode]]


def build(splits: Mapping[str, Split], output: Path, seconds: float) -> dict[str, Any]:
    """Writes the splits that are not there yet and returns the counts, those of frames by kind among them.

    `seconds` is the length of a session.
    """
    counts = {name: write(name, split, output) for name, split in splits.items()}
    kept = sum(split.count for split in splits.values())
    return {
        "kept": kept,
        "splits": {name: split.count for name, split in splits.items()},
        "rejected": {},
        "hours": round(kept * seconds / 3600, 3),
        **{f"frames by kind, {name}": by_kind for name, by_kind in counts.items()},
    }


def write(name: str, split: Split, output: Path) -> dict[str, int]:
    """Writes a split, unless it is there with the same settings; returns its frames by kind.

    A split appears when it is whole; the file that says what it was made with is written after that.
    """
    done, settings = output / f".{name}.json", json.loads(json.dumps(split.settings))
    if done.exists() and (before := json.loads(done.read_text()))["settings"] == settings:
        return before["kinds"]
    by_kind = Counter(dict.fromkeys(split.kinds, 0))
    with EpisodeWriter(output, name, window=split.window) as writer:
        for episode in tqdm(split.make(), name, split.count, unit="session", dynamic_ncols=True):
            by_kind.update(split.kinds[kind] for kind in of_meta(episode.meta)[1])
            writer.write(episode)
    write_whole(done, json.dumps({"settings": settings, "kinds": by_kind}) + "\n")
    return dict(by_kind)
