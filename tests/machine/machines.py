"""Small machines with a true one beside them: a terminal of 2x10 characters, a desktop of 64 pixels. Nothing is trained."""

import functools

from neural_computer.data.events import typed
from neural_computer.machine.engine import Engine
from neural_computer.machine.host import Host
from neural_computer.machine.worlds import MiniDesk, Terminal, World
from neural_computer.types import Event
from neural_computer.workflows.trained import Trained
from tests import builders
from tests.test_streaming import STREAM

WORLDS: dict[str, World] = {"terminal": Terminal(2, 10), "desktop": MiniDesk(64)}
SIZES = {"terminal": (32, 80, (0, 2, 5)), "desktop": (64, 64, (0, 4, 4))}


@functools.cache
def trained(name: str = "terminal") -> Trained:
    """A machine with random weights."""
    height, width, positions = SIZES[name]
    sizes = {"data__height": height, "data__width": width, "network__positions": positions}
    small = builders.desktop("internal", "fourier", **{**STREAM, **sizes, "network__entries": "events"})
    world = WORLDS[name]
    screen = world.render(world.start(0))
    assert screen is not None
    return Trained(small, builders.params(small), 7, screen, 15.0, "a machine")


@functools.cache
def engine(name: str = "terminal", rows: int = 3, at_once: bool = False) -> Engine:
    return Engine(trained(name), rows, at_once)


def host(name: str = "terminal", rows: int = 3, at_once: bool = False) -> Host:
    return Host(engine(name, rows, at_once), WORLDS[name])


def keys(text: str, first: int = 1) -> list[tuple[int, Event]]:
    """Keys typed, numbered from `first` on, as sessions queue them."""
    return [(first + n, event._replace(time=0.0)) for n, event in enumerate(typed(text, 15.0)[0])]


CLICKS = [
    *(
        Event(0, "move", x=9.0, y=7.0),
        Event(0, "move", x=12.0, y=9.0),
        Event(0, "press", "left"),
        Event(0, "release", "left"),
    ),
    *(Event(0, "move", x=30.0, y=40.0), Event(0, "scroll", dy=1.0), Event(0, "press", "a"), Event(0, "release", "a")),
    *(
        Event(0, "press", "Control_L"),
        Event(0, "press", "c"),
        Event(0, "release", "c"),
        Event(0, "release", "Control_L"),
    ),
]


def clicks(first: int = 1) -> list[tuple[int, Event]]:
    return [(first + n, event) for n, event in enumerate(CLICKS)]
