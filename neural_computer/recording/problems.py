"""Arithmetic problems: two whole numbers and an operation, what Python prints, and which of them are held out.

An operand pair is in one split, in either order and for all operations: no model has seen a pair of the test split.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
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
        if self.kind == "divide":
            return f"{a // b}.0"
        return str({"add": a + b, "subtract": a - b, "multiply": a * b, "modulo": a % b if b else 0}[self.kind])

    @property
    def pair(self) -> tuple[int, int]:
        """The operands, the smaller one first."""
        return min(self.a, self.b), max(self.a, self.b)

    @property
    def split(self) -> str:
        """Split of the operand pair."""
        return splits.of("{},{}".format(*self.pair))


def fitted(kind: str, a: int, b: int) -> Problem:
    """A problem of these operands, changed as far as its operation demands."""
    if kind == "subtract":
        a, b = max(a, b), min(a, b)
    elif kind in ("divide", "modulo"):
        b = max(b, 1)
        a = a // b * b if kind == "divide" else a
    return Problem(kind, a, b)


def grid(least: int, most: int, kinds: Sequence[str] = ("add",)) -> list[Problem]:
    """Every problem with operands from `least` to `most`, once."""
    numbers = range(least, most + 1)
    return list(dict.fromkeys(fitted(kind, a, b) for kind in kinds for a in numbers for b in numbers))


def sample(count: int, least: int, most: int, kinds: Sequence[str] = ("add",), seed: int = 0) -> list[Problem]:
    """`count` distinct problems of any split, operations and operands uniform. Raises ValueError if there are fewer."""
    rng = np.random.default_rng([seed, count, least, most])

    def one() -> Problem:
        a, b = rng.integers(least, most + 1, 2).tolist()
        return fitted(str(rng.choice(list(kinds))), a, b)

    return _distinct(count, one, lambda _: True)


def problems(count: int, split: str = "train", seed: int = 0, kinds: Sequence[str] = tuple(SIGNS)) -> list[Problem]:
    """`count` distinct problems of a split, operations and digits uniform: the paper's probe.

    Raises ValueError if there are fewer.
    """
    rng = np.random.default_rng([seed, zlib.crc32(split.encode())])
    return _distinct(count, lambda: draw(rng, kinds), lambda problem: problem.split == split)


def draw(rng: np.random.Generator, kinds: Sequence[str] = tuple(SIGNS)) -> Problem:
    """A problem of any split: an operation, the digits of its larger operand, then operands that fit both."""
    kind, digits = str(rng.choice(list(kinds))), int(rng.choice(DIGITS))
    least, most = 10 ** (digits - 1), 10**digits
    a, b = int(rng.integers(least, most)), int(rng.integers(least, most))
    if kind in ("modulo", "divide"):
        b = int(rng.integers(1, a + 1))
    return fitted(kind, a, b)


def permuted(problems: Sequence[Problem], seed: int = 0) -> Mapping[Problem, str]:
    """Answers of other problems: the pairs of an operation exchange theirs by a fixed permutation, both orders alike.

    What a pair's answer is cannot be known from other pairs, so that nothing can be right on those held out but by chance.
    """
    rng = np.random.default_rng([seed, len(problems)])
    answers: dict[Problem, str] = {}
    for kind in dict.fromkeys(problem.kind for problem in problems):
        own = {problem.pair: problem.answer for problem in problems if problem.kind == kind}
        other = dict(zip(own, [list(own.values())[n] for n in rng.permutation(len(own))], strict=True))
        answers |= {problem: other[problem.pair] for problem in problems if problem.kind == kind}
    return answers


def _distinct(count: int, one: Callable[[], Problem], wanted: Callable[[Problem], bool]) -> list[Problem]:
    """`count` distinct problems of those that `one` draws and that are `wanted`."""
    distinct: dict[Problem, None] = {}
    while len(distinct) < count:
        for _ in range(TRIES):
            problem = one()
            if wanted(problem) and problem not in distinct:
                distinct[problem] = None
                break
        else:
            raise ValueError(f"{count} problems: there are hardly more than {len(distinct)} of these")
    return list(distinct)
