"""An agent at a desktop as a policy: a recorder that records a goal policy can record an agent."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from neural_computer import media
from neural_computer.recording.agents.actions import steps
from neural_computer.recording.agents.transport import TransportError
from neural_computer.simulators.desktop import Desktop
from neural_computer.types import Event

MIN_SIDE = 640
"""Least pixels of the shorter side of an agent's screen: a smaller desktop is enlarged for it."""


class Observation(NamedTuple):
    """An agent's input: the screen, the pointer (x, y) in its pixels, and the error of the last actions, or ""."""

    picture: UInt8[np.ndarray, "h w 3"]
    pointer: tuple[int, int]
    error: str = ""


@runtime_checkable
class Agent(Protocol):
    """A model with an instruction."""

    def act(self, observation: Observation) -> Sequence[Mapping[str, Any]]:
        """The next actions in the vocabulary of `actions`; none when it is done. Raises TransportError."""


def enlargement(screen: tuple[int, int]) -> int:
    """How many times a desktop of this size (width, height) is enlarged for its agent."""
    return max(1, -(-MIN_SIDE // min(screen)))


@dataclass
class AgentPolicy:
    """A session of an agent. Iterate over it for the events of each frame; then `success` is set, and `reason` if it failed.

    A turn is the agent's next actions and `pause` frames without events. The agent succeeds when it wants no more actions after
    some; it fails after `max_turns`, after `max_frames`, or when the model does not respond.
    """

    desktop: Desktop
    agent: Agent
    max_turns: int = 50
    pause: int = 8
    max_frames: int = 9000
    success: bool = False
    reason: str = ""

    def __iter__(self) -> Generator[list[Event], None, None]:
        frames, problem = 0, ""
        for _ in range(self.max_turns):
            try:
                actions = self.agent.act(self._observe(problem))
            except TransportError as error:
                self.reason = str(error)
                return
            except (KeyError, TypeError, AttributeError) as error:
                self.reason = f"the model's response has another form than its vendor's ({error!r})"
                return
            if not actions:
                self.success, self.reason = frames > 0, "" if frames else "the model wants nothing and did nothing"
                return
            turn, problem = self._turn(actions)
            for events in turn:
                if frames == self.max_frames:
                    self.reason = f"not done after {frames} frames"
                    return
                frames += 1
                yield events
        self.reason = f"not done after {self.max_turns} turns"

    def _turn(self, actions: Sequence[Mapping[str, Any]]) -> tuple[list[list[Event]], str]:
        """(frames of the actions up to the first invalid one, what is wrong with that one or "")."""
        screen, frames, problem = self.desktop.size, list[list[Event]](), ""
        size = screen[0] * enlargement(screen), screen[1] * enlargement(screen)
        for number, action in enumerate(actions, 1):
            try:
                frames += steps(action, size, screen, self.desktop.fps, f"action {number} of {len(actions)}")
            except ValueError as error:
                problem = f"{error}; what came after it was not done"
                break
        return frames + [[] for _ in range(self.pause)], problem

    def _observe(self, problem: str) -> Observation:
        factor = enlargement(self.desktop.size)
        x, y = self.desktop.pointer
        picture = media.upscale(self.desktop.observe(), factor)
        return Observation(picture, (round(x * factor), round(y * factor)), problem)
