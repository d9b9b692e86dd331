"""Does a streaming desktop stay right? Runs and single steps against the true desk (`evals.runs`), and what its clicks do.

A block of 8x8 pixels is right if its mean colour is, within TOLERANCE, and a screen if all its blocks are: that is what stands
where, and not how sharp. A click is right if the screen that it leads to is nearer to the true one than to the one without the
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
from neural_computer.evals.cursor_metrics import click_state
from neural_computer.evals.runs import BRIGHTEST, Runs
from neural_computer.media import mosaic
from neural_computer.simulators.minidesk import kinds
from neural_computer.simulators.minidesk.drawing import render
from neural_computer.simulators.minidesk.sessions import CAPTIONS, FPS, Session
from neural_computer.types import Actions

HORIZONS = (30, 100, 300, 1000)
BLOCK, TOLERANCE = 8, 24.0
"""Side in pixels of the blocks of a screen, and the difference of a block's mean colour, of 255, from which it is wrong"""
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
    blocks: Float[np.ndarray, "n t"]
    """Share of a screen's blocks that are right"""
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
        blocks, psnr = [np.ones((len(now), 1))], [np.full((len(now), 1), BRIGHTEST, np.float32)]
        for part in runs.segments(length):
            truth = np.stack([session.draw(range(part.start - 1, part.stop)) for session in sessions])
            seen = np.moveaxis(truth[:, :-1], 0, 1) if closed else None
            cut = jax.tree.map(lambda x, part=part: x[part.start - 1 : part.stop - 1], u)
            state, frames = self.follow(state, cut, seed, seen)
            blocks.append(same(frames, truth[:, 1:]).mean((2, 3)))
            psnr.append(runs.decibels(frames, truth[:, 1:]))
            for number, click in enumerate(wanted):
                if part.start <= click.frame < part.stop:
                    done[number] = click_state(frames[click.session, click.frame - part.start], click.effect)
            kept += [frames[0, place - part.start] for place in places(length) if part.start <= place < part.stop]
        share = np.concatenate(blocks, axis=1)
        return Played(share == 1, share, np.concatenate(psnr, axis=1), done, np.stack(kept))

    def exactness(self, sessions: Sequence[Session], most: int = 128, seed: int = 0) -> dict[str, float]:
        """Share of single steps from the true screen that are right, by kind; of `most` of a kind, drawn."""
        labels = np.stack([session.kinds for session in sessions])

        def right(numbers: np.ndarray, frames: np.ndarray) -> np.ndarray:
            steps = list(zip(numbers.tolist(), frames.tolist(), strict=True))
            pairs = np.stack([sessions[number].draw([frame - 1, frame]) for number, frame in steps])
            u = _stacked([_stacked([one_frame(self, sessions[number], frame) for number, frame in steps])])
            _, shown = self.follow(self.start(pairs[:, 0], CAPTIONS["plain"]), u, seed)
            return np.asarray(same(shown, pairs[:, 1:]).all((2, 3)))[:, 0]

        return runs.exactness(labels, kinds.KINDS, right, most, seed)


def same(shown: UInt8[np.ndarray, "n t h w 3"], truth: UInt8[np.ndarray, "n t h w 3"]) -> Bool[np.ndarray, "n t i j"]:
    """Whether the mean colour of a block is right, of every whole block of all frames."""
    colours = (
        np.stack([np.stack([mosaic(frame, BLOCK) for frame in video]) for video in each]) for each in (shown, truth)
    )
    return abs(next(colours) - next(colours)).max(-1) < TOLERANCE


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
        shares = {"clicks": _share(played.clicks[near]), "of": int(near.sum())}
        counted["horizons"][str(horizon)] |= {"blocks": float(played.blocks[:, span].mean()), **shares}
    return {
        **{"screens": counted.pop("screens"), "blocks": float(played.blocks[:, 1:].mean())},
        **{"clicks": _share(played.clicks), "of": len(when), "psnr": float(played.psnr[:, 1:].mean()), **counted},
    }


def of_codec(desktop: DesktopRuns, sessions: Sequence[Session]) -> dict[str, Any]:
    """The report of a machine whose only error is the codec's: no run of it can be nearer to the truth."""
    truth = np.stack([session.draw() for session in sessions])
    shown = np.stack([_coded(desktop.computer.codec, desktop.params.frozen.codec, each) for each in truth])
    blocks = same(shown, truth).mean((2, 3))
    done = [click_state(shown[click.session, click.frame], click.effect) for click in clicks(sessions)]
    first = shown[0, places(truth.shape[1])]
    return report(Played(blocks == 1, blocks, runs.decibels(shown, truth), np.asarray(done, bool), first), sessions)


@functools.partial(jax.jit, static_argnums=0)
def _stills(codec: Any, params: Any, frames: Any) -> Any:
    """uint8 frames (t, h, w, 3), each a still of its own, after the codec."""
    return to_uint8(codec.decode(params, codec.encode(params, normalize_pixels(frames)[:, None])))[:, 0]


def _coded(codec: Any, params: Any, frames: UInt8[np.ndarray, "t h w 3"]) -> UInt8[np.ndarray, "t h w 3"]:
    return np.asarray(_stills(codec, params, frames))


def _share(right: Bool[np.ndarray, " n"]) -> float | None:
    return float(right.mean()) if len(right) else None
