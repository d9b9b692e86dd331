"""What is measured of a streaming desktop: long runs by two users, the same run without actions, single steps.

Users are those of training's kind, in sessions that training has not. Without actions nothing can become right: a click that
counts as right there counts by chance. The codec alone says how right a machine can be.
"""

from collections.abc import Sequence

import numpy as np

from neural_computer import media
from neural_computer.evals import desk_drift
from neural_computer.evals.desk_drift import DesktopRuns, Played
from neural_computer.simulators.minidesk import kinds, sessions
from neural_computer.simulators.minidesk.sessions import Session
from neural_computer.simulators.policies.brisk import USERS
from neural_computer.workflows.kept import Result, Task

STEPS = "brisk"
"""The user of the closed loop, the control and the single steps"""
MOST, FRAMES, SESSIONS = 128, 600, 32
"""Single steps of a kind, and the sessions that they are drawn from"""
FIRST = 2_000_000
"""Number of the first session: none of these is among a data set's"""
CLOSED = 200
"""Frames of the closed loop, which cannot drift"""


def tasks(desktop: DesktopRuns, frames: int, count: int, seed: int) -> list[Task]:
    """All that is measured, in runs of so many frames by so many users."""
    side, most = desktop.computer.size[0], min(MOST, 8 * count)

    def used(user: str, frames: int, count: int) -> list[Session]:
        return [sessions.session(USERS[user], (seed, FIRST + n), frames, side) for n in range(count)]

    def played(name: str, user: str, frames: int, closed: bool = False, still: bool = False) -> Task:
        def run() -> Result:
            session = used(user, 1 + frames, count)
            played = desktop.play(session, seed, closed, still)
            return Result(desk_drift.report(played, session), played.right.mean(0).tolist(), _strip(session, played))

        return Task(f"{name}, {user}", count * frames, run)

    def codec() -> Result:
        return Result(desk_drift.of_codec(desktop, used(STEPS, 1 + frames, count)))

    def steps() -> Result:
        return Result(desktop.exactness(used(STEPS, FRAMES, min(SESSIONS, 2 * count)), most, seed))

    return [
        *(played("open loop", user, frames) for user in USERS),
        played("open loop without actions", STEPS, frames, still=True),
        played("closed loop", STEPS, min(frames, CLOSED), closed=True),
        Task(f"codec alone, {STEPS}", 0, codec),
        Task(f"one step, {STEPS}", len(kinds.KINDS) * most, steps),
    ]


def _strip(session: Sequence[Session], played: Played) -> np.ndarray:
    """Frames of the first session: the true ones above the computer's."""
    truth = session[0].draw(desk_drift.places(len(session[0].kinds)))
    return media.strip({"true": truth, "computer": played.pictures}, scale=1)
