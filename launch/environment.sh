# To be sourced from the repository's root. `environment [EXTRA]` makes .venv with this package, at the versions of the
# constraints file, and the extra (dev, eval, recording, ...); it returns at once when that is already so.

environment() {
  local extra=${1:-} base version constraints stamp quiet=
  if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    base=$(base_python) || return
    echo "making .venv with $("$base" --version)"
    "$base" -m venv --clear .venv
  fi
  version=$(.venv/bin/python -c 'import sys; print("3.11" if sys.version_info < (3, 12) else "3.12")')
  constraints=constraints-$version.txt
  stamp=$(cat pyproject.toml "$constraints" | cksum)
  if [ "$(cat ".venv/installed-${extra:-core}" 2>/dev/null)" != "$stamp" ]; then
    echo "installing the packages of $constraints${extra:+ with the extra $extra}: about a minute, 1.2 GB"
    [ -t 1 ] || quiet=--quiet
    .venv/bin/python -m pip install $quiet -c "$constraints" -e ".${extra:+[$extra]}" || return
    # Written last: an install that was interrupted is done again.
    echo "$stamp" | tee .venv/installed-core >".venv/installed-${extra:-core}"
  fi
}

# The first Python >= 3.11 that can make environments; $PYTHON, if set, is the only one tried.
base_python() {
  local candidate lacking=
  for candidate in ${PYTHON:-python3 python3.12 python3.11}; do
    "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
    "$candidate" -c 'import ensurepip, venv' 2>/dev/null && echo "$candidate" && return
    lacking=${lacking:-$("$candidate" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')}
  done
  if [ -n "$lacking" ]; then
    echo "error: ${PYTHON:-python3} has no venv module, which .venv is made with: apt-get install $lacking" >&2
  else
    echo "error: ${PYTHON:-python3} is not Python >= 3.11, which this needs: apt-get install python3.11 python3.11-venv" >&2
  fi
  return 1
}
