"""The server of a live machine: the page, the socket, `GET /healthz` and `GET /metrics`.

The link has a token, which the socket wants again. The socket takes a browser's page from this very server alone (Origin), and
every request must name the host that was asked for to listen (no other name may be made to point here). Frames are encoded
outside the event loop, and only those that are sent.
"""

import asyncio
import contextlib
import hmac
import importlib.resources
import time
from asyncio import wrap_future
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import jax
import numpy as np
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from neural_computer import media
from neural_computer.errors import Error
from neural_computer.machine import metrics, protocol
from neural_computer.machine.live import Live, Outbox, Seat
from neural_computer.machine.protocol import Bucket, ProtocolError
from neural_computer.machine.session import Picture
from neural_computer.machine.worlds import Screen

STATIC = {"page.css": "text/css", "page.js": "text/javascript"}
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' blob: data:; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
POLICY, FULL, TAKEN = 1008, 4008, 4001
"""Codes with which a socket is closed: against the rules, no place, opened elsewhere"""
PNG_LEVEL = 1
WRONG_MOST = 400
"""Cells that are named as wrong at most"""


@dataclass
class Service:
    """A live machine behind HTTP. `live` is None until it is compiled; `failed` says why it never will be."""

    token: str
    hosts: tuple[str, ...] = ("127.0.0.1", "localhost")
    live: Live | None = None
    failed: str = ""
    begun: float = field(default_factory=time.monotonic)

    def app(self) -> Starlette:
        """The ASGI application."""
        routes = [
            Route("/", self.page),
            *(Route(f"/{name}", self.static) for name in STATIC),
            Route("/healthz", self.health),
            Route("/metrics", self.metrics),
            WebSocketRoute("/socket", self.socket),
        ]
        return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(self.hosts))])

    # HTTP

    async def page(self, request: Request) -> Response:
        if not self._knows(request.query_params.get("token", "")):
            text = "This link lacks its token: use the one that was printed when the machine was started."
            return PlainTextResponse(text, 403, HEADERS)
        return Response(_asset("page.html"), media_type="text/html", headers=HEADERS)

    async def static(self, request: Request) -> Response:
        name = request.url.path.lstrip("/")
        return Response(_asset(name), media_type=STATIC[name], headers=HEADERS)

    async def health(self, request: Request) -> Response:
        """200 while the machine runs, 503 before that and after a failure."""
        live = self.live
        if live is None:
            return JSONResponse({"status": "failed" if self.failed else "starting", "error": self.failed}, 503, HEADERS)
        return JSONResponse(
            {"status": "ok", "sessions": len(live.seats), "free": live.host.free, "version": live.version},
            headers=HEADERS,
        )

    async def metrics(self, request: Request) -> Response:
        text, kind = metrics.text(self.live)
        return Response(text, media_type=kind, headers=HEADERS)

    def _knows(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self.token.encode())

    # The socket

    async def socket(self, socket: WebSocket) -> None:
        """A client's session, from hello to the end of the connection."""
        origin = socket.headers.get("origin")
        if not self._knows(socket.query_params.get("token", "")) or not _same(origin, socket.headers.get("host", "")):
            await socket.close(POLICY)
            return
        await socket.accept()
        if self.live is None:
            await socket.send_json(
                {"type": "starting", "error": self.failed, "seconds": round(time.monotonic() - self.begun)}
            )
            await socket.close(1013)
            return
        await _Client(self.live, socket).run()


def _asset(name: str) -> bytes:
    return importlib.resources.files("neural_computer.machine").joinpath(name).read_bytes()


def _same(origin: str | None, host: str) -> bool:
    """Whether a page of this origin may use the socket; what is no browser sends none."""
    return origin is None or urlsplit(origin).netloc == host


class _Client:
    """One connection. Three tasks: what it sends is read, what waits for it is sent, and either ends both."""

    def __init__(self, live: Live, socket: WebSocket):
        self.live, self.socket = live, socket
        loop, self.ready = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the server ends
                loop.call_soon_threadsafe(self.ready.set)

        self.outbox, self.bucket = Outbox(wake), Bucket()
        self.sent, self.shown = 0, 0
        self.last: tuple[Screen | None, Screen | None] = (None, None)
        self.seat: Seat | None = None

    async def run(self) -> None:
        try:
            await self._hello()
            if self.seat is not None:
                tasks = [asyncio.create_task(each) for each in (self._read(), self._send())]
                done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in rest:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        except (WebSocketDisconnect, TimeoutError, RuntimeError):
            pass
        finally:
            if self.seat is not None:
                seat, outbox = self.seat, self.outbox
                self.live.ticker.call(lambda: self.live.in_leave(seat, outbox))
            await self._close(self.outbox.closed or "bye")

    async def _close(self, reason: str) -> None:
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):  # it is closed already
            await self.socket.close(TAKEN if reason == "opened elsewhere" else POLICY, reason[:120])

    async def _hello(self) -> None:
        """Waits for hello and joins the session that it asks for."""
        live = self.live
        try:
            async with asyncio.timeout(protocol.HELLO_SECONDS):
                text = await self._receive()
            message = protocol.parse(text, live.size)
            if message.type != "hello":
                raise ProtocolError("type: hello comes first")
        except (ProtocolError, TimeoutError) as error:
            await self.socket.send_json({"type": "error", "error": str(error) or "no hello came"})
            return
        asked, keep, paused = (message.fields[name] for name in ("session", "keep", "paused"))
        stored = await wrap_future(live.stored(asked)) if asked else None
        try:
            call = live.ticker.call(lambda: live.in_join(asked, stored, self.outbox, keep, paused))
            seat, resumed = await wrap_future(call)
        except Error as error:
            await self.socket.send_json({"type": "full", "error": str(error)})
            await self.socket.close(FULL)
            return
        self.seat = seat
        await self.socket.send_json(welcome(live, seat, resumed))

    async def _receive(self) -> Any:
        message = await self.socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1000))
        return message.get("text")

    async def _read(self) -> None:
        """Reads messages until the client goes or sends too many."""
        live, seat = self.live, self.seat
        assert seat is not None
        while not self.outbox.closed:
            text = await self._receive()
            if not self.bucket.take():
                self.outbox.close(f"more than {protocol.RATE:g} messages a second")
                return
            try:
                message = protocol.parse(text, live.size)
            except ProtocolError as error:
                self.outbox.notice(type="error", error=str(error))
                continue
            if message.type == "ack":
                self.shown = max(self.shown, min(message.fields["frame"], self.sent))
                self.ready.set()
            elif message.type == "events":
                live.ticker.call(partial(live.in_events, seat, message))
            elif message.type == "control":
                live.ticker.call(partial(live.in_control, seat, message))

    async def _send(self) -> None:
        """Sends notices as they come, and of the frames the newest whenever the client has taken the ones before."""
        outbox = self.outbox
        while not outbox.closed:
            # Not wait_for: Python 3.11's loses a cancellation that comes as its task ends.
            async with asyncio.timeout(protocol.STALL_SECONDS):
                await self._put()
            await self.ready.wait()
            self.ready.clear()

    async def _put(self) -> None:
        outbox = self.outbox
        while outbox.notices:
            await self.socket.send_json(outbox.notices.popleft())
        if outbox.picture is None or self.sent - self.shown >= protocol.IN_FLIGHT:
            return
        picture, number, outbox.picture = outbox.picture, outbox.number, None
        self.sent += 1
        assert self.seat is not None
        header = {"type": "frame", "sent": self.sent, "number": number, **described(picture, self.seat, self.live)}
        last, self.last = self.last, (picture.screen, picture.truth)
        await self.socket.send_bytes(await asyncio.to_thread(_packed, header, last, self.last))


def _packed(header: dict[str, Any], last: tuple[Any, Any], now: tuple[Any, Any]) -> bytes:
    """The message of a frame; a screen that is as it was is left out."""
    parts = [
        b"" if new is None or same(new, old) else media.png(new, PNG_LEVEL) for new, old in zip(now, last, strict=True)
    ]
    return protocol.pack(header | {"screen": len(parts[0]), "truth": len(parts[1])}, *parts)


def same(new: Screen, old: Screen | None) -> bool:
    return old is not None and np.array_equal(new, old)


def described(picture: Picture, seat: Seat, live: Live) -> dict[str, Any]:
    """What a frame's header says of it."""
    header: dict[str, Any] = {
        "frame": picture.frame,
        "wrong": picture.wrong[:WRONG_MOST].tolist(),
        "score": picture.score._asdict(),
        "waiting": len(seat.session.queue),
        "late": live.ticker.counts.late,
        "work": round(1e3 * live.ticker.counts.work, 1),
        "paused": seat.session.paused,
        "recording": 0 if seat.recording is None else len(seat.recording.pictures),
    }
    if picture.key is not None:
        header["entered"] = {
            "line": picture.key.line,
            "held_out": picture.key.held_out,
            "right": not len(picture.wrong),
        }
    return header


def welcome(live: Live, seat: Seat, resumed: bool) -> dict[str, Any]:
    """The first message to a client: which machine this is, which session, what it takes."""
    trained, world = live.host.engine.trained, live.host.world
    parameters = sum(leaf.size for leaf in jax.tree.leaves(trained.params.network))
    return {
        "type": "welcome",
        "session": seat.session.id,
        "resumed": resumed,
        "frame": seat.session.moment.frame,
        "paused": seat.session.paused,
        "size": list(live.size),
        "fps": live.fps,
        "frames": live.host.engine.frames,
        "machine": {"name": live.name, "version": live.version, "step": trained.step, "parameters": parameters},
        "world": {
            "name": world.name,
            "truth": world.name != "none",
            "cell": list(world.cell),
            "pointer": world.pointer,
        },
        "saved": live.store.names(),
        "limits": {"events": protocol.EVENTS, "bytes": protocol.MESSAGE_BYTES, "rate": protocol.RATE},
    }


def link(host: str, port: int, token: str) -> str:
    """The address of the page."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/?token={token}"
