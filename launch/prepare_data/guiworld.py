"""GUIWorld: clips of a desktop with its mouse and keyboard, on the synthetic desktop or from recordings made elsewhere.

    python -m launch.prepare_data --recipe=guiworld --source=minidesk --split=random_slow,random_fast,goal \
        --clips=1000 --size=128 --output=DIR --preview=4
    python -m launch.prepare_data --recipe=guiworld --source=import --input=RECORDINGS --size=480x640 --output=DIR

A recording is NAME.mp4 with NAME.frames.jsonl and NAME.events.jsonl (a rig's), or NAME.csv or NAME.json (the public
engine's); NAME begins with its split (random_slow, random_fast, goal; slow, fast), else it is random_slow. Of each split one
session in twenty is held out in SPLIT_test.
"""

import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from absl import flags

from launch.prepare_data.cligen_clean import CLIPS, SEED
from launch.prepare_data.cligen_general import FRAMES
from launch.prepare_data.encode import SPLIT
from launch.prepare_data.terminal import BEAM, pipeline
from launch.prepare_data.videos import INPUT, LICENCE, SIZE

SOURCE = flags.DEFINE_enum("source", "minidesk", ["minidesk", "import"], "Recipe guiworld: what desktop.")
SPLITS = ("random_slow", "random_fast", "goal")


def settings() -> dict[str, Any]:
    """What the data depend on. Raises ValueError for a split that there is not."""
    named: dict[str, Any] = {"source": SOURCE.value, "size": SIZE.value, "frames": FRAMES.value}
    if SOURCE.value == "import":
        return named | {"input": INPUT.value, "licence": LICENCE.value, "films": [film.name for film in films()]}
    for split in SPLIT.value or ():
        if split not in SPLITS:
            raise ValueError(f"--split={split}: must be of {', '.join(SPLITS)}")
    return named | {"splits": SPLIT.value or list(SPLITS), "clips": CLIPS.value, "seed": SEED.value}


def make(output: Path) -> dict[str, Any]:
    """Makes the data; returns the report."""
    from neural_computer.data.datasets import Guiworld

    faults: Counter[str] = Counter()
    refused: dict[str, str] = {}
    jobs, clips_of = (imported if SOURCE.value == "import" else synthetic)(faults, refused)
    jobs = {split: part for split, part in held_out(jobs).items() if part}
    if not jobs:
        raise ValueError(f"nothing can be used ({dict(list(refused.items())[:3]) or dict(faults)})")
    built = Guiworld(jobs, clips_of, BEAM.value, data_dir=str(output))
    built.download_and_prepare(download_config=pipeline() if BEAM.value else None)
    splits = built.info.splits.values()
    kept = sum(split.num_examples for split in splits)
    return {
        "kept": kept,
        "refused": refused,
        "splits": {split.name: split.num_examples for split in splits},
        "faults": dict(faults),
        "bytes a clip": round(sum(split.num_bytes for split in splits) / kept),
        "hours": round(kept * FRAMES.value / 15 / 3600, 4),
    }


def held_out(jobs: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The same with one job in twenty, at least one of several, by hash, in SPLIT_test."""
    from neural_computer.data.cli.footage import rank

    out: dict[str, list[Any]] = {}
    for split, part in jobs.items():
        order = sorted(part, key=lambda job: rank(str(getattr(job, "name", job))))
        test = order[: max(1, len(part) // 20)] if len(part) > 1 else []
        out |= {split: [job for job in part if job not in test], f"{split}_test": test}
    return out


def side() -> int:
    """The synthetic screen's side. Raises ValueError for one that it has not."""
    if not re.fullmatch(r"\d+", SIZE.value) or not 64 <= int(SIZE.value) <= 256:
        raise ValueError(f"--size={SIZE.value}: the synthetic desktop is square, 64 to 256 pixels; give --size=128")
    return int(SIZE.value)


def synthetic(faults: Counter[str], refused: dict[str, str]) -> tuple[dict[str, list[Any]], Any]:
    """(seeds by split, what makes clips of one): as many sessions as the wanted number of clips takes."""
    from tqdm import tqdm

    clips_of = partial(desk_clips, frames=FRAMES.value, size=side())
    jobs: dict[str, list[Any]] = {}
    for split in SPLIT.value or SPLITS:
        jobs[split], count, seed = [], 0, SEED.value * 10_000_000
        with tqdm(total=CLIPS.value, desc=split, unit="clip", dynamic_ncols=True) as bar:
            while count < CLIPS.value or len(jobs[split]) < 2:  # one of them is held out
                try:
                    found = sum(1 for _ in clips_of((split, seed), faults=faults))
                except ValueError as error:
                    refused[f"{split}/{seed}"], found = str(error), 0
                if found:
                    jobs[split].append((split, seed))
                count, seed = count + found, seed + 1
                bar.update(found)
    return jobs, clips_of


def desk_clips(job: tuple[str, int], frames: int, size: int, faults: Counter[str] | None = None) -> Iterator[Any]:
    """The clips of a session. Raises ValueError for one that came to nothing."""
    from neural_computer.data.gui import sessions

    split, seed = job
    return sessions.clips(sessions.session(split, seed, frames, size), frames, Counter() if faults is None else faults)


def films() -> list[Path]:
    """The folder's films. Raises ValueError if there is none."""
    found = sorted(Path(INPUT.value).glob("*.mp4")) if INPUT.value else []
    if not found:
        raise ValueError(f"--input={INPUT.value}: holds no recordings (NAME.mp4 with a log beside it)")
    return found


def imported(faults: Counter[str], refused: dict[str, str]) -> tuple[dict[str, list[Any]], Any]:
    """(films by split, what makes clips of one)."""
    size = re.fullmatch(r"(\d+)x(\d+)", SIZE.value)
    if not size:
        raise ValueError(f"--size={SIZE.value}: must be HEIGHTxWIDTH, such as 480x640")
    clips_of = partial(film_clips, frames=FRAMES.value, size=(int(size[1]), int(size[2])), licence=LICENCE.value)
    jobs: dict[str, list[Any]] = {split: [] for split in SPLITS}
    rates: Counter[float] = Counter()
    for film in films():
        try:
            found = list(clips_of(film, faults=faults))
        except ValueError as error:
            refused[film.name] = str(error)
            continue
        if not found:
            refused[film.name] = f"holds no clip of {FRAMES.value} frames in which something moves"
            continue
        rates[found[0].fps] += 1
        jobs[next((s for s in SPLITS if film.stem.startswith((s, s.removeprefix("random_")))), SPLITS[0])].append(film)
    if len(rates) > 1:
        told = ", ".join(f"{count} films of {rate:g} frames/s" for rate, count in rates.items())
        raise ValueError(f"--input: {told}; films of one rate are one dataset: give a folder each")
    return jobs, clips_of


def film_clips(
    film: Path, frames: int, size: tuple[int, int], licence: str, faults: Counter[str] | None = None
) -> Iterator[Any]:
    """The clips of a recording. Raises ValueError for one that cannot be read."""
    from neural_computer.data.gui import logs, sessions

    counts: Counter[str] = Counter() if faults is None else faults
    found = logs.read(film, size, licence)
    counts.update(found.faults)
    return sessions.clips(found.episode, frames, counts)
