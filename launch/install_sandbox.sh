#!/usr/bin/env bash
# Installs what tapes are played in and with, by apt-get: bubblewrap (the sandbox), /usr/bin/python3, and the programs that
# generated tapes use. Installed already, it does nothing. Debian 12, Ubuntu 24.04 or newer: bubblewrap must be >= 0.8.
#
#   neural-computer install_sandbox, or in a checkout: bash launch/install_sandbox.sh
#
# The last line tells whether an unprivileged user can make namespaces here, without which nothing is played.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"
packages bubblewrap python3 bash util-linux procps bsdextrautils ncal git jq less nano tree vim

unprivileged=()
[ "$(id -u)" != 0 ] || unprivileged=(setpriv --reuid=64976 --regid=64976 --clear-groups)
cd /
if "${unprivileged[@]}" bwrap --unshare-all --unshare-user --disable-userns --ro-bind / / --proc /proc true; then
  echo "the sandbox works ($(bwrap --version))"
else
  echo "error: an unprivileged user cannot make namespaces here: bubblewrap >= 0.8, sysctl user.max_user_namespaces > 0" \
    "and, in a container, a seccomp profile that allows them" >&2
  exit 1
fi
