"""A hand on a desktop: glides, clicks, types, waits, at an agent's pace. Each of its moves yields the events of frames."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from neural_computer.actions.schema import frames as schema
from neural_computer.simulators.desktop import Desktop, Target
from neural_computer.simulators.policies import BUDGETS, SCREEN
from neural_computer.simulators.policies.random import anywhere, glide, inside
from neural_computer.types import Event

Steps = Iterator[list[Event]]

BUDGET = BUDGETS["goal"]
PATIENCE = 45
"""Frames after which what should have appeared is given up."""


class GivenUp(RuntimeError):
    """What a task needs is not on the screen; the message says what was looked for."""


class Hand:
    """Acts on a desktop; `pace` 1 keeps the paper's budgets of time and way by pauses and by wandering, 0 has neither.

    Places in pixels are the desktop's; ways are counted on a screen of 1024x768.
    """

    def __init__(self, desktop: Desktop, rng: np.random.Generator, pace: float = 1.0):
        self.desktop, self.rng, self.pace = desktop, rng, pace
        self.scale = np.asarray([SCREEN[0] / desktop.size[0], SCREEN[1] / desktop.size[1]])
        self.frames = self.acted = 0
        self.way = 0.0

    # Looking

    def find(self, role: str, text: str | None = None, app: str | None = None) -> Target | None:
        """The topmost target that can be clicked, of a role, and of a text and an app if they are told."""
        wanted = [
            target
            for target in self.desktop.targets()
            if target.role == role and text in (None, target.text) and app in (None, target.app) and target.clear
        ]
        return wanted[-1] if wanted else None

    def texts(self, role: str, app: str) -> list[str]:
        """What the targets of a role in an app say, clear or not."""
        return [target.text for target in self.desktop.targets() if (target.role, target.app) == (role, app)]

    # Moving and waiting

    def tick(self, events: Sequence[Event] = ()) -> Steps:
        """One frame."""
        before = np.asarray(self.desktop.pointer) * self.scale
        yield list(events)
        self.frames += 1
        self.way += float(np.linalg.norm(np.asarray(self.desktop.pointer) * self.scale - before))

    def wait(self, frames: int) -> Steps:
        for _ in range(frames):
            yield from self.tick()

    def to(self, place: tuple[float, float]) -> Steps:
        """Glides there, the longer the way the longer it takes."""
        begin, end = np.asarray(self.desktop.pointer), np.asarray(place, float)
        far = float(np.linalg.norm((end - begin) * self.scale))
        if far < 1:
            return
        for x, y in glide(begin, end, max(3, int(4 + far / 60 + self.rng.uniform(0, 4)))):
            yield from self.tick([Event(0.0, "move", x=float(x), y=float(y))])

    def until(self, condition: Callable[[], object], what: str) -> Steps:
        """Waits for something. Raises GivenUp if it does not come."""
        for _ in range(PATIENCE):
            if condition():
                return
            yield from self.tick()
        raise GivenUp(what)

    def think(self) -> Steps:
        """The pause before an action: as long as the budget of time allows, wandering as far as that of the way does."""
        self.acted += 1
        fps = self.desktop.fps
        due = int(self.pace * (self.acted - self.rng.uniform(0.4, 0.8)) * fps / BUDGET.rate)
        if self.pace:
            yield from self.wander(due, keep=0.25)
        yield from self.wait(max(0, due - self.frames))

    def rest(self) -> Steps:
        """The end of a session: what is left of both budgets is spent."""
        due = int(self.pace * self.acted * self.desktop.fps / BUDGET.rate)
        if self.pace:
            yield from self.wander(due, keep=1.0)
        yield from self.wait(max(0, due - self.frames))

    def wander(self, due: int, keep: float) -> Steps:
        """Goes about, until frame `due` at the latest, so far that the way's budget is spent up to a share of `keep`."""
        while due - self.frames > 15 and (left := keep * BUDGET.speed * due - self.way) > 20:
            here = np.asarray(self.desktop.pointer) * self.scale
            there = anywhere(self.rng)
            far = float(np.linalg.norm(there - here))
            if far > left:
                there = inside(here + (there - here) * left / far)
            yield from self.to(tuple(there / self.scale))
            yield from self.wait(int(self.rng.integers(0, 8)))

    # Acting

    def click(self, target: Target | None, what: str, count: int = 1, button: str = "left") -> Steps:
        """Clicks a target's middle. Raises GivenUp, saying what was wanted, if there is no target."""
        if target is None:
            raise GivenUp(what)
        yield from self.think()
        yield from self.to(target.middle)
        press, release = Event(0.0, "press", key=button), Event(0.0, "release", key=button)
        yield from self.tick([press, release] * (count - 1) + [press])
        yield from self.tick([release])

    def drag(self, target: Target | None, place: tuple[float, float], what: str) -> Steps:
        """Takes a target by its middle to a place."""
        if target is None:
            raise GivenUp(what)
        yield from self.think()
        yield from self.to(target.middle)
        yield from self.tick([Event(0.0, "press", key="left")])
        yield from self.to(place)
        yield from self.tick([Event(0.0, "release", key="left")])

    def type(self, text: str) -> Steps:
        """Types, a character a frame; the line's end is Return."""
        yield from self.think()
        for char in text.rstrip("\n"):
            yield from self.tick([Event(0.0, kind, key=char) for kind in ("press", "release")])
        if text.endswith("\n"):
            yield from self.tick([Event(0.0, kind, key="\n") for kind in ("press", "release")])

    def press(self, name: str) -> Steps:
        """Presses a key or a shortcut."""
        yield from self.think()
        keys = schema.keysyms(name)
        yield from self.tick([Event(0.0, "press", key=key) for key in keys])
        yield from self.tick([Event(0.0, "release", key=key) for key in reversed(keys)])

    def open(self, app: str) -> Steps:
        """Starts an app by its icon, or where that is covered (or for a change) by the menu; waits until it is there."""
        before = len(self.texts("title", app))
        icon = self.find("icon", app)
        if icon is not None and self.rng.uniform() < 0.7:
            yield from self.click(icon, f"icon {app}", count=2)
        else:
            yield from self.click(self.find("button", "Menu"), "button Menu")
            yield from self.until(lambda: self.find("item", app), f"{app} in the menu")
            yield from self.click(self.find("item", app), f"{app} in the menu")
        yield from self.until(lambda: len(self.texts("title", app)) > before, f"a window of {app}")
