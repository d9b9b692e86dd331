#!/usr/bin/env bash
# From a fresh machine to a trained, running neural computer: records real Python sessions, trains on them, evaluates.
#
#   bash launch/quickstart.sh [--smoke] [--workdir=DIR] [--seed=N]
#
#   --smoke        the two-minute form: 180 steps, operands up to 25, in runs/smoke
#   --workdir=DIR  where everything is written (default: runs/quickstart); data go to DIR/data
#   --seed=N       the seed of the training (default: 0)
#
# Stopped at any moment, the same command goes on where it was; finished, it shows the result again.
set -euo pipefail
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

config=configs/quickstart.py operands=49 workdir=runs/quickstart seed=0 given=
for argument in "$@"; do
  case $argument in
    --smoke) config=configs/quickstart.py:smoke operands=25 workdir=runs/smoke ;;
    --workdir=?*) given=${argument#*=} ;;
    --seed=?*) seed=${argument#*=} ;;
    -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' launch/quickstart.sh; exit ;;
    *) echo "error: $argument: unknown; --smoke, --workdir=DIR, --seed=N or --help" >&2; exit 2 ;;
  esac
done
case $given in
  '') ;;
  /*) workdir=$given ;;
  *) workdir=$caller/$given ;;
esac

. launch/environment.sh
environment recording

# A device a core, up to four, that share a batch, of one thread each: at this size more threads only wait for one another. What
# XLA compiled is kept for the next time.
cores=$(nproc 2>/dev/null || echo 1) devices=1
while [ $((devices * 2)) -le "$cores" ] && [ $devices -lt 4 ]; do devices=$((devices * 2)); done
one_thread="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
export XLA_FLAGS="${XLA_FLAGS:---xla_force_host_platform_device_count=$devices $one_thread}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" OPENBLAS_NUM_THREADS="${OPENBLAS_NUM_THREADS:-1}"
export JAX_COMPILATION_CACHE_DIR="${JAX_COMPILATION_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/neural_computer/jax}"

trap 'code=$?; [ $code = 0 ] || echo "stopped (exit code $code) at $stage; the same command goes on from there" >&2' EXIT
run() {
  stage=$1
  shift
  printf '\n%s\n' "$stage"
  .venv/bin/python -m "$@"
}

run "[1/3] record real Python sessions" \
  launch.prepare_data --recipe=repl --operands="$operands" --larger=128 --out="$workdir/data"
run "[2/3] train" \
  launch.train --config="$config" --workdir="$workdir" --config.data.directory="$workdir/data" --config.seed="$seed"
run "[3/3] run it on held-out prompts and score it" \
  launch.evaluate --machine="$workdir"

printf '\n%s\n' "done in $((SECONDS / 60)) min $((SECONDS % 60)) s. The report: $workdir/report.html" \
  "Run it yourself: .venv/bin/python -m launch.run --machine=$workdir --prompt='python 12+7' --out=$workdir/12+7"
