"""A machine that several people use at once: its sessions, their clock, and what is kept of them on disk.

Methods named `in_...` run in the ticker's thread, in which all sessions are; the others may be called from any.
"""

import secrets
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from absl import logging

from neural_computer.errors import Error
from neural_computer.machine import protocol
from neural_computer.machine.host import Host
from neural_computer.machine.protocol import Message
from neural_computer.machine.recordings import Recording
from neural_computer.machine.session import Picture, Session
from neural_computer.machine.store import Store
from neural_computer.machine.ticker import Ticker

IDLE_SECONDS = 600.0
"""Without an event after which a session sleeps; the next event wakes it"""
OPEN_SECONDS = 7 * 86400.0
"""For which a session that nobody is connected to is kept"""
RECORDINGS = "recordings"
ANEW = ("reset", "back", "open")
"""Controls after which what was stored of a session no longer holds"""


@dataclass(eq=False)
class Outbox:
    """What waits for a client: every notice, and of the frames the newest. `wake` is called when something is put in."""

    wake: Callable[[], None]
    notices: deque[dict[str, Any]] = field(default_factory=deque)
    picture: Picture | None = None
    number: int = 0
    """Of the newest frame, counted from the first that was shown"""
    dropped: int = 0
    """Frames that newer ones overtook"""
    closed: str = ""
    """Why the client is to be closed"""

    def notice(self, **fields: Any) -> None:
        if len(self.notices) >= protocol.NOTICES:
            self.closed = "does not read what it is sent"
        else:
            self.notices.append(fields)
        self.wake()

    def show(self, picture: Picture) -> None:
        if picture.applied:
            self.notice(type="applied", frame=picture.frame, ids=list(picture.applied))
        self.dropped += self.picture is not None
        self.picture, self.number = picture, self.number + 1
        self.wake()

    def close(self, reason: str) -> None:
        self.closed = reason
        self.wake()


@dataclass(eq=False)
class Seat:
    """A session and the client that it is shown to."""

    session: Session
    outbox: Outbox
    keep: bool = True
    """Whether the session is kept when the client goes"""
    used: bool = False
    asleep: bool = False
    asked: int | None = None
    """Number of a control "step" that is not done yet"""
    recording: Recording | None = None
    recorded: int = 0
    stored: float = 0.0
    """When the last snapshot was made"""


@dataclass(eq=False)
class Live:
    """A machine at work; its sessions are kept in `folder`, with a snapshot every `every` seconds."""

    host: Host
    name: str
    version: str
    folder: Path
    every: float = 5.0
    fps: float = 0.0
    """Ticks a second, times a tick's frames; by default the machine's own rate"""

    def __post_init__(self) -> None:
        self.fps = self.fps or self.host.fps
        self.store = Store(self.folder, self.version, self.host.blank)
        self.seats: dict[str, Seat] = {}
        self.ticker = Ticker(self.host, self.fps, self.in_show, self.in_stop)
        self._writer = ThreadPoolExecutor(1, "store")
        self.applied = self.dropped = 0
        self._write(self.store.forget, OPEN_SECONDS)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the screen."""
        height, width = self.host.engine.size
        return width, height

    def start(self) -> None:
        self.ticker.start()

    def stop(self) -> None:
        """Stores every session, writes every recording and ends the clock."""

        def leave() -> None:
            for seat in list(self.seats.values()):
                self.in_leave(seat)

        self.ticker.call(leave).result()
        self.ticker.stop()
        self._writer.shutdown()
        self.store.close()

    def stored(self, id: str) -> "Future[Any]":
        """The running session of this id, as it was stored last; None if there is none."""
        return self._writer.submit(self.store.resume, id)

    def _write(self, do: Callable[..., Any], *arguments: Any) -> None:
        """Has something written, after all that is to be written before it; a failure is logged."""

        def guarded() -> None:
            try:
                do(*arguments)
            except Exception as error:
                logging.error("%s: cannot be written (%s)", self.folder, error)

        self._writer.submit(guarded)

    # Clients come and go

    def in_join(self, asked: str, stored: Any, outbox: Outbox, keep: bool, paused: bool = False) -> tuple[Seat, bool]:
        """(the seat of a client, whether its session was there before). Raises FullError.

        A session that is open elsewhere changes hands. One that is to be `paused` makes no frame before it is asked for one.
        """
        seat = self.seats.get(asked)
        if seat is not None:
            seat.outbox.close("opened elsewhere")
            seat.outbox, seat.keep = outbox, keep
        else:
            id = secrets.token_hex(8) if stored is None else asked

            def publish(picture: Picture) -> None:
                self.in_show(id, picture)

            where = () if stored is None else (stored.point, stored.log)
            session = self.host.join(id, None if stored is None else stored.seed, publish, *where)
            seat = self.seats[id] = Seat(session, outbox, keep, used=stored is not None, stored=time.monotonic())
        seat.session.paused |= paused
        picture = seat.session.picture
        if picture is not None:
            outbox.show(picture._replace(applied=()))
        return seat, stored is not None

    def in_leave(self, seat: Seat, outbox: Outbox | None = None) -> None:
        """The client is gone, if it is still this one: the session is stored and its place freed."""
        session = seat.session
        if (outbox is not None and seat.outbox is not outbox) or self.seats.get(session.id) is not seat:
            return
        self._finish(seat)
        if seat.keep and seat.used:
            self._snapshot(seat)
        else:
            self._write(self.store.end, session.id)
        self.host.leave(session)
        del self.seats[session.id]

    # What clients send

    def in_events(self, seat: Seat, message: Message) -> None:
        """Queues events, and says which ones."""
        events, world = message.fields["events"], self.host.world
        reasons = [world.ignored(event) for event in events]
        ignored = [{"id": message.id + n, "reason": why} for n, why in enumerate(reasons) if why]
        given = [(message.id + n, event) for n, event in enumerate(events) if not reasons[n]]
        if not seat.session.offer(given):
            waiting = len(seat.session.queue)
            seat.outbox.notice(
                type="rejected",
                id=message.id,
                count=len(events),
                error=f"{waiting} events wait already; send them again later",
            )
            return
        if given and not seat.used:
            seat.used = True
            self._snapshot(seat)
        seat.outbox.notice(
            type="queued", id=message.id, count=len(given), ignored=ignored, waiting=len(seat.session.queue)
        )
        if seat.asleep and given:
            seat.asleep = seat.session.paused = False
            seat.outbox.notice(type="awake")

    def in_control(self, seat: Seat, message: Message) -> None:
        """Does what a control asks for and says so; what cannot be done changes nothing."""
        try:
            done = getattr(self, f"_{message.fields['do']}")(seat, message)
        except (Error, ValueError, OSError) as error:
            seat.outbox.notice(type="error", id=message.id, error=str(error))
            return
        if done is not None:
            self._done(seat, message.id, do=message.fields["do"], **done)
        if message.fields["do"] in ANEW:
            seat.used = True
            self._snapshot(seat)

    def _snapshot(self, seat: Seat) -> None:
        """Has the session stored where it is."""
        if seat.keep:
            seat.stored = time.monotonic()
            self._write(self.store.snapshot, seat.session.id, seat.session.seed, self.host.point(seat.session))

    def _done(self, seat: Seat, id: int, **fields: Any) -> None:
        session = seat.session
        seat.outbox.notice(
            type="done", id=id, frame=session.moment.frame, number=seat.outbox.number, paused=session.paused, **fields
        )

    def _reset(self, seat: Seat, message: Message) -> dict[str, Any]:
        cancelled = [number for number, _ in seat.session.queue]
        seat.outbox.notice(type="cancelled", ids=cancelled) if cancelled else None
        self._finish(seat)
        seed = message.fields["seed"]
        self.host.reset(seat.session, self.host.seed if seed is None else seed)
        return {"seed": seat.session.seed}

    def _pause(self, seat: Seat, message: Message) -> dict[str, Any]:
        seat.session.paused, seat.asleep = True, False
        return {}

    def _resume(self, seat: Seat, message: Message) -> dict[str, Any]:
        seat.session.paused = seat.asleep = False
        return {}

    def _step(self, seat: Seat, message: Message) -> dict[str, Any] | None:
        session = seat.session
        if session.error:
            raise Error(session.error)
        session.paused, seat.asleep = True, False
        session.owed += message.fields["frames"]
        session.drain = session.drain or message.fields["drain"]
        if not session.stepping:
            return {}
        seat.asked = message.id
        return None

    def _back(self, seat: Seat, message: Message) -> dict[str, Any]:
        return {"frames": self.host.go_back(seat.session, message.fields["frames"])}

    def _save(self, seat: Seat, message: Message) -> dict[str, Any]:
        name = message.fields["name"]
        self.store.save(name, seat.session.seed, self.host.point(seat.session))
        return {"name": name, "saved": self.store.names()}

    def _open(self, seat: Seat, message: Message) -> dict[str, Any]:
        seed, point = self.store.open(message.fields["name"])
        cancelled = [number for number, _ in seat.session.queue]
        seat.outbox.notice(type="cancelled", ids=cancelled) if cancelled else None
        self._finish(seat)
        self.host.open(seat.session, seed, point)
        return {"name": message.fields["name"]}

    def _record(self, seat: Seat, message: Message) -> dict[str, Any]:
        if seat.recording is None:
            seat.recording = self._recording(seat.session)
        return {"recording": True}

    def _stop_recording(self, seat: Seat, message: Message) -> dict[str, Any]:
        return {"recording": False, "frames": self._finish(seat)}

    # Recordings

    def _recording(self, session: Session) -> Recording:
        source: dict[str, Any] = {
            "source": "live session",
            "machine": self.name,
            "version": self.version,
            "session": session.id,
        }
        source |= {"seed": session.seed, "first_frame": session.moment.frame, "world": self.host.world.name}
        trained = self.host.engine.trained
        recording = Recording(trained.prompt, trained.fps, self.host.world.kinds, source)
        if session.picture is not None:
            recording.add(session.picture)
        return recording

    def _finish(self, seat: Seat) -> int:
        """Ends a recording and has it written; returns its frames."""
        recording, seat.recording = seat.recording, None
        if recording is None:
            return 0
        id = f"{time.strftime('%Y%m%d-%H%M%S')}-{seat.session.id[:8]}-{seat.recorded}"
        seat.recorded += 1
        self._write(recording.write, self.folder / RECORDINGS, id)
        return len(recording.pictures)

    # What the clock makes

    def in_show(self, id: str, picture: Picture) -> None:
        """A frame of a session."""
        seat = self.seats.get(id)
        if seat is None:
            return
        session, before = seat.session, seat.outbox.dropped
        if seat.recording is not None:
            seat.recording.add(picture)
            if seat.recording.full:
                self._finish(seat)
                seat.recording = self._recording(session)
        seat.outbox.show(picture)
        self.dropped += seat.outbox.dropped - before
        self.applied += len(picture.applied)
        if picture.applied and picture.frame in session.log:
            self._write(self.store.note, id, picture.frame, session.log[picture.frame])
        if picture.frame != session.moment.frame:
            return
        if seat.asked is not None and not session.stepping:
            self._done(seat, seat.asked, do="step")
            seat.asked = None
        if seat.used and time.monotonic() - seat.stored > self.every:
            self._snapshot(seat)
        if session.idle > IDLE_SECONDS * self.fps and not session.paused:
            session.paused = seat.asleep = True
            seat.outbox.notice(type="asleep")

    def in_stop(self, id: str, error: str) -> None:
        """A session that cannot go on."""
        if seat := self.seats.get(id):
            seat.outbox.notice(type="stopped", error=error)
