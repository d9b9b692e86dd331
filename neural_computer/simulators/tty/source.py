"""Clips of typed sessions for training, drawn by what their last frame shows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from neural_computer.errors import one_of
from neural_computer.simulators.tty import drawing
from neural_computer.simulators.tty.kinds import KINDS, SHARES
from neural_computer.simulators.tty.sessions import CAPTIONS, FPS, Session, events, session
from neural_computer.simulators.tty.typists import Typist
from neural_computer.types import Clip


class TtySource(Sequence[Clip]):
    """Clips of `window` frames of a typist's sessions: `len()` and `[i]`, as Grain reads.

    The kind of a clip's last frame is drawn by `shares`, then the clip among all that end with such a frame. Item i is a
    function of the arguments. There are as many items as the sessions have windows; memory holds the cells, one byte each.
    """

    def __init__(
        self,
        sessions: int,
        frames: int,
        seed: int,
        typist: Typist,
        shares: Mapping[str, float] = SHARES,
        window: int = 2,
        *,
        rows: int = 3,
        cols: int = 16,
    ):
        """Simulates `sessions` sessions of `frames` frames each, of `rows` x `cols` character cells.

        Raises ValueError for sizes that do not fit together, and for a share of a kind that no window ends with.
        """
        if sessions < 1:
            raise ValueError(f"sessions={sessions}: must be at least 1")
        if seed < 0:
            raise ValueError(f"seed={seed}: must not be negative")
        if not 2 <= window <= frames:
            raise ValueError(f"window={window}: must be from 2, a frame and the next, to frames={frames}")
        self.arguments = (sessions, frames, seed, typist, dict(shares), window, rows, cols)
        self.seed, self.window = seed, window
        played = [session(typist, (seed, number), frames, rows, cols) for number in range(sessions)]
        self.sessions = Session(*map(np.stack, zip(*played, strict=True)))
        self._session, self._last = self._drawn(shares, sessions * (frames - window + 1))

    def __len__(self) -> int:
        return len(self._last)

    def __getitem__(self, index: Any) -> Any:
        """Clip `index`; of a slice, a list of clips."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        number, last = int(self._session[index]), int(self._last[index])
        span = slice(last - self.window + 1, last + 1)
        cells = self.sessions.cells[number, span]
        return Clip(
            id=f"tty/{self.seed}/{number}",
            frames=drawing.draw(cells),
            fps=FPS,
            captions=CAPTIONS,
            cells=drawing.texts(cells),
            events=events(self.sessions.keys[number, span]),
            meta={"kind": KINDS[self.sessions.kinds[number, last]]},
            start=span.start,
            logged=True,
        )

    def __repr__(self) -> str:
        # Grain compares sources by their repr when it restores an iterator.
        return f"TtySource{self.arguments!r}"

    def _drawn(self, shares: Mapping[str, float], count: int) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
        """(session, last frame) of every item. Raises ValueError for shares that cannot be kept."""
        for name in shares:
            one_of("shares", name, KINDS)
        if not shares or min(shares.values()) < 0 or not sum(shares.values()) > 0:
            raise ValueError(f"shares={dict(shares)}: give kinds with shares that are not negative")
        wanted = [KINDS.index(name) for name, share in shares.items() if share]
        chances = np.asarray([share for share in shares.values() if share], np.float64)
        rng = np.random.default_rng((self.seed, len(self.sessions.keys), self.window))
        drawn, place = rng.choice(wanted, count, p=chances / chances.sum()), rng.random(count)
        out = np.empty((2, count), np.int64)
        for kind in wanted:
            # The first frames of a session end no window.
            numbers, frames = np.nonzero(self.sessions.kinds[:, self.window - 1 :] == kind)
            if not len(numbers):
                raise ValueError(
                    f"shares[{KINDS[kind]!r}]={shares[KINDS[kind]]}: no window ends with such a frame; give more sessions, a "
                    "typist who does it, or no share"
                )
            items = drawn == kind
            choice = (place[items] * len(numbers)).astype(np.int64)
            out[:, items] = numbers[choice], frames[choice] + self.window - 1
        return out[0], out[1]
