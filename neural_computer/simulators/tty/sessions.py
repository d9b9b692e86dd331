"""What is typed into a terminal as arrays and as an episode: frame 0 is the fresh terminal, frame f the screen after key f."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from neural_computer.data.kinds import labels
from neural_computer.simulators.tty import drawing, kinds
from neural_computer.simulators.tty.machine import KEY_IDS, KEYS, press, screen, start
from neural_computer.simulators.tty.typists import Seed, Typist, keys
from neural_computer.types import Episode, Event

FPS = 15.0
CAPTIONS: Mapping[str, str] = {"plain": "a terminal"}
LICENCE = "CC0-1.0"


class Session(NamedTuple):
    """A session, or several of one length, frame by frame."""

    keys: UInt8[np.ndarray, "*n t"]
    """Index into KEYS of the key whose effect the frame is the first to show; 0 for none, as in frame 0"""
    kinds: UInt8[np.ndarray, "*n t"]
    """Index into KINDS"""
    cells: UInt8[np.ndarray, "*n t r c"]
    """As `drawing` has them"""


def play(keys: Iterable[str], rows: int = 3, cols: int = 16) -> Session:
    """The session of keys that are pressed in frame 1, 2, ..., "" for none. Raises ValueError for keys that are not in KEYS."""
    tty = start(rows, cols)
    now = screen(tty)
    numbers, labels, screens = [0], [kinds.IDLE], [now]
    for key in keys:
        if key not in KEY_IDS:
            raise ValueError(
                f"key={key!r}: is not in simulators.tty.machine.KEYS; leave it out, or give its name there"
            )
        numbers.append(KEY_IDS[key])
        labels.append(kinds.of(tty, key))
        if key:
            tty = press(tty, key)
            now = screen(tty)
        screens.append(now)
    return Session(np.asarray(numbers, np.uint8), np.asarray(labels, np.uint8), drawing.of_screens(screens, rows, cols))


def session(typist: Typist, seed: Seed, frames: int, rows: int = 3, cols: int = 16) -> Session:
    """A typist's session of so many frames; a function of its arguments. Raises ValueError for less than one frame."""
    if frames < 1:
        raise ValueError(f"frames={frames}: must be at least 1")
    return play(islice(keys(typist, seed, rows, cols), frames - 1), rows, cols)


def events(keys: UInt8[np.ndarray, " t"]) -> tuple[Event, ...]:
    """The presses of a session, or of a part of one, on its own clock.

    A key is pressed half a frame before the frame that first shows its effect, so `actions.schema` has it in that frame. The
    key of frame 0 is pressed before the clock starts, and left out.
    """
    return tuple(
        Event((frame - 0.5) / FPS, "press", key=KEYS[key]) for frame, key in enumerate(keys.tolist()) if frame and key
    )


def episode(session: Session, id: str, meta: Mapping[str, Any]) -> Episode:
    """A session as an episode; `meta` is what is known of it beside its kinds (see `data.kinds`) and licence."""
    return Episode(
        id=id,
        frames=drawing.draw(session.cells),
        fps=FPS,
        captions=CAPTIONS,
        cells=drawing.texts(session.cells),
        events=events(session.keys),
        meta={**meta, **labels(session.kinds, kinds.KINDS), "licence": LICENCE},
    )


def simulated(typist: Typist, seed: Seed, id: str, frames: int, rows: int = 3, cols: int = 16) -> Episode:
    """A typist's session as an episode; its meta has all that it takes to make it again."""
    source = {"source": "simulated terminal", "seed": seed, "typist": asdict(typist)}
    return episode(session(typist, seed, frames, rows, cols), id, source)
