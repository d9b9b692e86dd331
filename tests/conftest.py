"""Every test runs on eight pretended CPU devices, one thread, with shapes and types checked by jaxtyping and beartype.

The environment is set here, before anything imports jax; processes that tests start inherit it.
"""

import importlib.util
import os
import shutil
from pathlib import Path

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
# Compiled programs are kept between runs; what compiles in no time is not worth a file.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")

import pytest  # noqa: E402
from jaxtyping import install_import_hook  # noqa: E402

install_import_hook("neural_computer", "beartype.beartype")


def missing(mark: str) -> str | None:
    """Why tests with this mark cannot run here, or None."""
    if mark == "parity" and importlib.util.find_spec("torch") is None:
        return "torch is not installed: pip install -e '.[parity]'"
    if mark == "rig" and shutil.which("Xvfb") is None:
        return "no X server (Xvfb) is installed"
    if mark == "gpu":
        import jax

        if jax.default_backend() != "gpu":
            return "no GPU in this process: JAX_PLATFORMS=cuda bash launch/test.sh -m gpu"
    return None


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in ("parity", "rig", "gpu"):
        if item.get_closest_marker(mark) and (reason := missing(mark)):
            pytest.skip(reason)
