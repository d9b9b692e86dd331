"""The arithmetic probe: problems, and the tapes in which a real Python solves them.

An operand pair (a, b) belongs to one split, whatever is done with it: no model can have seen a held-out pair.
"""

import zlib
from dataclasses import dataclass

import numpy as np

from neural_computer.recording.cligen.clip_store import rank

SIGNS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "modulo": "%"}
DIGITS = (1, 2, 3)
HELD_OUT = 0.1
"""Share of the operand pairs that are in no training problem."""
TRIES = 200
"""Draws a problem, at most: when nearly all problems of a kind are taken, another kind is drawn."""


@dataclass(frozen=True)
class Problem:
    """`kind` of two whole numbers; division is exact, subtraction never below zero."""

    kind: str
    a: int
    b: int

    @property
    def expression(self) -> str:
        return f"{self.a}{SIGNS[self.kind]}{self.b}"

    @property
    def answer(self) -> str:
        """What Python prints."""
        a, b = self.a, self.b
        whole = {"add": a + b, "subtract": a - b, "multiply": a * b, "divide": a // b, "modulo": a % b}[self.kind]
        return f"{whole}.0" if self.kind == "divide" else str(whole)

    @property
    def split(self) -> str:
        return "test" if int.from_bytes(rank(f"{self.a},{self.b}")[:8], "big") < HELD_OUT * 2**64 else "train"

    @property
    def tape(self) -> str:
        """A tape of the paper's kind: Python is started, computes the expression, and ends."""
        lines = [
            f"# ID: arithmetic/{self.expression}",
            f"# KIND: {self.kind}",
            "Require python",
            "Set TypingSpeed 70ms",
        ]
        lines += ["Sleep 200ms", 'Type "python"', "Enter", "Sleep 1s", f'Type "{self.expression}"', "Enter"]
        return "\n".join([*lines, "Sleep 800ms", 'Type "exit()"', "Enter", "Sleep 500ms", ""])


def problems(count: int, split: str = "train", seed: int = 0) -> list[Problem]:
    """So many different problems of a split, kinds and digits drawn evenly. Raises ValueError if there are not so many."""
    rng = np.random.default_rng([seed, zlib.crc32(split.encode())])
    found: dict[Problem, None] = {}
    while len(found) < count:
        for _ in range(TRIES):
            problem = draw(rng)
            if problem.split == split and problem not in found:
                found[problem] = None
                break
        else:
            raise ValueError(f"{count} problems of split {split!r}: there are hardly more than {len(found)}")
    return list(found)


def draw(rng: np.random.Generator) -> Problem:
    """Any problem: a kind, the digits of its larger operand, and operands that fit both."""
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
    """What stands under the expression on the first screen that has anything there; None if none has."""
    for screen in dict.fromkeys(screens):
        lines = [line.rstrip() for line in screen.split("\n")]
        typed = f">>> {problem.expression}"
        if typed in lines[:-1] and (below := lines[lines.index(typed) + 1]):
            return below
    return None
