"""GUIWorld: clips of a desktop with its mouse and keyboard, on the synthetic desktop or from recordings made elsewhere.

    python -m launch.prepare_data --recipe=guiworld --source=minidesk --split=random_slow,random_fast,goal \
        --clips=1000 --size=128 --output=DIR --preview=4
    python -m launch.prepare_data --recipe=guiworld --source=import --input=RECORDINGS --size=480x640 --output=DIR
    python -m launch.prepare_data --recipe=guiworld --source=rig --split=random_slow --minutes=10 --workers=2 \
        --size=480x640 --output=DIR

A recording is NAME.mp4 with NAME.frames.jsonl and NAME.events.jsonl (a rig's), or NAME.csv or NAME.json (the public
engine's), and perhaps its caption in NAME.txt; NAME begins with its split (random_slow, random_fast, goal; slow, fast), else
it is random_slow. Of each split one session in twenty is held out in SPLIT_test. --split=clicks has pairs of clips that
differ in one click alone.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from absl import flags

from neural_computer.launch.prepare_data import rig
from neural_computer.launch.prepare_data.cligen_clean import CLIPS, SEED
from neural_computer.launch.prepare_data.cligen_general import FRAMES
from neural_computer.launch.prepare_data.repl import WORKERS
from neural_computer.launch.prepare_data.terminal import BEAM, pipeline
from neural_computer.launch.prepare_data.videos import INPUT, LICENCE, SIZE

SPLIT = flags.DEFINE_list("split", None, "Recipes guiworld and encode: the splits; by default all there are.")
SOURCE = flags.DEFINE_enum("source", "minidesk", ["minidesk", "import", "rig"], "Recipe guiworld: what desktop.")
SPLITS = ("random_slow", "random_fast", "goal")
PAIRS = "clicks"
"""A split beside the paper's, made when it is asked for"""
SESSION = 150
"""Frames that a random session lasts at least: clips shorter than an action must find a place between actions."""
PATIENCE = 200


def settings() -> dict[str, Any]:
    """What the data depend on. Raises ValueError for a split that there is not."""
    named: dict[str, Any] = {"source": SOURCE.value, "size": SIZE.value, "frames": FRAMES.value}
    if SOURCE.value != "rig" and (rig.AGENT.value or rig.TREES.value):
        raise ValueError(f"--agent, --trees: are for real desktops; give --source=rig, not {SOURCE.value}")
    if SOURCE.value == "import":
        names = [video.name for video in videos(given())]
        return named | {"input": INPUT.value, "licence": LICENCE.value, "videos": names}
    for split in SPLIT.value or ():
        if split not in (*SPLITS, PAIRS):
            raise ValueError(f"--split={split}: must be of {', '.join(SPLITS)}, or {PAIRS}")
        if split == PAIRS and SOURCE.value != "minidesk":
            raise ValueError(f"--split={split}: is made on the synthetic desktop alone, --source=minidesk")
    splits = SPLIT.value or list(SPLITS)
    named |= {"splits": splits, "seed": SEED.value}
    return named | (rig.settings(splits) if SOURCE.value == "rig" else {"clips": CLIPS.value})


def make(output: Path) -> dict[str, Any]:
    """Makes the data; returns the report."""
    from neural_computer.recording.datasets import Guiworld

    faults: Counter[str] = Counter()
    refused: dict[str, str] = {}
    paces: dict[str, list[dict[str, float]]] = {}
    if SOURCE.value == "minidesk":
        jobs, clips_of = synthetic(faults, refused, paces)
    elif SOURCE.value == "import":
        jobs, clips_of = imported(given(), faults, refused, paces)
    else:
        folder = output / "recordings"
        refused |= rig.record_all(folder, list(SPLIT.value or SPLITS), SEED.value, WORKERS.value)
        jobs, clips_of = imported(folder, faults, refused, paces)
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
        "pace": {split: paced(split, found) for split, found in paces.items()},
        "bytes a clip": round(sum(split.num_bytes for split in splits) / kept),
        "hours": round(kept * FRAMES.value / 15 / 3600, 4),
    }


def paced(split: str, found: list[dict[str, float]]) -> dict[str, float]:
    """Cursor speed (pixels a frame of a screen of 1024x768) and actions a second over a split's clips, beside the paper's."""
    from neural_computer.simulators.policies import BUDGETS

    ours = {name: round(sum(each[name] for each in found) / len(found), 3) for name in ("speed", "rate")}
    budget = BUDGETS.get(split)
    return ours | ({f"{name}, paper": value for name, value in budget._asdict().items()} if budget else {})


def held_out(jobs: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The same with one job in twenty, at least one of several, by hash, in SPLIT_test."""
    from neural_computer.recording.cligen.clip_store import rank

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


def synthetic(
    faults: Counter[str], refused: dict[str, str], paces: dict[str, list[dict[str, float]]]
) -> tuple[dict[str, list[Any]], Any]:
    """(seeds by split, what makes clips of one): as many sessions as the wanted number of clips takes."""
    from tqdm import tqdm

    from neural_computer.recording.guiworld.statistics import statistics

    clips_of = partial(desk_clips, frames=FRAMES.value, size=side())
    jobs: dict[str, list[Any]] = {}
    for split in SPLIT.value or SPLITS:
        jobs[split], count, seed, vain = [], 0, SEED.value * 10_000_000, 0
        with tqdm(total=CLIPS.value, desc=split, unit="clip", dynamic_ncols=True) as bar:
            while count < CLIPS.value or len(jobs[split]) < 2:  # one of them is held out
                try:
                    made = [statistics(clip) for clip in clips_of((split, seed), faults=faults)]
                    paces.setdefault(split, []).extend(made)
                    found = len(made)
                except ValueError as error:
                    refused[f"{split}/{seed}"], found = str(error), 0
                if found:
                    jobs[split].append((split, seed))
                count, seed, vain = count + found, seed + 1, 0 if found else vain + 1
                if vain == PATIENCE:
                    raise ValueError(
                        f"--split={split}, --frames={FRAMES.value}: {vain} sessions one after the other gave no clip "
                        f"({dict(faults)}); give another number of frames"
                    )
                bar.update(found)
    return jobs, clips_of


def desk_clips(job: tuple[str, int], frames: int, size: int, faults: Counter[str] | None = None) -> Iterator[Any]:
    """The clips of a session. Raises ValueError for one that came to nothing."""
    from neural_computer.recording.guiworld import sessions

    split, seed = job
    if split == PAIRS:
        wholes = sessions.pair(seed, frames, size)
    else:
        wholes = [sessions.session(split, seed, max(2 * frames, SESSION), size)]
    counts: Counter[str] = Counter() if faults is None else faults
    return chain.from_iterable(sessions.clips(whole, frames, counts) for whole in wholes)


def given() -> Path:
    """The folder of recordings that the flag names. Raises ValueError without one."""
    if not INPUT.value:
        raise ValueError("--input: is missing; give a folder of recordings (NAME.mp4 with a log beside it)")
    return Path(INPUT.value)


def videos(folder: Path) -> list[Path]:
    """A folder's videos. Raises ValueError if there is none."""
    found = sorted(folder.glob("*.mp4"))
    if not found:
        raise ValueError(f"--input={folder}: holds no recordings (NAME.mp4 with a log beside it)")
    return found


def imported(
    folder: Path, faults: Counter[str], refused: dict[str, str], paces: dict[str, list[dict[str, float]]]
) -> tuple[dict[str, list[Any]], Any]:
    """(videos by split, what makes clips of one)."""
    from neural_computer.recording.guiworld.statistics import statistics

    size = re.fullmatch(r"(\d+)x(\d+)", SIZE.value)
    if not size:
        raise ValueError(f"--size={SIZE.value}: must be HEIGHTxWIDTH, such as 480x640")
    clips_of = partial(video_clips, frames=FRAMES.value, size=(int(size[1]), int(size[2])), licence=LICENCE.value)
    jobs: dict[str, list[Any]] = {split: [] for split in SPLITS}
    rates: Counter[float] = Counter()
    for video in videos(folder):
        try:
            found = list(clips_of(video, faults=faults))
        except ValueError as error:
            refused[video.name] = str(error)
            continue
        if not found:
            refused[video.name] = f"holds no clip of {FRAMES.value} frames in which something moves"
            continue
        rates[found[0].fps] += 1
        split = split_of(video)
        jobs[split].append(video)
        paces.setdefault(split, []).extend(map(statistics, found))
    if len(rates) > 1:
        told = ", ".join(f"{count} videos of {rate:g} frames/s" for rate, count in rates.items())
        raise ValueError(f"--input: {told}; videos of one rate are one dataset: give a folder each")
    return jobs, clips_of


def video_clips(
    video: Path, frames: int, size: tuple[int, int], licence: str, faults: Counter[str] | None = None
) -> Iterator[Any]:
    """The clips of a recording. Raises ValueError for one that cannot be read."""
    from neural_computer.recording.guiworld import logs, sessions

    counts: Counter[str] = Counter() if faults is None else faults
    found = logs.read(video, size, licence)
    counts.update(found.faults)
    return sessions.clips(replace(found.episode, captions={"plain": caption(video)}), frames, counts)


def split_of(video: Path) -> str:
    """The split that a recording's name tells."""
    return next((s for s in SPLITS if video.stem.startswith((s, s.removeprefix("random_")))), SPLITS[0])


def caption(video: Path) -> str:
    """What NAME.txt says of a recording, else what kind of use it is."""
    told = video.with_suffix(".txt")
    if told.exists():
        return told.read_text().strip()
    return {"random_slow": "aimless use, slow", "random_fast": "aimless use, fast"}.get(split_of(video), "a task")
