"""Sessions as data: what people and policies did on a machine becomes episodes that training reads.

A recording is a data set of one episode. Split `train` has the screens of the true machine, which is what the keys should have
led to; split `generated` has what the neural machine drew. Where there is no true machine, there is `generated` alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neural_computer.data import splits
from neural_computer.data.episodes import EpisodeWriter
from neural_computer.data.kinds import labels
from neural_computer.data.windows import ClipSource, locate
from neural_computer.data.windows import splits as splits_of
from neural_computer.machine.session import Picture
from neural_computer.types import Episode, Event

TRUE, GENERATED = "train", "generated"
MOST = 4500
"""Frames of a recording at most: five minutes; a longer session is several"""
LEAST = 2
LICENCE = "with the consent of who typed"


@dataclass
class Recording:
    """The frames of a session since somebody agreed to have it recorded; `meta` is where it comes from."""

    caption: str
    fps: float
    kinds: tuple[str, ...]
    meta: Mapping[str, Any]
    pictures: list[Picture] = field(default_factory=list)

    def add(self, picture: Picture) -> None:
        """Adds a frame. One that was gone back to takes the later ones away."""
        while self.pictures and self.pictures[-1].frame >= picture.frame:
            self.pictures.pop()
        if self.pictures and self.pictures[-1].frame != picture.frame - 1:
            self.pictures.clear()
        last = self.pictures[-1] if self.pictures else None
        # Screens that are the same are one array: a session is mostly still.
        if last is not None and np.array_equal(last.screen, picture.screen):
            picture = picture._replace(screen=last.screen)
        old, new = None if last is None else last.truth, picture.truth
        if old is not None and new is not None and np.array_equal(old, new):
            picture = picture._replace(truth=old)
        self.pictures.append(picture)

    @property
    def full(self) -> bool:
        return len(self.pictures) >= MOST

    def write(self, folder: Path, id: str) -> Path | None:
        """Writes the recording to folder/ID; None, and nothing written, if it has less than two frames."""
        if len(self.pictures) < LEAST:
            return None
        out = folder / id
        true = self.pictures[0].truth is not None
        for split in (TRUE, GENERATED) if true else (GENERATED,):
            with EpisodeWriter(out, split, window=len(self.pictures)) as writer:
                writer.write(self.episode(f"{id}/{split}", split))
        return out

    def episode(self, id: str, split: str = TRUE) -> Episode:
        """The recording as an episode, of the true screens or of the generated ones."""
        true = split == TRUE
        frames = [picture.truth if true else picture.screen for picture in self.pictures]
        texts = [picture.text for picture in self.pictures]
        places = [picture.place for picture in self.pictures]
        meta = {
            **self.meta,
            "screens": split,
            "frames": len(frames),
            "wrong_screens": self._wrong(),
            "licence": LICENCE,
        }
        if self.kinds:
            numbers = np.asarray([0, *(picture.kind for picture in self.pictures[1:])], np.uint8)
            meta |= labels(numbers, self.kinds)
        return Episode(
            id=id,
            frames=np.stack([frame for frame in frames if frame is not None]),
            fps=self.fps,
            captions={"plain": self.caption} if self.caption else {},
            cells=tuple(text for text in texts if text is not None) if true and texts[0] is not None else None,
            events=tuple(self._events()),
            cursor=None if places[0] is None else np.asarray(places, np.float32),
            meta=meta,
        )

    def _wrong(self) -> int:
        return sum(1 for picture in self.pictures if len(picture.wrong))

    def _events(self) -> Iterable[Event]:
        """The events on the recording's clock; those of frame f lie between frames f - 1 and f."""
        for number, picture in enumerate(self.pictures[1:], 1):
            for n, event in enumerate(picture.events, 1):
                yield event._replace(time=(number - 1 + n / (len(picture.events) + 1)) / self.fps)


def folders(folder: Path) -> list[Path]:
    """The recordings in a folder. Raises ValueError if there is none."""
    found = sorted(path.parent for path in folder.glob("*/dataset_info.json"))
    if not found:
        raise ValueError(f"{folder}: holds no recordings; agree to one on the page of `neural-computer live`")
    return found


def read(folder: Path, split: str = TRUE) -> Episode:
    """The episode of a recording. Raises ValueError where it has no such split."""
    held = {name for name, _, _ in splits_of(locate(folder))}
    if split not in held:
        raise ValueError(f"{folder}: has no {split} screens, but {', '.join(sorted(held))}")
    frames = int(ClipSource(folder, split, LEAST)[0].meta["frames"])
    clip = ClipSource(folder, split, frames)[0]
    return Episode(clip.id, clip.frames, clip.fps, clip.captions, clip.cells, clip.events, clip.cursor, clip.meta)


def merge(paths: Iterable[Path], out: Path, window: int, test_share: float, screens: str = TRUE) -> dict[str, Any]:
    """Writes recordings as one data set, by the hash of their names in split train or test; returns the counts.

    `window` is the most frames of a training clip. Raises ValueError if split train is empty.
    """
    kept, rejected = {"train": 0, "test": 0}, {}
    writers = {split: EpisodeWriter(out, split, window=window) for split in kept}
    for path in paths:
        split = splits.of(path.name, test_share)
        try:
            episode = read(path, screens)
            if len(episode.frames) < window:
                raise ValueError(f"{len(episode.frames)} frames: less than a clip's {window}")
            writers[split].write(episode)
            kept[split] += 1
        except ValueError as error:
            rejected[path.name] = str(error)
    if not kept["train"]:
        raise ValueError(
            f"{out}: split train is empty; record more, or give a smaller --test_share ({rejected or 'none rejected'})"
        )
    for split, count in kept.items():
        if count:
            writers[split].close()
    return {"kept": sum(kept.values()), "splits": kept, "rejected": rejected}
