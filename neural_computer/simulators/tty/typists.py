"""Typists: endless streams of keys, one frame after another, at most one key a frame."""

import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np

from neural_computer.errors import one_of
from neural_computer.simulators.tty import commands
from neural_computer.simulators.tty.machine import Tty, press, start

T = TypeVar("T")
Draw = Callable[[], float]
"""Uniform numbers in [0, 1)"""
Seed = int | Sequence[int]

LETTERS, DIGITS = string.ascii_lowercase, string.digits
SYMBOLS = LETTERS * 2 + DIGITS + "+- "
MASHED = (*LETTERS * 3, *DIGITS, *"++--    ", *["Return"] * 5, *["BackSpace"] * 12)
BLOCK = 4096
"""Numbers drawn at a time"""


@dataclass(frozen=True)
class Typist:
    """How somebody types. Shares are of lines unless said; what is left of the first five are words of random letters.

    Attributes:
      clear, date, empty: lines `clear` and `date`, and empty ones.
      sums, differences: lines A+B and A-B of numbers up to 49.
      held_out: whether only held-out operand pairs are entered, or only the others. Where any other way of typing, such as
        mashing, leads to a sum of the wrong side, characters are taken back until it is none.
      symbols: words that have digits, +, - and blanks among their letters, as a share of words.
      longest: most characters of a word.
      up: lines recalled with Up instead of typed.
      further: chance that Up, once pressed, is pressed again; a third of these end with Down.
      forget: entered lines that are followed by `clear`, up to `delay` letters, Up and Return: nothing on the screen says any
        more what Up brings back.
      mash: lines that are 2 to 29 random keys instead.
      typo: chance that one or two wrong letters come before a character, and are taken back.
      stray: lines at whose end BackSpace is pressed, up to two times more often than the line has characters.
      paces: chances that a frame has a key, while there are keys to press; one of them for every line. 1 is a burst.
      pauses: frames without a key after a line; one of them for every line.
    """

    clear: float = 0.1
    date: float = 0.1
    empty: float = 0.07
    sums: float = 0.0
    differences: float = 0.0
    held_out: bool = False
    symbols: float = 0.4
    longest: int = 9
    up: float = 0.0
    further: float = 0.0
    forget: float = 0.0
    delay: int = 3
    mash: float = 0.0
    typo: float = 0.06
    stray: float = 0.08
    paces: tuple[float, ...] = (0.2, 0.35, 0.6, 1.0)
    pauses: tuple[int, ...] = (0, 0, 0, 0, 2, 2, 2, 6, 6, 25)

    @classmethod
    def of(cls, rates: Mapping[str, Any]) -> "Typist":
        """The typist of an episode's meta, meta["typist"]. Raises ValueError for a rate that typists do not have."""
        for name in rates:
            one_of("typist", name, (field.name for field in fields(cls)))
        values: dict[str, Any] = {name: tuple(x) if isinstance(x, list) else x for name, x in rates.items()}
        return cls(**values)

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is float and not 0 <= value <= 1:
                raise ValueError(f"{field.name}={value}: must be between 0 and 1")
        for name in ("typo", "further"):
            if getattr(self, name) == 1:
                raise ValueError(f"{name}=1.0: would never end; it must be less than 1")
        if (total := self.clear + self.date + self.empty + self.sums + self.differences) > 1 + 1e-9:
            raise ValueError(
                f"clear + date + empty + sums + differences = {total:g}: must be at most 1; lower one of them"
            )
        if self.delay < 0:
            raise ValueError(f"delay={self.delay}: must not be negative")
        if self.longest < 1:
            raise ValueError(f"longest={self.longest}: must be at least 1")
        if not self.paces or not all(0 < pace <= 1 for pace in self.paces):
            raise ValueError(f"paces={self.paces}: must be chances above 0 and up to 1, at least one")
        if not self.pauses or min(self.pauses) < 0:
            raise ValueError(f"pauses={self.pauses}: must be numbers of frames, at least one")


BRISK: dict[str, Any] = {"paces": (0.4, 1.0, 1.0, 1.0), "pauses": (0,)}
OFTEN: dict[str, Any] = {"clear": 0.18, "date": 0.12, "empty": 0.1, "sums": 0.2, "differences": 0.1}
"""Every command is common"""

TYPISTS = {
    "brisk": Typist(**BRISK, **OFTEN, up=0.08, mash=0.1),
    "memory": Typist(paces=(0.4, *[1.0] * 12), pauses=(0,), **OFTEN, up=0.08, mash=0.1, forget=0.35),
    "words": Typist(held_out=True),
    "sums": Typist(sums=0.35, held_out=True),
    "mash": Typist(mash=0.5, held_out=True),
    "bursts": Typist(sums=0.35, held_out=True, paces=(1.0,), pauses=(0, 0, 0, 25)),
    "recalls": Typist(sums=0.25, up=0.06, forget=0.2, delay=2, held_out=True),
    "everything": Typist(**BRISK, **OFTEN, up=0.08, mash=0.1, held_out=True),
    "trained_sums": Typist(**BRISK, sums=0.5),
}
"""Typists by name. The first two are for training, who hardly idle; the others enter held-out sums, or none,
but for the last."""


def keys(typist: Typist, seed: Seed, rows: int = 3, cols: int = 16) -> Iterator[str]:
    """Yields the key of frame 1, 2, ... of a session that begins with a fresh terminal; "" in a frame without one.

    It is a function of its arguments and has no end.
    """
    draw, tty = uniforms(seed), start(rows, cols)
    for line in lines(typist, draw):
        pace = pick(draw, typist.paces)
        for wanted in line:
            before = taken_back(tty, typist.held_out) if wanted == "Return" else []
            for key in (*before, wanted):
                while draw() >= pace:
                    yield ""
                tty = press(tty, key)
                yield key
        for _ in range(pick(draw, typist.pauses)):
            yield ""


def taken_back(tty: Tty, held_out: bool) -> list[str]:
    """BackSpaces until the line is no calculation of the other side of the split, not even to who ignores blanks around it."""
    line = tty.line
    while (found := commands.calculation(line.strip())) and commands.held_out(found.a, found.b) != held_out:
        line = line[:-1]
    return ["BackSpace"] * (len(tty.line) - len(line))


def lines(typist: Typist, draw: Draw) -> Iterator[list[str]]:
    """Yields the keys of one line after another, each with its Return."""
    while True:
        if draw() < typist.mash:
            yield [pick(draw, MASHED) for _ in range(between(draw, 2, 29))] + ["Return"]
        elif draw() < typist.up:
            yield [*recalled(typist, draw), "Return"]
        else:
            line = wording(typist, draw)
            yield [*typed(typist, draw, line), "Return"]
            if line not in ("", "clear") and draw() < typist.forget:
                yield [*typed(typist, draw, "clear"), "Return"]
                yield [pick(draw, LETTERS) for _ in range(between(draw, 0, typist.delay))] + ["Up", "Return"]


def wording(typist: Typist, draw: Draw) -> str:
    """A line to enter."""
    number = draw()
    for share, line in ((typist.clear, "clear"), (typist.date, "date"), (typist.empty, "")):
        if number < share:
            return line
        number -= share
    for share, sign in ((typist.sums, "+"), (typist.differences, "-")):
        if number < share:
            return sum_of(draw, sign, typist.held_out)
        number -= share
    characters = SYMBOLS if draw() < typist.symbols else LETTERS
    return "".join([pick(draw, characters) for _ in range(between(draw, 1, typist.longest))])


def sum_of(draw: Draw, sign: str, held_out: bool) -> str:
    """A calculation with an operand pair of one side of the split."""
    while True:
        a, b = between(draw, 0, commands.LARGEST), between(draw, 0, commands.LARGEST)
        if commands.held_out(a, b) == held_out:
            return f"{a}{sign}{b}"


def typed(typist: Typist, draw: Draw, line: str) -> list[str]:
    """The keys that type a line, with typos taken back and stray BackSpaces."""
    out: list[str] = []
    for char in line:
        while draw() < typist.typo:
            wrong = between(draw, 1, 2)
            out += [pick(draw, LETTERS) for _ in range(wrong)] + ["BackSpace"] * wrong
        out.append(char)
    if draw() < typist.stray:
        out += ["BackSpace"] * between(draw, 1, len(line) + 2)
    return out


def recalled(typist: Typist, draw: Draw) -> list[str]:
    """Up, perhaps several times, and perhaps Down after these."""
    out = ["Up"]
    while draw() < typist.further:
        out.append("Up")
    return [*out, "Down"] if len(out) > 1 and draw() < 1 / 3 else out


def uniforms(seed: Seed) -> Draw:
    """A source of uniform numbers in [0, 1), a function of the seed."""
    rng = np.random.default_rng(seed)

    def numbers() -> Iterator[float]:
        while True:
            yield from rng.random(BLOCK).tolist()

    return numbers().__next__


def pick(draw: Draw, options: Sequence[T]) -> T:
    """One of some options."""
    return options[int(draw() * len(options))]


def between(draw: Draw, least: int, most: int) -> int:
    """A whole number from `least` to `most`, both included."""
    return least + int(draw() * (most - least + 1))
