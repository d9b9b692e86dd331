"""A user's session on the desk as values and as an episode: frame 0 is the desk as it begins, frame f the desk after step f.

A desk whose apps open at once has nothing under way that its screen does not show, and at most one window hides nothing that
is not always the same: all that a frame follows from is the frame before and the frame's events.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from neural_computer.data.kinds import labels
from neural_computer.simulators.desktop import round64
from neural_computer.simulators.minidesk import kinds
from neural_computer.simulators.minidesk.drawing import render
from neural_computer.simulators.minidesk.session import MiniDesktop
from neural_computer.simulators.minidesk.state import Desk, start
from neural_computer.simulators.policies.brisk import User, steps
from neural_computer.types import Episode, Event

FPS = MiniDesktop.fps
CAPTIONS: Mapping[str, str] = {"plain": "a desktop"}
LICENCE = "CC0-1.0"


class Session(NamedTuple):
    """A session, frame by frame."""

    desks: tuple[Desk, ...]
    events: tuple[tuple[Event, ...], ...]
    """Those whose effect the frame is the first to show, at their times; none in frame 0"""
    kinds: UInt8[np.ndarray, " t"]
    """Index into KINDS"""

    @property
    def cursor(self) -> Float[np.ndarray, "t 2"]:
        """(x, y) of the pointer in every frame, in pixels."""
        return np.asarray([(desk.x, desk.y) for desk in self.desks], np.float32)

    def draw(self, frames: Sequence[int] | None = None) -> UInt8[np.ndarray, "t h w 3"]:
        """Pictures of some frames, or of all."""
        return np.stack([render(self.desks[frame]) for frame in (range(len(self.desks)) if frames is None else frames)])


def play(desktop: MiniDesktop, policy: Iterable[Sequence[Event]]) -> Session:
    """The session of a policy on a desktop, which it may look at. Events of a frame are spread over the time before it."""
    desks, events, numbers = [desktop.desk], list[tuple[Event, ...]]([()]), [kinds.IDS["idle"]]
    for t, step in enumerate(policy, 1):
        before = desktop.desk
        now = tuple(
            e._replace(time=(t - 1 + (n + 1) / (len(step) + 1)) / FPS, x=round64(e.x), y=round64(e.y))
            for n, e in enumerate(step)
        )
        desktop.inject(now)
        desks.append(desktop.desk)
        events.append(now)
        numbers.append(kinds.of(before, now, desktop.desk))
    return Session(tuple(desks), tuple(events), np.asarray(numbers, np.uint8))


def session(user: User, seed: int | tuple[int, ...], frames: int, size: int = 64) -> Session:
    """A user's session of so many frames; a function of its arguments. Raises ValueError for less than one frame."""
    if frames < 1:
        raise ValueError(f"frames={frames}: must be at least 1")
    x, y = np.random.default_rng(seed).integers(size, size=2).tolist()
    desktop = MiniDesktop(start(size, (x, y), open_delay=1))
    return play(desktop, islice(steps(desktop, user, seed), frames - 1))


def simulated(user: User, seed: int | tuple[int, ...], id: str, frames: int, size: int = 64) -> Episode:
    """A user's session as an episode; its meta has all that it takes to make it again."""
    played = session(user, seed, frames, size)
    return Episode(
        id=id,
        frames=played.draw(),
        fps=FPS,
        captions=CAPTIONS,
        events=tuple(event for now in played.events for event in now),
        cursor=played.cursor,
        meta={
            **{"source": "simulated desktop", "seed": seed, "user": asdict(user)},
            **labels(played.kinds, kinds.KINDS),
            "licence": LICENCE,
        },
    )
