"""One user's machine as a value: what it has been given, how right it was, and the way back.

A `Moment` is all of a session but the machine's own state. Points, moments with their states, are kept every few frames; any
frame between two of them is reached by running again what was pressed since, which gives the same bits.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from neural_computer.machine import controls
from neural_computer.machine.controls import Frames, Numbered, Recent
from neural_computer.machine.worlds import NONE, Cells, Entered, Screen, World
from neural_computer.types import State

EVERY = 15
"""Steps between two points"""
POINTS = 32
"""Points that are kept: so many times EVERY steps one can go back"""
QUEUE = 1024
"""Events that may wait at most"""


class Score(NamedTuple):
    """How often the machine's screen was the true one."""

    screens: int = 0
    right: int = 0
    last_error: int = -1
    """Frame of the last wrong screen; -1 for none"""
    sums: int = 0
    sums_right: int = 0
    held_out: int = 0
    """Calculations of pairs that are kept from training"""
    held_out_right: int = 0


class Moment(NamedTuple):
    """A session after a frame, but for the machine's state."""

    frame: int
    truth: Any
    recent: Recent
    score: Score


class Picture(NamedTuple):
    """A frame as it is shown: the machine's screen, the true one, and which cells differ."""

    frame: int
    screen: Screen
    truth: Screen | None
    wrong: Cells
    score: Score
    applied: tuple[int, ...] = ()
    """Numbers of the events that this frame is the first to show"""
    key: Entered | None = None
    """The calculation that it is the result of"""
    kind: int = 0
    events: tuple[Any, ...] = ()
    text: str | None = None
    """The true screen's text"""
    place: tuple[float, float] | None = None
    """Of the true mouse"""


class Point(NamedTuple):
    """A session that one can go back to."""

    moment: Moment
    state: State


def first(world: World, seed: int) -> Moment:
    """A session before its first frame."""
    return Moment(0, world.start(seed), (), Score())


def advance(
    world: World, moment: Moment, events: Frames, screens: np.ndarray, numbers: tuple[tuple[int, ...], ...] = ()
) -> tuple[Moment, list[Picture]]:
    """The moment after some frames in which these events happened, and what each frame shows. Pure."""
    pictures = []
    for number, (now, screen) in enumerate(zip(events, screens, strict=True)):
        frame, before, score = moment.frame + 1, moment.truth, moment.score
        truth, entered, kind = world.step(before, now), world.entered(before, now), world.kind(before, now)
        true = world.render(truth)
        wrong = NONE if true is None else world.compare(screen, truth)
        if true is not None:
            score = scored(score, frame, not len(wrong), entered)
        moment = Moment(frame, truth, controls.remember(moment.recent, frame, now), score)
        applied = numbers[number] if numbers else ()
        pictures.append(
            Picture(
                frame, screen, true, wrong, score, applied, entered, kind, now, world.text(truth), world.place(truth)
            )
        )
    return moment, pictures


def scored(score: Score, frame: int, right: bool, entered: Entered | None) -> Score:
    """The score with one more screen, which shows the result of `entered`, if it is one."""
    score = score._replace(
        screens=score.screens + 1, right=score.right + right, last_error=score.last_error if right else frame
    )
    if entered is None:
        return score
    score = score._replace(sums=score.sums + 1, sums_right=score.sums_right + right)
    if not entered.held_out:
        return score
    return score._replace(held_out=score.held_out + 1, held_out_right=score.held_out_right + right)


@dataclass(eq=False)
class Session:
    """A session in a row of the batch. `host.Host` advances it; all else here is its own."""

    id: str
    world: World
    seed: int
    row: int
    moment: Moment
    publish: Callable[[Picture], None] = lambda picture: None
    """Is called with every frame, in the thread that made it"""
    queue: deque[Numbered] = field(default_factory=deque)
    points: deque[Point] = field(default_factory=deque)
    log: dict[int, Frames] = field(default_factory=dict)
    """First frame of a step -> the events of its frames, for steps with events since the first point"""
    paused: bool = False
    owed: int = 0
    """Steps still to make while paused"""
    drain: bool = False
    """While paused: whether to go on until no event waits"""
    idle: int = 0
    """Frames since the last event"""
    error: str = ""
    """Why it stopped, if it did"""
    picture: Picture | None = None
    """The newest frame"""

    @property
    def due(self) -> bool:
        """Whether it has a step to make in this tick."""
        return not self.error and (not self.paused or self.stepping)

    @property
    def stepping(self) -> bool:
        """Whether it is paused and makes steps all the same, as fast as they come."""
        return self.paused and not self.error and (self.owed > 0 or (self.drain and bool(self.queue)))

    def offer(self, events: list[Numbered]) -> bool:
        """Queues events, all of them or, where they are too many, none."""
        if len(self.queue) + len(events) > QUEUE:
            return False
        self.queue.extend(events)
        self.idle = 0
        return True

    def commit(self, events: Frames, numbers: tuple[tuple[int, ...], ...], moment: Moment) -> None:
        """Takes the events of a step that succeeded out of the queue, and keeps them."""
        taken = sum(len(now) for now in numbers)
        for _ in range(taken):
            self.queue.popleft()
        if taken:
            self.log[self.moment.frame + 1] = events
        self.idle = 0 if taken else self.idle + moment.frame - self.moment.frame
        self.moment = moment
        self.owed = max(0, self.owed - 1)
        if not self.queue:
            self.drain = self.drain and self.owed > 0

    def mark(self, state: State) -> None:
        """Keeps this moment as a point; the oldest one, and the events before the next, are dropped where they are too many."""
        self.points.append(Point(self.moment, state))
        if len(self.points) > POINTS:
            self.points.popleft()
            oldest = self.points[0].moment.frame
            self.log = {frame: events for frame, events in self.log.items() if frame > oldest}

    def before(self, frame: int) -> Point:
        """The last point that is not after `frame`, or the oldest one."""
        found = self.points[0]
        for point in self.points:
            if point.moment.frame <= frame:
                found = point
        return found

    def events_after(self, frame: int, frames: int) -> Frames:
        """The events of the step of `frames` frames after `frame`."""
        return self.log.get(frame + 1, ((),) * frames)

    def forget_after(self, frame: int) -> None:
        """Drops points and events later than `frame`."""
        while self.points[-1].moment.frame > frame:
            self.points.pop()
        self.log = {first: events for first, events in self.log.items() if first <= frame}
