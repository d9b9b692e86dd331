"""Runs inside the desktop's sandbox, by the system's Python: starts the desktop on display :0, then serves a request a line.

The first line of its input is {"files": {path: text}}. It responds {"ready": true} when the parts are started, or
{"error": ...}. Then {"request": "tree"} gets the AT-SPI tree, {"request": "failures"} the parts and programs that ended.
"""

import ctypes
import importlib.util
import itertools
import json
import os
import subprocess
import sys
import time

PARTS = {
    "xfsettingsd": ["xfsettingsd", "--no-daemon", "--replace"],
    "xfwm4": ["xfwm4", "--compositor=off"],
    "xfdesktop": ["xfdesktop", "--disable-wm-check"],
    "xfce4-panel": ["xfce4-panel", "--disable-wm-check"],
}
MAX_WIDGETS = 4000
"""Widgets in a tree, at most: a folder has one a file."""
CRASHES = ".crashes"
"""File of the home with the programs that a signal ended, NAME SIGNAL a line; `settings` has the script that writes it."""


def start(*argv, **options):
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(argv, **quiet | options)


def start_bus():
    """The address of a private session bus."""
    read, write = os.pipe()
    start("dbus-daemon", "--session", "--nofork", "--nopidfile", f"--print-address={write}", pass_fds=[write])
    os.close(write)
    with os.fdopen(read) as address:
        return address.readline().strip()


def wait_for_settings():
    """Waits until xfsettingsd publishes the settings: a program that starts before may be drawn in other fonts."""
    x11 = ctypes.CDLL("libX11.so.6")
    x11.XOpenDisplay.restype = ctypes.c_void_p
    display = ctypes.c_void_p(x11.XOpenDisplay(b":0"))
    x11.XInternAtom.restype = x11.XGetSelectionOwner.restype = ctypes.c_ulong
    atom = ctypes.c_ulong(x11.XInternAtom(display, b"_XSETTINGS_S0", 0))
    for _ in range(500):
        if x11.XGetSelectionOwner(display, atom):
            break
        time.sleep(0.01)
    else:
        raise RuntimeError("xfsettingsd publishes no settings")
    x11.XCloseDisplay(display)


def start_desktop(files):
    """{name: process} of the desktop's parts, with these files {path: text} in the home."""
    if importlib.util.find_spec("pyatspi") is None:
        raise RuntimeError("python3-pyatspi is missing: apt-get install python3-pyatspi")
    home = os.environ["HOME"]
    for name, text in files.items():
        path = os.path.join(home, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
    os.makedirs("/tmp/run", 0o700, exist_ok=True)
    os.environ.update(DISPLAY=":0", XDG_RUNTIME_DIR="/tmp/run", GIO_USE_VFS="local", GSETTINGS_BACKEND="keyfile")
    os.environ.update(XDG_CURRENT_DESKTOP="XFCE", GTK_MODULES="gail:atk-bridge", SHELL="/bin/bash")
    os.chdir(home)
    os.environ["DBUS_SESSION_BUS_ADDRESS"] = start_bus()
    parts = {}
    for name, argv in PARTS.items():
        parts[name] = start(*argv)
        if name == "xfsettingsd":
            wait_for_settings()
    return parts


def tree():
    """[{name, frames: [{role, name, box, widgets: [[role, name, text, box]]}]}]: all that shows, depth first."""
    import pyatspi

    apps, left = [], MAX_WIDGETS
    for app in pyatspi.Registry.getDesktop(0):
        if app is None:
            continue
        frames = []
        try:
            for frame in app:
                if frame is None or not is_showing(pyatspi, frame):
                    continue
                widgets = [describe(pyatspi, w) for w in itertools.islice(descendants(pyatspi, frame), left)]
                left -= len(widgets)
                frames.append(
                    {"role": frame.getRoleName(), "name": frame.name, "box": box(pyatspi, frame), "widgets": widgets}
                )
            apps.append({"name": app.name, "frames": frames})
        except Exception:  # it closed while it was read
            continue
    return apps


def descendants(pyatspi, parent):
    for child in parent:
        if child is not None and is_showing(pyatspi, child):
            yield child
            yield from descendants(pyatspi, child)


def is_showing(pyatspi, widget):
    states = widget.getState()
    return states.contains(pyatspi.STATE_SHOWING) and states.contains(pyatspi.STATE_VISIBLE)


def describe(pyatspi, widget):
    """[role, name, text, box] of a widget."""
    try:
        text = widget.queryText().getText(0, 20000)
    except NotImplementedError:
        text = ""
    return [widget.getRoleName(), widget.name or "", text, box(pyatspi, widget)]


def box(pyatspi, widget):
    """[x, y, width, height] in pixels of the screen, or None for a widget without a place."""
    try:
        extents = widget.queryComponent().getExtents(pyatspi.DESKTOP_COORDS)
        return [extents.x, extents.y, extents.width, extents.height]
    except NotImplementedError:
        return None


def crashes():
    """The programs that a signal ended since the last call."""
    try:
        with open(os.path.join(os.environ["HOME"], CRASHES)) as file:
            lines = file.read().splitlines()
        os.remove(file.name)
    except FileNotFoundError:
        return []
    return ["{} crashed (signal {})".format(*line.split()) for line in lines]


def main():
    try:
        parts = start_desktop(json.loads(sys.stdin.readline())["files"])
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
        return
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        if json.loads(line)["request"] == "tree":
            print(json.dumps(tree()), flush=True)
        else:
            failures = [f"{name} ended" for name, part in parts.items() if part.poll() is not None]
            print(json.dumps(failures + crashes()), flush=True)


if __name__ == "__main__":
    main()
