"""A user without end for a desktop that runs frame by frame: short ways, and a click, a drag or some keys at each one's end.

What it does is read from the screen again: a press is held for a frame before the mouse goes on, clicks on one place are too
far apart for a double click, which has a frame of its own, and at most one window is open.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from neural_computer.simulators.desktop import Desktop, Target
from neural_computer.simulators.policies.random import minimum_jerk
from neural_computer.types import Event

Steps = Iterator[list[Event]]
"""The events of one frame after the other"""

APART = 6
"""Frames from one press to the next, at least"""
ROLES = {"icon": 3, "button": 4, "row": 2, "task": 1, "page": 1, "field": 1}
"""Role -> how often it is clicked. Titles and close buttons are for drags and ends, the rest is left alone."""
KEYS = (*"0123456789" * 2, "C", "BackSpace")


@dataclass(frozen=True)
class User:
    """How somebody uses a desktop.

    Attributes:
      apps: what is opened.
      refused: texts of what is never clicked, as it would change what the screen does not show.
      glide: least and most frames of a way.
      pauses: frames without an event after an action; one of them is drawn.
      shares: of actions: a click anywhere, an app opened, a window closed, dragged, a menu, keys, a click beside everything.
      keys: most keys of a text.
    """

    apps: tuple[str, ...] = ("Calc", "Files")
    refused: tuple[str, ...] = tuple("/*-+=")
    glide: tuple[int, int] = (2, 5)
    pauses: tuple[int, ...] = (0, 0, 0, 1)
    shares: tuple[float, ...] = (0.31, 0.2, 0.11, 0.12, 0.12, 0.08, 0.06)
    keys: int = 4


USERS = {
    "brisk": User(),
    "calm": User(glide=(3, 12), pauses=(0, 2, 5, 15)),
}
"""Users by name: `brisk` for training, who hardly rests, and `calm` beside it for evaluation"""


def steps(desktop: Desktop, user: User, seed: int | tuple[int, ...]) -> Steps:
    """Yields the events of frame 1, 2, ... of a session on a desktop, which is looked at before every action; no end.

    A function of its arguments.
    """
    session = _Session(desktop, user, np.random.default_rng(seed))
    acts = (session.click, session.open, session.close, session.drag, session.menu, session.type, session.beside)
    while True:
        number = int(session.rng.choice(len(acts), p=user.shares))
        yield from acts[number]()
        yield from session.wait(int(session.rng.choice(user.pauses)))


class _Session:
    """A user at work."""

    def __init__(self, desktop: Desktop, user: User, rng: np.random.Generator):
        self.desktop, self.user, self.rng = desktop, user, rng
        self.since = APART

    # What there is

    def clear(self, wanted: Callable[[Target], bool]) -> list[Target]:
        """Targets that can be clicked."""
        return [target for target in self.desktop.targets() if target.clear and wanted(target)]

    def has(self, role: str) -> bool:
        return any(target.role == role for target in self.desktop.targets())

    def one(self, targets: list[Target]) -> Target:
        """One of some targets, their roles drawn as `ROLES` says."""
        roles = sorted({target.role for target in targets})
        weights = np.asarray([ROLES[role] for role in roles], float)
        role = self.rng.choice(roles, p=weights / weights.sum())
        return self.drawn([target for target in targets if target.role == role])

    def drawn(self, targets: list[Target]) -> Target:
        return targets[int(self.rng.integers(len(targets)))]

    # What is done

    def click(self) -> Steps:
        """A click on something: an icon is chosen, a button pressed, a window raised."""
        targets = self.clear(lambda target: target.role in ROLES and target.text not in self.user.refused)
        if targets:
            yield from self.press(self.place(self.one(targets)))

    def open(self) -> Steps:
        """An app opened by a double click, where none is."""
        icons = self.clear(lambda target: target.role == "icon" and target.text in self.user.apps)
        if icons and not (self.has("title") or self.has("item")):
            yield from self.press(self.place(self.drawn(icons)), double=True)

    def close(self) -> Steps:
        closers = self.clear(lambda target: target.role == "close")
        if closers:
            yield from self.press(self.place(closers[-1]))

    def drag(self) -> Steps:
        """A window taken by its title to another place, of which some stays on the screen."""
        titles = self.clear(lambda target: target.role == "title")
        if titles and not self.has("item"):
            yield from self.press(self.place(titles[-1]), to=self.anywhere())

    def menu(self) -> Steps:
        """A menu of apps, or what is chosen in one."""
        items = self.clear(lambda target: target.role == "item" and target.text in self.user.apps)
        if items and not self.has("title"):
            yield from self.press(self.place(self.drawn(items)))
        elif self.has("item"):
            yield from self.tick([Event(0.0, kind, key="Escape") for kind in ("press", "release")])
        elif self.rng.uniform() < 0.6:
            yield from self.press(self.place(self.clear(lambda target: target.text == "Menu")[-1]))
        elif not self.has("title"):
            yield from self.press(self.anywhere(), button="right")

    def type(self) -> Steps:
        """Some keys, one a frame."""
        for key in self.rng.choice(KEYS, self.rng.integers(1, self.user.keys, endpoint=True)):
            yield from self.tick([Event(0.0, kind, key=str(key)) for kind in ("press", "release")])

    def beside(self) -> Steps:
        """A way to anywhere, and perhaps a click there."""
        place = self.anywhere()
        yield from self.move(place)
        if self.rng.uniform() < 0.7:
            yield from self.press(place)

    # How it is done

    def tick(self, events: list[Event]) -> Steps:
        self.since += 1
        yield events

    def wait(self, frames: int) -> Steps:
        for _ in range(frames):
            yield from self.tick([])

    def anywhere(self) -> tuple[int, int]:
        wide, high = self.desktop.size
        return int(self.rng.integers(wide)), int(self.rng.integers(high - 9))

    def place(self, target: Target) -> tuple[int, int]:
        """Somewhere around a target's middle, in whole pixels."""
        x, y = target.middle
        dx, dy = (int(self.rng.integers(-side // 4, side // 4, endpoint=True)) for side in (target.w, target.h))
        return int(x) + dx, int(y) + dy

    def allowed(self, place: tuple[int, int]) -> bool:
        """Whether a click at a place does what may be done: it opens no second window and presses nothing refused."""
        under = [target for target in self.desktop.targets() if _on(target, place)]
        if not under:
            return True
        role, text = under[-1].role, under[-1].text
        if role == "item":
            return text in self.user.apps and not self.has("title")
        return role in (*ROLES, "title", "close", "line") and text not in self.user.refused

    def move(self, place: tuple[int, int]) -> Steps:
        """A way to a place, in whole pixels."""
        begin, end = np.asarray(self.desktop.pointer), np.asarray(place, float)
        wide, high = self.desktop.size
        count = int(self.rng.integers(*self.user.glide, endpoint=True))
        for x, y in minimum_jerk(begin, end, count) if (begin != end).any() else ():
            x, y = min(max(round(x), 0), wide - 1), min(max(round(y), 0), high - 1)
            yield from self.tick([Event(0.0, "move", x=float(x), y=float(y))])

    def press(
        self, place: tuple[int, int], button: str = "left", double: bool = False, to: tuple[int, int] | None = None
    ) -> Steps:
        """A click at a place, a double one, or a drag from there; none where it would hit what is left alone."""
        if not self.allowed(place):
            return
        yield from self.move(place)
        yield from self.wait(APART - self.since)
        down, up = (Event(0.0, kind, key=button) for kind in ("press", "release"))
        self.since = 0
        yield from self.tick([down, up, down] if double else [down])
        if to is not None:
            yield from self.wait(1)
            yield from self.move(to)
        else:
            yield from self.wait(int(self.rng.integers(2)))
        yield from self.tick([up])


def _on(target: Target, place: tuple[int, int]) -> bool:
    return target.x <= place[0] < target.x + target.w and target.y <= place[1] < target.y + target.h
