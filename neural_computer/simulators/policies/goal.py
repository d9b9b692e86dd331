"""Purposeful use: families of tasks, each with an instruction, the steps that do it, and success read back.

Whether it was done is told by what the desktop shows (`Desktop.targets`), never by its inner state.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import numpy as np

from neural_computer.simulators.desktop import Desktop
from neural_computer.simulators.policies.primitives import GivenUp, Hand
from neural_computer.types import Event

Work = Generator[list[Event], None, bool]
"""The events of frames; at the end, whether it was done."""
Family = Callable[[np.random.Generator], tuple[str, Callable[[Hand], Work]]]

WORDS = ("neural", "computer", "desk", "paper", "model", "river", "apple", "cloud", "seven", "music", "green", "window")
APPS = ("Calc", "Edit", "Term", "Files")


def name(rng: np.random.Generator) -> str:
    """A file's name."""
    return "".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 5))


def compute(rng: np.random.Generator) -> tuple[str, Callable[[Hand], Work]]:
    a, b, operator = int(rng.integers(2, 100)), int(rng.integers(2, 100)), str(rng.choice(list("+-*")))
    answer = {"+": a + b, "-": a - b, "*": a * b}[operator]
    by_mouse = rng.uniform() < 0.5

    def work(hand: Hand) -> Work:
        yield from hand.open("Calc")
        if by_mouse:
            for symbol in f"{a}{operator}{b}=":
                yield from hand.click(hand.find("button", symbol, "Calc"), f"button {symbol}")
        else:
            yield from hand.type(f"{a}{operator}{b}=")
        return hand.texts("field", "Calc")[-1:] == [str(answer)]

    return f"compute {a} {operator} {b} in the calculator", work


def write(rng: np.random.Generator) -> tuple[str, Callable[[Hand], Work]]:
    text, by_key = " ".join(rng.choice(WORDS, 3)), rng.uniform() < 0.5

    def work(hand: Hand) -> Work:
        yield from hand.open("Edit")
        yield from hand.type(text)
        if by_key:
            yield from hand.press("ctrl+s")
        else:
            yield from hand.click(hand.find("button", "Save", "Edit"), "button Save")
        return hand.texts("title", "Edit")[-1].startswith("note") and shows(hand, "line", "Edit", text)

    return f"write {text!r} in the editor and save it", work


def shell(rng: np.random.Generator) -> tuple[str, Callable[[Hand], Work]]:
    word, file = str(rng.choice(WORDS)), name(rng)

    def work(hand: Hand) -> Work:
        yield from hand.open("Term")
        yield from hand.type(f"echo {word} > {file}\n")
        yield from hand.wait(4)
        yield from hand.type(f"cat {file}\n")
        yield from hand.wait(4)
        return word in hand.texts("line", "Term")

    return f"put {word!r} in the file {file} with the terminal and show it", work


def walk(rng: np.random.Generator) -> tuple[str, Callable[[Hand], Work]]:
    def work(hand: Hand) -> Work:
        yield from hand.open("Files")
        yield from hand.click(hand.find("row", "docs/", "Files"), "folder docs", count=2)
        yield from hand.until(lambda: hand.find("row", "plan", "Files"), "file plan")
        yield from hand.click(hand.find("row", "plan", "Files"), "file plan", count=2)
        yield from hand.until(lambda: hand.texts("title", "Edit")[-1:] == ["plan"], "the editor with plan")
        return shows(hand, "line", "Edit", "buy milk")

    return "open the file plan in the folder docs", work


def delete(rng: np.random.Generator) -> tuple[str, Callable[[Hand], Work]]:
    by_menu = rng.uniform() < 0.5

    def work(hand: Hand) -> Work:
        yield from hand.open("Files")
        if by_menu:
            yield from hand.click(hand.find("row", "readme", "Files"), "file readme", button="right")
            yield from hand.click(hand.find("item", "Delete"), "Delete in the menu")
        else:
            yield from hand.click(hand.find("row", "readme", "Files"), "file readme")
            yield from hand.press("Delete")
        rows = hand.texts("row", "Files")
        return "docs/" in rows and "readme" not in rows

    return "delete the file readme", work


def move(rng: np.random.Generator) -> tuple[str, Callable[[Hand], Work]]:
    app, right, down = str(rng.choice(APPS[:1] + APPS[3:])), float(rng.uniform(0.1, 0.3)), float(rng.uniform(0.1, 0.3))

    def work(hand: Hand) -> Work:
        yield from hand.open(app)
        title = hand.find("title", app=app)
        if title is None:
            raise GivenUp(f"title bar of {app}")
        width, height = hand.desktop.size
        x, y = title.middle[0] + right * width, title.middle[1] + down * height
        place = (min(x, width - 2.0), min(y, height - 16.0))
        yield from hand.drag(title, place, f"title bar of {app}")
        there = [t.middle for t in hand.desktop.targets() if (t.role, t.app) == ("title", app)][-1]
        return max(abs(there[0] - place[0]), abs(there[1] - place[1])) <= 2

    return f"move the window of {app} to the right and down", work


def resize(rng: np.random.Generator) -> tuple[str, Callable[[Hand], Work]]:
    app, more = str(rng.choice(APPS)), float(rng.uniform(0.06, 0.12))

    def work(hand: Hand) -> Work:
        yield from hand.open(app)
        corner, bar = hand.find("resize", app=app), hand.find("title", app=app)
        if corner is None or bar is None:
            raise GivenUp(f"corner of {app}")
        x, y = corner.middle
        by = more * hand.desktop.size[0]
        yield from hand.drag(corner, (x - by, y - by), f"corner of {app}")
        after = hand.find("title", app=app)
        # A window may be as small as it gets.
        return after is not None and bar.w - by - 2 <= after.w <= max(bar.w - by + 2, 40)

    return f"make the window of {app} smaller", work


def tidy(rng: np.random.Generator) -> tuple[str, Callable[[Hand], Work]]:
    first, second = map(str, rng.choice(APPS, 2, replace=False))
    by_key = rng.uniform() < 0.5

    def work(hand: Hand) -> Work:
        yield from hand.open(first)
        yield from hand.open(second)
        before = len(hand.texts("title", first)), len(hand.texts("title", second))
        yield from hand.click(latest(hand, first), f"{first} in the panel")
        if by_key:
            yield from hand.press("alt+F4")
        else:
            yield from hand.click(hand.find("close", app=first), f"close box of {first}")
        return (len(hand.texts("title", first)), len(hand.texts("title", second))) == (before[0] - 1, before[1])

    return f"open {first} and {second}, then close {first}", work


def latest(hand: Hand, app: str) -> Any:
    """The panel's last button of an app: the panel says what fits it."""
    found = [target for target in hand.desktop.targets() if target.role == "task" and target.text == app]
    return found[-1] if found else None


def shows(hand: Hand, role: str, app: str, text: str) -> bool:
    """Does an app show a text, or what of it fits there?"""
    return any(line and line in text for line in hand.texts(role, app))


FAMILIES: dict[str, Family] = {
    "compute": compute,
    "write": write,
    "shell": shell,
    "walk": walk,
    "delete": delete,
    "move": move,
    "resize": resize,
    "tidy": tidy,
}


@dataclass
class Task:
    """A task on a desktop: iterate over it for the events of each frame; then `done` and, if given up, `reason` are known."""

    desktop: Desktop
    family: str
    seed: int
    pace: float = 1.0
    done: bool = False
    reason: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError for a family that there is not."""
        if self.family not in FAMILIES:
            raise ValueError(f"family={self.family!r}: must be one of {', '.join(FAMILIES)}")
        self._rng = np.random.default_rng((self.seed, list(FAMILIES).index(self.family)))
        self.instruction, self._work = FAMILIES[self.family](self._rng)

    def __iter__(self) -> Generator[list[Event], None, None]:
        hand = Hand(self.desktop, self._rng, self.pace)
        try:
            self.done = yield from self._work(hand)
        except GivenUp as error:
            self.reason = f"looked in vain for {error}"
        yield from hand.rest()
