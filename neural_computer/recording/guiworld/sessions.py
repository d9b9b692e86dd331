"""Sessions on the synthetic desktop as episodes, and episodes cut into clips so that no action crosses a border.

Split `clicks` tests one thing, whether a click does what it should: its clips come in pairs that differ in the click alone, so
that half of them have one and nothing else tells which.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from neural_computer.actions.schema import frames as schema
from neural_computer.actions.schema.log import read
from neural_computer.media import mosaic
from neural_computer.recording.guiworld.logs import is_static
from neural_computer.simulators.desktop import Recording, record
from neural_computer.simulators.minidesk.session import MiniDesktop, furnished
from neural_computer.simulators.policies import CLICKS, click
from neural_computer.simulators.policies.goal import FAMILIES, Task
from neural_computer.simulators.policies.random import plan
from neural_computer.types import Episode

LICENCE = "CC0-1.0"
MAX_DELAY = 45
"""Frames by which a clip may begin later, so that no action crosses its borders."""
BLOCK, MIN_BLOCKS = 4, 12
"""Side in pixels of the blocks that a click changes, and how many of them at least make the change visible."""


def session(split: str, seed: int, frames: int, size: int) -> Episode:
    """A session of a split on a screen of `size` x `size` pixels: `frames` frames or, goal's, as long as its task takes.

    Raises ValueError for a task that failed and for an unknown split.
    """
    desktop = MiniDesktop(furnished(seed, size, most=0 if split == "goal" else 2))
    meta = _source(split, seed)
    if split == "goal":
        task = Task(desktop, list(FAMILIES)[seed % len(FAMILIES)], seed)
        recording = record(desktop, task)
        if not task.success:
            reason = task.reason or "the screen does not show that it succeeded"
            raise ValueError(f"task {task.family!r} failed: {reason}")
        meta["task"] = {"family": task.family, "instruction": task.instruction}
        return _episode(split, seed, recording, desktop, meta, task.instruction)
    recording = record(desktop, plan(split, seed, frames, desktop.size, desktop.pointer, desktop.fps))
    caption = f"aimless use, {'slow' if split == 'random_slow' else 'fast'}"
    return _episode(split, seed, recording, desktop, meta, caption)


def pair(seed: int, frames: int, size: int) -> list[Episode]:
    """Two clips of `frames` frames: the mouse goes to a target and clicks it, and the same without the click.

    Both have in their meta, under "click": `done`, whether it was clicked; `places` (row, column) of the blocks of `block`
    pixels in which their last frames differ; and `with` and `without`, the blocks' mean colours with the click and without.
    Raises ValueError if no click on this desk has a visible effect.
    """
    start = MiniDesktop(furnished(seed, size, most=1))
    rng = np.random.default_rng((seed, size))
    candidates = [target for target in start.targets() if target.clear]
    roles = list(rng.permutation(sorted({target.role for target in candidates})))
    # Roles in equal shares, however many targets each has.
    for number in sorted(rng.permutation(len(candidates)), key=lambda n: roles.index(candidates[n].role)):
        way = click.sample_glide(candidates[number], start.size, rng)
        x, y = map(float, way.begin)
        desktops = [MiniDesktop(start.desk._replace(x=x, y=y)) for _ in range(2)]
        recordings = [record(d, click.plan(way, frames, c)) for d, c in zip(desktops, (True, False), strict=True)]
        last = [mosaic(recording.frames[-1], BLOCK) for recording in recordings]
        places = np.argwhere((last[0] != last[1]).any(-1))
        if len(places) < MIN_BLOCKS:
            continue
        colours = {
            name: blocks[tuple(places.T)].tolist() for name, blocks in zip(("with", "without"), last, strict=True)
        }
        effect = {"block": BLOCK, "places": places.tolist(), **colours}
        metas = [{**_source(CLICKS, seed), "click": {"done": clicked, **effect}} for clicked in (True, False)]
        clips = enumerate(zip(recordings, desktops, metas, strict=True))
        return [_episode(CLICKS, seed * 2 + n, *each, "a click or none") for n, each in clips]
    raise ValueError(f"clicks, seed={seed}: no click on this desk has a visible effect")


def _source(split: str, seed: int) -> dict[str, Any]:
    return {"source": {"recording": f"{split}/{seed}", "desktop": "minidesk"}, "licence": LICENCE}


def _episode(
    split: str, seed: int, recording: Recording, desktop: MiniDesktop, meta: dict[str, Any], caption: str
) -> Episode:
    return Episode(
        id=f"{split}/{seed:06d}",
        frames=np.stack(recording.frames),
        fps=desktop.fps,
        captions={"plain": caption},
        events=tuple(recording.events),
        cursor=np.asarray(recording.cursor, np.float32),
        meta=meta
        | {
            "effects": {str(frame): list(texts) for frame, texts in sorted(desktop.effects.items())},
            "hits": {str(frame): list(target) for frame, target in sorted(desktop.hits.items())},
        },
    )


def clips(episode: Episode, frames: int, problems: Counter[str]) -> Iterator[Episode]:
    """The episode in clips of `frames` frames. Clips that are dropped or moved are counted in `problems`, by reason."""
    height, width = episode.frames.shape[1:3]
    spans = _action_spans(episode, (width, height))
    start, number = 0, 0
    while start + frames <= len(episode.frames):
        free = next(
            (
                first
                for first in range(start, start + MAX_DELAY)
                if not any(_splits(first, span) or _splits(first + frames, span) for span in spans)
            ),
            None,
        )
        if free is None or free + frames > len(episode.frames):
            problems["clips dropped because an action runs over their border"] += 1
            start += frames
            continue
        if free > start:
            problems["clips begun later because an action was under way"] += 1
        clip = cut(episode, free, frames, number)
        if clip.cursor is not None and np.isnan(clip.cursor).any():
            problems["clips dropped because the cursor is lost"] += 1
        elif is_static(clip):
            problems["clips dropped because nothing moves"] += 1
        else:
            yield clip
            number += 1
        start = free + frames


def _action_spans(episode: Episode, size: tuple[int, int]) -> list[tuple[int, int]]:
    """(first frame, last frame) of every action, on a screen of `size` (width, height)."""
    actions = read(episode.events, size).actions
    return [(schema.frame_of(a.times[0], episode.fps), schema.frame_of(a.times[-1], episode.fps)) for a in actions]


def _splits(border: int, span: tuple[int, int]) -> bool:
    """Does a cut before frame `border` leave a part of the action on each side?"""
    return span[0] < border <= span[1]


def cut(episode: Episode, start: int, frames: int, number: int) -> Episode:
    """Frames `start` to `start + frames` - 1 of an episode, as its clip `number`.

    An event belongs to the frame that first shows it, so events just before frame `start` are left out.
    """
    begin, stop = (start - 1) / episode.fps if start else -1.0, (start + frames - 1) / episode.fps
    events = [e for e in episode.events if begin + 1e-9 < e.time <= stop + 1e-9]
    by_frame = {
        name: {str(int(f) - start): x for f, x in episode.meta[name].items() if start <= int(f) < start + frames}
        for name in ("effects", "hits")
        if name in episode.meta
    }
    return replace(
        episode,
        id=f"{episode.id}/{number}",
        frames=episode.frames[start : start + frames],
        events=tuple(e._replace(time=max(0.0, e.time - start / episode.fps)) for e in events),
        cursor=None if episode.cursor is None else episode.cursor[start : start + frames],
        meta={
            **episode.meta,
            **by_frame,
            "clip": {"start": round(start / episode.fps, 4)},
        },
    )
