"""Trains a config: neural-computer train --config=cligen:micro --config.data.directory=DATA --workdir=DIR [--init=CONVERTED]

config.data.directory holds videos, or clips that recipe encode of prepare_data made of videos: these train the same and need
no VAE, UMT5 or CLIP in memory. --init starts from published weights that convert_weights has converted. A config with a
section `vae`, as configs/vae.py, trains that codec on videos in the same way.

Resumes from the newest checkpoint in the workdir. Ctrl-C saves first; so does SIGTERM. On several hosts, give every process
--coordinator, --processes and --process (on TPU pods and SLURM, --distributed alone).
"""

from neural_computer import build
from neural_computer.launch import errors
from neural_computer.launch.flags import Flags
from neural_computer.workflows import distributed
from neural_computer.workflows.train import train

FLAGS = Flags()
CONFIG = FLAGS.config(required=True)
WORKDIR = FLAGS.workdir()
INIT = FLAGS.init()
MESH = FLAGS.mesh("Devices that training is split over", sets=True)
DISTRIBUTED = FLAGS.boolean("distributed", False, "Join the processes that TPU pods, SLURM or MPI announce.")
COORDINATOR = FLAGS.string("coordinator", None, "HOST:PORT of process 0, where nothing announces it.")
PROCESSES = FLAGS.integer("processes", None, "How many processes there are.")
PROCESS = FLAGS.integer("process", None, "Which of them this is, from 0.")


def main(argv: list[str]) -> None:
    del argv
    distributed.join(COORDINATOR.value, PROCESSES.value, PROCESS.value, announced=DISTRIBUTED.value)
    train(build.build(FLAGS.experiment()), WORKDIR.value)


if __name__ == "__main__":
    errors.run(main, FLAGS)
