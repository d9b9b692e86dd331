"""A data set of sessions typed into the simulated terminal, or into a real one, a split after the other."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from neural_computer.data.episodes import EpisodeWriter
from neural_computer.data.kinds import of_meta
from neural_computer.files import write_whole
from neural_computer.recording.terminal import bash_sessions
from neural_computer.simulators.tty import kinds, sessions
from neural_computer.simulators.tty.typists import TYPISTS
from neural_computer.types import Episode

SIMULATED, SHELL = "simulated", "shell"
"""What is typed into: the simulated terminal, or a real bash in a sandbox"""
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
    """What all splits share: frames of a session, rows and columns of the screen, the seed, and what is typed into."""

    frames: int
    rows: int
    cols: int
    seed: int
    source: str = SIMULATED


def build(splits: Mapping[str, Part], output: Path, making: Making, workers: int = 1) -> dict[str, Any]:
    """Writes the splits that are not there yet and returns the counts, those of frames by kind among them.

    `workers` processes record, where something is recorded.
    """
    counts = {split: write(split, part, output, making, workers) for split, part in splits.items()}
    kept = sum(part.count for part in splits.values())
    return {
        "kept": kept,
        "splits": {split: part.count for split, part in splits.items()},
        "rejected": {},
        "hours": round(kept * making.frames / sessions.FPS / 3600, 3),
        **{f"frames by kind, {split}": by_kind for split, by_kind in counts.items()},
    }


def write(split: str, part: Part, output: Path, making: Making, workers: int) -> dict[str, int]:
    """Writes a split, unless it is there with the same settings; returns its frames by kind.

    A split appears when it is whole; the file that says what it was made with is written after that.
    """
    done, settings = output / f".{split}.json", {**asdict(making), **asdict(part)}
    if done.exists() and (before := json.loads(done.read_text()))["settings"] == settings:
        return before["kinds"]
    by_kind = Counter(dict.fromkeys(kinds.KINDS, 0))
    whole = recorded(part, making, output, workers) if making.source == SHELL else simulated(part, making)
    with EpisodeWriter(output, split, window=part.window) as writer:
        for episode in tqdm(whole, split, part.count, unit="session", dynamic_ncols=True):
            by_kind.update(kinds.KINDS[kind] for kind in of_meta(episode.meta)[1])
            writer.write(episode)
    write_whole(done, json.dumps({"settings": settings, "kinds": by_kind}) + "\n")
    return dict(by_kind)


def simulated(part: Part, making: Making) -> Iterator[Episode]:
    """The sessions of a split in the simulated terminal."""
    for number in range(part.first, part.first + part.count):
        id, seed = f"tty/{making.seed}/{number}", (making.seed, number)
        yield sessions.simulated(TYPISTS[part.typist], seed, id, making.frames, making.rows, making.cols)


def recorded(part: Part, making: Making, output: Path, workers: int) -> Iterator[Episode]:
    """The same in a real bash; those that are in output/recordings already are not recorded again."""
    jobs = [
        bash_sessions.BashSession(part.typist, (making.seed, number), making.frames, making.rows, making.cols)
        for number in range(part.first, part.first + part.count)
    ]
    yield from bash_sessions.episodes(jobs, bash_sessions.record_all(jobs, output / "recordings", workers))
