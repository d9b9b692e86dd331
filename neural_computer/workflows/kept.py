"""Tasks of a long evaluation, whose results are kept one by one: stopped, it loses the task that it was at and no other."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from neural_computer import files, media
from neural_computer.types import PyTree

SETTINGS = "settings.json"


class Result(NamedTuple):
    """What a task found: numbers for a JSON file, a curve over the frames and a picture, if it has these."""

    value: Any
    curve: list[float] = []
    picture: UInt8[np.ndarray, "h w 3"] | None = None


class Task(NamedTuple):
    """A part of an evaluation; it makes about so many frames, which it reports as they come."""

    name: str
    frames: int
    run: Callable[[], Result]


class Progress:
    """A bar over the frames of all tasks, with rate and remaining time. Called with the number of frames that were made."""

    def __init__(self, desc: str):
        self.desc, self.bar, self.left = desc, tqdm(disable=True), 0

    def __call__(self, frames: int) -> None:
        count = min(frames, self.left)
        self.left -= count
        self.bar.update(count)


def digest(config: Any, params: PyTree) -> str:
    """Hash of a machine: of its config and all its parameters."""
    found = hashlib.sha256(config.to_json(sort_keys=True).encode())
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        found.update(f"{jax.tree_util.keystr(path)} {leaf.shape} {leaf.dtype}".encode())
        found.update(np.ascontiguousarray(leaf).tobytes())
    return found.hexdigest()


def run(tasks: Sequence[Task], folder: Path, settings: Mapping[str, Any], progress: Progress) -> dict[str, Result]:
    """The results of all tasks, by their names; those that are in the folder under the same settings are not run again."""
    if (folder / SETTINGS).exists() and json.loads((folder / SETTINGS).read_text()) != settings:
        for path in _files(folder):
            path.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    files.write_whole(folder / SETTINGS, json.dumps(dict(settings)) + "\n")
    results = {task.name: kept for task in tasks if (kept := _read(folder, task.name)) is not None}
    initial = sum(task.frames for task in tasks if task.name in results)
    total = sum(task.frames for task in tasks)
    with tqdm(total=total, initial=initial, desc=progress.desc, unit="frame", dynamic_ncols=True) as progress.bar:
        for task in tasks:
            if task.name not in results:
                progress.left = task.frames
                progress.bar.set_postfix_str(task.name)
                results[task.name] = task.run()
                _write(folder, task.name, results[task.name])
                progress(progress.left)
    return {task.name: results[task.name] for task in tasks}


def _files(folder: Path) -> Iterable[Path]:
    return [*folder.glob("*.json"), *folder.glob("*.png")]


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name.replace(',', '').replace(' ', '_')}.json"


def _write(folder: Path, name: str, result: Result) -> None:
    """Keeps a result: the picture first, so that where the numbers are the picture is too."""
    path = _path(folder, name)
    if result.picture is not None:
        files.write_whole(path.with_suffix(".png"), media.png(result.picture))
    content = {"value": result.value, "curve": result.curve, "picture": result.picture is not None}
    files.write_whole(path, json.dumps(content) + "\n")


def _read(folder: Path, name: str) -> Result | None:
    from PIL import Image

    path = _path(folder, name)
    if not path.exists():
        return None
    content = json.loads(path.read_text())
    picture = np.asarray(Image.open(path.with_suffix(".png")).convert("RGB")) if content["picture"] else None
    return Result(content["value"], content["curve"], picture)
