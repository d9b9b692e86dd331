#!/usr/bin/env bash
# Lints, checks types and runs the tests, making the environment first if it has to.
#
#   bash launch/test.sh [--core | --all] [PYTEST ARGUMENTS]
#   bash launch/test.sh --mutate [MODULE ...] [--most=N]      would the tests notice a changed operator? (tests/mutation.py)
#
#   --core  leaves out the tests marked slow, parity or rig
#   --all   installs the extras eval, beam and parity too (PyTorch among them), so that their tests run
#
# Tests that need what is not installed (PyTorch, an X server, a GPU) are skipped with the reason.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

arguments=() extras=dev,recording mutate=
for argument in "$@"; do
  case $argument in
    --core) arguments+=(-m "not slow and not parity and not rig") ;;
    --all) extras=dev,recording,eval,beam,parity ;;
    --mutate) mutate=yes ;;
    *) arguments+=("$argument") ;;
  esac
done

. launch/environment.sh
environment "$extras"
[ -z "$mutate" ] || exec .venv/bin/python -m tests.mutation ${arguments[@]+"${arguments[@]}"}

.venv/bin/ruff check .
.venv/bin/mypy
# A process a core, one thread each (tests/conftest.py); the tests of a file share what they train.
several=(.venv/bin/python -m pytest -n logical --maxprocesses=8 --dist=loadfile --durations=10)
case " ${arguments[*]-} " in
  *" -m "*) exec "${several[@]}" "${arguments[@]}" ;;
esac
"${several[@]}" -m "not rig" ${arguments[@]+"${arguments[@]}"}
# What is recorded at fifteen frames a second has the machine to itself.
exec .venv/bin/python -m pytest -m rig --durations=10 ${arguments[@]+"${arguments[@]/--junitxml=*/--quiet}"}
