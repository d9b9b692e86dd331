"""What a real desktop needs that may not be installed."""

import importlib.util
import shutil

MODULES = ("mss", "Xlib")
"""Python modules of the extra `recording`."""
PROGRAMS = {
    "Xvfb": "xvfb",
    "dbus-daemon": "dbus",
    "xfsettingsd": "xfce4-settings",
    "xfwm4": "xfwm4",
    "xfdesktop": "xfdesktop4",
    **{name: name for name in ("xfce4-panel", "thunar", "xfce4-terminal", "mousepad", "galculator")},
}
"""Program -> its Debian package."""


def missing() -> str:
    """What is not installed, with the commands that install it; "" if everything is."""
    parts = []
    if modules := [name for name in MODULES if importlib.util.find_spec(name) is None]:
        parts.append(f"the Python modules {', '.join(modules)}: pip install 'neural-computer[recording]'")
    if programs := [name for name in PROGRAMS if shutil.which(name) is None]:
        packages = " ".join(PROGRAMS[name] for name in programs)
        parts.append(f"{', '.join(programs)}: apt-get install {packages}, or neural-computer install_rig for all of it")
    return "; ".join(parts)
