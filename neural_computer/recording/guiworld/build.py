"""A GUIWorld data set: clips of the synthetic desktop, or of recordings made elsewhere or here.

A recording is NAME.mp4 with the logs of `recorder`, NAME.frames.jsonl and NAME.events.jsonl, or with one of the public engine's,
NAME.csv or NAME.json; and perhaps its caption in NAME.txt. NAME begins with its split (random_slow, random_fast, goal; slow,
fast), else it is random_slow.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from tqdm import tqdm

from neural_computer.data import splits
from neural_computer.recording.guiworld import logs, sessions
from neural_computer.recording.guiworld.statistics import statistics
from neural_computer.recording.workers import beam_runner
from neural_computer.simulators.policies import BUDGETS, CLICKS, SPLITS
from neural_computer.types import Episode

TEST_SHARE = 0.05
SESSION = 150
"""Frames of a random session, at least: a clip shorter than an action must fit between two."""
PATIENCE = 200
"""Sessions in a row that may give no clip."""


@dataclass
class Jobs:
    """Sessions or recordings by split, with the reasons why others were rejected."""

    clips: Callable[..., Iterator[Episode]]
    """Maps a job and a counter of problems to the job's clips."""
    by_split: dict[str, list[Any]] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)
    problems: Counter[str] = field(default_factory=Counter)
    paces: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    """By split, cursor speed and actions a second of every clip."""

    def add(self, split: str, job: Any) -> list[Episode]:
        """The clips of a job, which becomes one of the split's if it has any. Raises ValueError for one that failed."""
        clips = list(self.clips(job, problems=self.problems))
        if clips:
            self.by_split.setdefault(split, []).append(job)
            self.paces.setdefault(split, []).extend(map(statistics, clips))
        return clips


def build(jobs: Jobs, output: Path, *, frames: int, workers: int, beam: bool = False) -> dict[str, Any]:
    """Writes the clips of all jobs and returns the summary's counts; the hash of a job's name decides on SPLIT_test.

    Raises ValueError if there is no job.
    """
    from neural_computer.recording.datasets import Guiworld

    parts = {split: part for split, part in held_out(jobs.by_split).items() if part}
    if not parts:
        reasons: dict[str, Any] = dict(list(jobs.rejected.items())[:3]) or {**jobs.problems}
        raise ValueError(f"nothing can be used ({reasons})")
    tfds = Guiworld(parts, jobs.clips, beam, data_dir=str(output))
    tfds.download_and_prepare(download_config=beam_runner(workers) if beam else None)
    sizes = tfds.info.splits.values()
    kept = sum(split.num_examples for split in sizes)
    return {
        "kept": kept,
        "rejected": jobs.rejected,
        "splits": {split.name: split.num_examples for split in sizes},
        "problems": dict(jobs.problems),
        "pace": {split: pace(split, clips) for split, clips in jobs.paces.items()},
        "bytes a clip": round(sum(split.num_bytes for split in sizes) / kept),
        "hours": round(kept * frames / 15 / 3600, 4),
    }


def pace(split: str, clips: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean cursor speed (pixels a frame of a screen of 1024x768) and actions a second of clips, beside the paper's."""
    ours = {name: round(sum(clip[name] for clip in clips) / len(clips), 3) for name in ("speed", "rate")}
    budget = BUDGETS.get(split)
    return ours | ({f"{name}, paper": value for name, value in budget._asdict().items()} if budget else {})


def held_out(by_split: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The same jobs, those of which `is_test` is true in SPLIT_test."""
    parts: dict[str, list[Any]] = {}
    for split, jobs in by_split.items():
        test = [job for job in jobs if is_test(job)]
        parts |= {split: [job for job in jobs if job not in test], f"{split}_test": test}
    return parts


def is_test(job: Any) -> bool:
    """Is a job of the held-out split? By the hash of its name, so that one more job moves no other."""
    return splits.of(str(getattr(job, "name", job)), TEST_SHARE) == "test"


# The synthetic desktop


def synthetic(names: Sequence[str], clips: int, *, frames: int, side: int, seed: int) -> Jobs:
    """As many sessions as it takes for `clips` clips of every split, and one session of its held-out split at least.

    Raises ValueError for a split of which `PATIENCE` sessions in a row give no clip.
    """
    jobs = Jobs(partial(desk_clips, frames=frames, size=side))
    for split in names:
        count, number, failures = 0, seed * 10_000_000, 0
        with tqdm(total=clips, desc=split, unit="clip", dynamic_ncols=True) as bar:
            while count < clips or not {is_test(job) for job in jobs.by_split.get(split, ())} >= {True, False}:
                try:
                    new = len(jobs.add(split, (split, number)))
                except ValueError as error:
                    jobs.rejected[f"{split}/{number}"], new = str(error), 0
                count, number, failures = count + new, number + 1, 0 if new else failures + 1
                if failures == PATIENCE:
                    raise ValueError(
                        f"--split={split}, --frames={frames}: {failures} sessions one after the other gave no clip "
                        f"({dict(jobs.problems)}); give another number of frames"
                    )
                bar.update(new)
    return jobs


def desk_clips(job: tuple[str, int], frames: int, size: int, problems: Counter[str] | None = None) -> Iterator[Episode]:
    """The clips of a session. Raises ValueError for one that failed."""
    split, seed = job
    if split == CLICKS:
        episodes = sessions.pair(seed, frames, size)
    else:
        episodes = [sessions.session(split, seed, max(2 * frames, SESSION), size)]
    counts: Counter[str] = Counter() if problems is None else problems
    return chain.from_iterable(sessions.clips(episode, frames, counts) for episode in episodes)


# Recordings


def recordings(folder: Path) -> list[Path]:
    """A folder's videos. Raises ValueError if there is none."""
    paths = sorted(folder.glob("*.mp4"))
    if not paths:
        raise ValueError(f"--input={folder}: holds no recordings (NAME.mp4 with a log beside it)")
    return paths


def imported(folder: Path, *, frames: int, size: tuple[int, int], licence: str) -> Jobs:
    """The recordings of a folder, scaled to `size` (height, width). Raises ValueError for recordings of several frame rates."""
    jobs = Jobs(partial(recording_clips, frames=frames, size=(size[0], size[1]), licence=licence))
    rates: Counter[float] = Counter()
    for video in recordings(folder):
        try:
            clips = jobs.add(split_of(video), video)
        except ValueError as error:
            jobs.rejected[video.name] = str(error)
            continue
        if clips:
            rates[clips[0].fps] += 1
        else:
            jobs.rejected[video.name] = f"holds no clip of {frames} frames in which something moves"
    if len(rates) > 1:
        counts = ", ".join(f"{count} videos of {rate:g} frames/s" for rate, count in rates.items())
        raise ValueError(f"--input: {counts}; videos of one rate are one dataset: give a folder each")
    return jobs


def recording_clips(
    video: Path, frames: int, size: tuple[int, int], licence: str, problems: Counter[str] | None = None
) -> Iterator[Episode]:
    """The clips of a recording. Raises ValueError for one that cannot be read."""
    counts: Counter[str] = Counter() if problems is None else problems
    recording = logs.read_recording(video, size, licence)
    counts.update(recording.problems)
    return sessions.clips(replace(recording.episode, captions={"plain": caption(video)}), frames, counts)


def split_of(video: Path) -> str:
    """The split that a recording's name begins with."""
    return next((s for s in SPLITS if video.stem.startswith((s, s.removeprefix("random_")))), SPLITS[0])


def caption(video: Path) -> str:
    """The text of NAME.txt, else what kind of use a recording is."""
    text = video.with_suffix(".txt")
    if text.exists():
        return text.read_text().strip()
    return {"random_slow": "aimless use, slow", "random_fast": "aimless use, fast"}.get(split_of(video), "a task")
