"""Several processes as one program: joining through `jax.distributed`, and waiting for one another."""

import jax


def join(
    coordinator: str | None = None, processes: int | None = None, process: int | None = None, *, announced: bool = False
) -> None:
    """Makes this process one of several; must come before anything touches a device.

    `coordinator` is HOST:PORT of process 0; without it the processes are those that a TPU pod, SLURM or MPI announces, if
    `announced`. With neither, this process stays alone.
    """
    if coordinator is not None:
        jax.distributed.initialize(coordinator, processes, process)
    elif announced:
        jax.distributed.initialize()


def wait(name: str) -> None:
    """Returns when every process has called it with this name."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)
