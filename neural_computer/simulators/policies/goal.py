"""Purposeful use: families of tasks, each with an instruction, the steps that do it, and a test of its success.

Success is read off the screen (`Desktop.targets`), never from a desktop's inner state.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np

from neural_computer.errors import one_of
from neural_computer.simulators.desktop import Desktop, Target
from neural_computer.simulators.policies.primitives import TargetNotFoundError, User
from neural_computer.types import Event

Work = Generator[list[Event], None, bool]
"""Yields the events of frames; returns whether the task succeeded."""
Family = Callable[[np.random.Generator], tuple[str, Callable[[User], Work]]]
"""Samples a task: (instruction, how a user does it)."""

WORDS = ("neural", "computer", "desk", "paper", "model", "river", "apple", "cloud", "seven", "music", "green", "window")
APPS = ("Calc", "Edit", "Term", "Files")


def file_name(rng: np.random.Generator) -> str:
    return "".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 5))


def compute(rng: np.random.Generator) -> tuple[str, Callable[[User], Work]]:
    """Computes in the calculator, by mouse or keyboard; its display shows the result."""
    a, b, operator = int(rng.integers(2, 100)), int(rng.integers(2, 100)), str(rng.choice(list("+-*")))
    result = {"+": a + b, "-": a - b, "*": a * b}[operator]
    by_mouse = rng.uniform() < 0.5

    def work(user: User) -> Work:
        yield from user.open("Calc")
        if by_mouse:
            for symbol in f"{a}{operator}{b}=":
                yield from user.click(user.find("button", symbol, "Calc"), f"button {symbol}")
        else:
            yield from user.type(f"{a}{operator}{b}=")
        return user.texts("field", "Calc")[-1:] == [str(result)]

    return f"compute {a} {operator} {b} in the calculator", work


def write(rng: np.random.Generator) -> tuple[str, Callable[[User], Work]]:
    """Writes three words in the editor and saves; the title has no asterisk and the text is there."""
    text, by_key = " ".join(rng.choice(WORDS, 3)), rng.uniform() < 0.5

    def work(user: User) -> Work:
        yield from user.open("Edit")
        yield from user.type(text)
        if by_key:
            yield from user.press("ctrl+s")
        else:
            yield from user.click(user.find("button", "Save", "Edit"), "button Save")
        return user.texts("title", "Edit")[-1].startswith("note") and shows(user, "line", "Edit", text)

    return f"write {text!r} in the editor and save it", work


def shell(rng: np.random.Generator) -> tuple[str, Callable[[User], Work]]:
    """Writes a word to a file in the terminal and prints the file; the terminal shows the word."""
    word, file = str(rng.choice(WORDS)), file_name(rng)

    def work(user: User) -> Work:
        yield from user.open("Term")
        yield from user.type(f"echo {word} > {file}\n")
        yield from user.wait(4)
        yield from user.type(f"cat {file}\n")
        yield from user.wait(4)
        return word in user.texts("line", "Term")

    return f"put {word!r} in the file {file} with the terminal and show it", work


def walk(rng: np.random.Generator) -> tuple[str, Callable[[User], Work]]:
    """Opens the file plan in the folder docs of the file manager; the editor shows its text."""

    def work(user: User) -> Work:
        yield from user.open("Files")
        yield from user.click(user.find("row", "docs/", "Files"), "folder docs", count=2)
        yield from user.until(lambda: user.find("row", "plan", "Files"), "file plan")
        yield from user.click(user.find("row", "plan", "Files"), "file plan", count=2)
        yield from user.until(lambda: user.texts("title", "Edit")[-1:] == ["plan"], "the editor with plan")
        return shows(user, "line", "Edit", "buy milk")

    return "open the file plan in the folder docs", work


def delete(rng: np.random.Generator) -> tuple[str, Callable[[User], Work]]:
    """Deletes the file readme in the file manager, by menu or key; its row is gone."""
    by_menu = rng.uniform() < 0.5

    def work(user: User) -> Work:
        yield from user.open("Files")
        if by_menu:
            yield from user.click(user.find("row", "readme", "Files"), "file readme", button="right")
            yield from user.click(user.find("item", "Delete"), "Delete in the menu")
        else:
            yield from user.click(user.find("row", "readme", "Files"), "file readme")
            yield from user.press("Delete")
        rows = user.texts("row", "Files")
        return "docs/" in rows and "readme" not in rows

    return "delete the file readme", work


def move(rng: np.random.Generator) -> tuple[str, Callable[[User], Work]]:
    """Moves an app's window by its title bar; the title bar is where it was dragged to, within 2 pixels."""
    app, right, down = str(rng.choice(APPS[:1] + APPS[3:])), float(rng.uniform(0.1, 0.3)), float(rng.uniform(0.1, 0.3))

    def work(user: User) -> Work:
        yield from user.open(app)
        title = user.find("title", app=app)
        if title is None:
            raise TargetNotFoundError(f"title bar of {app}")
        width, height = user.desktop.size
        x, y = title.middle[0] + right * width, title.middle[1] + down * height
        place = (min(x, width - 2.0), min(y, height - 16.0))
        yield from user.drag(title, place, f"title bar of {app}")
        there = [t.middle for t in user.desktop.targets() if (t.role, t.app) == ("title", app)][-1]
        return max(abs(there[0] - place[0]), abs(there[1] - place[1])) <= 2

    return f"move the window of {app} to the right and down", work


def resize(rng: np.random.Generator) -> tuple[str, Callable[[User], Work]]:
    """Makes an app's window smaller by its corner; its title bar has the new width."""
    app, more = str(rng.choice(APPS)), float(rng.uniform(0.06, 0.12))

    def work(user: User) -> Work:
        yield from user.open(app)
        corner, bar = user.find("resize", app=app), user.find("title", app=app)
        if corner is None or bar is None:
            raise TargetNotFoundError(f"corner of {app}")
        x, y = corner.middle
        by = more * user.desktop.size[0]
        yield from user.drag(corner, (x - by, y - by), f"corner of {app}")
        after = user.find("title", app=app)
        # A window has a least size.
        return after is not None and bar.w - by - 2 <= after.w <= max(bar.w - by + 2, 40)

    return f"make the window of {app} smaller", work


def tidy(rng: np.random.Generator) -> tuple[str, Callable[[User], Work]]:
    """Opens two apps and closes the first; one window of it is gone, none of the other."""
    first, second = map(str, rng.choice(APPS, 2, replace=False))
    by_key = rng.uniform() < 0.5

    def work(user: User) -> Work:
        yield from user.open(first)
        yield from user.open(second)
        before = len(user.texts("title", first)), len(user.texts("title", second))
        yield from user.click(panel_button(user, first), f"{first} in the panel")
        if by_key:
            yield from user.press("alt+F4")
        else:
            yield from user.click(user.find("close", app=first), f"close box of {first}")
        return (len(user.texts("title", first)), len(user.texts("title", second))) == (before[0] - 1, before[1])

    return f"open {first} and {second}, then close {first}", work


def panel_button(user: User, app: str) -> Target | None:
    """The panel's last button of an app, covered or not."""
    buttons = [target for target in user.desktop.targets() if target.role == "task" and target.text == app]
    return buttons[-1] if buttons else None


def shows(user: User, role: str, app: str, text: str) -> bool:
    """Does an app show a text, or the part of it that fits there?"""
    return any(line and line in text for line in user.texts(role, app))


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
    """A task on a desktop. Iterate over it for the events of each frame; then `success` is set, and `reason` if it failed.

    `pace` is that of `User`. Raises ValueError for an unknown family.
    """

    desktop: Desktop
    family: str
    seed: int
    pace: float = 1.0
    success: bool = False
    reason: str = ""

    def __post_init__(self) -> None:
        one_of("family", self.family, FAMILIES)
        self._rng = np.random.default_rng((self.seed, list(FAMILIES).index(self.family)))
        self.instruction, self._work = FAMILIES[self.family](self._rng)

    def __iter__(self) -> Generator[list[Event], None, None]:
        user = User(self.desktop, self._rng, self.pace)
        try:
            self.success = yield from self._work(user)
        except TargetNotFoundError as error:
            self.reason = f"not on the screen: {error}"
        yield from user.rest()
