"""From input events as they come to the actions of the next frames: what a network is conditioned on while it runs.

Training reads a whole clip's log. Here only the past is there: a double click is one from its second press on, and what began
before (a button or a modifier that is down, the mouse's place) is remembered for as long as it matters.
"""

from collections import deque
from collections.abc import Iterable

import jax
import numpy as np

from neural_computer.actions.schema import BUTTONS, MODIFIERS
from neural_computer.data.inputs import ActionFeaturizer
from neural_computer.machine.worlds import World, takes_all
from neural_computer.types import Actions, Event

CONTEXT = 16
"""Frames for which an event of the mouse may change what a later one is: a double click, a drag, one scroll"""

Recent = tuple[tuple[int, Event], ...]
"""(frame, event) of what may change the meaning of later events"""
Frames = tuple[tuple[Event, ...], ...]
"""The events of some frames, one after another"""
Numbered = tuple[int, Event]
"""An event with the number that its sender gave it"""


def take(queue: Iterable[Numbered], world: World, frames: int) -> tuple[Frames, tuple[tuple[int, ...], ...]]:
    """(events, their numbers) of the next frames, from the head of the queue, which is left as it is.

    A frame has any number of moves, of which the last counts, and then one other event; what is left waits for the next.
    """
    rest, events, numbers = iter(queue), [], []
    for _ in range(frames):
        now: list[Event] = []
        ids: list[int] = []
        for number, event in rest:
            if event.kind == "move" and now and now[-1].kind == "move":
                now.pop()
            now.append(event)
            ids.append(number)
            if takes_all(world, event):
                break
        events.append(tuple(now))
        numbers.append(tuple(ids))
    return tuple(events), tuple(numbers)


def remember(recent: Recent, frame: int, events: Iterable[Event]) -> Recent:
    """What is still of interest after frame `frame` with these events."""
    both = (*recent, *((frame, event) for event in events))
    down: dict[str, int] = {}
    place = -1
    for number, (_, event) in enumerate(both):
        if event.kind == "press" and event.key in (*BUTTONS, *MODIFIERS):
            down.setdefault(event.key, number)
        elif event.kind == "release":
            down.pop(event.key, None)
        elif event.kind == "move":
            place = number
    kept = {place, *down.values()}
    return tuple(
        item
        for number, item in enumerate(both)
        if number in kept or (item[0] > frame - CONTEXT and _of_the_mouse(item[1]))
    )


def _of_the_mouse(event: Event) -> bool:
    return event.kind in ("move", "scroll") or event.key in BUTTONS


def actions(
    inputs: ActionFeaturizer, recent: Recent, frames: Frames, first: int, fps: float, size: tuple[int, int]
) -> Actions:
    """Actions (1, t, ...) of frames `first`, `first` + 1, ... with these events, after the recent ones; size (height, width)."""
    begin = first - CONTEXT
    log: deque[Event] = deque(event._replace(time=max(0.0, frame - begin - 0.5) / fps) for frame, event in recent)
    for number, now in enumerate(frames):
        gap = 1 / (len(now) + 1)
        log.extend(event._replace(time=(CONTEXT + number - 1 + gap * (n + 1)) / fps) for n, event in enumerate(now))
    whole = inputs.of("session", log, None, CONTEXT + len(frames), fps, size)
    return whole._replace(
        raw=whole.raw[None, CONTEXT:],
        meta=jax.tree.map(lambda x: x[None, CONTEXT:], whole.meta),
        mouse=whole.mouse[None, CONTEXT:],
        texts=jax.tree.map(lambda x: np.asarray(x)[None], whole.texts),
        valid=whole.valid[None],
    )
