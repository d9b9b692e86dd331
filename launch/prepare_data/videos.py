"""A folder of videos: NAME.mp4 (or .gif, .mkv, .webm), its caption in NAME.txt, and, if there are any, its input events in
NAME.events.jsonl, one object a line: {"time": 0.4, "kind": "press", "key": "a"}.

The hash of NAME puts about one video in ten into split test, so that adding a video moves no other one.
"""

import re
from pathlib import Path
from typing import Any

from absl import flags
from tqdm import tqdm

from neural_computer import media
from neural_computer.data import events as logged
from neural_computer.data import splits
from neural_computer.data.episodes import EpisodeWriter
from neural_computer.types import Episode, Event

INPUT = flags.DEFINE_string("input", None, "Recipe videos: the folder of videos; recipe encode: the data.")
SIZE = flags.DEFINE_string("size", "48x128", "Recipe videos: HEIGHTxWIDTH of the frames; videos are letterboxed to it.")
FPS = flags.DEFINE_float("fps", 5.0, "Recipe videos: frames per second of the data.", lower_bound=0.01)
WINDOW = flags.DEFINE_integer("window", 9, "Recipe videos: frames of a training window; shorter videos are refused.")
TEST_SHARE = flags.DEFINE_float(
    "test_share", 0.1, "Recipe videos: share of names that go to split test.", lower_bound=0, upper_bound=1
)
LICENCE = flags.DEFINE_string("licence", "unknown", "Recipe videos: the videos' licence, kept with every episode.")

SUFFIXES = (".mp4", ".gif", ".mkv", ".webm", ".mov")


def settings() -> dict[str, Any]:
    """What the data depend on."""
    if INPUT.value is None:
        raise ValueError("--input: is missing; recipe videos needs a folder of NAME.mp4 and NAME.txt")
    names = {"input": INPUT.value, "size": SIZE.value, "fps": FPS.value, "window": WINDOW.value}
    return names | {"test_share": TEST_SHARE.value, "videos": [path.name for path in videos()]}


def videos() -> list[Path]:
    """Returns the folder's videos, by name. Raises ValueError if there is none."""
    folder = Path(INPUT.value)
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES) if folder.is_dir() else []
    if not paths:
        raise ValueError(f"{folder}: holds no videos ({', '.join(SUFFIXES)})")
    return paths


def make(output: Path) -> dict[str, Any]:
    """Writes the videos as episodes; returns the numbers kept, in all and by split, and why the others were refused.

    Raises ValueError if split train is empty. An empty split test is printed, since evaluation will miss it.
    """
    size = re.fullmatch(r"(\d+)x(\d+)", SIZE.value)
    if not size:
        raise ValueError(f"--size={SIZE.value}: must be HEIGHTxWIDTH, such as 48x128")
    height, width = map(int, size.groups())
    writers = {split: EpisodeWriter(output, split, window=WINDOW.value) for split in ("train", "test")}
    kept = dict.fromkeys(writers, 0)
    refused: dict[str, str] = {}
    for path in tqdm(videos(), desc="videos", unit="video", dynamic_ncols=True):
        split = splits.of(path.stem, TEST_SHARE.value)
        try:
            writers[split].write(episode(path, height, width))
            kept[split] += 1
        except ValueError as error:
            refused[path.name] = str(error)
    if not any(kept.values()):
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(refused.items())[:3])
        raise ValueError(f"{INPUT.value}: none of its {len(refused)} videos can be used ({reasons})")
    if not kept["train"]:
        raise ValueError(f"{INPUT.value}: {empty('train', kept['test'])}")
    if not kept["test"]:
        print(f"{output}: {empty('test', kept['train'])}; launch.train works without it, launch.evaluate needs it")
    for split, writer in writers.items():
        if kept[split]:
            writer.close()
    return {"kept": sum(kept.values()), "splits": kept, "rejected": refused}


def empty(split: str, others: int) -> str:
    """Says that a split is empty, why, and what to do."""
    share = "smaller" if split == "train" else "larger"
    return (
        f"split {split} is empty: the hash of its name puts a video into test with a chance of "
        f"--test_share={TEST_SHARE.value}, and none of the {others} usable ones fell into {split}; add videos, rename "
        f"one, or give a {share} --test_share"
    )


def episode(path: Path, height: int, width: int) -> Episode:
    """A video with its caption and events. Raises ValueError where something is missing or does not fit."""
    caption = path.with_suffix(".txt")
    if not caption.exists() or not (text := caption.read_text(encoding="utf-8", errors="strict").strip()):
        raise ValueError(f"{caption.name} is missing or empty; it should hold the video's caption")
    video, fps = media.read_video(path)
    video = media.resample(video, fps, FPS.value)
    if len(video) < WINDOW.value:
        raise ValueError(f"has {len(video)} frames at {FPS.value} fps; --window={WINDOW.value} needs as many")
    return Episode(
        id=path.stem,
        frames=media.letterbox(video, height, width),
        fps=FPS.value,
        captions={"plain": text},
        events=events(path.with_suffix(".events.jsonl"), len(video) / FPS.value),
        meta={"source": path.name, "licence": LICENCE.value},
    )


def events(path: Path, seconds: float) -> tuple[Event, ...]:
    """The events in a file, those within the video; none if there is no file. Raises ValueError with the line."""
    return tuple(event for event in logged.read(path) if 0 <= event.time < seconds)
