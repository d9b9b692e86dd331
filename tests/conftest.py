"""Every test runs on eight pretended CPU devices, one thread, with shapes and types checked by jaxtyping and beartype.

The environment is set here, before anything imports jax; processes that tests start inherit it.
"""

import contextlib
import fcntl
import importlib.util
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_force_host_platform_device_count=8 --xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
)
# jax 0.10 on two cores: eight pretended devices with several programs under way wait for one another for ever, unless
# XLA's pool has threads for all of them.
os.environ.setdefault("PJRT_NPROC", "64")
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")
# A program of a test runs once or twice: XLA's optimization costs more than it saves. The fixture `optimized` has it back.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# Compiled programs are kept for the next run, in this checkout or another, small ones too: together they are half of the time.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "neural_computer" / "jax"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

# A shell has Ctrl-C ignored in what it starts in the background, and all that the tests start would inherit that.
with contextlib.suppress(ValueError):  # not in the main thread
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest  # noqa: E402
from jaxtyping import install_import_hook  # noqa: E402

import tests.checker  # noqa: E402, F401  # the hook finds it by name

install_import_hook("neural_computer", "tests.checker.check")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rest-of", help="A JUnit file of another run: what passed there is left out here.")
    parser.addoption("--kills", type=int, default=2, help="How often the kill tests kill; 20 is the full form.")
    parser.addoption(
        "--fuzz", type=float, default=6, help="Seconds of each of the four fuzz tests; 150 is the full form."
    )
    parser.addoption(
        "--soak", type=float, default=120, help="Seconds of the live machine's soak; 3600 is the full form."
    )
    parser.addoption(
        "--full", action="store_true", help="Convert and run a whole 1.3B network: 11 GB of disk, minutes."
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long files come first, lest one process is left with one at the end; --rest-of leaves out what passed there."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    # The longest are those of no single room: resumes, topology, notebooks, configs.
    items.sort(key=lambda item: (item.path not in slow, item.path.parent != ROOT / "tests"))
    if not (report := config.getoption("--rest-of")):
        return
    cases = ElementTree.parse(report).iter("testcase")
    passed = {(case.get("classname"), case.get("name")) for case in cases if not len(case)}
    again = [item for item in items if _junit_name(item) not in passed]
    config.hook.pytest_deselected(items=[item for item in items if _junit_name(item) in passed])
    items[:] = again


def _junit_name(item: pytest.Item) -> tuple[str, str]:
    """(classname, name) of a test in a JUnit file."""
    path, *names = item.nodeid.split("::")
    return ".".join([path.removesuffix(".py").replace("/", "."), *names[:-1]]), item.name


def missing(mark: str) -> str | None:
    """Why tests with this mark cannot run here, or None."""
    if mark == "parity" and importlib.util.find_spec("torch") is None:
        return "torch is not installed: pip install -e '.[parity]'"
    if mark == "rig":
        from neural_computer.recording.xfce import requirements

        return requirements.missing() or None
    if mark == "gpu":
        import jax

        if jax.default_backend() != "gpu":
            return "no GPU in this process: JAX_PLATFORMS=cuda bash launch/test.sh -m gpu"
    return None


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in ("parity", "rig", "gpu"):
        if item.get_closest_marker(mark) and (reason := missing(mark)):
            pytest.skip(reason)


@pytest.fixture(autouse=True, scope="module")
def _no_program_outlives_its_file() -> Iterator[None]:
    """A compiled program takes a dozen memory maps; a process may have 65,530, and beyond them XLA crashes."""
    yield
    if jax := sys.modules.get("jax"):
        jax.clear_caches()


def program(
    module: str, *arguments: object, devices: int = 1, env: dict[str, str] | None = None, check: bool = True
) -> subprocess.CompletedProcess:
    """Runs a program in this process, as `python -m module` does, on some of its devices; returns what it printed.

    Flags are as before when it returns. With `check`, an exit code other than 0 is an AssertionError.
    """
    import jax
    from absl import flags
    from absl.testing import flagsaver

    from neural_computer.launch import errors
    from neural_computer.launch.__main__ import program as load

    loaded = load(module.removeprefix("launch."))
    own = getattr(loaded, "FLAGS", errors.Flags())
    registries = [flags.FLAGS, own.values, *{id(part.values): part.values for part in own.parts.values()}.values()]
    saved = [(registry, flagsaver.save_flag_values(registry)) for registry in registries]
    out, err, command = io.StringIO(), io.StringIO(), [module, *map(str, arguments)]

    def restore(registry: flags.FlagValues, values: dict) -> None:
        # A library that the program imported has flags of its own, which stay; --config.NAME=VALUE does not.
        new = flagsaver.save_flag_values(registry) if registry is flags.FLAGS else {}
        flagsaver.restore_flag_values(new | values, registry)

    everything, local = jax.devices, jax.local_devices
    with contextlib.ExitStack() as stack:
        for registry, values in saved:
            stack.callback(restore, registry, values)
        stack.enter_context(contextlib.chdir(ROOT))
        stack.enter_context(mock.patch.dict(os.environ, env or {}))
        stack.enter_context(mock.patch.object(sys, "argv", command))
        stack.enter_context(mock.patch.object(jax, "devices", lambda *args: everything(*args)[:devices]))
        stack.enter_context(mock.patch.object(jax, "local_devices", lambda *args: local(*args)[:devices]))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        try:
            errors.run(loaded.main, own)
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return _finished(subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue()), check)


def subprocess_program(
    module: str, *arguments: object, env: dict[str, str] | None = None, check: bool = True, **options
):
    """Runs `python -m module` in a process of its own, on one device unless `env` says otherwise; returns what it printed."""
    one = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | one | (env or {}), capture_output=True, text=True, timeout=600, **options
    )
    return _finished(done, check)


def _finished(done: subprocess.CompletedProcess, check: bool) -> subprocess.CompletedProcess:
    if check and done.returncode:
        raise AssertionError(f"{' '.join(done.args)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done


def wait_until(condition: Callable[[], object], process: subprocess.Popen | None = None, seconds: float = 240) -> bool:
    """Waits for the condition; False if the process ended first."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        if process is not None and process.poll() is not None:
            return False
        time.sleep(0.005)
    raise AssertionError(f"it did not come that far in {seconds} s")


@pytest.fixture
def optimized(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """XLA optimizes what is compiled in the test and in the processes that it starts."""
    import jax

    flag, before = "jax_disable_most_optimizations", jax.config.read("jax_disable_most_optimizations")
    monkeypatch.setenv(flag.upper(), "0")
    jax.config.update(flag, False)
    yield
    jax.config.update(flag, before)


def once(factory: pytest.TempPathFactory, name: str, fill: Callable[[Path], None]) -> Path:
    """A folder that `fill` fills once for all workers of a run of pytest."""
    root = factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    folder, complete = root / name, root / f"{name}.complete"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            if not complete.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed
                folder.mkdir()
                fill(folder)
                complete.touch()
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)  # processes forked meanwhile have the file open too
    return folder


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of random videos of the tiny size, splits train and test. Tests read it and write nothing there."""
    return once(tmp_path_factory, "videos", _write_videos)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workdir of the micro world: sixteen recorded sessions, a small network, six updates."""
    for module in ("avt", "tensorflow_datasets"):
        pytest.importorskip(module, reason=f"{module} is not installed: pip install -e '.[recording]'")
    return once(tmp_path_factory, "trained", _train)


def _write_videos(folder: Path) -> None:
    import numpy as np

    from neural_computer.data.episodes import EpisodeWriter
    from neural_computer.types import Episode

    rng = np.random.default_rng(0)
    for split, count in (("train", 24), ("test", 3)):
        with EpisodeWriter(folder, split, window=5) as writer:
            for i in range(count):
                frames = rng.integers(0, 256, (5 + i % 3, 16, 32, 3)).astype(np.uint8)
                writer.write(Episode(f"{split}-{i}", frames, fps=5, captions={"plain": f"video {i}"}))


def _train(workdir: Path) -> None:
    program("launch.prepare_data", "--recipe=repl", "--operands=4", f"--output={workdir}/data", "--workers=2")
    program(
        "launch.train",
        "--config=configs/quickstart.py:smoke",
        f"--workdir={workdir}",
        f"--config.data.directory={workdir}/data",
        "--config.schedule.steps=6",
        "--config.schedule.eval_every=3",
        "--config.evaluation.videos=4",
        "--config.evaluation.batch_size=2",
        "--config.data.batch_size=4",
        "--config.network.layers=1",
        "--config.network.width=16",
        "--config.network.ffn=32",
        "--config.text.width=16",
        "--config.optimizer.kind=adamw",  # Muon takes half a minute to compile, and has tests of its own
        "--config.sampling.num_steps=2",
    )


def servers(parent: int) -> list[int]:
    """The X servers below a process."""
    below, found = {parent}, []
    for row in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            ppid, name = (
                int((row / "stat").read_text().rsplit(")", 1)[1].split()[1]),
                (row / "comm").read_text().strip(),
            )
        except OSError:
            continue
        if ppid in below:
            below.add(int(row.name))
            found += [int(row.name)] if name == "Xvfb" else []
    return found
