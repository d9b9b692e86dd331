#!/usr/bin/env bash
# Lints, checks types and runs the tests, making the environment first if it has to.
#
#   bash launch/test.sh [--core] [PYTEST ARGUMENTS]
#
#   --core  leaves out the tests marked slow
#
# Tests that need what is not installed (PyTorch, an X server, a GPU) are skipped with the reason.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

arguments=()
for argument in "$@"; do
  case $argument in
    --core) arguments+=(-m "not slow") ;;
    *) arguments+=("$argument") ;;
  esac
done

. launch/environment.sh
environment dev

.venv/bin/ruff check .
.venv/bin/mypy
# A process a core, one thread each (tests/conftest.py); the tests of a file share what they train.
exec .venv/bin/python -m pytest -n logical --maxprocesses=8 --dist=loadfile --durations=10 ${arguments[@]+"${arguments[@]}"}
