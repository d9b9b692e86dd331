#!/usr/bin/env bash
# From a fresh clone to a neural computer that one types into: makes the environment if there is none and prints a link.
#
#   bash launch/live.sh [--machine=NAME|DIR] [--port=N] [--fps=N] [--steps=N] [--seed=N] ...
#
# The flags are those of `python -m launch.live --help`. Nothing is trained and nothing but the packages downloaded.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

. launch/environment.sh
environment live

# One thread each: at this size more threads only wait for one another. What XLA compiled is kept for the next start.
export XLA_FLAGS="${XLA_FLAGS:---xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" OPENBLAS_NUM_THREADS="${OPENBLAS_NUM_THREADS:-1}"

exec .venv/bin/python -m launch.live "$@"
