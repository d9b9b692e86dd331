"""The types of the desk. All are values: NamedTuples of numbers, texts and tuples, compared and hashed by their contents."""

from typing import NamedTuple, Protocol, runtime_checkable

from neural_computer.simulators.minidesk.disk import START, Disk

PANEL = 9
"""Pixels of the bar at the bottom."""
BAR = 8
"""Pixels of a window's title bar."""
MIN_SIZE = (48, 48)
"""Least width and height of a window."""
MAX_WINDOWS = 6

OPEN_DELAY, LOAD_DELAY = 3, 2
"""Frames until an app's window opens, and until a file is loaded or a command responds."""
DOUBLE_CLICK = 4
"""Frames between the presses of a double click, at most: .27 s at 15 frames a second."""
NEAR = 1.5
"""Pixels between the presses of a double click, at most."""


class Widget(NamedTuple):
    """Something on the screen: its role, its text and its box in pixels of the screen or of its window."""

    role: str
    text: str
    x: int
    y: int
    w: int
    h: int
    on: bool = False
    """chosen, loading, or in focus"""


class View(NamedTuple):
    """An app's view of the desk: its window's width and height, the files, whether Control is down."""

    w: int
    h: int
    disk: Disk
    ctrl: bool = False


class Reply(NamedTuple):
    """An app's state after an event, the files, and its requests: ("edit", path), ("menu", name), ("close", "")."""

    app: "App"
    disk: Disk
    requests: tuple[tuple[str, str], ...] = ()


@runtime_checkable
class App(Protocol):
    """A program in a window. Its methods are pure; pixels are those of the window.

    `clicks` are 1 or 2 of the left button, or 0 of the right one.
    """

    @property
    def name(self) -> str:
        """The program's name."""

    @property
    def title(self) -> str:
        """The text in the window's title bar."""

    @property
    def busy(self) -> bool:
        """Does it need `tick` every frame?"""

    def __hash__(self) -> int: ...

    def layout(self, view: View) -> tuple[Widget, ...]:
        """The app's widgets, from the lowest to the topmost."""

    def press(self, widget: Widget, x: int, y: int, clicks: int, view: View) -> Reply:
        """A button is pressed on a widget."""

    def choose(self, role: str, text: str, about: str, view: View) -> Reply:
        """A button or a menu's item is clicked; `about` is the menu's."""

    def key(self, key: str, view: View) -> Reply:
        """A key is pressed."""

    def scroll(self, notches: int, view: View) -> Reply:
        """The wheel turns, down if positive."""

    def tick(self, view: View) -> Reply:
        """A frame passes."""


class DeskWindow(NamedTuple):
    """A window: its app and its box in pixels of the screen."""

    id: int
    app: App
    x: int
    y: int
    w: int
    h: int


class Menu(NamedTuple):
    """A menu at (x, y). `window` is its owner's id, or -1; `about` is the file it was opened on."""

    x: int
    y: int
    items: tuple[str, ...]
    window: int = -1
    about: str = ""


class Grip(NamedTuple):
    """What the left button is down on: `what` is "press" for a widget, "move" or "resize" for a window.

    (x, y) is from the pointer to the window's place or size.
    """

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
    """An app, with a file of this path if it is not "", that opens at a later frame."""

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
    windows: tuple[DeskWindow, ...] = ()
    """from the lowest to the topmost"""
    focus: int = -1
    """a window's id, or -1"""
    chosen: str = ""
    """an icon"""
    menu: Menu | None = None
    grip: Grip | None = None
    click: Click = Click()
    modifiers: tuple[str, ...] = ()
    """keysyms of those that are down"""
    due: tuple[Due, ...] = ()
    disk: Disk = START
    next_id: int = 0
    open_delay: int = OPEN_DELAY
    """frames until an app's window opens; 1 is at once: then nothing is under way that the screen does not show"""


def start(size: int = 128, pointer: tuple[float, float] | None = None, open_delay: int = OPEN_DELAY) -> Desk:
    """A desk with no window, the pointer in its middle or at `pointer` (x, y). Raises ValueError for another size or place."""
    if not 64 <= size <= 256:
        raise ValueError(f"size={size}: must be 64 to 256 pixels")
    x, y = pointer or (size / 2, size / 2)
    if not (0 <= x < size and 0 <= y < size):
        raise ValueError(f"pointer={pointer}: must be on the screen of {size} pixels")
    return Desk(size, float(x), float(y), open_delay=open_delay)
