"""The true machine beside a neural one: a pure state machine that is given the same events, and how their screens compare."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int, UInt8

from neural_computer.actions.schema import BUTTONS
from neural_computer.errors import one_of
from neural_computer.simulators.minidesk import drawing as desk_drawing
from neural_computer.simulators.minidesk.session import furnished
from neural_computer.simulators.minidesk.state import Desk
from neural_computer.simulators.minidesk.step import step as desk_step
from neural_computer.simulators.tty import commands, drawing, kinds, machine
from neural_computer.simulators.tty.machine import Tty
from neural_computer.simulators.tty.reading import read
from neural_computer.types import Event

Screen = UInt8[np.ndarray, "h w 3"]
Cells = Int[np.ndarray, "n 2"]
NONE = np.zeros((0, 2), np.int64)


class Entered(NamedTuple):
    """A calculation that a key enters, and whether its operand pair is kept from training."""

    line: str
    held_out: bool


@runtime_checkable
class World(Protocol):
    """What a session asks of the true machine. A truth is a value of its own type; every method is pure."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def cell(self) -> tuple[int, int]:
        """Height and width in pixels of what is compared."""

    @property
    def pointer(self) -> bool:
        """Whether it has a mouse."""

    @property
    def alone(self) -> bool:
        """Whether a key needs a frame of its own."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the kinds of transitions, where it labels them."""

    def start(self, seed: int) -> Any:
        """The truth before the first frame."""

    def step(self, truth: Any, events: tuple[Event, ...]) -> Any:
        """The truth after a frame with these events."""

    def render(self, truth: Any) -> Screen | None:
        """The true screen; None where nothing is known of it."""

    def compare(self, screen: Screen, truth: Any) -> Cells:
        """(row, column) of every cell that is wrong."""

    def ignored(self, event: Event) -> str:
        """Why this world has no such event; "" if it has."""

    def kind(self, truth: Any, events: tuple[Event, ...]) -> int:
        """Index into `kinds` of what the frame after `truth` shows."""

    def entered(self, truth: Any, events: tuple[Event, ...]) -> Entered | None:
        """The calculation whose result the next frame shows."""

    def text(self, truth: Any) -> str | None:
        """The text of the true screen, rows of equal width joined by newlines; None where it has none."""

    def place(self, truth: Any) -> tuple[float, float] | None:
        """(x, y) of the mouse in pixels; None where there is none."""


@dataclass(frozen=True)
class Terminal:
    """The simulated terminal of `rows` times `cols` characters. A key takes a frame."""

    rows: int
    cols: int
    name: str = "terminal"
    cell: tuple[int, int] = drawing.CELL
    pointer: bool = False
    alone: bool = True
    kinds: tuple[str, ...] = kinds.KINDS

    def start(self, seed: int) -> Tty:
        del seed
        return machine.start(self.rows, self.cols)

    def step(self, truth: Tty, events: tuple[Event, ...]) -> Tty:
        return machine.step(truth, events)

    def render(self, truth: Tty) -> Screen:
        return drawing.render(truth)

    def compare(self, screen: Screen, truth: Tty) -> Cells:
        return np.argwhere(read(screen) != drawing.cells(truth))

    def ignored(self, event: Event) -> str:
        if event.kind != "press":
            return f"a terminal has no {event.kind}"
        return "" if _key(event) in machine.KEY_IDS else f"a terminal has no key {event.key}"

    def kind(self, truth: Tty, events: tuple[Event, ...]) -> int:
        return kinds.of(truth, _key(events[0])) if events else kinds.IDLE

    def entered(self, truth: Tty, events: tuple[Event, ...]) -> Entered | None:
        found = commands.calculation(truth.line) if events and _key(events[0]) == "Return" else None
        return None if found is None else Entered(truth.line, commands.held_out(found.a, found.b))

    def text(self, truth: Tty) -> str:
        return drawing.texts(drawing.cells(truth)[None])[0]

    def place(self, truth: Tty) -> None:
        del truth


def _key(event: Event) -> str:
    return machine.ALIASES.get(event.key, event.key)


@dataclass(frozen=True)
class MiniDesk:
    """The synthetic desktop of `size` pixels a side, furnished by the seed."""

    size: int
    name: str = "minidesk"
    cell: tuple[int, int] = (8, 8)
    pointer: bool = True
    alone: bool = False
    kinds: tuple[str, ...] = ()
    apart: float = 24.0
    """Mean difference of a cell's pixels, of 255, above which it is wrong"""

    def start(self, seed: int) -> Desk:
        return furnished(seed, self.size)

    def step(self, truth: Desk, events: tuple[Event, ...]) -> Desk:
        return desk_step(truth, events)

    def render(self, truth: Desk) -> Screen:
        return desk_drawing.render(truth)

    def compare(self, screen: Screen, truth: Desk) -> Cells:
        (tall, wide), side = self.cell, self.size
        apart = np.abs(screen.astype(np.int16) - self.render(truth)).mean(axis=-1)
        blocks = apart[: side // tall * tall, : side // wide * wide].reshape(side // tall, tall, side // wide, wide)
        return np.argwhere(blocks.mean((1, 3)) > self.apart)

    def ignored(self, event: Event) -> str:
        del event
        return ""

    def kind(self, truth: Desk, events: tuple[Event, ...]) -> int:
        del truth, events
        return 0

    def entered(self, truth: Desk, events: tuple[Event, ...]) -> None:
        del truth, events

    def text(self, truth: Desk) -> None:
        del truth

    def place(self, truth: Desk) -> tuple[float, float]:
        return truth.x, truth.y


@dataclass(frozen=True)
class Unknown:
    """No true machine: every event is passed on, nothing is compared."""

    name: str = "none"
    cell: tuple[int, int] = (8, 8)
    pointer: bool = True
    alone: bool = False
    kinds: tuple[str, ...] = ()

    def start(self, seed: int) -> None:
        del seed

    def step(self, truth: None, events: tuple[Event, ...]) -> None:
        del truth, events

    def render(self, truth: None) -> None:
        del truth

    def compare(self, screen: Screen, truth: None) -> Cells:
        del screen, truth
        return NONE

    def ignored(self, event: Event) -> str:
        del event
        return ""

    def kind(self, truth: None, events: tuple[Event, ...]) -> int:
        del truth, events
        return 0

    def entered(self, truth: None, events: tuple[Event, ...]) -> None:
        del truth, events

    def text(self, truth: None) -> None:
        del truth

    def place(self, truth: None) -> None:
        del truth


WORLDS = ("auto", "terminal", "minidesk", "none")


def of(first_frame: Screen, name: str = "auto") -> World:
    """The world of a machine whose training videos begin with such a frame; "auto" recognizes it by its picture and size.

    Raises ValueError for a world of another size, or an unknown name.
    """
    one_of("truth", name, WORLDS)
    (height, width), (tall, wide) = first_frame.shape[:2], drawing.CELL
    fits = height % tall == width % wide == 0
    terminal = fits and min(height // tall - machine.LEAST[0], width // wide - machine.LEAST[1]) >= 0
    desk = height == width and 64 <= height <= 256
    if name == "auto":
        name = "terminal" if terminal and _is_text(first_frame) else "minidesk" if desk else "none"
    if name == "terminal" and terminal:
        return Terminal(height // tall, width // wide)
    if name == "minidesk" and desk:
        return MiniDesk(height)
    if name == "none":
        return Unknown()
    raise ValueError(
        f"truth={name}: has no screen of {height}x{width}; a terminal's are multiples of {tall}x{wide}, a minidesk's squares of "
        "64 to 256 pixels; use auto or none"
    )


def _is_text(frame: Screen) -> bool:
    """Whether the terminal's own characters draw this very picture."""
    return bool(np.abs(drawing.draw(read(frame)).astype(np.int16) - frame).mean() < 1)


def takes_all(world: World, event: Event) -> bool:
    """Whether nothing else may come after this event in its frame: its place is where the mouse is at the frame's end."""
    return world.alone or event.kind in ("scroll", "text") or (event.kind == "press") or event.key in BUTTONS
