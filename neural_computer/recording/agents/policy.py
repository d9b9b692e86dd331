"""An agent at a desktop, as a policy: what a recorder records of a goal policy, it records of an agent."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from neural_computer import media
from neural_computer.recording.agents.actions import steps
from neural_computer.recording.agents.transport import WireError
from neural_computer.simulators.desktop import Desktop
from neural_computer.types import Event

SHOWN = 640
"""An agent's screen has at least so many pixels on its shorter side: a smaller desktop is shown enlarged."""


class Observation(NamedTuple):
    """What an agent is shown: the picture, where the pointer is in it, and what was wrong with its last actions."""

    picture: UInt8[np.ndarray, "h w 3"]
    pointer: tuple[int, int]
    fault: str = ""


@runtime_checkable
class Agent(Protocol):
    """A model with an instruction."""

    def act(self, seen: Observation) -> Sequence[Mapping[str, Any]]:
        """What to do next, in the words of `actions`; nothing when it is done. Raises WireError."""


def factor(screen: tuple[int, int]) -> int:
    """How many times a desktop is enlarged for its agent."""
    return max(1, -(-SHOWN // min(screen)))


@dataclass
class Acting:
    """A session of an agent: iterate over it for the events of each frame; then `done` and `reason` are known.

    After a turn's actions the desktop is left `pause` frames. It is done when the agent wants nothing more; given up after
    `turns`, after `most` frames, or when the model does not answer.
    """

    desktop: Desktop
    agent: Agent
    turns: int = 50
    pause: int = 8
    most: int = 9000
    done: bool = False
    reason: str = ""

    def __iter__(self) -> Generator[list[Event], None, None]:
        frames, fault = 0, ""
        for _ in range(self.turns):
            try:
                wanted = self.agent.act(self._observation(fault))
            except WireError as error:
                self.reason = str(error)
                return
            except (KeyError, TypeError, AttributeError) as error:
                self.reason = f"the model's answer has another form than its vendor's ({error!r})"
                return
            if not wanted:
                self.done, self.reason = frames > 0, "" if frames else "the model wants nothing and did nothing"
                return
            planned, fault = self._planned(wanted)
            for events in planned:
                if frames == self.most:
                    self.reason = f"not done after {frames} frames"
                    return
                frames += 1
                yield events
        self.reason = f"not done after {self.turns} turns"

    def _planned(self, wanted: Sequence[Mapping[str, Any]]) -> tuple[list[list[Event]], str]:
        """The frames of a turn's actions up to the first that is none, and what is wrong with that one."""
        screen, planned, fault = self.desktop.size, list[list[Event]](), ""
        size = screen[0] * factor(screen), screen[1] * factor(screen)
        for number, action in enumerate(wanted, 1):
            try:
                planned += steps(action, size, screen, self.desktop.fps, f"action {number} of {len(wanted)}")
            except ValueError as error:
                fault = f"{error}; what came after it was not done"
                break
        return planned + [[] for _ in range(self.pause)], fault

    def _observation(self, fault: str) -> Observation:
        times = factor(self.desktop.size)
        x, y = self.desktop.pointer
        return Observation(media.upscale(self.desktop.observe(), times), (round(x * times), round(y * times)), fault)
