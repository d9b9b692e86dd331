"""Does a streaming terminal remember what its screen no longer shows? Lines that `clear` took away, brought back by Up.

Every probe has controls. One cannot succeed: with the window emptied and the true screen before Up, nothing says what the line
was; whatever scores there is no memory. With another session's window, the other session's line must come.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from neural_computer.evals.drift import TerminalRuns
from neural_computer.models.window import Cache
from neural_computer.simulators.tty import drawing
from neural_computer.simulators.tty.machine import KEY_IDS
from neural_computer.simulators.tty.reading import read
from neural_computer.simulators.tty.sessions import Session, play
from neural_computer.simulators.tty.typists import LETTERS
from neural_computer.types import State

COUNT, IDLE = 96, 30
"""Probes, and frames without a key before every key that follows `clear`"""
WORD = (3, 8)
"""Least letters of a line, and one more than the most"""


def recall(runs: TerminalRuns, letters: int, count: int = COUNT, idle: int = IDLE, seed: int = 0) -> dict[str, float]:
    """Share of screens after Up that are right, `letters` letters after `clear`, under six conditions.

    recalled               as it is
    true frame             the screen before Up is the true one
    window emptied         nothing of before is left but that screen
    emptied, true frame    cannot succeed: 0
    another's frame        the screen before Up is that of another session; counted is the line of its own
    another's window       the window is that of another session; counted is the line of that one
    """
    session = probes(letters, count, idle, seed, *_shape(runs))
    before, up, truth = session.cells[:, -2], session.keys[:, -1:], session.cells[:, -1]
    state, _ = runs.run(runs.boot(session.cells[:, 0]), session.keys[:, 1:-1], seed)
    frozen = runs.params.frozen.codec
    latents = runs.computer.codec.encode(frozen, jnp.asarray(drawing.draw(before)[:, None] / 127.5 - 1))
    seen, emptied = state._replace(latents=latents), without_window(state)

    def share(state: State, wanted: UInt8[np.ndarray, "n r c"]) -> float:
        shown = read(runs.run(state, up, seed)[1])[:, 0]
        return float((shown == wanted).all((1, 2)).mean())

    return {
        "recalled": share(state, truth),
        "true frame": share(seen, truth),
        "window emptied": share(emptied, truth),
        "emptied, true frame": share(without_window(seen), truth),
        "another's frame": share(state._replace(latents=jnp.roll(state.latents, 1, axis=0)), truth),
        "another's window": share(rolled(state), np.roll(truth, 1, axis=0)),
    }


def probes(letters: int, count: int, idle: int, seed: int, rows: int, cols: int) -> Session:
    """Sessions of one length: a line of letters is entered, cleared away, some letters are typed, and Up is pressed.

    The last frame shows what Up brings. Different lines; `idle` frames before every key after `clear`.
    """
    rng = np.random.default_rng((seed, letters))
    words = [list(rng.choice(list(LETTERS), rng.integers(*WORD))) for _ in range(count)]
    sessions = []
    for word in words:
        keys = [""] * (WORD[1] - len(word)) + [*word, "Return", *"clear", "Return"]
        for key in (*rng.choice(list(LETTERS), letters), "Up"):
            keys += [""] * idle + [key]
        sessions.append(play(map(str, keys), rows, cols))
    assert KEY_IDS["Up"] == sessions[0].keys[-1]
    return Session(*map(np.stack, zip(*sessions, strict=True)))


def without_window(state: State) -> State:
    """The state with nothing in its window."""
    assert state.cache is not None
    return state._replace(cache=state.cache._replace(written=jnp.zeros_like(state.cache.written)))


def rolled(state: State) -> State:
    """The state with every row's window that of the row before it."""
    assert state.cache is not None
    ring: Any = jax.tree.map(lambda x: jnp.roll(x, 1, axis=2), state.cache.ring)
    return state._replace(cache=Cache(ring, jnp.roll(state.cache.written, 1)))


def _shape(runs: TerminalRuns) -> tuple[int, int]:
    """(rows, columns) of the terminal."""
    (height, width), (tall, wide) = runs.computer.size, drawing.CELL
    return height // tall, width // wide
