"""What the terminal prints for a line, and which sums are held out."""

import hashlib
import re
from functools import cache
from typing import NamedTuple

DATE = "1 jan 1970"
LARGEST = 49
"""Largest operand of a sum or difference; lines with larger numbers are echoed."""
HELD_OUT = 0.1
"""Share of the unordered operand pairs that no training typist enters"""
CALCULATION = re.compile(r"(\d{1,2})([+-])(\d{1,2})", re.ASCII)


class Calculation(NamedTuple):
    """A sum ("+") or a difference ("-") of two numbers."""

    a: int
    sign: str
    b: int

    @property
    def result(self) -> int:
        return self.a + self.b if self.sign == "+" else self.a - self.b


def calculation(line: str) -> Calculation | None:
    """The calculation that a line is; None for any other line."""
    match = CALCULATION.fullmatch(line)
    if not match:
        return None
    a, b = int(match[1]), int(match[3])
    return Calculation(a, match[2], b) if max(a, b) <= LARGEST else None


def name(line: str) -> str:
    """The command that a line is: empty, clear, date, sum, difference or echo."""
    if line in ("clear", "date"):
        return line
    if not line:
        return "empty"
    if found := calculation(line):
        return "sum" if found.sign == "+" else "difference"
    return "echo"


def run(line: str) -> str | None:
    """The text that is printed for a line, "" for nothing; None clears the screen."""
    if line == "clear":
        return None
    if line == "date":
        return DATE
    found = calculation(line)
    return str(found.result) if found else line


@cache
def held_out(a: int, b: int) -> bool:
    """Whether an operand pair, in either order and for both signs, is kept from training.

    The first eight bytes of the SHA-256 of "min,max" are read as a number in [0, 2^64); it is held out below HELD_OUT of that.
    """
    digest = hashlib.sha256(f"{min(a, b)},{max(a, b)}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < HELD_OUT * 2**64
