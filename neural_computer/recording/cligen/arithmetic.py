"""The arithmetic probe: problems, and the tapes in which a real Python solves them.

An operand pair (a, b) is in one split for all operations, so no model has seen a pair of the test split.
"""

import zlib
from dataclasses import dataclass

import numpy as np

from neural_computer.data import splits

SIGNS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "modulo": "%"}
DIGITS = (1, 2, 3)
TRIES = 200
"""Draws for one more problem at most; then hardly any is left"""


@dataclass(frozen=True)
class Problem:
    """Operation `kind` on two whole numbers; division is exact, subtraction never below zero."""

    kind: str
    a: int
    b: int

    @property
    def expression(self) -> str:
        """The problem as typed to Python, such as 12+7."""
        return f"{self.a}{SIGNS[self.kind]}{self.b}"

    @property
    def answer(self) -> str:
        """Python's output."""
        a, b = self.a, self.b
        whole = {"add": a + b, "subtract": a - b, "multiply": a * b, "divide": a // b, "modulo": a % b}[self.kind]
        return f"{whole}.0" if self.kind == "divide" else str(whole)

    @property
    def split(self) -> str:
        """Split of the operand pair."""
        return splits.of(f"{self.a},{self.b}")

    @property
    def tape(self) -> str:
        """Tape as in the paper: Python starts, computes the expression, and ends."""
        lines = [
            f"# ID: arithmetic/{self.expression}",
            f"# KIND: {self.kind}",
            "Require python",
            "Set TypingSpeed 70ms",
        ]
        lines += ["Sleep 200ms", 'Type "python"', "Enter", "Sleep 1s", f'Type "{self.expression}"', "Enter"]
        return "\n".join([*lines, "Sleep 800ms", 'Type "exit()"', "Enter", "Sleep 500ms", ""])


def problems(count: int, split: str = "train", seed: int = 0) -> list[Problem]:
    """`count` distinct problems of a split, kinds and digits uniform. Raises ValueError if there are fewer."""
    rng = np.random.default_rng([seed, zlib.crc32(split.encode())])
    distinct: dict[Problem, None] = {}
    while len(distinct) < count:
        for _ in range(TRIES):
            problem = draw(rng)
            if problem.split == split and problem not in distinct:
                distinct[problem] = None
                break
        else:
            raise ValueError(f"{count} problems of split {split!r}: there are hardly more than {len(distinct)}")
    return list(distinct)


def draw(rng: np.random.Generator) -> Problem:
    """A problem of any split: a kind, the digits of its larger operand, then operands that fit both."""
    kind, digits = str(rng.choice(list(SIGNS))), int(rng.choice(DIGITS))
    least, most = 10 ** (digits - 1), 10**digits
    a, b = int(rng.integers(least, most)), int(rng.integers(least, most))
    if kind == "subtract":
        a, b = max(a, b), min(a, b)
    elif kind == "modulo":
        b = int(rng.integers(1, a + 1))
    elif kind == "divide":
        b = int(rng.integers(1, a + 1))
        a = a // b * b
    return Problem(kind, a, b)


def printed(screens: tuple[str, ...], problem: Problem) -> str | None:
    """Line below the expression on the first screen that has one; None if no screen has."""
    for screen in dict.fromkeys(screens):
        lines = [line.rstrip() for line in screen.split("\n")]
        typed = f">>> {problem.expression}"
        if typed in lines[:-1] and (below := lines[lines.index(typed) + 1]):
            return below
    return None
