"""From a trained machine to a link: `serve` is what `launch.live` does."""

import hashlib
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
import uvicorn

from neural_computer import machines
from neural_computer.errors import first_line
from neural_computer.machine import protocol, server, worlds
from neural_computer.machine.engine import Engine
from neural_computer.machine.host import Host
from neural_computer.machine.live import Live
from neural_computer.machine.server import Service
from neural_computer.workflows import lock, trained
from neural_computer.workflows import workdir as workdirs
from neural_computer.workflows.trained import Trained

LOOPBACK = "127.0.0.1"
GRACE = 3
"""Seconds that open connections are given when the server ends"""


@dataclass(frozen=True)
class Options:
    """How a machine is served."""

    machine: str = "terminal"
    out: Path | None = None
    """Where sessions and recordings are kept; by default runs/live/NAME"""
    host: str = LOOPBACK
    port: int = 0
    """0 for any free one"""
    token: str = ""
    """By default a new one"""
    sessions: int = 8
    fps: float = 0.0
    """0 for the machine's own"""
    steps: int = 0
    """Denoising steps; 0 for the machine's own"""
    seed: int = 0
    truth: str = "auto"
    every: float = 5.0
    """Seconds between two snapshots of a session"""


def version(folder: Path, machine: Trained) -> str:
    """The SHA-256 of a machine's weights: of its file, as its card has it, or of the arrays of a workdir's checkpoint."""
    if (path := folder / workdirs.WEIGHTS).exists():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(machine.params):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def load(options: Options) -> Live:
    """The machine that the options name, compiled and ready to start. Raises CheckpointError, ConfigError, ValueError."""
    folder = machines.folder(options.machine)
    machine = trained.load(folder)
    if options.steps:
        machine = machine.with_steps(options.steps)
    # Elsewhere than on a CPU a step of all rows takes no longer than that of one.
    engine = Engine(machine, options.sessions, at_once=jax.default_backend() != "cpu")
    host = Host(engine, worlds.of(machine.first_frame, options.truth), options.seed)
    host.warm()
    name = folder.resolve().name
    return Live(host, name, version(folder, machine), folder_of(options), options.every, options.fps)


def folder_of(options: Options) -> Path:
    """Where sessions are kept."""
    return options.out or machines.RUNS / "live" / machines.folder(options.machine).resolve().name


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket. Raises OSError, naming the port, where it is taken."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise OSError(
                f"--host={host} --port={port}: {error.strerror}; take another, or --port=0 for any free one"
            ) from error
        listener.listen()  # at once: whoever has the link may come before the server accepts
        yield listener


def uvicorn_server(service: Service) -> uvicorn.Server:
    """The HTTP server of a service. Frames are PNG already, so nothing is compressed again."""
    config = uvicorn.Config(
        service.app(),
        ws="websockets-sansio",
        ws_max_size=protocol.MESSAGE_BYTES,
        ws_per_message_deflate=False,
        ws_ping_interval=20.0,
        ws_ping_timeout=60.0,
        limit_concurrency=256,
        timeout_graceful_shutdown=GRACE,
        log_level="warning",
        access_log=False,
    )
    return uvicorn.Server(config)


def serve(
    options: Options, started: Callable[[str], None] = print, ready: Callable[[Live], None] = lambda live: None
) -> None:
    """Serves a machine until a signal ends it. `started` gets the link at once, `ready` the machine once it is compiled.

    Raises OSError for a port that is taken, RuntimeError for a folder in which another server keeps its sessions, and what
    `load` raises.
    """
    token = options.token or secrets.token_urlsafe(16)
    names = (LOOPBACK, "localhost") if options.host == LOOPBACK else ("*",)
    service = Service(token, names)
    with listening(options.host, options.port) as listener, lock.exclusive(folder_of(options)):
        port = listener.getsockname()[1]
        http = uvicorn_server(service)
        errors: list[BaseException] = []

        def compile() -> None:
            try:
                live = load(options)
                live.start()
                service.live = live
                ready(live)
            except BaseException as error:
                service.failed = first_line(error)
                errors.append(error)
                http.should_exit = True

        started(server.link(options.host, port, token))
        compiler = threading.Thread(target=compile, name="compile", daemon=True)
        compiler.start()
        try:
            http.run(sockets=[listener])
        finally:
            if service.live is not None:
                service.live.stop()
        if errors:
            raise errors[0]
