"""Task scores: arithmetic, with a control that tells computing from copying, and typed commands.

A prompt may contain the answer. A model that computes is right whatever the prompt says, and does not follow a wrong
answer; a model that renders its prompt needs the answer there and follows a wrong one.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from neural_computer.screens.prompts import PROMPT, caption
from neural_computer.types import Clip, Event

WRONG_BY = 7
"""Difference of the wrong answer from the right one"""
PROMPT_VARIANTS = {"native": "without_answer", "conditioned": "with_answer", "wrong": "wrong_answer"}
"""Of the probe: a folder of videos -> the prompt they were generated with, a key of `Arithmetic.prompts`"""


@dataclass(frozen=True)
class Arithmetic:
    """One expression in a Python session and what Python prints; `prompt` is a caption without the answer."""

    expression: str
    answer: str
    prompt: str = ""

    @classmethod
    def of(cls, clip: Clip) -> "Arithmetic | None":
        """The clip's task; None if it has another or none."""
        if clip.meta.get("task") != "arithmetic":
            return None
        return cls(clip.meta["expression"], clip.meta["answer"], clip.captions.get("plain", ""))

    @property
    def wrong_answer(self) -> str:
        """An answer that is wrong by `WRONG_BY`, formatted as Python prints the right one."""
        whole, point, fraction = self.answer.partition(".")
        return f"{int(whole) + WRONG_BY}{point}{fraction}"

    def prompts(self) -> dict[str, str]:
        """Captions by prompt variant."""
        prompt = self.prompt or caption(self.expression)
        return {
            "with_answer": f"{prompt} The answer is {self.answer}",
            "without_answer": prompt,
            "wrong_answer": f"{prompt} The answer is {self.wrong_answer}",
        }

    def groups(self) -> dict[str, str]:
        """What the problem is like, for tables: its operation, the digits of its larger operand, the carries of a sum (borrows
        of a difference). {} for an expression that is no operation on two whole numbers."""
        parts = re.fullmatch(r"(\d+)([-+*/%])(\d+)", self.expression)
        if parts is None:
            return {}
        a, sign, b = parts.groups()
        groups = {"operation": sign, "digits": str(max(len(a), len(b)))}
        return groups | ({"carries": str(carries(int(a), sign, int(b)))} if sign in "+-" else {})

    def score(self, screen: str) -> dict[str, float]:
        """Whether the typed line is exact, and whether the line below is Python's output or the wrong answer; 1 or 0.

        And the share of the output's characters that are right, counted from its end.
        """
        lines = [line.rstrip() for line in screen.split("\n")]
        place = typed_line(lines, self.expression)
        output = lines[place + 1] if place + 1 < len(lines) else ""
        return {
            "typed_line_exact": float(lines[place] == PROMPT + self.expression),
            "output_exact": float(output == self.answer),
            "output_characters": matching_from_end(output, self.answer),
            "wrong_answer_exact": float(output == self.wrong_answer),
        }


def carries(a: int, sign: str, b: int) -> int:
    """Carries of a + b, or borrows of a - b with a >= b, digit by digit."""
    count = carry = 0
    while a or b:
        total = a % 10 + (b % 10 + carry if sign == "+" else -(b % 10) - carry)
        carry = int(not 0 <= total <= 9)
        count, a, b = count + carry, a // 10, b // 10
    return count


def matching_from_end(output: str, answer: str) -> float:
    """Share of the longer text's characters that are alike in both, counted from the end."""
    alike = sum(x == y for x, y in zip(reversed(output), reversed(answer), strict=False))
    return alike / max(len(output), len(answer), 1)


def ends_with(line: str, command: str) -> bool:
    """Whether a line ends with a command, blanks aside, and the command does not run into a word before it."""
    line, command = "".join(line.split()), "".join(command.split())
    before = line.removesuffix(command)[-1:]
    return line.endswith(command) and not (before.isalnum() and command[:1].isalnum())


def typed_line(lines: Sequence[str], expression: str) -> int:
    """Index of the line that the expression was typed on.

    The line that is the prompt and the expression; else the first that ends with the expression; else the first prompt;
    else 0.
    """
    rules = (
        lambda line: line == PROMPT + expression,
        lambda line: ends_with(line, expression),
        lambda line: line.startswith(PROMPT.strip()),
    )
    return next((index for rule in rules for index, line in enumerate(lines) if rule(line)), 0)


# Typed commands


def typed_commands(events: Iterable[Event]) -> list[tuple[float, str]]:
    """(time of Return, text typed before it) of every line, in order; backspaced characters and empty lines are left out."""
    commands, line = [], ""
    for event in events:
        if event.kind == "text":
            *complete, line = re.split(r"[\r\n]", line + event.text)
            commands += [(event.time, each) for each in complete]
        elif event.kind == "press" and event.key == "Return":
            commands.append((event.time, line))
            line = ""
        elif event.kind == "press" and event.key == "BackSpace":
            line = line[:-1]
        elif event.kind == "press":
            line += event.key if len(event.key) == 1 else " " if event.key == "space" else ""
    return [(time, each.strip()) for time, each in commands if each.strip()]


def is_echoed(command: str, screens: Iterable[Sequence[str]]) -> bool:
    """Whether a line of any of the screens ends with the command, blanks aside."""
    return any(ends_with(line, command) for lines in screens for line in lines)
