"""A folder of videos to a data set: NAME.mp4 (or .gif, .mkv, .webm), its caption in NAME.txt, and, if there are any, its
input events in NAME.events.jsonl, one object a line: {"time": 0.4, "kind": "press", "key": "a"}.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from neural_computer import media
from neural_computer.data import events, splits
from neural_computer.data.episodes import EpisodeWriter
from neural_computer.types import Episode

SUFFIXES = (".mp4", ".gif", ".mkv", ".webm", ".mov")


def videos(folder: Path) -> list[Path]:
    """A folder's videos, by name. Raises ValueError if there is none."""
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES) if folder.is_dir() else []
    if not paths:
        raise ValueError(f"{folder}: holds no videos ({', '.join(SUFFIXES)})")
    return paths


def build(
    paths: Sequence[Path],
    output: Path,
    *,
    size: tuple[int, int],
    fps: float,
    frames: int,
    licence: str,
    test_share: float = 0.1,
) -> dict[str, Any]:
    """Writes videos as episodes of `size` (height, width), letterboxed; returns the counts and why others were rejected.

    The hash of a name decides its split, so that adding a video moves no other. Raises ValueError if split train is empty.
    An empty split test is printed, since evaluation will miss it.
    """
    writers = {split: EpisodeWriter(output, split, window=frames) for split in ("train", "test")}
    kept = dict.fromkeys(writers, 0)
    rejected: dict[str, str] = {}
    for path in tqdm(paths, desc="videos", unit="video", dynamic_ncols=True):
        split = splits.of(path.stem, test_share)
        try:
            writers[split].write(episode(path, size, fps, frames, licence))
            kept[split] += 1
        except ValueError as error:
            rejected[path.name] = str(error)
    folder = paths[0].parent
    if not any(kept.values()):
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(rejected.items())[:3])
        raise ValueError(f"{folder}: none of its {len(rejected)} videos can be used ({reasons})")
    if not kept["train"]:
        raise ValueError(f"{folder}: {_empty('train', kept['test'], test_share)}")
    if not kept["test"]:
        print(f"{output}: {_empty('test', kept['train'], test_share)}; training works without it, evaluation needs it")
    for split, writer in writers.items():
        if kept[split]:
            writer.close()
    return {"kept": sum(kept.values()), "splits": kept, "rejected": rejected}


def _empty(split: str, others: int, test_share: float) -> str:
    """Says that a split is empty, why, and what to do."""
    share = "smaller" if split == "train" else "larger"
    return (
        f"split {split} is empty: the hash of its name puts a video into test with a chance of --test_share={test_share}, "
        f"and none of the {others} usable ones fell into {split}; add videos, rename one, or give a {share} --test_share"
    )


def episode(path: Path, size: tuple[int, int], fps: float, frames: int, licence: str) -> Episode:
    """A video with its caption and events. Raises ValueError where something is missing or does not fit."""
    caption = path.with_suffix(".txt")
    if not caption.exists() or not (text := caption.read_text(encoding="utf-8", errors="strict").strip()):
        raise ValueError(f"{caption.name} is missing or empty; it should hold the video's caption")
    video, rate = media.read_video(path)
    video = media.resample(video, rate, fps)
    if len(video) < frames:
        raise ValueError(f"has {len(video)} frames at {fps} fps; --frames={frames} needs as many")
    seconds = len(video) / fps
    log = events.read(path.with_suffix(".events.jsonl"))
    return Episode(
        id=path.stem,
        frames=media.letterbox(video, *size),
        fps=fps,
        captions={"plain": text},
        events=tuple(event for event in log if 0 <= event.time < seconds),
        meta={"source": path.name, "licence": licence},
    )
