"""Does the machine do what was asked? Arithmetic, with the control that tells drawing from computing, and typed commands.

A prompt may hold the answer. If the model computes, the answer in the prompt should not matter, and a wrong one should
not be obeyed; if it draws what it is told, both will.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from neural_computer.screens.prompts import PROMPT, caption
from neural_computer.types import Clip, Event

OFF_BY = 7
"""How far a wrong answer is from the right one."""
ARMS = {"native": "without_answer", "conditioned": "with_answer", "wrong": "wrong_answer"}
"""Of the probe: what a folder of videos is called, and the prompts it was made with."""


@dataclass(frozen=True)
class Arithmetic:
    """One expression in a Python session and what Python printed; `asked` is the caption that does not tell it."""

    expression: str
    answer: str
    asked: str = ""

    @classmethod
    def of(cls, window: Clip) -> "Arithmetic | None":
        """The window's task, or None if it has another or none."""
        if window.meta.get("task") != "arithmetic":
            return None
        return cls(window.meta["expression"], window.meta["answer"], window.captions.get("plain", ""))

    @property
    def wrong(self) -> str:
        """Another answer, as Python would print it."""
        whole, point, rest = self.answer.partition(".")
        return f"{int(whole) + OFF_BY}{point}{rest}"

    def prompts(self) -> dict[str, str]:
        """Captions by arm."""
        asked = self.asked or caption(self.expression)
        return {
            "with_answer": f"{asked} The answer is {self.answer}",
            "without_answer": asked,
            "wrong_answer": f"{asked} The answer is {self.wrong}",
        }

    def score(self, screen: str) -> dict[str, float]:
        """Is the typed line on a screen as it was typed, and is the line below what Python printed, or what a wrong
        answer would have it be? Exact or not at all."""
        lines = [line.rstrip() for line in screen.split("\n")]
        place = typed(lines, self.expression)
        output = lines[place + 1] if place + 1 < len(lines) else ""
        return {
            "typed_line_exact": float(lines[place] == PROMPT + self.expression),
            "output_exact": float(output == self.answer),
            "wrong_obeyed": float(output == self.wrong),
        }


def ends_with(line: str, command: str) -> bool:
    """Does a line end with a command, blanks aside, and what stands before it, a prompt perhaps, not run into it?"""
    line, command = "".join(line.split()), "".join(command.split())
    before = line.removesuffix(command)[-1:]
    return line.endswith(command) and not (before.isalnum() and command[:1].isalnum())


def typed(lines: Sequence[str], expression: str) -> int:
    """Which line the expression was typed on: the one that is the prompt and it, else the first that ends with it, else the
    first prompt, else the first line."""
    rules = (
        lambda line: line == PROMPT + expression,
        lambda line: ends_with(line, expression),
        lambda line: line.startswith(PROMPT.strip()),
    )
    return next((place for rule in rules for place, line in enumerate(lines) if rule(line)), 0)


# Typed commands


def commands(events: Iterable[Event]) -> list[tuple[float, str]]:
    """(time of Return, what was typed before it), in order; what was taken back is not in it, empty lines are left out."""
    found, line = [], ""
    for event in events:
        if event.kind == "text":
            *done, line = re.split(r"[\r\n]", line + event.text)
            found += [(event.time, each) for each in done]
        elif event.kind == "press" and event.key == "Return":
            found.append((event.time, line))
            line = ""
        elif event.kind == "press" and event.key == "BackSpace":
            line = line[:-1]
        elif event.kind == "press":
            line += event.key if len(event.key) == 1 else " " if event.key == "space" else ""
    return [(time, each.strip()) for time, each in found if each.strip()]


def echoed(command: str, screens: Iterable[Sequence[str]]) -> bool:
    """Does a line of any of the screens end with the command, blanks aside?"""
    return any(ends_with(line, command) for lines in screens for line in lines)
