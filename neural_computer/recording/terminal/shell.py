"""A sandboxed bash as a `Desktop`: pictures of its screen, a keyboard and no mouse, one frame at a time.

with Shell() as shell:
    recording = record(shell, policy)
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from neural_computer.actions.schema import BUTTONS, MODIFIERS
from neural_computer.recording.sandbox import Sandbox
from neural_computer.recording.terminal import player
from neural_computer.recording.terminal.player import CURSOR_MODE, PROMPT, SHELL, Press
from neural_computer.recording.terminal.recorder import RecordingError, TerminalSession
from neural_computer.screens.terminal import Atlas, Screen
from neural_computer.simulators.desktop import Target
from neural_computer.types import Event

NAMES = {keysym: name for name, keysym in player.NAMES.items()} | {"space": "Space"}
CHORDS = {"Control": "Ctrl", "Alt": "Alt", "Shift": "Shift"}
RESPONSE = 0.5
"""Seconds to wait for the effect of keys; later effects come with later frames"""


class Shell:
    """A terminal of rows x cols that runs a shell; without keys, each frame lets 1 / fps seconds of real time pass."""

    def __init__(self, rows: int = 24, cols: int = 80, fps: float = 15.0):
        self._fps, self._atlas = fps, Atlas()
        self._screen = Screen(rows, cols)
        environment = {"PS1": PROMPT, "PYTHON_BASIC_REPL": "1"}
        self._session = TerminalSession(SHELL, rows, cols, environment, player.DEADLINE, Sandbox(), player.SILENCE)
        self._down: dict[str, None] = {}
        self._application = False

    def __enter__(self) -> "Shell":
        self._session.__enter__()
        try:
            self._screen.feed(self._session.settle())
        except BaseException:
            self._session.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._session.__exit__(None, None, None)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        height, width = self._atlas.cell
        return self._screen.cols * width, self._screen.rows * height

    @property
    def fps(self) -> float:
        return self._fps

    @property
    def pointer(self) -> tuple[float, float]:
        """(0, 0): a terminal has no mouse."""
        return 0.0, 0.0

    def observe(self) -> UInt8[np.ndarray, "h w 3"]:
        """Picture of the screen."""
        return self._atlas.draw(self._screen.cells())

    def targets(self) -> Sequence[Target]:
        """The rows of the screen, from top to bottom."""
        height, width = self._atlas.cell
        lines = enumerate(self._screen.cells().text().split("\n"))
        return [Target("Term", "line", text, 0, row * height, self.size[0], height, True) for row, text in lines]

    def inject(self, events: Sequence[Event]) -> None:
        """Types these keys and waits for their effect.

        Raises ValueError, before any key is typed, for an event that no terminal takes, and once the shell has ended.
        """
        if self._session.ended:
            raise ValueError("the shell has ended; reset it")
        down = dict(self._down)
        characters = "".join(self._characters(event, down) for event in events)
        self._down = down
        if characters:
            self._session.press(characters)
        for _, text in self._session.follow(RESPONSE if characters else 1 / self._fps, to_the_end=not characters):
            if modes := CURSOR_MODE.findall(text):
                self._application = modes[-1] == "h"
            self._screen.feed(text)

    def _characters(self, event: Event, down: dict[str, None]) -> str:
        """Characters that a keyboard sends for an event; updates `down`, the modifier keys that are down."""
        if event.kind in ("move", "scroll") or event.key in BUTTONS:
            raise ValueError(f"{event.kind} {event.key}: a terminal has no mouse")
        if event.kind == "text":
            return event.text.replace("\n", "\r")
        if event.key in MODIFIERS:
            down.pop(event.key, None)
            if event.kind == "press":
                down[event.key] = None
            return ""
        if event.kind != "press":
            return ""
        modifiers = tuple({CHORDS[name]: None for key in down if (name := key[:-2]) in CHORDS})
        key = NAMES.get(event.key, {"\n": "Enter", "\r": "Enter", "\t": "Tab"}.get(event.key, event.key))
        if len(key) == 1:
            modifiers = tuple(name for name in modifiers if name != "Shift")  # the character is already shifted
        elif key not in player.SEQUENCES and key not in player.ARROWS:
            raise ValueError(f"key {event.key!r}: a terminal sends nothing for it here")
        try:
            return player.encode(Press(key, event.key, 0.0, 0, modifiers), self._application)
        except RecordingError as error:
            raise ValueError(str(error)) from error
