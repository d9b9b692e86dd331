"""Our networks beside their PyTorch originals: the same random weights, the same inputs, in one run.

    export MALLOC_ARENA_MAX=1 MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=64000000000
    taskset -c 0 neural-computer bench --suite=models

One core for both: flags that make XLA use one thread leave it a second. The first line lets malloc keep what is freed:
an XLA program asks for all its memory anew at every call, and fresh pages cost a backward pass a sixth of its time;
PyTorch's smaller pieces are kept either way.

On a GPU, both on the same card, a forward pass and an update at a published size in bfloat16:

    XLA_PYTHON_CLIENT_PREALLOCATE=false neural-computer bench --suite=models --scale=wan_1_3b

Before anything is timed, the results are compared. First calls and memory are taken in two processes, each of which runs
one contender alone.
"""

import ctypes
import importlib.util
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from neural_computer.launch.bench import pairs
from neural_computer.launch.bench.case import Case, Figure
from neural_computer.launch.bench.pairs import Pair, Size, on_cpu
from neural_computer.launch.flags import Flags
from neural_computer.types import PyTree

SIZES = {
    "tiny": Size(1, 2, (5, 16, 32), vae=8, vae_video=(5, 16, 16)),
    "small": Size(3, 4, (9, 128, 208), vae=32, vae_video=(9, 64, 104)),
    "wan_1_3b": Size(
        12, 30, (81, 480, 832), image=False, update="wan_1_3b_i2v", dtype="bfloat16", attention="cudnn", close=0.1
    ),
}
FLAGS = Flags(size="--scale")
SCALE = FLAGS.choice("scale", "small", list(SIZES), "Size of the networks.")

COMPILES = "PyTorch compiles nothing; ours once a shape, and JAX_COMPILATION_CACHE_DIR keeps it for other runs"


def cases() -> Iterator[Case | Figure]:
    """One after the other, so that memory holds one. Raises RuntimeError without PyTorch, and where results differ."""
    missing = [name for name in ("torch", "diffusers", "transformers") if importlib.util.find_spec(name) is None]
    if missing:
        raise RuntimeError(
            f"--suite=models: needs {missing[0]}, which is not installed: pip install 'neural-computer[parity]'"
        )
    size = SIZES[SCALE.value]
    yield from alone(SCALE.value)
    if size.update:
        yield pairs.update(size)
    for pair in pairs.all_of(size):
        yield compared(pair, size)


def compared(pair: Pair, size: Size) -> Case:
    """The case of two contenders whose results are the same."""
    ours, peer = pair.ours(), pair.peer()
    apart = distance(ours(), pair.to_ours(peer()))
    if not apart <= size.close:
        raise RuntimeError(
            f"{pair.name}: results are {apart:.1e} of their scale apart; rounding explains {size.close:.0e}"
        )
    why = pair.why if on_cpu() else ""
    return Case(pair.name, pairs.against(), "calls/s", 1, ours, peer, why, apart, pair.flops)


def distance(ours: PyTree, theirs: PyTree) -> float:
    """Largest difference over the largest magnitude of all leaves; infinite where a shape differs or a number is none."""
    apart, scale = 0.0, 0.0
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
            return float("inf")
        apart, scale = max(apart, np.abs(a - b).max()), max(scale, np.abs(b).max())
    return apart / scale


# One contender a process


class Alone(NamedTuple):
    """What a contender takes: seconds of the first call; MiB at most, beside weights and inputs, of a later one."""

    first: float
    memory: float


def alone(size: str) -> Iterator[Figure]:
    """First calls and memory, each contender in a process of its own."""
    taken = {}
    for contender in ("ours", "peer"):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            taken[contender] = process.submit(measured, contender, size).result()
    for name, ours in taken["ours"].items():
        peer = taken["peer"][name]
        yield Figure(f"{name}: first call", pairs.against(), "s", ours.first, peer.first, COMPILES)
        yield Figure(f"{name}: memory of a call", pairs.against(), "MiB", ours.memory, peer.memory)


def measured(contender: str, size: str) -> dict[str, Alone]:
    """What every pair's contender takes in this process."""
    measurements = {}
    for pair in pairs.all_of(SIZES[size]):
        run = getattr(pair, contender)()
        begin = time.perf_counter()
        run()
        measurements[pair.name] = Alone(time.perf_counter() - begin, peak(run, contender) / 2**20)
    return measurements


def peak(run: Callable[[], Any], contender: str) -> float:
    """Bytes that a call holds at most beyond those in use before it: by the process on a CPU, by its allocator on a GPU."""
    if on_cpu():
        # What malloc keeps of earlier calls goes back first; 5 sets the kernel's high-water mark to what is in use now.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        before = resident("VmRSS")
        run()
        return resident("VmHWM") - before
    if contender == "ours":
        before = jax.devices()[0].memory_stats()["bytes_in_use"]
        run()
        return jax.devices()[0].memory_stats()["peak_bytes_in_use"] - before
    import torch

    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    return torch.cuda.max_memory_allocated() - before


def resident(field: str) -> float:
    """Bytes of memory that this process holds: VmRSS now, VmHWM at most."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(field))
    return 1024 * float(line.split()[1])
