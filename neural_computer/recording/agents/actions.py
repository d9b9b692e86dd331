"""What a computer-use agent does, in one vocabulary (Anthropic's names), as the events of a desktop.

    {"action": "left_click", "coordinate": [512, 384]}

Names and fields are those of Anthropic's tool computer_20250124.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from neural_computer.actions.schema import KEYS
from neural_computer.actions.schema.frames import LEFT
from neural_computer.types import Event

Frames = Iterator[list[Event]]

NOTCHES = {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}
LONGEST, MOST = 100, 100
"""Seconds of a wait or a held key; notches of one scroll"""
ALIASES = {
    **dict.fromkeys(("cmd", "command", "meta", "win", "windows"), "Super_L"),
    "control": "Control_L",
    "option": "Alt_L",
    "enter": "Return",
    "esc": "Escape",
    "backspace": "BackSpace",
    "tab": "Tab",
    "delete": "Delete",
    "del": "Delete",
    "insert": "Insert",
    "home": "Home",
    "end": "End",
    "space": "space",
    "capslock": "Caps_Lock",
    **{f"{before}{way}": way.title() for before in ("", "arrow") for way in ("up", "down", "left", "right")},
    **dict.fromkeys(("pageup", "page_up"), "Prior"),
    **dict.fromkeys(("pagedown", "page_down"), "Next"),
    **{"plus": "+", "minus": "-", "equal": "=", "slash": "/", "backslash": "\\", "period": ".", "comma": ","},
    **{"semicolon": ";", "apostrophe": "'", "grave": "`", "bracketleft": "[", "bracketright": "]"},
}


@dataclass(frozen=True)
class Asked:
    """An action as it was asked for, by an agent that sees a screen of `size`; the desktop's own is `screen`, both (w, h)."""

    fields: Mapping[str, Any]
    size: tuple[int, int]
    screen: tuple[int, int]
    fps: float
    place: str

    def fault(self, field: str, rule: str) -> ValueError:
        return ValueError(f"{self.place}: {field} = {self.fields.get(field)!r}: {rule}")

    def point(self, field: str = "coordinate") -> tuple[float, float]:
        """A place, in the desktop's pixels."""
        at = self.fields.get(field)
        if not isinstance(at, list | tuple) or len(at) != 2 or not all(type(v) in (int, float) for v in at):
            raise self.fault(field, "[x, y] in pixels of the agent's screen")
        if not all(0 <= v < n for v, n in zip(at, self.size, strict=True)):
            raise self.fault(field, f"inside {self.size[0]} x {self.size[1]}")
        return at[0] * self.screen[0] / self.size[0], at[1] * self.screen[1] / self.size[1]

    def there(self) -> list[Event]:
        """The way to the place, if one is given."""
        return [_move(self.point())] if self.fields.get("coordinate") is not None else []

    def text(self) -> str:
        text = self.fields.get("text")
        if not isinstance(text, str) or not text:
            raise self.fault("text", "a string that is not empty")
        return text

    def keys(self) -> list[str]:
        """The keys of a shortcut; the plus sign itself is "+" alone or the last one, as in "ctrl++"."""
        text = self.text()
        if text == "+":
            return [self.key("+")]
        names = [*text[:-2].split("+"), "+"] if text.endswith("++") else text.split("+")
        return [self.key(name) for name in names]

    def key(self, name: str) -> str:
        key = name if len(name) == 1 else LEFT.get(name.lower()) or ALIASES.get(name.lower(), name)
        if key not in KEYS:
            raise ValueError(
                f"{self.place}: text = {name!r}: a printable ASCII character or an X keysym of actions.schema.KEYS"
            )
        return key

    def held(self) -> list[str]:
        """The modifiers of a click or a scroll: none if there is no text."""
        return self.keys() if self.fields.get("text") else []

    def frames(self) -> int:
        """A duration in seconds, as frames."""
        seconds = self.fields.get("duration")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= LONGEST:
            raise self.fault("duration", f"seconds, from 0 to {LONGEST}")
        return round(seconds * self.fps)


def steps(
    action: Mapping[str, Any],
    size: tuple[int, int],
    screen: tuple[int, int],
    fps: float = 15.0,
    place: str = "action",
) -> Frames:
    """The events of every frame that one action takes, its places scaled from the agent's `size` to the desktop's `screen`.

    What only asks (screenshot, cursor_position) takes no frame. ValueError with `place`, the field, the value and the rule
    for what is not in the vocabulary; it is raised before the first frame.
    """
    name = action.get("action")
    if not isinstance(name, str) or name not in ACTIONS:
        raise ValueError(f"{place}: action = {name!r}: one of {', '.join(ACTIONS)}")
    return iter(list(ACTIONS[name](Asked(action, size, screen, fps, place))))


def _move(at: tuple[float, float]) -> Event:
    return Event(0.0, "move", x=at[0], y=at[1])


def _presses(keys: list[str]) -> list[Event]:
    return [Event(0.0, "press", key) for key in keys]


def _releases(keys: list[str]) -> list[Event]:
    return [Event(0.0, "release", key) for key in reversed(keys)]


def _stroke(key: str) -> Frames:
    yield _presses([key])
    yield _releases([key])


def _click(button: str, times: int) -> Callable[[Asked], Frames]:
    def frames(asked: Asked) -> Frames:
        held = asked.held()
        yield asked.there() + _presses(held)
        for _ in range(times):
            yield from _stroke(button)
        if held:
            yield _releases(held)

    return frames


def _mouse_move(asked: Asked) -> Frames:
    yield [_move(asked.point())]


def _drag(asked: Asked) -> Frames:
    start, end = asked.fields.get("start_coordinate"), asked.point()
    yield [_move(asked.point("start_coordinate"))] if start is not None else []
    yield _presses(["left"])
    yield [_move(end)]
    yield _releases(["left"])


def _down(asked: Asked) -> Frames:
    yield [*asked.there(), *_presses(["left"])]


def _up(asked: Asked) -> Frames:
    yield [*asked.there(), *_releases(["left"])]


def _scroll(asked: Asked) -> Frames:
    way, amount, held = asked.fields.get("scroll_direction"), asked.fields.get("scroll_amount"), asked.held()
    if not isinstance(way, str) or way not in NOTCHES:
        raise asked.fault("scroll_direction", f"one of {', '.join(NOTCHES)}")
    if type(amount) is not int or not 0 <= amount <= MOST:
        raise asked.fault("scroll_amount", f"a whole number from 0 to {MOST}")
    dx, dy = NOTCHES[way]
    yield asked.there() + _presses(held)
    for _ in range(amount):
        yield [Event(0.0, "scroll", dx=float(dx), dy=float(dy))]
    if held:
        yield _releases(held)


def _key(asked: Asked) -> Frames:
    keys = asked.keys()
    yield _presses(keys)
    yield _releases(keys)


def _hold(asked: Asked) -> Frames:
    keys = asked.keys()
    yield _presses(keys)
    yield from ([] for _ in range(asked.frames()))
    yield _releases(keys)


def _type(asked: Asked) -> Frames:
    for char in asked.text():
        yield from _stroke(asked.key({"\n": "Return", "\t": "Tab"}.get(char, char)))


def _wait(asked: Asked) -> Frames:
    yield from ([] for _ in range(asked.frames()))


def _look(asked: Asked) -> Frames:
    yield from ()


ACTIONS: dict[str, Callable[[Asked], Frames]] = {
    "left_click": _click("left", 1),
    "right_click": _click("right", 1),
    "middle_click": _click("middle", 1),
    "double_click": _click("left", 2),
    "triple_click": _click("left", 3),
    "mouse_move": _mouse_move,
    "left_click_drag": _drag,
    "left_mouse_down": _down,
    "left_mouse_up": _up,
    "scroll": _scroll,
    "key": _key,
    "hold_key": _hold,
    "type": _type,
    "wait": _wait,
    "screenshot": _look,
    "cursor_position": _look,
}
