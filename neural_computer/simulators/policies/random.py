"""Aimless use, planned as a whole: path length and number of actions are budgets, met by construction.

A random walk with a rate misses them. So a plan is sampled first and its path scaled to the budget; a plan in which two actions
would be read as one (two clicks on one place) is rejected and sampled again.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from neural_computer.actions.schema import frames as schema
from neural_computer.actions.schema.log import read
from neural_computer.errors import one_of
from neural_computer.simulators.policies import BUDGETS, SCREEN, Budget
from neural_computer.types import Event

KINDS = ("click", "double", "right", "drag", "scroll", "text", "shortcut")
WORDS = ("ls", "cat", "hello", "neural", "pwd", "abc", "42", "7*6=", "echo hi", "note", "plan", "12+7=")
SHORTCUTS = (
    "Return",
    "BackSpace",
    "Escape",
    "Tab",
    "Up",
    "Down",
    "Left",
    "Right",
    "ctrl+s",
    "ctrl+l",
    "ctrl+c",
    "alt+Tab",
)
MIN_GAP = 2
"""Frames between two actions, at least."""
TRIES = 1000


class Behaviour(NamedTuple):
    """How a split's user behaves."""

    shares: tuple[float, ...]
    """probabilities of KINDS"""
    drag: tuple[int, int]
    """least and greatest number of frames of a drag"""
    word: int
    """characters of a word, at most"""
    jump: float
    """probability that a frame's move is a jump"""


BEHAVIOURS = {
    "random_slow": Behaviour((0.33, 0.1, 0.08, 0.07, 0.12, 0.15, 0.15), (6, 16), 8, 0.0),
    "random_fast": Behaviour((0.36, 0.1, 0.08, 0.05, 0.15, 0.08, 0.18), (2, 4), 3, 0.62),
}


class Span(NamedTuple):
    """An action of one of KINDS that takes `frames` frames from `start` on; `what` is its text, shortcut or direction."""

    kind: str
    start: int
    frames: int
    what: str = ""


def plan(
    split: str, seed: int, frames: int, size: tuple[int, int], pointer: tuple[float, float], fps: float = 15.0
) -> list[list[Event]]:
    """The events of frames 1 to `frames` - 1 on a screen of `size` (width, height); a function of its arguments.

    Raises ValueError for a split that is not random, and for too few frames.
    """
    one_of("split", split, BEHAVIOURS)
    if frames < 30:
        raise ValueError(f"frames={frames}: a plan needs 30 frames or more to keep its budgets")
    for attempt in range(TRIES):
        rng = np.random.default_rng((seed, attempt))
        events = sample_plan(rng, BEHAVIOURS[split], BUDGETS[split], frames, size, pointer, fps)
        if events is not None:
            return events
    raise ValueError(
        f"{split}, seed={seed}, frames={frames}: no plan keeps its budgets in {TRIES} tries; give more frames"
    )


def sample_plan(
    rng: np.random.Generator,
    behaviour: Behaviour,
    budget: Budget,
    frames: int,
    size: tuple[int, int],
    pointer: tuple[float, float],
    fps: float,
) -> list[list[Event]] | None:
    """A plan's events frame by frame; None if it does not keep its budgets."""
    count = int(budget.rate * frames / fps + rng.uniform())
    spans = sample_spans(rng, behaviour, count, frames)
    if spans is None:
        return None
    scale = np.asarray([SCREEN[0] / size[0], SCREEN[1] / size[1]])
    path = sample_path(rng, behaviour, spans, frames, np.asarray(pointer) * scale)
    length = np.linalg.norm(np.diff(path, axis=0), axis=1).sum()
    if not budget.speed * frames <= length:
        return None
    # Scaled towards its first place, a path stays on the screen.
    path = (path[0] + (path - path[0]) * budget.speed * frames / length) / scale
    events = to_events(spans, path)
    timed = [
        e._replace(time=(t + (n + 1) / (len(now) + 1)) / fps) for t, now in enumerate(events) for n, e in enumerate(now)
    ]
    actions = read(timed, size).actions
    drags = sum(action.drag for action in actions)
    return events if (len(actions), drags) == (count, sum(span.kind == "drag" for span in spans)) else None


def sample_spans(rng: np.random.Generator, behaviour: Behaviour, count: int, frames: int) -> list[Span] | None:
    """`count` actions one after another, with pauses and bursts between them; None if they do not fit in the frames."""
    spans: list[Span] = []
    for _ in range(count):
        kind = str(rng.choice(KINDS, p=behaviour.shares))
        if spans and spans[-1].kind == kind == "text":
            kind = "click"  # two texts in a row would be read as one
        spans.append(sample_action(rng, behaviour, kind))
    free = frames - 1 - sum(span.frames + MIN_GAP - 1 for span in spans)
    if free < 0:
        return None
    gaps = rng.multinomial(free, rng.dirichlet(np.full(count + 1, 0.7)))
    at = 1
    for number, span in enumerate(spans):
        at += int(gaps[number])
        spans[number] = span._replace(start=at)
        at += span.frames + MIN_GAP - 1
    return spans


def sample_action(rng: np.random.Generator, behaviour: Behaviour, kind: str) -> Span:
    """An action of a kind, with start 0."""
    if kind == "drag":
        return Span(kind, 0, int(rng.integers(*behaviour.drag, endpoint=True)))
    if kind == "text":
        word = str(rng.choice(WORDS))[: behaviour.word]
        return Span(kind, 0, len(word), word)
    if kind == "scroll":
        return Span(kind, 0, int(rng.integers(1, 3)), str(rng.choice(["up", "down"])))
    if kind == "shortcut":
        return Span(kind, 0, 1, str(rng.choice(SHORTCUTS)))
    return Span(kind, 0, int(rng.integers(1, 3)) if behaviour.jump == 0 else 1)


def sample_path(
    rng: np.random.Generator, behaviour: Behaviour, spans: list[Span], frames: int, begin: Float[np.ndarray, " 2"]
) -> Float[np.ndarray, "t 2"]:
    """The pointer in every frame: at rest while a button is down for a click, moving in a drag, else either."""
    resting, dragging = np.zeros(frames, bool), np.zeros(frames, bool)
    for span in spans:
        last = span.start + span.frames
        if span.kind == "drag":
            dragging[span.start + 1 : last] = True
            resting[span.start] = behaviour.jump == 0
        elif span.kind in ("click", "double", "right"):
            resting[span.start + (behaviour.jump > 0) : last] = True
    path = np.repeat(begin[None], frames, axis=0)
    t = 1
    while t < frames:
        if resting[t]:
            path[t], t = path[t - 1], t + 1
            continue
        end = t + 1
        while end < frames and not resting[end] and dragging[end] == dragging[t]:
            end += 1
        if behaviour.jump:
            path[t:end] = sample_jumps(rng, behaviour.jump, path[t - 1], end - t, bool(dragging[t]))
        else:
            path[t:end] = sample_glide(rng, path[t - 1], end - t, bool(dragging[t]))
        t = end
    return path


def sample_jumps(
    rng: np.random.Generator, share: float, begin: Float[np.ndarray, " 2"], count: int, always: bool
) -> Float[np.ndarray, "t 2"]:
    """Jumps to random places, with probability `share` or always, mixed with small steps."""
    path, here = np.empty((count, 2)), begin
    for t in range(count):
        jump = always or rng.uniform() < share
        here = random_place(rng) if jump else reflect(here + rng.normal(0, 3.6, 2))
        path[t] = here
    return path


def sample_glide(
    rng: np.random.Generator, begin: Float[np.ndarray, " 2"], count: int, always: bool
) -> Float[np.ndarray, "t 2"]:
    """A smooth move in a random direction and then rest; or, not `always`, rest alone."""
    path = np.repeat(begin[None], count, axis=0)
    if always or (count >= 5 and rng.uniform() < 0.6):
        angle, distance = rng.uniform(0, 2 * np.pi), rng.lognormal(4.8, 0.6)
        end = reflect(begin + distance * np.asarray([np.cos(angle), np.sin(angle)]))
        moves = count if always else min(count, int(rng.integers(5, 26)))
        path[:moves] = minimum_jerk(begin, end, moves)
        path[moves:] = end
    return path


def minimum_jerk(begin: Float[np.ndarray, " 2"], end: Float[np.ndarray, " 2"], count: int) -> Float[np.ndarray, "t 2"]:
    """`count` places on a straight way: the share 10 s^3 - 15 s^4 + 6 s^5 of it at time s (Flash and Hogan 1985)."""
    s = np.arange(1, count + 1)[:, None] / count
    return begin + (end - begin) * s**3 * (10 - 15 * s + 6 * s**2)


def random_place(rng: np.random.Generator) -> Float[np.ndarray, " 2"]:
    """A uniform place (x, y) on a screen of 1024x768, at least 10 pixels from its right and lower border."""
    return rng.uniform(0, 1, 2) * (np.asarray(SCREEN) - 10)


def reflect(place: Float[np.ndarray, " 2"]) -> Float[np.ndarray, " 2"]:
    """A place beyond the borders of `random_place`, reflected at them."""
    most = np.asarray(SCREEN) - 10.0
    return most - abs(most - abs(place) % (2 * most))


def to_events(spans: list[Span], path: Float[np.ndarray, "t 2"]) -> list[list[Event]]:
    """The events of frames 1 to t - 1: first the pointer's, then the actions'."""
    moved = (path[1:] != path[:-1]).any(axis=1)
    frames = [
        [Event(0.0, "move", x=float(x), y=float(y))] if move else []
        for (x, y), move in zip(path[1:], moved, strict=True)
    ]
    for span in spans:
        for offset, events in enumerate(action_events(span)):
            if span.start + offset <= len(frames):
                frames[span.start + offset - 1] += events
    return frames


def action_events(span: Span) -> Iterator[list[Event]]:
    """The events of an action, frame by frame."""
    button = "right" if span.kind == "right" else "left"
    press, release = Event(0.0, "press", key=button), Event(0.0, "release", key=button)
    if span.kind == "scroll":
        yield from [[Event(0.0, "scroll", dy=1.0 if span.what == "down" else -1.0)]] * span.frames
    elif span.kind == "text":
        yield from ([Event(0.0, kind, key=char) for kind in ("press", "release")] for char in span.what)
    elif span.kind == "shortcut":
        keys = schema.keysyms(span.what)
        yield [Event(0.0, "press", key=k) for k in keys] + [Event(0.0, "release", key=k) for k in reversed(keys)]
    else:
        clicks = [press, release, press] if span.kind == "double" else [press]
        yield clicks + ([release] if span.frames == 1 else [])
        yield from ([] for _ in range(span.frames - 2))
        if span.frames > 1:
            yield [release]
