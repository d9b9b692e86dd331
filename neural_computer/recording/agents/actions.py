"""The vocabulary of computer-use agents' actions, and their events frame by frame.

    {"action": "left_click", "coordinate": [512, 384]}

Names and fields are those of Anthropic's tool computer_20250124.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from neural_computer.actions.schema import KEYS, NOTCH
from neural_computer.actions.schema.frames import LEFT
from neural_computer.types import Event

Frames = Iterator[list[Event]]
"""The events of one frame after the other."""

MAX_SECONDS, MAX_NOTCHES = 100, 100
"""Seconds of a wait or of a key that stays down; notches of a scroll."""
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
class AgentAction:
    """An action of an agent whose screen has `size`; the desktop's own has `screen`, both (width, height) in pixels.

    `place` begins the messages of errors. Every method raises ValueError with it, the field, the value and the rule.
    """

    fields: Mapping[str, Any]
    size: tuple[int, int]
    screen: tuple[int, int]
    fps: float
    place: str

    def error(self, field: str, rule: str) -> ValueError:
        return ValueError(f"{self.place}: {field} = {self.fields.get(field)!r}: {rule}")

    def point(self, field: str = "coordinate") -> tuple[float, float]:
        """(x, y) in the desktop's pixels."""
        at = self.fields.get(field)
        if not isinstance(at, list | tuple) or len(at) != 2 or not all(type(v) in (int, float) for v in at):
            raise self.error(field, "[x, y] in pixels of the agent's screen")
        if not all(0 <= v < n for v, n in zip(at, self.size, strict=True)):
            raise self.error(field, f"inside {self.size[0]} x {self.size[1]}")
        return at[0] * self.screen[0] / self.size[0], at[1] * self.screen[1] / self.size[1]

    def move(self) -> list[Event]:
        """The pointer's move to the action's place, if it has one."""
        return [_move(self.point())] if self.fields.get("coordinate") is not None else []

    def text(self) -> str:
        """The text, which must not be empty."""
        text = self.fields.get("text")
        if not isinstance(text, str) or not text:
            raise self.error("text", "a string that is not empty")
        return text

    def keys(self) -> list[str]:
        """The keys of a shortcut; the plus sign itself is "+" alone or the last one, as in "ctrl++"."""
        text = self.text()
        if text == "+":
            return [self.key("+")]
        names = [*text[:-2].split("+"), "+"] if text.endswith("++") else text.split("+")
        return [self.key(name) for name in names]

    def key(self, name: str) -> str:
        """The character or keysym of a key's name."""
        key = name if len(name) == 1 else LEFT.get(name.lower()) or ALIASES.get(name.lower(), name)
        if key not in KEYS:
            raise ValueError(
                f"{self.place}: text = {name!r}: a printable ASCII character or an X keysym of actions.schema.KEYS"
            )
        return key

    def modifiers(self) -> list[str]:
        """The modifiers of a click or a scroll; none without a text."""
        return self.keys() if self.fields.get("text") else []

    def frames(self) -> int:
        """The duration in frames."""
        seconds = self.fields.get("duration")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= MAX_SECONDS:
            raise self.error("duration", f"seconds, from 0 to {MAX_SECONDS}")
        return round(seconds * self.fps)


def steps(
    action: Mapping[str, Any],
    size: tuple[int, int],
    screen: tuple[int, int],
    fps: float = 15.0,
    place: str = "action",
) -> Frames:
    """The events of the frames that an action takes; places are scaled from the agent's `size` to the desktop's `screen`.

    Actions that only look (screenshot, cursor_position) take no frame. Raises ValueError, before the first frame, with `place`,
    the field, the value and the rule for an action that is not in the vocabulary.
    """
    name = action.get("action")
    if not isinstance(name, str) or name not in ACTIONS:
        raise ValueError(f"{place}: action = {name!r}: one of {', '.join(ACTIONS)}")
    return iter(list(ACTIONS[name](AgentAction(action, size, screen, fps, place))))


def _move(at: tuple[float, float]) -> Event:
    return Event(0.0, "move", x=at[0], y=at[1])


def _presses(keys: list[str]) -> list[Event]:
    return [Event(0.0, "press", key) for key in keys]


def _releases(keys: list[str]) -> list[Event]:
    return [Event(0.0, "release", key) for key in reversed(keys)]


def _stroke(key: str) -> Frames:
    yield _presses([key])
    yield _releases([key])


def _click(button: str, times: int) -> Callable[[AgentAction], Frames]:
    def frames(action: AgentAction) -> Frames:
        modifiers = action.modifiers()
        yield action.move() + _presses(modifiers)
        for _ in range(times):
            yield from _stroke(button)
        if modifiers:
            yield _releases(modifiers)

    return frames


def _mouse_move(action: AgentAction) -> Frames:
    yield [_move(action.point())]


def _drag(action: AgentAction) -> Frames:
    start, end = action.fields.get("start_coordinate"), action.point()
    yield [_move(action.point("start_coordinate"))] if start is not None else []
    yield _presses(["left"])
    yield [_move(end)]
    yield _releases(["left"])


def _down(action: AgentAction) -> Frames:
    yield [*action.move(), *_presses(["left"])]


def _up(action: AgentAction) -> Frames:
    yield [*action.move(), *_releases(["left"])]


def _scroll(action: AgentAction) -> Frames:
    way, amount, modifiers = (
        action.fields.get("scroll_direction"),
        action.fields.get("scroll_amount"),
        action.modifiers(),
    )
    if not isinstance(way, str) or way not in NOTCH:
        raise action.error("scroll_direction", f"one of {', '.join(NOTCH)}")
    if type(amount) is not int or not 0 <= amount <= MAX_NOTCHES:
        raise action.error("scroll_amount", f"a whole number from 0 to {MAX_NOTCHES}")
    dx, dy = NOTCH[way]
    yield action.move() + _presses(modifiers)
    for _ in range(amount):
        yield [Event(0.0, "scroll", dx=float(dx), dy=float(dy))]
    if modifiers:
        yield _releases(modifiers)


def _key(action: AgentAction) -> Frames:
    keys = action.keys()
    yield _presses(keys)
    yield _releases(keys)


def _hold(action: AgentAction) -> Frames:
    keys = action.keys()
    yield _presses(keys)
    yield from ([] for _ in range(action.frames()))
    yield _releases(keys)


def _type(action: AgentAction) -> Frames:
    for char in action.text():
        yield from _stroke(action.key({"\n": "Return", "\t": "Tab"}.get(char, char)))


def _wait(action: AgentAction) -> Frames:
    yield from ([] for _ in range(action.frames()))


def _look(action: AgentAction) -> Frames:
    yield from ()


ACTIONS: dict[str, Callable[[AgentAction], Frames]] = {
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
