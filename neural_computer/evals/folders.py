"""Videos in two folders, matched by clip id, and their problems by name.

A clip's id is its path in the folder without suffix: DIR/a/b.mp4 is a/b. A video is a file (mp4, ...), a GIF, a folder of
images, or an array on disk (.npy: t h w 3, uint8 or floats in [0, 1]); the last two have no frame rate.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from neural_computer import media
from neural_computer.actions.schema import frames as schema
from neural_computer.actions.schema import log
from neural_computer.data import events
from neural_computer.errors import Error
from neural_computer.evals.frames import resize
from neural_computer.evals.pairs import ClipProblem, VideoPair
from neural_computer.media import Video
from neural_computer.types import Event

SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".avi", ".gif", ".npy")

POLICY = {
    "length": "the frames after the shorter video's last one are left out",
    "rate": "the generated video is resampled to the reference's rate",
    "size": "the generated frames are squashed to the reference's size",
    "missing": "the clip is left out",
    "twice": "the clip is left out",
    "unreadable": "the clip is left out",
    "unscored": "the clip is left out",
}
"""What is done about each kind of problem"""
ADAPTED = ("length", "rate", "size")
"""Kinds of problems of clips that are scored nevertheless"""
RATE_TOLERANCE = 0.01
"""Frames per second by which two rates may differ and still be one"""


class VideoError(Error, ValueError):
    """A video cannot be used."""


def find_videos(folder: Path) -> dict[str, list[Path]]:
    """The videos below a folder, by clip id. Raises ValueError for no folder, and for none in it."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: is no folder; give one of videos ({', '.join(SUFFIXES)}, folders of images)")
    videos: dict[str, list[Path]] = {}
    for path in _walk(folder):
        name = path.relative_to(folder)
        videos.setdefault((name if path.is_dir() else name.with_name(path.stem)).as_posix(), []).append(path)
    if not videos:
        raise ValueError(f"{folder}: holds no videos ({', '.join(SUFFIXES)}, folders of images)")
    return videos


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix.lower() in SUFFIXES:
            yield path
        elif path.is_dir():
            if any(each.suffix.lower() in media.IMAGE_SUFFIXES for each in path.iterdir()):
                yield path
            else:
                yield from _walk(path)


def match(generated: Path, reference: Path) -> tuple[dict[str, tuple[Path, Path]], list[ClipProblem]]:
    """The pairs of videos of two folders, by clip id in order, and the clips that make no pair.

    Raises ValueError for folders without videos, and without a clip in common.
    """
    videos = find_videos(generated), find_videos(reference)
    pairs, problems = {}, []
    for clip in sorted(videos[0].keys() | videos[1].keys()):
        paths = [side.get(clip, []) for side in videos]
        absent = [str(folder) for folder, side in zip((generated, reference), paths, strict=True) if not side]
        several = [path.name for side in paths if len(side) > 1 for path in side]
        if absent:
            problems.append(ClipProblem(clip, "missing", f"is not in {absent[0]}"))
        elif several:
            problems.append(ClipProblem(clip, "twice", f"is there as {' and '.join(several)}"))
        else:
            pairs[clip] = paths[0][0], paths[1][0]
    if not pairs:
        names = [", ".join(list(side)[:3]) for side in videos]
        raise ValueError(
            f"{generated} and {reference}: have no clip in common ({names[0]} ... and {names[1]} ...); give videos of one "
            "clip the same name"
        )
    return pairs, problems


def read_video(path: Path) -> tuple[Video, float | None]:
    """(video, frames per second, None where the form has none). Raises VideoError for a path that holds no video."""
    try:
        if path.suffix.lower() == ".npy":
            return _read_array(path), None
        video, fps = media.read_video(path)
    except (ValueError, OSError, EOFError) as error:
        raise VideoError(f"{path.name}: {str(error).removeprefix(f'{path}: ')}") from error
    return video, None if path.is_dir() else fps


def _read_array(path: Path) -> Video:
    with path.open("rb") as file:
        video = np.lib.format.read_array(file, allow_pickle=False)
    if video.ndim != 4 or video.shape[-1] != 3 or not len(video):
        raise ValueError(f"is of shape {video.shape}; a video is (t, h, w, 3)")
    if video.dtype == np.uint8:
        return video
    if not np.issubdtype(video.dtype, np.floating):
        raise ValueError(f"is of {video.dtype}; a video is uint8, or floats in [0, 1]")
    bad = np.flatnonzero(~np.isfinite(video).all((1, 2, 3)))
    if len(bad):
        raise ValueError(f"has NaN or infinity in {len(bad)} of {len(video)} frames ({bad[:5].tolist()} ...)")
    if video.min() < 0 or video.max() > 1:
        raise ValueError(f"has floats from {video.min():.3g} to {video.max():.3g}; they must be in [0, 1]")
    return np.round(video * 255).astype(np.uint8)


def load_pair(
    clip: str, generated: Path, reference: Path, actions: Path | None = None, fps: float | None = None
) -> VideoPair:
    """The videos of a clip, adapted to each other by `POLICY`, with the events and cells that the folder `actions` has.

    `fps` is the rate where neither video has one. Raises VideoError.
    """
    (video, rate), (truth, true_rate) = read_video(generated), read_video(reference)
    shared = true_rate or rate or fps
    if shared is None:
        raise VideoError("neither video has a frame rate; give --fps")
    problems = []
    if rate and abs(rate - shared) > RATE_TOLERANCE:
        problems.append(ClipProblem(clip, "rate", f"{rate:g} frames a second, the reference has {shared:g}"))
        video = media.resample(video, rate, shared)
    if len(video) != len(truth):
        problems.append(ClipProblem(clip, "length", f"{len(video)} frames, the reference has {len(truth)}"))
    count = min(len(video), len(truth))
    video, truth = video[:count], truth[:count]
    height, width = truth.shape[1:3]
    if video.shape != truth.shape:
        sizes = ["x".join(map(str, x.shape[1:3])) for x in (video, truth)]
        problems.append(ClipProblem(clip, "size", f"frames of {sizes[0]}, the reference has {sizes[1]}"))
        video = resize(video, height, width)
    recorded = read_events(actions / f"{clip}.events.jsonl") if actions else ()
    cursor = schema.mouse(log.read(recorded, (width, height)), count, shared) if recorded else None
    cells = read_cells(actions / f"{clip}.cells.json", count) if actions else None
    return VideoPair(clip, video, truth, shared, recorded, cursor, cells, problems=tuple(problems))


def read_events(path: Path) -> tuple[Event, ...]:
    """The input events in a file, by time; () without the file. Raises VideoError with the line."""
    try:
        return tuple(sorted(events.read(path), key=lambda event: event.time))
    except ValueError as error:
        raise VideoError(str(error)) from error


def read_cells(path: Path, count: int) -> tuple[str, ...] | None:
    """The text of `count` screens in a file, a list of strings, one a frame; None without the file. Raises VideoError."""
    if not path.exists():
        return None
    try:
        screens = json.loads(path.read_text())
    except ValueError as error:
        raise VideoError(f"{path.name}: is no JSON ({error})") from error
    if not isinstance(screens, list) or len(screens) < count or not all(isinstance(x, str) for x in screens):
        raise VideoError(
            f"{path.name}: must be a list of at least {count} strings, a frame's rows joined by newlines each"
        )
    return tuple(screens[:count])


def fingerprint(paths: Sequence[Path]) -> str:
    """A hash of names, sizes and modification times of files, and of those in folders: it changes when any of them does."""
    entries = []
    for path in paths:
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            if file.exists():
                entries.append((str(file), file.stat().st_size, file.stat().st_mtime_ns))
    return hashlib.sha256(json.dumps(entries).encode()).hexdigest()[:16]
