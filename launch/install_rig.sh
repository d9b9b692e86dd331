#!/usr/bin/env bash
# Installs what the rig is made of, by apt-get: an X server without a screen, XFCE's pieces, a few programs, and AT-SPI, by
# which the rig finds buttons and texts; on Debian also chromium, for the tests of the live page. Installed already, it does
# nothing. Debian 12, Ubuntu 24.04 or newer; about 115 MB, and 400 for chromium.
#
#   neural-computer install_rig, or in a checkout: bash launch/install_rig.sh
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")

bash "$here/install_sandbox.sh"
. "$here/packages.sh"
packages xvfb x11-utils dbus dbus-x11 fonts-dejavu-core xfwm4 xfce4-panel xfdesktop4 xfce4-settings xfconf thunar \
  xfce4-terminal mousepad galculator arc-theme adwaita-icon-theme at-spi2-core python3-pyatspi

# The browser that the live page is tested in; Ubuntu has it as a snap alone, and the tests then say that it is missing.
if grep -qs '^ID=debian' /etc/os-release; then
  packages chromium
fi
