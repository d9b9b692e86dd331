"""Does the machine do what was asked? The reprompting table, with the control that tells drawing from computing.

A prompt may hold the answer. If the model computes, the answer in the prompt should not matter, and a wrong one should
not be obeyed; if it draws what it is told, both will.
"""

from dataclasses import dataclass

from neural_computer.data.cli.repl import PROMPT, caption
from neural_computer.types import Window

OFF_BY = 7
"""How far a wrong answer is from the right one."""


@dataclass(frozen=True)
class Arithmetic:
    """One expression in a Python session and what Python printed."""

    expression: str
    answer: str

    @classmethod
    def of(cls, window: Window) -> "Arithmetic | None":
        """The window's task, or None if it has another or none."""
        if window.meta.get("task") != "arithmetic":
            return None
        return cls(window.meta["expression"], window.meta["answer"])

    @property
    def wrong(self) -> str:
        return str(int(self.answer) + OFF_BY)

    def prompts(self) -> dict[str, str]:
        """Captions by arm."""
        return {
            "with_answer": caption(self.expression, self.answer),
            "without_answer": caption(self.expression),
            "wrong_answer": caption(self.expression, self.wrong),
        }

    def score(self, screen: str) -> dict[str, float]:
        """Is the typed line on the last screen as it was typed, and is the line below what Python printed, or what a wrong
        answer would have it be? Exact or not at all."""
        lines = [line.rstrip() for line in screen.split("\n")]
        typed, output = lines[0], lines[1] if len(lines) > 1 else ""
        return {
            "typed_line_exact": float(typed == PROMPT + self.expression),
            "output_exact": float(output == self.answer),
            "wrong_obeyed": float(output == self.wrong),
        }
