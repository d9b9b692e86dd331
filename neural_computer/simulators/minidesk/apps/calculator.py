"""A calculator: sixteen buttons, or the keyboard."""

from typing import NamedTuple

from neural_computer.simulators.minidesk.state import BAR, Reply, View, Widget

BUTTONS = ("789/", "456*", "123-", "0C=+")
DIGITS = 8
KEYS = {"Return": "=", "Escape": "C", "Delete": "C"} | {f"KP_{n}": str(n) for n in range(10)}
KEYS |= {"KP_Divide": "/", "KP_Multiply": "*", "KP_Subtract": "-", "KP_Add": "+"}


class Calculator(NamedTuple):
    """A calculator's state: the display, the left operand and the operator that wait for the right one."""

    shown: str = "0"
    left: str = ""
    operator: str = ""
    fresh: bool = True
    """does the next digit begin a number?"""

    @property
    def name(self) -> str:
        return "Calc"

    @property
    def title(self) -> str:
        return "Calc"

    @property
    def busy(self) -> bool:
        return False

    def layout(self, view: View) -> tuple[Widget, ...]:
        wide, high = (view.w - 3) // 4, (view.h - BAR - 12) // 4
        display = Widget("field", self.shown, 2, BAR + 1, view.w - 4, 9)
        return (
            display,
            *(
                Widget("button", symbol, 2 + c * wide, BAR + 11 + r * high, wide - 1, high - 1, symbol == self.operator)
                for r, row in enumerate(BUTTONS)
                for c, symbol in enumerate(row)
            ),
        )

    def press(self, widget: Widget, x: int, y: int, clicks: int, view: View) -> Reply:
        return Reply(self, view.disk)

    def choose(self, role: str, text: str, about: str, view: View) -> Reply:
        return Reply(self.enter(text) if role == "button" else self, view.disk)

    def key(self, key: str, view: View) -> Reply:
        symbol = KEYS.get(key, key)
        if key == "BackSpace" and not self.fresh:
            return Reply(self._replace(shown=self.shown[:-1] or "0", fresh=len(self.shown) == 1), view.disk)
        return Reply(self.enter(symbol) if symbol in "".join(BUTTONS) and not view.ctrl else self, view.disk)

    def scroll(self, notches: int, view: View) -> Reply:
        return Reply(self, view.disk)

    def tick(self, view: View) -> Reply:
        return Reply(self, view.disk)

    def enter(self, symbol: str) -> "Calculator":
        """The calculator after the button of a symbol."""
        if symbol == "C":
            return Calculator()
        if symbol.isdigit():
            shown = symbol if self.fresh or self.shown == "0" else self.shown + symbol
            return self._replace(shown=shown[:DIGITS], fresh=False)
        value = self.shown if self.fresh or not self.operator else compute(self.left, self.operator, self.shown)
        return Calculator(value, value, "" if symbol == "=" else symbol, True)


def compute(left: str, operator: str, right: str) -> str:
    """The result of "left operator right" to six figures; "error" where it is no number."""
    try:
        a, b = float(left), float(right)
        value = {"+": a + b, "-": a - b, "*": a * b}[operator] if operator != "/" else a / b
    except (ValueError, ZeroDivisionError):
        return "error"
    shown = f"{value:.6g}"
    return shown if "n" not in shown and len(shown) <= 12 else "error"
