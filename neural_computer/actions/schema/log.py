"""Input events to actions: a double click, a drag, a typed word, a shortcut are one action each. numpy only."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from neural_computer.actions.schema import BUTTONS, CHARACTERS, CLICK, CLICKS, KEYS, MODIFIERS, SCROLL, SHORTCUT, TEXT
from neural_computer.types import Event

BETWEEN_CLICKS = 0.3
"""Most seconds between the presses of a double click, and between the notches of one scroll"""
BETWEEN_KEYS = 1.0
"""Most seconds between the characters of one text"""
SLOP = 1 / 256
"""Most that the mouse moves between the presses of a double click, or in a click that is no drag, in screen widths"""

NAMES = {"Control": "ctrl", "Alt": "alt", "Shift": "shift", "Super": "super"}


class Action(NamedTuple):
    """One action of a user. `times` are, in seconds, of a click the button's edges, press and release in turn; of a text its
    characters; of a scroll its events; of a shortcut the key's press."""

    kind: int
    times: tuple[float, ...]
    x: float = math.nan
    y: float = math.nan
    button: str = ""
    clicks: int = 0
    drag: bool = False
    direction: str = ""
    notches: tuple[int, ...] = ()
    text: str = ""
    keys: tuple[str, ...] = ()
    """Of a shortcut: the modifiers, as keysyms, and the key"""


@dataclass(frozen=True)
class Log:
    """Actions and mouse positions in order of time, and counts of problems by reason."""

    actions: tuple[Action, ...]
    places: tuple[tuple[float, float, float], ...]
    """(time, x, y) of every event with a position"""
    problems: Counter[str]
    released: tuple[float, ...] = ()
    """Times at which the left button is released that was pressed before the log begins, as in a part of a session"""


def shortcut(keys: tuple[str, ...]) -> str:
    """Name of a shortcut: modifiers in fixed order, then the key; a letter in lower case."""
    *modifiers, key = keys
    names = {NAMES[MODIFIERS[name]] for name in modifiers}
    plain = key.lower() if names and len(key) == 1 else key
    return "+".join([name for name in NAMES.values() if name in names] + [plain])


def read(events: Iterable[Event], size: tuple[int, int]) -> Log:
    """The actions in a log of events on a screen of `size` (width, height); keys and positions are checked."""
    events, reader = list(events), _Reader(*size)
    if any(late.time < early.time for early, late in zip(events, events[1:], strict=False)):
        reader.problems["events out of order"] += 1
    for event in sorted(events, key=lambda event: event.time):
        reader.take(event)
    for name in reader.modifiers:
        reader.problems[f"{name} is never released"] += 1
    for button in reader.down:
        reader.problems[f"{button} button is never released"] += 1
    actions = sorted(reader.actions, key=lambda action: action.times[0])
    return Log(tuple(actions), tuple(reader.places), reader.problems, tuple(reader.released))


@dataclass
class _Reader:
    """State of `read`."""

    width: int
    height: int
    actions: list[Action] = field(default_factory=list)
    places: list[tuple[float, float, float]] = field(default_factory=list)
    problems: Counter[str] = field(default_factory=Counter)
    down: dict[str, int] = field(default_factory=dict)
    """Pressed button -> index of its action"""
    modifiers: dict[str, tuple[float, bool]] = field(default_factory=dict)
    """Pressed modifier -> (time of its press, whether another key was pressed since)"""
    released: list[float] = field(default_factory=list)
    x: float = math.nan
    y: float = math.nan

    def take(self, event: Event) -> None:
        if not self._place(event):
            return
        if event.kind == "move":
            self._moved()
        elif event.kind == "scroll":
            self._scroll(event)
        elif event.kind == "text":
            for char in event.text:
                self._key(event.time, char)
        elif event.kind not in ("press", "release"):
            self.problems[f"unknown kind of event {event.kind!r}"] += 1
        elif event.key in BUTTONS:
            (self._press if event.kind == "press" else self._release)(event)
        elif event.key not in KEYS:
            self.problems[f"unknown key {event.key!r}"] += 1
        elif event.key in MODIFIERS:
            (self._hold if event.kind == "press" else self._let_go)(event)
        elif event.kind == "press":
            self._key(event.time, event.key)

    def _place(self, event: Event) -> bool:
        """Stores the event's position; False for an event that is rejected for it. Releases are never rejected."""
        if event.kind != "move" and math.isnan(event.x) and math.isnan(event.y):
            return True
        if not (math.isfinite(event.x) and math.isfinite(event.y)):
            self.problems["coordinates that are no numbers"] += 1
            return event.kind == "release"
        if not (0 <= event.x < self.width and 0 <= event.y < self.height):
            self.problems["coordinates outside the screen"] += 1
            return event.kind == "release"
        self.x, self.y = event.x, event.y
        self.places.append((event.time, event.x, event.y))
        return True

    def _near(self, action: Action) -> bool:
        """Whether the mouse is where the action began; True while its position is unknown."""
        away = math.hypot(self.x - action.x, self.y - action.y)
        return not away > SLOP * self.width

    def _moved(self) -> None:
        for number in self.down.values():
            if not self._near(self.actions[number]):
                self.actions[number] = self.actions[number]._replace(drag=True)

    def _press(self, event: Event) -> None:
        last = self.actions[-1] if self.actions else None
        again = (
            last is not None
            and (last.kind, last.button, last.drag) == (CLICK, event.key, False)
            and (last.clicks < CLICKS and len(last.times) % 2 == 0)
            and (event.time - last.times[-2] <= BETWEEN_CLICKS and self._near(last))
        )
        if event.key in self.down:
            self.problems[f"{event.key} button is pressed twice"] += 1
            return
        if again and last is not None:
            self.actions[-1] = last._replace(times=(*last.times, event.time), clicks=last.clicks + 1)
        else:
            self.actions.append(Action(CLICK, (event.time,), self.x, self.y, event.key, 1))
        self.down[event.key] = len(self.actions) - 1

    def _release(self, event: Event) -> None:
        number = self.down.pop(event.key, None)
        if number is None:
            self.problems[f"{event.key} button is released and was not pressed"] += 1
            self.released += [event.time] if event.key == "left" else []
            return
        action = self.actions[number]
        self.actions[number] = action._replace(
            times=(*action.times, event.time), drag=action.drag or not self._near(action)
        )

    def _scroll(self, event: Event) -> None:
        sideways = abs(event.dx) > abs(event.dy)
        amount = event.dx if sideways else event.dy
        if not (math.isfinite(amount) and amount):
            self.problems["a scroll by nothing"] += 1
            return
        direction = (("left", "right") if sideways else ("up", "down"))[amount > 0]
        notches, last = max(1, round(abs(amount))), self.actions[-1] if self.actions else None
        if last and last.direction == direction and event.time - last.times[-1] <= BETWEEN_CLICKS:
            times, notches_before = (*last.times, event.time), last.notches
            self.actions[-1] = last._replace(times=times, notches=(*notches_before, notches))
        else:
            self.actions.append(Action(SCROLL, (event.time,), self.x, self.y, direction=direction, notches=(notches,)))

    def _hold(self, event: Event) -> None:
        if event.key not in self.modifiers:
            self.modifiers[event.key] = (event.time, False)

    def _let_go(self, event: Event) -> None:
        since, used = self.modifiers.pop(event.key, (event.time, True))
        if not used:
            self.actions.append(Action(SHORTCUT, (since,), keys=(event.key,)))

    def _key(self, time: float, key: str) -> None:
        if key not in KEYS:
            self.problems[f"unknown key {key!r}"] += 1
            return
        self.modifiers = {name: (since, True) for name, (since, _) in self.modifiers.items()}
        modifiers = tuple(self.modifiers)
        if key not in CHARACTERS or any(MODIFIERS[name] != "Shift" for name in modifiers):
            self.actions.append(Action(SHORTCUT, (time,), keys=(*modifiers, key)))
            return
        last = self.actions[-1] if self.actions else None
        if last and last.kind == TEXT and time - last.times[-1] <= BETWEEN_KEYS:
            self.actions[-1] = last._replace(times=(*last.times, time), text=last.text + key)
        else:
            self.actions.append(Action(TEXT, (time,), text=key))
