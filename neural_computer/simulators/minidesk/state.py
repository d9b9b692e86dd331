"""The nouns of the desk. All are values: NamedTuples of numbers, texts and tuples, compared and hashed by what they hold."""

from typing import NamedTuple, Protocol, runtime_checkable

from neural_computer.simulators.minidesk.disk import START, Disk

PANEL = 9
"""Pixels of the bar at the bottom."""
BAR = 8
"""Pixels of a window's title bar."""
LEAST = (48, 48)
"""A window is at least so wide and high."""
MOST_WINDOWS = 6

OPENS, LOADS = 3, 2
"""Frames until an app is there, and until a file is."""
DOUBLE = 4
"""Frames between presses that are a double click still; as at 15 frames a second, .27 s."""
NEAR = 1.5
"""Pixels between the presses of a double click."""


class Widget(NamedTuple):
    """Something on the screen: what it is, what it says, where it is (in the screen's or its window's pixels)."""

    role: str
    text: str
    x: int
    y: int
    w: int
    h: int
    on: bool = False
    """chosen, loading, or in focus"""


class View(NamedTuple):
    """What an app sees of the desk when something is done to it: its own size, the files, whether Control is held."""

    w: int
    h: int
    disk: Disk
    ctrl: bool = False


class Reply(NamedTuple):
    """What an app answers: itself, the files, and what it asks the desk for: ("edit", path), ("menu", name), ("close", "")."""

    app: "App"
    disk: Disk
    asks: tuple[tuple[str, str], ...] = ()


@runtime_checkable
class App(Protocol):
    """A program in a window. Its methods are pure; pixels are those of the window.

    `clicks` are 1 or 2 of the left button, or 0 of the right one.
    """

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def busy(self) -> bool: ...

    def __hash__(self) -> int: ...

    def layout(self, view: View) -> tuple[Widget, ...]: ...
    def press(self, widget: Widget, x: int, y: int, clicks: int, view: View) -> Reply: ...
    def choose(self, role: str, text: str, about: str, view: View) -> Reply: ...
    def key(self, key: str, view: View) -> Reply: ...
    def scroll(self, notches: int, view: View) -> Reply: ...
    def tick(self, view: View) -> Reply: ...


class Window(NamedTuple):
    id: int
    app: App
    x: int
    y: int
    w: int
    h: int


class Menu(NamedTuple):
    """A list of words to choose from; `window` is whose it is, or -1, `about` what it is about."""

    x: int
    y: int
    items: tuple[str, ...]
    window: int = -1
    about: str = ""


class Grip(NamedTuple):
    """What the pressed left button holds: a widget, or a window that moves or is resized ((x, y) from the pointer)."""

    what: str
    window: int
    widget: Widget
    x: float = 0.0
    y: float = 0.0


class Click(NamedTuple):
    """The last press of the left button."""

    frame: int = -100
    x: float = -100.0
    y: float = -100.0
    clicks: int = 0


class Due(NamedTuple):
    """What happens at a later frame: an app opens."""

    frame: int
    app: str
    path: str = ""


class Desk(NamedTuple):
    """The whole state of a square screen of `size` pixels."""

    size: int
    x: float
    y: float
    """the pointer"""
    frame: int = 0
    windows: tuple[Window, ...] = ()
    """from the lowest to the topmost"""
    focus: int = -1
    """a window's id, or -1"""
    chosen: str = ""
    """an icon"""
    menu: Menu | None = None
    grip: Grip | None = None
    click: Click = Click()
    held: tuple[str, ...] = ()
    """modifiers, as keysyms"""
    due: tuple[Due, ...] = ()
    disk: Disk = START
    next_id: int = 0


def start(size: int = 128, pointer: tuple[float, float] | None = None) -> Desk:
    """A desk with nothing open. Raises ValueError for a size that it was not made for."""
    if not 64 <= size <= 256:
        raise ValueError(f"size={size}: the desk is made for 64 to 256 pixels")
    x, y = pointer or (size / 2, size / 2)
    if not (0 <= x < size and 0 <= y < size):
        raise ValueError(f"pointer={pointer}: must be on the screen of {size} pixels")
    return Desk(size, float(x), float(y))
