"""Sessions on the synthetic desktop as episodes, and episodes as clips that no action runs over the border of.

Split `clicks` is made for one question, does a click do what it should: its clips come in pairs that differ in the click
alone, so that half of them have one and nothing else tells which.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from neural_computer.actions.schema import frames as schema
from neural_computer.actions.schema.log import read
from neural_computer.media import mosaic
from neural_computer.recording.guiworld.logs import frozen
from neural_computer.simulators.desktop import Recording, record
from neural_computer.simulators.minidesk.session import MiniDesktop, furnished
from neural_computer.simulators.policies.click import plan as glided
from neural_computer.simulators.policies.click import towards
from neural_computer.simulators.policies.goal import FAMILIES, Task
from neural_computer.simulators.policies.random import plan
from neural_computer.types import Episode

LICENCE = "CC0-1.0"
LATER = 45
"""Frames that a clip may begin later than it would, so that no action runs over its borders."""
BLOCK, LEAST = 4, 12
"""Pixels a side of what a click changes, and how many of them at least, so that it can be seen"""


def session(split: str, seed: int, frames: int, size: int) -> Episode:
    """A session of a split: of `frames` frames, or, goal's, as long as its task takes.

    Raises ValueError for a task that was given up, or a split that there is not.
    """
    desktop = MiniDesktop(furnished(seed, size, most=0 if split == "goal" else 2))
    meta = _source(split, seed)
    if split == "goal":
        task = Task(desktop, list(FAMILIES)[seed % len(FAMILIES)], seed)
        done = record(desktop, task)
        if not task.done:
            raise ValueError(
                f"task {task.family!r} came to nothing: {task.reason or 'its success cannot be read back'}"
            )
        meta["task"] = {"family": task.family, "instruction": task.instruction}
        return _episode(split, seed, done, desktop, meta, task.instruction)
    done = record(desktop, plan(split, seed, frames, desktop.size, desktop.pointer, desktop.fps))
    return _episode(split, seed, done, desktop, meta, f"aimless use, {'slow' if split == 'random_slow' else 'fast'}")


def pair(seed: int, frames: int, size: int) -> list[Episode]:
    """Two clips of `frames` frames: the mouse goes to something and clicks it, and the same without the click.

    Both have in their meta, under "click", whether it was done, the places (row, column) of the blocks of `block` pixels
    that differ in their last frames, and their mean colours with the click and without. Raises ValueError where no click
    on this desk shows.
    """
    start = MiniDesktop(furnished(seed, size, most=1))
    rng = np.random.default_rng((seed, size))
    choice = [target for target in start.targets() if target.clear]
    roles = list(rng.permutation(sorted({target.role for target in choice})))
    # Kinds of things in equal parts, whatever their number on the screen.
    for number in sorted(rng.permutation(len(choice)), key=lambda n: roles.index(choice[n].role)):
        way = towards(choice[number], start.size, rng)
        desktops = [MiniDesktop(start.desk._replace(x=float(way.begin[0]), y=float(way.begin[1]))) for _ in range(2)]
        done = [record(d, glided(way, frames, click)) for d, click in zip(desktops, (True, False), strict=True)]
        shown = [mosaic(each.frames[-1], BLOCK) for each in done]
        places = np.argwhere((shown[0] != shown[1]).any(-1))
        if len(places) >= LEAST:
            found = {"block": BLOCK, "places": places.tolist()}
            found |= {n: x[tuple(places.T)].tolist() for n, x in zip(("with", "without"), shown, strict=True)}
            meta = [{**_source("clicks", seed), "click": {"done": each, **found}} for each in (True, False)]
            made = zip(done, desktops, meta, strict=True)
            return [_episode("clicks", seed * 2 + n, *each, "a click or none") for n, each in enumerate(made)]
    raise ValueError(f"clicks, seed={seed}: no click on this desk can be seen")


def _source(split: str, seed: int) -> dict[str, Any]:
    return {"source": {"recording": f"{split}/{seed}", "desktop": "minidesk"}, "licence": LICENCE}


def _episode(split: str, seed: int, done: Recording, desktop: MiniDesktop, meta: dict[str, Any], told: str) -> Episode:
    return Episode(
        id=f"{split}/{seed:06d}",
        frames=np.stack(done.frames),
        fps=desktop.fps,
        captions={"plain": told},
        events=tuple(done.events),
        cursor=np.asarray(done.cursor, np.float32),
        meta=meta
        | {
            "effects": {str(frame): list(said) for frame, said in sorted(desktop.effects.items())},
            "hits": {str(frame): list(target) for frame, target in sorted(desktop.hits.items())},
        },
    )


def clips(episode: Episode, frames: int, faults: Counter[str]) -> Iterator[Episode]:
    """The episode in clips of so many frames; what is dropped, moved or not known in them is counted in `faults`."""
    height, width = episode.frames.shape[1:3]
    spans = _spans(episode, (width, height))
    start, number = 0, 0
    while start + frames <= len(episode.frames):
        free = next(
            (s for s in range(start, start + LATER) if not any(_cuts(s, a) or _cuts(s + frames, a) for a in spans)),
            None,
        )
        if free is None or free + frames > len(episode.frames):
            faults["clips dropped because an action runs over their border"] += 1
            start += frames
            continue
        if free > start:
            faults["clips begun later because an action was under way"] += 1
        clip = part(episode, free, frames, number)
        if clip.cursor is not None and np.isnan(clip.cursor).any():
            faults["clips dropped because the cursor is lost"] += 1
        elif frozen(clip):
            faults["clips dropped because nothing moves"] += 1
        else:
            yield clip
            number += 1
        start = free + frames


def _spans(episode: Episode, size: tuple[int, int]) -> list[tuple[int, int]]:
    """The frames of every action's first and last moment."""
    actions = read(episode.events, size).actions
    return [(schema.frame_of(a.times[0], episode.fps), schema.frame_of(a.times[-1], episode.fps)) for a in actions]


def _cuts(border: int, span: tuple[int, int]) -> bool:
    """Does a cut before frame `border` leave a part of the action on each side?"""
    return span[0] < border <= span[1]


def part(episode: Episode, start: int, frames: int, number: int) -> Episode:
    """Frames `start` and on. An event goes with the frame that first shows it; so those just before frame 0 are left out."""
    begin, stop = (start - 1) / episode.fps if start else -1.0, (start + frames - 1) / episode.fps
    events = [e for e in episode.events if begin + 1e-9 < e.time <= stop + 1e-9]
    shown = [e._replace(time=max(0.0, e.time - start / episode.fps)) for e in events]
    by_frame = {
        name: {str(int(f) - start): x for f, x in episode.meta[name].items() if start <= int(f) < start + frames}
        for name in ("effects", "hits")
        if name in episode.meta
    }
    return replace(
        episode,
        id=f"{episode.id}/{number}",
        frames=episode.frames[start : start + frames],
        events=tuple(shown),
        cursor=None if episode.cursor is None else episode.cursor[start : start + frames],
        meta={
            **episode.meta,
            **by_frame,
            "clip": {"start": round(start / episode.fps, 4)},
        },
    )
