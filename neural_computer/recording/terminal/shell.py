"""A sandboxed bash as a `Desktop`: its screen as pictures, the keyboard alone, one frame at a time.

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
from neural_computer.recording.terminal.recorder import RecordingError, Session
from neural_computer.screens.terminal import Atlas, Screen
from neural_computer.simulators.desktop import Target
from neural_computer.types import Event

NAMES = {keysym: name for name, keysym in player.NAMES.items()} | {"space": "Space"}
HELD = {"Control": "Ctrl", "Alt": "Alt", "Shift": "Shift"}
ANSWER = 0.5
"""Seconds that a key's answer is waited for; a program that is still at work then answers in later frames"""


class Shell:
    """A terminal of rows x cols with a shell in it; `fps` frames are a second of its life."""

    def __init__(self, rows: int = 24, cols: int = 80, fps: float = 15.0):
        self._fps, self._atlas = fps, Atlas()
        self._screen = Screen(rows, cols)
        environment = {"PS1": PROMPT, "PYTHON_BASIC_REPL": "1"}
        self._session = Session(SHELL, rows, cols, environment, player.PATIENCE, Sandbox(), player.SILENCE)
        self._held: dict[str, None] = {}
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
        height, width = self._atlas.cell
        return self._screen.cols * width, self._screen.rows * height

    @property
    def fps(self) -> float:
        return self._fps

    @property
    def pointer(self) -> tuple[float, float]:
        """Nowhere: a terminal has no mouse."""
        return 0.0, 0.0

    def observe(self) -> UInt8[np.ndarray, "h w 3"]:
        return self._atlas.draw(self._screen.cells())

    def targets(self) -> Sequence[Target]:
        """The lines on the screen."""
        height, width = self._atlas.cell
        lines = enumerate(self._screen.cells().text().split("\n"))
        return [Target("Term", "line", text, 0, row * height, self.size[0], height, True) for row, text in lines]

    def inject(self, events: Sequence[Event]) -> None:
        """Types these keys. Raises ValueError, having typed none, for what no terminal takes, and once the shell has ended."""
        if self._session.ended:
            raise ValueError("the shell has ended; reset it")
        held = dict(self._held)
        sent = "".join(self._sent(event, held) for event in events)
        self._held = held
        if sent:
            self._session.press(sent)
        for _, text in self._session.follow(ANSWER if sent else 1 / self._fps, to_the_end=not sent):
            if modes := CURSOR_MODE.findall(text):
                self._application = modes[-1] == "h"
            self._screen.feed(text)

    def _sent(self, event: Event, down: dict[str, None]) -> str:
        """What the keyboard sends for an event; `down` are the modifiers that are held, before it and then after it."""
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
        held = tuple({HELD[name]: None for key in down if (name := key[:-2]) in HELD})
        key = NAMES.get(event.key, {"\n": "Enter", "\r": "Enter", "\t": "Tab"}.get(event.key, event.key))
        if len(key) == 1:
            held = tuple(name for name in held if name != "Shift")  # the character is the shifted one already
        elif key not in player.SENT and key not in player.ARROWS:
            raise ValueError(f"key {event.key!r}: a terminal sends nothing for it here")
        try:
            return player.encode(Press(key, event.key, 0.0, 0, held), self._application)
        except RecordingError as error:
            raise ValueError(str(error)) from error
