"""A streaming terminal's speed: a frame from a key, and a session in real time.

XLA_FLAGS="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1" PJRT_NPROC=1 neural-computer bench --suite=streaming

A frame is one step and its rendering, one dispatch. The peer has no KV cache: it computes the window's frames anew.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from neural_computer import build
from neural_computer.conditioning import to_uint8
from neural_computer.configs import tty as config
from neural_computer.evals.drift import key_table
from neural_computer.launch.bench.case import Case, Figure
from neural_computer.models.linear_codec import LinearCodec
from neural_computer.simulators.tty import drawing
from neural_computer.simulators.tty.machine import KEY_IDS
from neural_computer.simulators.tty.sessions import FPS, play
from neural_computer.streaming import StreamingComputer
from neural_computer.types import FrozenParams, Params, State, TokenIds

WINDOWS = (0, 4, 16)
FRAMES = 20
"""A call"""
SECONDS = 60
"""Of the session in real time"""


def cases() -> list[Case | Figure]:
    """All cases, with their inputs."""
    return [*(frames(window) for window in WINDOWS), *session(4)]


@functools.cache
def terminal(window: int) -> tuple[StreamingComputer, Params, State, Any]:
    """A `small` terminal with random parameters, its state at boot, and the actions of a key."""
    experiment = build.build(config.get_config("small"))
    if window:
        wanted = config.get_config("small,memory")
        wanted.network.window = window
        wanted.data.frames = window + 2
        experiment = build.build(wanted)
    computer = experiment.computer
    assert isinstance(computer, StreamingComputer) and experiment.inputs is not None
    screens, codec = drawing.draw(play(["a", "b", "Return"]).cells), computer.codec
    assert isinstance(codec, LinearCodec)
    params = Params(experiment.trainer.network(0), FrozenParams(codec=codec.fit(screens[None])))
    state = jax.jit(computer.boot)(params, screens[:1], TokenIds(experiment.tokenizer(["a terminal"])))
    u = jax.tree.map(lambda x: x[[KEY_IDS["a"]]], key_table(experiment.inputs, computer.size))
    return computer, params, state, u


def ticker(window: int) -> Callable[[State], tuple[State, Any]]:
    """State -> (state, uint8 frame): step and render in one dispatch."""
    computer, params, _, u = terminal(window)

    @jax.jit
    def tick(params: Params, state: State) -> tuple[State, Any]:
        state = computer.step(params, state, None, u, jax.random.fold_in(jax.random.key(0), state.time))
        state, frames = computer.render(params, state)
        return state, to_uint8(frames)

    return functools.partial(tick, params)


def frames(window: int) -> Case:
    """Frames from keys, one after another; against as many passes over the whole window at once."""
    computer, params, first, _ = terminal(window)
    tick = ticker(window)
    z = jnp.zeros((1, window + 1, *computer.latent_shape[1:3], computer.network.dit.shape.in_channels))
    text = jnp.zeros((1, 1, computer.network.dit.shape.text_width))

    @jax.jit
    def whole(dit: Any, z: Any) -> Any:
        output: Any = computer.network.dit.apply({"params": dit}, z, jnp.zeros((1, 1)), text)
        return output.prediction

    def ours() -> None:
        state = first
        for _ in range(FRAMES):
            state, frame = tick(state)
            jax.block_until_ready(frame)

    def peer() -> None:
        # One pass from noise, and none to leave keys behind.
        for _ in range(FRAMES):
            jax.block_until_ready(whole(params.network["dit"], z))

    why = "it makes a second pass over every frame, draws it, and a window this short costs little to compute anew"
    return Case(f"terminal 3x16, window {window}", "no KV cache", "frames/s", FRAMES, ours, peer, why=why)


def session(window: int) -> list[Figure]:
    """A minute at 15 frames a second: each tick waits for its time, as a live machine does; against the time there is."""
    tick, state = ticker(window), terminal(window)[2]
    state, _ = tick(state)
    busy, late, begin = [], 0, time.perf_counter()
    for number in range(round(SECONDS * FPS)):
        due = begin + number / FPS
        time.sleep(max(0.0, due - time.perf_counter()))
        start = time.process_time()
        state, frame = tick(state)
        jax.block_until_ready(frame)
        busy.append(1000 * (time.process_time() - start))
        late += time.perf_counter() > due + 1 / FPS
    seconds = time.perf_counter() - begin
    name, count = f"terminal 3x16, window {window}", len(busy)
    return [
        Figure(f"{name}: CPU of a frame, median", "5 ms", "ms", float(np.median(busy)), 5.0),
        Figure(f"{name}: {SECONDS} s at 15 fps, seconds a frame", "1/15 s", "s", seconds / count, 1 / FPS),
        Figure(f"{name}: late frames of {count}", "1 %", "frames", max(late, 1e-9), 0.01 * count),
    ]
