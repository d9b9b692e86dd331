"""What a frame shows: the kind of transition, from the terminal before and the key. Rare kinds are drawn as often as one likes.

A network that is right on average may have never learned a rare kind, and some of those never heal: training draws by kind,
and evaluation counts by kind.
"""

from collections.abc import Mapping

from neural_computer.simulators.tty import commands
from neural_computer.simulators.tty.machine import CHARACTERS, Tty

KINDS = (
    *("idle", "character", "backspace"),
    *("empty", "cleared", "clear", "date", "echo", "sum", "difference"),
    *("up", "down"),
)
"""Names of the kinds; episodes store their indices. Those of the second row are Return on such a line; `cleared` is Return on
an empty line with nothing above the prompt."""
IDLE, CHARACTER, BACKSPACE, EMPTY, CLEARED, CLEAR, DATE, ECHO, SUM, DIFFERENCE, UP, DOWN = range(len(KINDS))
OTHERS = {"BackSpace": BACKSPACE, "Up": UP, "Down": DOWN}

SHARES: Mapping[str, float] = {
    **{"idle": 0.08, "character": 0.25, "backspace": 0.05},
    **{"empty": 0.05, "cleared": 0.05, "clear": 0.05, "date": 0.04, "echo": 0.11, "sum": 0.28, "difference": 0.02},
    "up": 0.02,
}
"""Shares of training windows by what their last frame shows: a half of them Returns, a quarter calculations."""
MEMORY_SHARES: Mapping[str, float] = {
    **{"idle": 0.06, "character": 0.18, "backspace": 0.05},
    **{"empty": 0.04, "cleared": 0.04, "clear": 0.05, "date": 0.04, "echo": 0.08, "sum": 0.22, "difference": 0.02},
    "up": 0.22,
}
"""Shares where lines are learned to be recalled"""


def of(tty: Tty, key: str) -> int:
    """The kind of the frame that shows `key`, pressed on this terminal; IDLE for a key that it does not have."""
    if key in CHARACTERS:
        return CHARACTER
    if key == "Return":
        name = commands.name(tty.line)
        return CLEARED if name == "empty" and not tty.above else KINDS.index(name)
    return OTHERS.get(key, IDLE)
