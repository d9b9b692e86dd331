"""Does a streaming desktop stay right? Runs and single steps against the true desk (`evals.runs`), and what its clicks do.

A screen is right if no block of it differs from what the codec makes of the true one by as much as counts as a change
(`cursor_metrics`). A click is right if the screen that it leads to is nearer to the true one than to the one without the
click, where the two differ: an old screen, kept for ever, fails every click.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, UInt8

from neural_computer.actions.schema import BUTTONS
from neural_computer.conditioning import normalize_pixels, to_uint8
from neural_computer.evals import runs
from neural_computer.evals.cursor_metrics import BLOCK, MIN_CHANGE, click_state
from neural_computer.evals.runs import BRIGHTEST, Runs
from neural_computer.media import mosaic
from neural_computer.simulators.minidesk import kinds
from neural_computer.simulators.minidesk.drawing import render
from neural_computer.simulators.minidesk.sessions import CAPTIONS, FPS, Session
from neural_computer.types import Actions

HORIZONS = (30, 100, 300, 1000)
CLICK_BLOCK = 4
"""Side in pixels of the blocks in which a click's effect is looked for"""
PLACES = 12
"""Frames of a run that are kept as pictures"""


class Click(NamedTuple):
    """What a click changes on the true screen, as `cursor_metrics.click_state` has it; `frame` is the first that shows it."""

    session: int
    frame: int
    effect: dict[str, Any]


class Played(NamedTuple):
    """A run beside its sessions, the first frame included; the clicks in the order of `clicks`."""

    right: Bool[np.ndarray, "n t"]
    psnr: Float[np.ndarray, "n t"]
    clicks: Bool[np.ndarray, " c"]
    pictures: UInt8[np.ndarray, "k h w 3"]
    """Some frames of the first session, as `places` has them"""


def places(frames: int) -> list[int]:
    """Numbers of the frames that are kept as pictures."""
    return np.linspace(0, frames - 1, min(frames, PLACES)).astype(int).tolist()


class DesktopRuns(Runs):
    """Runs of a computer that was trained on the synthetic desktop. All sessions are of one length."""

    def play(self, sessions: Sequence[Session], seed: int = 0, closed: bool = False, still: bool = False) -> Played:
        """What the computer shows for sessions from their first frames and events; in a `closed` loop, from all frames.

        A control that cannot succeed: `still`, a run in which nothing is done.
        """
        length, wanted = len(sessions[0].kinds), clicks(sessions)
        u = actions(self, [session._replace(events=((),) * length) for session in sessions] if still else sessions)
        now = np.stack([session.draw([0])[0] for session in sessions])
        state, done, kept = self.start(now, CAPTIONS["plain"]), np.zeros(len(wanted), bool), [now[0]]
        right, psnr = [np.ones((len(now), 1), bool)], [np.full((len(now), 1), BRIGHTEST, np.float32)]
        for part in runs.segments(length):
            truth = np.stack([session.draw(range(part.start - 1, part.stop)) for session in sessions])
            seen = np.moveaxis(truth[:, :-1], 0, 1) if closed else None
            cut = jax.tree.map(lambda x, part=part: x[part.start - 1 : part.stop - 1], u)
            state, frames = self.follow(state, cut, seed, seen)
            right.append(same(frames, self.coded(truth[:, 1:])))
            psnr.append(runs.decibels(frames, truth[:, 1:]))
            for number, click in enumerate(wanted):
                if part.start <= click.frame < part.stop:
                    done[number] = click_state(frames[click.session, click.frame - part.start], click.effect)
            kept += [frames[0, place - part.start] for place in places(length) if part.start <= place < part.stop]
        return Played(np.concatenate(right, axis=1), np.concatenate(psnr, axis=1), done, np.stack(kept))

    def exactness(self, sessions: Sequence[Session], most: int = 128, seed: int = 0) -> dict[str, float]:
        """Share of single steps from the true screen that are right, by kind; of `most` of a kind, drawn."""
        labels = np.stack([session.kinds for session in sessions])

        def right(numbers: np.ndarray, frames: np.ndarray) -> np.ndarray:
            steps = list(zip(numbers.tolist(), frames.tolist(), strict=True))
            pairs = np.stack([sessions[number].draw([frame - 1, frame]) for number, frame in steps])
            u = _stacked([_stacked([one_frame(self, sessions[number], frame) for number, frame in steps])])
            _, shown = self.follow(self.start(pairs[:, 0], CAPTIONS["plain"]), u, seed)
            return same(shown, self.coded(pairs[:, 1:]))[:, 0]

        return runs.exactness(labels, kinds.KINDS, right, most, seed)

    def coded(self, frames: UInt8[np.ndarray, "n t h w 3"]) -> UInt8[np.ndarray, "n t h w 3"]:
        """Frames as the codec shows them: no run of the computer can be nearer to the truth."""
        return np.asarray(_coded(self.computer.codec, self.params.frozen.codec, frames))


@functools.partial(jax.jit, static_argnums=0)
def _coded(codec: Any, params: Any, frames: Any) -> Any:
    """uint8 frames (n, t, h, w, 3), each a still of its own, after the codec."""
    stills = normalize_pixels(frames).reshape(-1, 1, *frames.shape[2:])
    return to_uint8(codec.decode(params, codec.encode(params, stills))).reshape(frames.shape)


def same(shown: UInt8[np.ndarray, "n t h w 3"], truth: UInt8[np.ndarray, "n t h w 3"]) -> Bool[np.ndarray, "n t"]:
    """Whether no block of a frame differs by MIN_CHANGE, in the mean over its pixels."""
    n, t, height, width, _ = shown.shape
    rows, columns = height // BLOCK, width // BLOCK
    worst = []
    for a, b in zip(shown, truth, strict=True):
        error = abs(a.astype(np.float32) - b)[:, : rows * BLOCK, : columns * BLOCK]
        worst.append(error.reshape(t, rows, BLOCK, columns, BLOCK * 3).mean((2, 4)).max((1, 2)))
    return np.stack(worst) < MIN_CHANGE


def actions(desktop: Runs, sessions: Sequence[Session]) -> Actions:
    """Actions (t - 1, n, 1, ...) of the frames of some sessions after the first, each of its own events alone, as they come."""
    length = len(sessions[0].kinds)
    return _stacked(
        [_stacked([one_frame(desktop, session, frame) for session in sessions]) for frame in range(1, length)]
    )


def _stacked(rows: Sequence[Actions]) -> Actions:
    return jax.tree.map(lambda *x: np.stack(x), *rows)


def one_frame(desktop: Runs, session: Session, frame: int) -> Actions:
    """Actions (1, ...) of one frame of a session."""
    now = [event._replace(time=event.time - (frame - 1) / FPS) for event in session.events[frame]]
    places = np.asarray([(desk.x, desk.y) for desk in session.desks[frame - 1 : frame + 1]], np.float32)
    both = desktop.inputs.of(f"frame {frame}", now, places, 2, FPS, desktop.computer.size)
    return both._replace(raw=both.raw[1:], meta=jax.tree.map(lambda x: x[1:], both.meta), mouse=both.mouse[1:])


def clicks(sessions: Sequence[Session]) -> list[Click]:
    """What the clicks of some sessions do, where it shows."""
    return [
        Click(number, frame, effect)
        for number, session in enumerate(sessions)
        for frame in np.flatnonzero(np.isin(session.kinds, [kinds.IDS[name] for name in kinds.CLICKS])).tolist()
        for effect in effects(session, frame)
    ]


def effects(session: Session, frame: int) -> Iterator[dict[str, Any]]:
    """Yields the effect of the click whose effect a frame is the first to show; none where it cannot be seen, or is a key's.

    Without the click the screen would be that before the button was pressed, but for the pointer.
    """
    pressed = frame
    while pressed and not _uses(session, pressed, "press"):
        pressed -= 1
    if not (pressed and (pressed == frame or _uses(session, frame, "release"))):
        return
    after, before = session.desks[frame], session.desks[pressed - 1]
    pictures = render(after), render(before._replace(x=after.x, y=after.y))
    clicked, idle = (mosaic(picture, CLICK_BLOCK) for picture in pictures)
    differ = np.argwhere((clicked != idle).any(-1))
    if len(differ):
        colours = {name: each[tuple(differ.T)] for name, each in (("with", clicked), ("without", idle))}
        yield {"block": CLICK_BLOCK, "places": differ, "done": True, **colours}


def _uses(session: Session, frame: int, kind: str) -> bool:
    return any(event.kind == kind and event.key in BUTTONS for event in session.events[frame])


def report(played: Played, sessions: Sequence[Session]) -> dict[str, Any]:
    """What `runs.report` counts of screens, and the share of clicks that are right, in all and up to horizons."""
    labels, frames = np.stack([session.kinds for session in sessions]), played.right.shape[1]
    counted = runs.report(played.right, played.psnr, labels, kinds.KINDS, HORIZONS)
    when = np.asarray([click.frame for click in clicks(sessions)], int)
    for horizon, span in runs.spans(HORIZONS, frames):
        near = (when >= span.start) & (when < span.stop)
        counted["horizons"][str(horizon)] |= {"clicks": _share(played.clicks[near]), "of": int(near.sum())}
    return {
        **{"screens": counted.pop("screens"), "clicks": _share(played.clicks), "of": len(when)},
        **{"psnr": float(played.psnr[:, 1:].mean()), **counted},
    }


def of_codec(desktop: DesktopRuns, sessions: Sequence[Session]) -> dict[str, Any]:
    """The report of a machine whose only error is the codec's."""
    truth = [session.draw() for session in sessions]
    shown = [desktop.coded(each[None])[0] for each in truth]
    psnr = np.concatenate([runs.decibels(a[None], b[None]) for a, b in zip(shown, truth, strict=True)])
    done = [click_state(shown[click.session][click.frame], click.effect) for click in clicks(sessions)]
    first = np.stack([shown[0][place] for place in places(len(truth[0]))])
    return report(Played(np.ones(psnr.shape, bool), psnr, np.asarray(done, bool), first), sessions)


def _share(right: Bool[np.ndarray, " n"]) -> float | None:
    return float(right.mean()) if len(right) else None
