"""Several sessions of one machine, advanced together. No thread, no clock: `ticker` has both, tests call `tick` themselves.

A tick is a transaction. What was pressed stays queued, and every session stays where it is, until the program has returned; a
session whose own latents are no longer finite stops alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neural_computer.errors import Error
from neural_computer.machine import controls, session
from neural_computer.machine.controls import Frames
from neural_computer.machine.engine import Engine, States, StepError
from neural_computer.machine.session import EVERY, Moment, Picture, Point, Session
from neural_computer.machine.worlds import Screen, World
from neural_computer.types import State

RETRIES = 3
"""Failed ticks in a row after which the sessions stop"""
NOT_FINITE = "the latents are not finite; roll back, or reset"


class FullError(Error, RuntimeError):
    """No row is free."""


@dataclass
class Host:
    """The sessions of a machine; at most `engine.rows`."""

    engine: Engine
    world: World
    seed: int = 0
    """Of sessions that name none"""
    sessions: dict[str, Session] = field(default_factory=dict)
    failures: int = 0
    """Failed ticks since the last good one"""

    def __post_init__(self) -> None:
        self._booted: dict[int, State] = {}
        self._states = self.engine.empty(self.blank)

    @property
    def fps(self) -> float:
        return self.engine.trained.fps

    @property
    def free(self) -> int:
        """Rows without a session."""
        return self.engine.rows - len(self.sessions)

    @property
    def blank(self) -> State:
        """A state of this machine."""
        return self._boot(self.seed)

    def warm(self) -> None:
        """Compiles the program of a tick; no session is needed."""
        blank = self._actions(session.first(self.world, 0), ((),) * self.engine.frames)
        self.engine.step(self._states, {0: blank}, {0: 0})

    # Sessions come and go

    def join(
        self,
        id: str,
        seed: int | None = None,
        publish: Callable[[Picture], None] = lambda picture: None,
        point: Point | None = None,
        log: dict[int, Frames] | None = None,
    ) -> Session:
        """A new session, or the one that was at `point`, advanced by the logged events. Raises FullError."""
        if not self.free:
            raise FullError(
                f"sessions: all {self.engine.rows} places are taken; close one, or start with more (--sessions)"
            )
        row = min(set(range(self.engine.rows)) - {each.row for each in self.sessions.values()})
        seed = self.seed if seed is None else seed
        new = Session(id, self.world, seed, row, session.first(self.world, seed), publish)
        self.sessions[id] = new
        if point is None:
            self.reset(new, seed)
        else:
            self._restore(new, point, max(log or {}, default=0), log or {})
        return new

    def leave(self, gone: Session) -> None:
        """Frees the session's row."""
        self.sessions.pop(gone.id, None)

    def reset(self, of: Session, seed: int) -> None:
        """Begins the session anew, with what waits in its queue left out."""
        of.queue.clear()
        of.log.clear()
        of.points.clear()
        of.seed, of.moment, of.error, of.idle, of.owed, of.drain = (
            seed,
            session.first(self.world, seed),
            "",
            0,
            0,
            False,
        )
        state = self._boot(seed)
        self._states = self.engine.put(self._states, of.row, state)
        of.mark(state)
        self._show(of, self._first_screen(seed))

    def open(self, of: Session, seed: int, point: Point) -> None:
        """Puts the session where another one was."""
        of.queue.clear()
        of.seed = seed
        self._restore(of, point, 0, {})

    def go_back(self, of: Session, frames: int) -> int:
        """Goes back so many frames, as far as points reach; what waits in the queue stays. Returns the frames gone back."""
        target = max(of.points[0].moment.frame, of.moment.frame - frames)
        point, before = of.before(target), of.moment.frame
        log = {first: events for first, events in of.log.items() if first <= target}
        of.forget_after(target)
        self._restore(of, point, target, log, keep=True)
        return before - of.moment.frame

    def state(self, of: Session) -> State:
        """The machine's state now."""
        return self.engine.get(self._states, of.row)

    def point(self, of: Session) -> Point:
        """Where the session is now."""
        return Point(of.moment, self.state(of))

    # A tick

    def tick(self, stepping: bool = False) -> dict[str, list[Picture]]:
        """One step of every session that is due, and the frames of it; with `stepping`, of paused ones that are to step alone.

        Every session advances by as many frames. Raises StepError where the program failed: then none has advanced, and after
        RETRIES times these sessions stop.
        """
        due = [each for each in self.sessions.values() if (each.stepping if stepping else each.due)]
        if not due:
            return {}
        taken = {each.row: controls.take(each.queue, self.world, self.engine.frames) for each in due}
        actions = {}
        for each in list(due):
            try:
                actions[each.row] = self._actions(each.moment, taken[each.row][0])
            except ValueError as error:
                each.error = str(error)
                due.remove(each)
        if not due:
            return {}
        before = self._states
        try:
            self._states, screens = self.engine.step(before, actions, {each.row: each.seed for each in due})
        except StepError as error:
            self._fail(due, error)
            raise
        self.failures = 0
        return {each.id: shown for each in due if (shown := self._commit(each, before, taken[each.row], screens))}

    def _commit(self, each: Session, before: States, taken: Any, screens: Any) -> list[Picture]:
        """The frames of a session's step; none, and the session stays where it was, where they cannot be had."""
        try:
            if each.row not in screens:
                raise ValueError(NOT_FINITE)
            moment, pictures = session.advance(self.world, each.moment, taken[0], screens[each.row], taken[1])
        except Exception as error:
            each.error = str(error)
            self._states = self.engine.put(self._states, each.row, self.engine.get(before, each.row))
            return []
        each.commit(taken[0], taken[1], moment)
        if moment.frame - each.points[-1].moment.frame >= EVERY * self.engine.frames:
            each.mark(self.state(each))
        each.picture = pictures[-1]
        return pictures

    def _fail(self, due: list[Session], error: Exception) -> None:
        self.failures += 1
        if self.failures >= RETRIES:
            for each in due:
                each.error = str(error)

    def _actions(self, moment: Moment, events: Frames) -> Any:
        engine = self.engine
        if engine.inputs is None:
            return None
        return controls.actions(engine.inputs, moment.recent, events, moment.frame + 1, self.fps, engine.size)

    def _restore(self, of: Session, point: Point, until: int, log: dict[int, Frames], keep: bool = False) -> None:
        """Puts a session at a point and runs the logged steps up to frame `until` again; all of it or nothing."""
        states, moment, frames = self.engine.put(self._states, of.row, point.state), point.moment, self.engine.frames
        pictures: list[Picture] = []
        while moment.frame + frames <= until:
            events: Frames = log.get(moment.frame + 1, ((),) * frames)
            states, screens = self.engine.step(states, {of.row: self._actions(moment, events)}, {of.row: of.seed})
            moment, pictures = session.advance(self.world, moment, events, screens[of.row])
        self._states, of.moment, of.error, of.idle, of.owed = states, moment, "", 0, 0
        if not keep:
            of.points.clear()
            of.points.append(point)
        of.log = {first: events for first, events in log.items() if first > of.points[0].moment.frame}
        if pictures:
            of.picture = pictures[-1]
            of.publish(pictures[-1])
        else:
            self._show(of, self._screen_of(point.state))

    def _show(self, of: Session, screen: Screen) -> None:
        """Publishes the screen on which the session stands."""
        truth = self.world.render(of.moment.truth)
        wrong = session.NONE if truth is None else self.world.compare(screen, of.moment.truth)
        text, place = self.world.text(of.moment.truth), self.world.place(of.moment.truth)
        of.picture = Picture(of.moment.frame, screen, truth, wrong, of.moment.score, text=text, place=place)
        of.publish(of.picture)

    def _screen_of(self, state: State) -> Screen:
        return np.round((np.clip(np.asarray(state.frame[0]), -1, 1) + 1) * 127.5).astype(np.uint8)

    def _first_screen(self, seed: int) -> Screen:
        screen = self.world.render(self.world.start(seed))
        return self.engine.trained.first_frame if screen is None else screen

    def _boot(self, seed: int) -> State:
        """The state of a machine that shows the world's first screen; the last few are kept."""
        if seed not in self._booted:
            if len(self._booted) > self.engine.rows:
                self._booted.clear()
            self._booted[seed] = self.engine.boot(self._first_screen(seed))
        return self._booted[seed]
