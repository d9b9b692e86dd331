"""GUIWorld: clips of a desktop with its mouse and keyboard, on the synthetic desktop or from recordings made elsewhere.

    python -m launch.prepare_data --recipe=guiworld --source=minidesk --split=random_slow,random_fast,goal \
        --clips=1000 --size=128 --output=DIR --preview=4
    python -m launch.prepare_data --recipe=guiworld --source=import --input=RECORDINGS --size=480x640 --output=DIR
    python -m launch.prepare_data --recipe=guiworld --source=rig --split=random_slow --minutes=10 --workers=2 \
        --size=480x640 --output=DIR

A recording is NAME.mp4 with NAME.frames.jsonl and NAME.events.jsonl (ours), or NAME.csv or NAME.json (the public engine's),
and perhaps its caption in NAME.txt; NAME begins with its split (random_slow, random_fast, goal; slow, fast), else it is
random_slow. Of each split one session in twenty is held out in SPLIT_test. --split=clicks has pairs of clips that differ in one
click alone.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from absl import flags

from launch.prepare_data import rig
from launch.prepare_data.cligen_clean import CLIPS, SEED
from launch.prepare_data.cligen_general import FRAMES
from launch.prepare_data.repl import WORKERS
from launch.prepare_data.terminal import BEAM, pipeline
from launch.prepare_data.videos import INPUT, LICENCE, SIZE
from neural_computer.simulators.policies import BUDGETS, CLICKS, SPLITS

SPLIT = flags.DEFINE_list("split", None, "Recipes guiworld and encode: the splits; by default all there are.")
SOURCE = flags.DEFINE_enum("source", "minidesk", ["minidesk", "import", "rig"], "Recipe guiworld: what desktop.")
SESSION = 150
"""Frames of a random session, at least: a clip shorter than an action must fit between two."""
PATIENCE = 200
"""Sessions in a row that may give no clip."""


def settings() -> dict[str, Any]:
    """The settings that the data depend on. Raises ValueError for an unknown split."""
    values: dict[str, Any] = {"source": SOURCE.value, "size": SIZE.value, "frames": FRAMES.value}
    if SOURCE.value != "rig" and (rig.AGENT.value or rig.TREES.value):
        raise ValueError(f"--agent, --trees: are for real desktops; give --source=rig, not {SOURCE.value}")
    if SOURCE.value == "import":
        names = [video.name for video in videos(input_folder())]
        return values | {"input": INPUT.value, "licence": LICENCE.value, "videos": names}
    for split in SPLIT.value or ():
        if split not in (*SPLITS, CLICKS):
            raise ValueError(f"--split={split}: must be of {', '.join(SPLITS)}, or {CLICKS}")
        if split == CLICKS and SOURCE.value != "minidesk":
            raise ValueError(f"--split={split}: is made on the synthetic desktop alone, --source=minidesk")
    splits = SPLIT.value or list(SPLITS)
    values |= {"splits": splits, "seed": SEED.value}
    return values | (rig.settings(splits) if SOURCE.value == "rig" else {"clips": CLIPS.value})


def make(output: Path) -> dict[str, Any]:
    """Makes the data in `output`; returns the report."""
    from neural_computer.recording.datasets import Guiworld

    problems: Counter[str] = Counter()
    rejected: dict[str, str] = {}
    paces: dict[str, list[dict[str, float]]] = {}
    if SOURCE.value == "minidesk":
        jobs, clips_of = synthetic(problems, rejected, paces)
    elif SOURCE.value == "import":
        jobs, clips_of = imported(input_folder(), problems, rejected, paces)
    else:
        folder = output / "recordings"
        rejected |= rig.record_all(folder, list(SPLIT.value or SPLITS), SEED.value, WORKERS.value)
        jobs, clips_of = imported(folder, problems, rejected, paces)
    jobs = {split: part for split, part in held_out(jobs).items() if part}
    if not jobs:
        raise ValueError(f"nothing can be used ({dict(list(rejected.items())[:3]) or dict(problems)})")
    built = Guiworld(jobs, clips_of, BEAM.value, data_dir=str(output))
    built.download_and_prepare(download_config=pipeline() if BEAM.value else None)
    splits = built.info.splits.values()
    kept = sum(split.num_examples for split in splits)
    return {
        "kept": kept,
        "rejected": rejected,
        "splits": {split.name: split.num_examples for split in splits},
        "problems": dict(problems),
        "pace": {split: mean_pace(split, clips) for split, clips in paces.items()},
        "bytes a clip": round(sum(split.num_bytes for split in splits) / kept),
        "hours": round(kept * FRAMES.value / 15 / 3600, 4),
    }


def mean_pace(split: str, clips: list[dict[str, float]]) -> dict[str, float]:
    """Mean cursor speed (pixels a frame of a screen of 1024x768) and actions a second of a split's clips, with the paper's."""
    ours = {name: round(sum(clip[name] for clip in clips) / len(clips), 3) for name in ("speed", "rate")}
    budget = BUDGETS.get(split)
    return ours | ({f"{name}, paper": value for name, value in budget._asdict().items()} if budget else {})


def held_out(jobs: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The jobs with one in twenty, at least one of several, in SPLIT_test; which ones, a hash decides."""
    out: dict[str, list[Any]] = {}
    for split, part in jobs.items():
        order = sorted(part, key=lambda job: hashlib.sha256(str(getattr(job, "name", job)).encode()).digest())
        test = order[: max(1, len(part) // 20)] if len(part) > 1 else []
        out |= {split: [job for job in part if job not in test], f"{split}_test": test}
    return out


def side() -> int:
    """The synthetic screen's side in pixels. Raises ValueError for a size that it does not have."""
    if not re.fullmatch(r"\d+", SIZE.value) or not 64 <= int(SIZE.value) <= 256:
        raise ValueError(f"--size={SIZE.value}: the synthetic desktop is square, 64 to 256 pixels; give --size=128")
    return int(SIZE.value)


def synthetic(
    problems: Counter[str], rejected: dict[str, str], paces: dict[str, list[dict[str, float]]]
) -> tuple[dict[str, list[Any]], Any]:
    """({split: seeds}, a function from a seed to its clips): as many sessions as --clips takes."""
    from tqdm import tqdm

    from neural_computer.recording.guiworld.statistics import statistics

    clips_of = partial(desk_clips, frames=FRAMES.value, size=side())
    jobs: dict[str, list[Any]] = {}
    for split in SPLIT.value or SPLITS:
        jobs[split], count, seed, failures = [], 0, SEED.value * 10_000_000, 0
        with tqdm(total=CLIPS.value, desc=split, unit="clip", dynamic_ncols=True) as bar:
            while count < CLIPS.value or len(jobs[split]) < 2:  # one of them is held out
                try:
                    clips = [statistics(clip) for clip in clips_of((split, seed), problems=problems)]
                    paces.setdefault(split, []).extend(clips)
                except ValueError as error:
                    rejected[f"{split}/{seed}"], clips = str(error), []
                if clips:
                    jobs[split].append((split, seed))
                count, seed, failures = count + len(clips), seed + 1, 0 if clips else failures + 1
                if failures == PATIENCE:
                    raise ValueError(
                        f"--split={split}, --frames={FRAMES.value}: {failures} sessions one after the other gave no clip "
                        f"({dict(problems)}); give another number of frames"
                    )
                bar.update(len(clips))
    return jobs, clips_of


def desk_clips(job: tuple[str, int], frames: int, size: int, problems: Counter[str] | None = None) -> Iterator[Any]:
    """The clips of a session. Raises ValueError for one that failed."""
    from neural_computer.recording.guiworld import sessions

    split, seed = job
    if split == CLICKS:
        episodes = sessions.pair(seed, frames, size)
    else:
        episodes = [sessions.session(split, seed, max(2 * frames, SESSION), size)]
    counts: Counter[str] = Counter() if problems is None else problems
    return chain.from_iterable(sessions.clips(episode, frames, counts) for episode in episodes)


def input_folder() -> Path:
    """The folder of --input. Raises ValueError without one."""
    if not INPUT.value:
        raise ValueError("--input: is missing; give a folder of recordings (NAME.mp4 with a log beside it)")
    return Path(INPUT.value)


def videos(folder: Path) -> list[Path]:
    """A folder's videos. Raises ValueError if there is none."""
    paths = sorted(folder.glob("*.mp4"))
    if not paths:
        raise ValueError(f"--input={folder}: holds no recordings (NAME.mp4 with a log beside it)")
    return paths


def imported(
    folder: Path, problems: Counter[str], rejected: dict[str, str], paces: dict[str, list[dict[str, float]]]
) -> tuple[dict[str, list[Any]], Any]:
    """({split: videos}, a function from a video to its clips)."""
    from neural_computer.recording.guiworld.statistics import statistics

    size = re.fullmatch(r"(\d+)x(\d+)", SIZE.value)
    if not size:
        raise ValueError(f"--size={SIZE.value}: must be HEIGHTxWIDTH, such as 480x640")
    clips_of = partial(video_clips, frames=FRAMES.value, size=(int(size[1]), int(size[2])), licence=LICENCE.value)
    jobs: dict[str, list[Any]] = {split: [] for split in SPLITS}
    rates: Counter[float] = Counter()
    for video in videos(folder):
        try:
            clips = list(clips_of(video, problems=problems))
        except ValueError as error:
            rejected[video.name] = str(error)
            continue
        if not clips:
            rejected[video.name] = f"holds no clip of {FRAMES.value} frames in which something moves"
            continue
        rates[clips[0].fps] += 1
        split = split_of(video)
        jobs[split].append(video)
        paces.setdefault(split, []).extend(map(statistics, clips))
    if len(rates) > 1:
        counts = ", ".join(f"{count} videos of {rate:g} frames/s" for rate, count in rates.items())
        raise ValueError(f"--input: {counts}; videos of one rate are one dataset: give a folder each")
    return jobs, clips_of


def video_clips(
    video: Path, frames: int, size: tuple[int, int], licence: str, problems: Counter[str] | None = None
) -> Iterator[Any]:
    """The clips of a recording. Raises ValueError for one that cannot be read."""
    from neural_computer.recording.guiworld import logs, sessions

    counts: Counter[str] = Counter() if problems is None else problems
    recording = logs.read_recording(video, size, licence)
    counts.update(recording.problems)
    return sessions.clips(replace(recording.episode, captions={"plain": caption(video)}), frames, counts)


def split_of(video: Path) -> str:
    """The split that a recording's name begins with."""
    return next((s for s in SPLITS if video.stem.startswith((s, s.removeprefix("random_")))), SPLITS[0])


def caption(video: Path) -> str:
    """The text of a recording's NAME.txt, else its kind of use."""
    text = video.with_suffix(".txt")
    if text.exists():
        return text.read_text().strip()
    return {"random_slow": "aimless use, slow", "random_fast": "aimless use, fast"}.get(split_of(video), "a task")
