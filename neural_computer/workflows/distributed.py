"""Several processes as one program: joining through `jax.distributed`, and waiting for one another."""

import jax
from absl import flags

DISTRIBUTED = flags.DEFINE_boolean("distributed", False, "Join the processes that TPU pods, SLURM or MPI announce.")
COORDINATOR = flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0, where nothing announces it.")
PROCESSES = flags.DEFINE_integer("processes", None, "How many processes there are.")
PROCESS = flags.DEFINE_integer("process", None, "Which of them this is, from 0.")


def join() -> None:
    """Makes this process one of several, if the flags say so. Must come before anything touches a device."""
    if COORDINATOR.value is not None:
        jax.distributed.initialize(COORDINATOR.value, PROCESSES.value, PROCESS.value)
    elif DISTRIBUTED.value:
        jax.distributed.initialize()


def wait(name: str) -> None:
    """Returns when every process has come here."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)
