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

arguments=() extras=dev,live,recording mutate=
for argument in "$@"; do
  case $argument in
    --core) arguments+=(-m "not slow and not parity and not rig") ;;
    --all) extras=dev,live,recording,eval,beam,parity ;;
    --mutate) mutate=yes ;;
    *) arguments+=("$argument") ;;
  esac
done

. launch/environment.sh
environment "$extras"
[ -z "$mutate" ] || exec .venv/bin/python -m tests.mutation ${arguments[@]+"${arguments[@]}"}

case " ${arguments[*]-} " in
  *" --rest-of="*) checks=(true) ;; # whose run has them behind it
  *) checks=(.venv/bin/mypy) && .venv/bin/ruff check . ;;
esac
# Types are checked beside the tests. These are a process a core and one more, for many wait for processes of their own; one
# thread each (tests/conftest.py). The tests of a file share what they train.
"${checks[@]}" >.venv/types.log 2>&1 &
types=$!
cores=$(getconf _NPROCESSORS_ONLN)
several=(.venv/bin/python -m pytest -n "$((cores < 8 ? cores + 1 : 8))" --dist=loadfile --durations=10)
code=0
case " ${arguments[*]-} " in
  *" -m "*) "${several[@]}" "${arguments[@]}" || code=$? ;;
  *)
    "${several[@]}" -m "not rig" ${arguments[@]+"${arguments[@]}"} || code=$?
    # What is recorded at fifteen frames a second has the machine to itself.
    .venv/bin/python -m pytest -m rig --durations=10 ${arguments[@]+"${arguments[@]/--junitxml=*/--quiet}"} || code=$?
    ;;
esac
wait "$types" || code=$?
cat .venv/types.log
exit "$code"
