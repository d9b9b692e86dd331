"""Videos in two folders, matched by clip id, and what is wrong with them, by name.

A clip's id is its path in the folder without suffix: DIR/a/b.mp4 is a/b. A video is a file (mp4, ...), a GIF, a folder of
pictures, or an array on disk (.npy: t h w 3, uint8 or floats in [0, 1]); the last two tell no frame rate.
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
from neural_computer.evals import frames as chosen
from neural_computer.evals.pairs import Fault, Pair
from neural_computer.media import Video
from neural_computer.types import Event

SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".avi", ".gif", ".npy")
PICTURES = (".png", ".jpg", ".jpeg")

POLICY = {
    "length": "the frames after the shorter video's last one are left out",
    "rate": "the generated video is resampled to the reference's rate",
    "size": "the generated frames are squashed to the reference's size",
    "missing": "the clip is left out",
    "twice": "the clip is left out",
    "unreadable": "the clip is left out",
    "unscored": "the clip is left out",
}
"""What is done about every kind of fault. Clips with the first three are scored, the others are not."""
ADAPTED = ("length", "rate", "size")


class VideoError(ValueError):
    """A video cannot be used."""


def videos(folder: Path) -> dict[str, list[Path]]:
    """The videos in a folder and the folders in it, by clip id. Raises ValueError for no folder, and for none in it."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: is no folder; give one of videos ({', '.join(SUFFIXES)}, folders of pictures)")
    found: dict[str, list[Path]] = {}
    for path in _videos(folder):
        name = path.relative_to(folder)
        found.setdefault((name if path.is_dir() else name.with_name(path.stem)).as_posix(), []).append(path)
    if not found:
        raise ValueError(f"{folder}: holds no videos ({', '.join(SUFFIXES)}, folders of pictures)")
    return found


def _videos(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix.lower() in SUFFIXES:
            yield path
        elif path.is_dir():
            if any(each.suffix.lower() in PICTURES for each in path.iterdir()):
                yield path
            else:
                yield from _videos(path)


def matched(generated: Path, reference: Path) -> tuple[dict[str, tuple[Path, Path]], list[Fault]]:
    """The pairs of videos of two folders, by clip id in order, and the clips that are no pair."""
    made, right = videos(generated), videos(reference)
    pairs, faults = {}, []
    for clip in sorted(made.keys() | right.keys()):
        sides = ((generated, made.get(clip, [])), (reference, right.get(clip, [])))
        absent = [str(folder) for folder, paths in sides if not paths]
        several = [path.name for _, paths in sides if len(paths) > 1 for path in paths]
        if absent:
            faults.append(Fault(clip, "missing", f"is not in {absent[0]}"))
        elif several:
            faults.append(Fault(clip, "twice", f"is there as {' and '.join(several)}"))
        else:
            pairs[clip] = made[clip][0], right[clip][0]
    if not pairs:
        names = [", ".join(list(side)[:3]) for side in (made, right)]
        raise ValueError(
            f"{generated} and {reference}: have no clip in common ({names[0]} ... and {names[1]} ...); give videos of one "
            "clip the same name"
        )
    return pairs, faults


def read(path: Path) -> tuple[Video, float | None]:
    """(video, frames per second, None where it does not tell). Raises VideoError for what holds no video."""
    try:
        if path.suffix.lower() == ".npy":
            return _array(path), None
        video, fps = media.read_video(path)
    except (ValueError, OSError, EOFError) as error:
        raise VideoError(f"{path.name}: {str(error).removeprefix(f'{path}: ')}") from error
    return video, None if path.is_dir() else fps


def _array(path: Path) -> Video:
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


def pair(clip: str, made: Path, right: Path, known: Path | None = None, fps: float | None = None) -> Pair:
    """The videos of a clip, made to fit each other by POLICY, and what `known`, a folder, tells of it.

    `fps` is taken for videos that do not tell theirs, where the other does not tell it either. Raises VideoError.
    """
    (video, rate), (truth, true_rate) = read(made), read(right)
    shared = true_rate or rate or fps
    if shared is None:
        raise VideoError("neither video tells its frame rate; give --fps")
    faults = []
    if rate and abs(rate - shared) > 0.01:
        faults.append(Fault(clip, "rate", f"{rate:g} frames a second, the reference has {shared:g}"))
        video = media.resample(video, rate, shared)
    if len(video) != len(truth):
        faults.append(Fault(clip, "length", f"{len(video)} frames, the reference has {len(truth)}"))
    count = min(len(video), len(truth))
    video, truth = video[:count], truth[:count]
    if video.shape != truth.shape:
        sizes = ["x".join(map(str, x.shape[1:3])) for x in (video, truth)]
        faults.append(Fault(clip, "size", f"frames of {sizes[0]}, the reference has {sizes[1]}"))
        video = chosen.resized(video, *truth.shape[1:3])
    done = events_of(known / f"{clip}.events.jsonl") if known else ()
    height, width = truth.shape[1:3]
    cursor = schema.mouse(log.read(done, (width, height)), count, shared) if done else None
    cells = cells_of(known / f"{clip}.cells.json", count) if known else None
    return Pair(clip, video, truth, shared, done, cursor, cells, faults=tuple(faults))


def events_of(path: Path) -> tuple[Event, ...]:
    """The input events in a file, by time; none if there is no file. Raises VideoError with the line."""
    try:
        return tuple(sorted(events.read(path), key=lambda event: event.time))
    except ValueError as error:
        raise VideoError(str(error)) from error


def cells_of(path: Path, count: int) -> tuple[str, ...] | None:
    """The screens' texts in a file, a list of strings, one a frame; None if there is no file. Raises VideoError."""
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


def stamp(paths: Sequence[Path]) -> str:
    """What changes when one of the videos, or what lies beside them, does: names, sizes and times of the files."""
    told = []
    for path in paths:
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            if file.exists():
                told.append((str(file), file.stat().st_size, file.stat().st_mtime_ns))
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
