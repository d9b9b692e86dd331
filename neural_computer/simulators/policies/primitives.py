"""A simulated user's primitives: glide, click, type, wait, at an agent's pace. Each yields the events of frames."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from neural_computer.actions.schema import frames as schema
from neural_computer.errors import Error
from neural_computer.simulators.desktop import Desktop, Target
from neural_computer.simulators.policies import BUDGETS, SCREEN
from neural_computer.simulators.policies.random import minimum_jerk, random_place, reflect
from neural_computer.types import Event

Steps = Iterator[list[Event]]
"""The events of one frame after the other."""

BUDGET = BUDGETS["goal"]
PATIENCE = 45
"""Frames for which something is waited for on the screen."""


class TargetNotFoundError(Error, RuntimeError):
    """A widget that a task needs is not on the screen; the message names it."""


class User:
    """A user at a desktop. `pace` 1 keeps the paper's action rate and cursor speed by pauses and by wandering, 0 has neither.

    Places are in the desktop's pixels, distances in those of a screen scaled to 1024x768. `frames`, `actions` and `distance`
    count what was used so far.
    """

    def __init__(self, desktop: Desktop, rng: np.random.Generator, pace: float = 1.0):
        self.desktop, self.rng, self.pace = desktop, rng, pace
        self.scale = np.asarray([SCREEN[0] / desktop.size[0], SCREEN[1] / desktop.size[1]])
        self.frames = self.actions = 0
        self.distance = 0.0

    # Looking

    def find(self, role: str, text: str | None = None, app: str | None = None) -> Target | None:
        """The topmost clear target of a role; of a text and an app too where they are given."""
        matches = [
            target
            for target in self.desktop.targets()
            if target.role == role and text in (None, target.text) and app in (None, target.app) and target.clear
        ]
        return matches[-1] if matches else None

    def texts(self, role: str, app: str) -> list[str]:
        """The texts of an app's targets of a role, covered or not."""
        return [target.text for target in self.desktop.targets() if (target.role, target.app) == (role, app)]

    # Moving and waiting

    def tick(self, events: Sequence[Event] = ()) -> Steps:
        """One frame with these events."""
        before = np.asarray(self.desktop.pointer) * self.scale
        yield list(events)
        self.frames += 1
        self.distance += float(np.linalg.norm(np.asarray(self.desktop.pointer) * self.scale - before))

    def wait(self, frames: int) -> Steps:
        """So many frames without events."""
        for _ in range(frames):
            yield from self.tick()

    def move(self, place: tuple[float, float]) -> Steps:
        """A glide to a place; a longer way takes more frames."""
        begin, end = np.asarray(self.desktop.pointer), np.asarray(place, float)
        distance = float(np.linalg.norm((end - begin) * self.scale))
        if distance < 1:
            return
        for x, y in minimum_jerk(begin, end, max(3, int(4 + distance / 60 + self.rng.uniform(0, 4)))):
            yield from self.tick([Event(0.0, "move", x=float(x), y=float(y))])

    def until(self, condition: Callable[[], object], what: str) -> Steps:
        """Waits for a condition. Raises TargetNotFoundError, naming `what`, after PATIENCE frames."""
        for _ in range(PATIENCE):
            if condition():
                return
            yield from self.tick()
        raise TargetNotFoundError(what)

    def think(self) -> Steps:
        """The pause before an action that keeps the action rate; the pointer wanders to keep the cursor speed."""
        self.actions += 1
        fps = self.desktop.fps
        due = int(self.pace * (self.actions - self.rng.uniform(0.4, 0.8)) * fps / BUDGET.rate)
        if self.pace:
            yield from self.wander(due, keep=0.25)
        yield from self.wait(max(0, due - self.frames))

    def rest(self) -> Steps:
        """The end of a session: spends what is left of both budgets."""
        due = int(self.pace * self.actions * self.desktop.fps / BUDGET.rate)
        if self.pace:
            yield from self.wander(due, keep=1.0)
        yield from self.wait(max(0, due - self.frames))

    def wander(self, due: int, keep: float) -> Steps:
        """Random glides, until frame `due` at the latest, that spend the distance budget up to a share of `keep`."""
        while due - self.frames > 15 and (left := keep * BUDGET.speed * due - self.distance) > 20:
            here = np.asarray(self.desktop.pointer) * self.scale
            there = random_place(self.rng)
            distance = float(np.linalg.norm(there - here))
            if distance > left:
                there = reflect(here + (there - here) * left / distance)
            yield from self.move(tuple(there / self.scale))
            yield from self.wait(int(self.rng.integers(0, 8)))

    # Acting

    def click(self, target: Target | None, what: str, count: int = 1, button: str = "left") -> Steps:
        """Clicks a target's middle `count` times. Raises TargetNotFoundError, naming `what`, if `target` is None."""
        if target is None:
            raise TargetNotFoundError(what)
        yield from self.think()
        yield from self.move(target.middle)
        press, release = Event(0.0, "press", key=button), Event(0.0, "release", key=button)
        yield from self.tick([press, release] * (count - 1) + [press])
        yield from self.tick([release])

    def drag(self, target: Target | None, place: tuple[float, float], what: str) -> Steps:
        """Drags a target by its middle to a place. Raises TargetNotFoundError, naming `what`, if `target` is None."""
        if target is None:
            raise TargetNotFoundError(what)
        yield from self.think()
        yield from self.move(target.middle)
        yield from self.tick([Event(0.0, "press", key="left")])
        yield from self.move(place)
        yield from self.tick([Event(0.0, "release", key="left")])

    def type(self, text: str) -> Steps:
        """Types, a character a frame; a newline at the end is Return."""
        yield from self.think()
        for char in text.rstrip("\n"):
            yield from self.tick([Event(0.0, kind, key=char) for kind in ("press", "release")])
        if text.endswith("\n"):
            yield from self.tick([Event(0.0, kind, key="\n") for kind in ("press", "release")])

    def press(self, name: str) -> Steps:
        """Presses and releases a key or a shortcut of `actions.schema.SHORTCUTS`."""
        yield from self.think()
        keys = schema.keysyms(name)
        yield from self.tick([Event(0.0, "press", key=key) for key in keys])
        yield from self.tick([Event(0.0, "release", key=key) for key in reversed(keys)])

    def open(self, app: str) -> Steps:
        """Starts an app and waits for its window: by its icon, or by the menu at random or where the icon is covered."""
        before = len(self.texts("title", app))
        icon = self.find("icon", app)
        if icon is not None and self.rng.uniform() < 0.7:
            yield from self.click(icon, f"icon {app}", count=2)
        else:
            yield from self.click(self.find("button", "Menu"), "button Menu")
            yield from self.until(lambda: self.find("item", app), f"{app} in the menu")
            yield from self.click(self.find("item", app), f"{app} in the menu")
        yield from self.until(lambda: len(self.texts("title", app)) > before, f"a window of {app}")
