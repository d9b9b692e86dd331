"""Aimless use, planned as a whole: path length and number of actions are budgets, met by construction.

A rate that drives a random walk misses them; so the plan is drawn first, its path scaled to the budget, and a plan in
which two actions would run into one (two clicks on one place) is drawn again.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from neural_computer.actions.schema import frames as schema
from neural_computer.actions.schema.log import read
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
GAP = 2
"""Frames between two actions, at least."""
TRIES = 1000


class Style(NamedTuple):
    """How a split behaves: shares of KINDS, how long a drag and a word may be, how often a frame's move is a jump."""

    shares: tuple[float, ...]
    drag: tuple[int, int]
    word: int
    jump: float


STYLES = {
    "random_slow": Style((0.33, 0.1, 0.08, 0.07, 0.12, 0.15, 0.15), (6, 16), 8, 0.0),
    "random_fast": Style((0.36, 0.1, 0.08, 0.05, 0.15, 0.08, 0.18), (2, 4), 3, 0.62),
}


class Span(NamedTuple):
    """An action and the frames, from `start` on, that it takes."""

    kind: str
    start: int
    frames: int
    what: str = ""


def plan(
    split: str, seed: int, frames: int, size: tuple[int, int], pointer: tuple[float, float], fps: float = 15.0
) -> list[list[Event]]:
    """What to inject before each of the frames 1 to `frames` - 1; the same for the same arguments.

    Raises ValueError for a split that is not random, or frames too few for an action.
    """
    if split not in STYLES:
        raise ValueError(f"split={split!r}: must be one of {', '.join(STYLES)}")
    if frames < 30:
        raise ValueError(f"frames={frames}: a plan needs 30 frames or more to keep its budgets")
    for attempt in range(TRIES):
        rng = np.random.default_rng((seed, attempt))
        made = drawn(rng, STYLES[split], BUDGETS[split], frames, size, pointer, fps)
        if made is not None:
            return made
    raise ValueError(
        f"{split}, seed={seed}, frames={frames}: no plan keeps its budgets in {TRIES} tries; give more frames"
    )


def drawn(
    rng: np.random.Generator,
    style: Style,
    budget: Budget,
    frames: int,
    size: tuple[int, int],
    pointer: tuple[float, float],
    fps: float,
) -> list[list[Event]] | None:
    """One try; None if it does not keep its budgets."""
    count = int(budget.rate * frames / fps + rng.uniform())
    spans = placed(rng, style, count, frames)
    if spans is None:
        return None
    scale = np.asarray([SCREEN[0] / size[0], SCREEN[1] / size[1]])
    path = walked(rng, style, spans, frames, np.asarray(pointer) * scale)
    length = np.linalg.norm(np.diff(path, axis=0), axis=1).sum()
    wanted = budget.speed * frames
    if not wanted <= length:
        return None
    # Towards where it begins: so it stays on the screen.
    path = (path[0] + (path - path[0]) * wanted / length) / scale
    out = injected(spans, path)
    timed = [
        e._replace(time=(t + (n + 1) / (len(now) + 1)) / fps) for t, now in enumerate(out) for n, e in enumerate(now)
    ]
    found = read(timed, size).actions
    drags = sum(action.drag for action in found)
    return out if (len(found), drags) == (count, sum(span.kind == "drag" for span in spans)) else None


def placed(rng: np.random.Generator, style: Style, count: int, frames: int) -> list[Span] | None:
    """Actions one after another, pauses and bursts between them; None if they do not fit."""
    spans, texts = [], False
    for _ in range(count):
        kind = str(rng.choice(KINDS, p=style.shares))
        kind = "click" if texts and kind == "text" else kind  # Two texts in a row would be one.
        texts = kind == "text"
        spans.append(lasting(rng, style, kind))
    free = frames - 1 - sum(span.frames + GAP - 1 for span in spans)
    if free < 0:
        return None
    gaps = rng.multinomial(free, rng.dirichlet(np.full(count + 1, 0.7)))
    at = 1
    for number, span in enumerate(spans):
        at += int(gaps[number])
        spans[number] = span._replace(start=at)
        at += span.frames + GAP - 1
    return spans


def lasting(rng: np.random.Generator, style: Style, kind: str) -> Span:
    """An action, not placed yet."""
    if kind == "drag":
        return Span(kind, 0, int(rng.integers(*style.drag, endpoint=True)))
    if kind == "text":
        word = str(rng.choice(WORDS))[: style.word]
        return Span(kind, 0, len(word), word)
    if kind == "scroll":
        return Span(kind, 0, int(rng.integers(1, 3)), str(rng.choice(["up", "down"])))
    if kind == "shortcut":
        return Span(kind, 0, 1, str(rng.choice(SHORTCUTS)))
    return Span(kind, 0, int(rng.integers(1, 3)) if style.jump == 0 else 1)


def walked(rng: np.random.Generator, style: Style, spans: list[Span], frames: int, begin: np.ndarray) -> np.ndarray:
    """(frames, 2): the pointer; still while a button is down for a click, on its way in a drag, free else."""
    held, dragged = np.zeros(frames, bool), np.zeros(frames, bool)
    for span in spans:
        last = span.start + span.frames
        if span.kind == "drag":
            dragged[span.start + 1 : last] = True
            held[span.start] = style.jump == 0
        elif span.kind in ("click", "double", "right"):
            held[span.start + (style.jump > 0) : last] = True
    path = np.repeat(begin[None], frames, axis=0)
    t = 1
    while t < frames:
        if held[t]:
            path[t], t = path[t - 1], t + 1
            continue
        end = t + 1
        while end < frames and not held[end] and dragged[end] == dragged[t]:
            end += 1
        if style.jump:
            path[t:end] = jumping(rng, style.jump, path[t - 1], end - t, bool(dragged[t]))
        else:
            path[t:end] = gliding(rng, path[t - 1], end - t, bool(dragged[t]))
        t = end
    return path


def jumping(rng: np.random.Generator, share: float, begin: np.ndarray, count: int, always: bool) -> np.ndarray:
    """Jumps anywhere and small steps, mixed."""
    out, here = np.empty((count, 2)), begin
    for t in range(count):
        jump = always or rng.uniform() < share
        here = anywhere(rng) if jump else inside(here + rng.normal(0, 3.6, 2))
        out[t] = here
    return out


def gliding(rng: np.random.Generator, begin: np.ndarray, count: int, always: bool) -> np.ndarray:
    """One smooth way and then rest, or rest alone."""
    out = np.repeat(begin[None], count, axis=0)
    if always or (count >= 5 and rng.uniform() < 0.6):
        angle, far = rng.uniform(0, 2 * np.pi), rng.lognormal(4.8, 0.6)
        end = inside(begin + far * np.asarray([np.cos(angle), np.sin(angle)]))
        moves = count if always else min(count, int(rng.integers(5, 26)))
        out[:moves] = glide(begin, end, moves)
        out[moves:] = end
    return out


def glide(begin: np.ndarray, end: np.ndarray, count: int) -> np.ndarray:
    """(count, 2): places on a straight way of minimum jerk: 10 s^3 - 15 s^4 + 6 s^5 of it at time s."""
    s = np.arange(1, count + 1)[:, None] / count
    return begin + (end - begin) * s**3 * (10 - 15 * s + 6 * s**2)


def anywhere(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0, 1, 2) * (np.asarray(SCREEN) - 10)


def inside(place: np.ndarray) -> np.ndarray:
    """The place, reflected at the screen's borders."""
    most = np.asarray(SCREEN) - 10.0
    return most - abs(most - abs(place) % (2 * most))


def injected(spans: list[Span], path: np.ndarray) -> list[list[Event]]:
    """Frame by frame: first the pointer, then what is pressed and released."""
    moved = (path[1:] != path[:-1]).any(axis=1)
    out = [
        [Event(0.0, "move", x=float(x), y=float(y))] if move else []
        for (x, y), move in zip(path[1:], moved, strict=True)
    ]
    for span in spans:
        for offset, events in enumerate(done(span)):
            if span.start + offset <= len(out):
                out[span.start + offset - 1] += events
    return out


def done(span: Span) -> Iterator[list[Event]]:
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
