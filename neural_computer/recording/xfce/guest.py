"""Runs inside the rig's sandbox, by the system's Python: starts the desktop on display :0, then answers a request a line.

The first line it is given is {"files": {path: text}}; it answers {"ready": true} when the pieces are started, or
{"error": ...}. Then {"ask": "seen"} is answered with what AT-SPI tells, {"ask": "alive"} with what ended.
"""

import ctypes
import importlib.util
import itertools
import json
import os
import subprocess
import sys
import time

PIECES = {
    "xfsettingsd": ["xfsettingsd", "--no-daemon", "--replace"],
    "xfwm4": ["xfwm4", "--compositor=off"],
    "xfdesktop": ["xfdesktop", "--disable-wm-check"],
    "xfce4-panel": ["xfce4-panel", "--disable-wm-check"],
}
MOST = 4000
"""Widgets that are told of at most: a folder with many files has as many"""


def start(*argv, **options):
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(argv, **quiet | options)


def bus():
    """The address of a private session bus."""
    read, write = os.pipe()
    start("dbus-daemon", "--session", "--nofork", "--nopidfile", f"--print-address={write}", pass_fds=[write])
    os.close(write)
    with os.fdopen(read) as told:
        return told.readline().strip()


def settled():
    """Waits until the settings are told: what starts before is drawn in other fonts, now and then."""
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
        raise RuntimeError("xfsettingsd tells no settings")
    x11.XCloseDisplay(display)


def desktop(given):
    if importlib.util.find_spec("pyatspi") is None:
        raise RuntimeError("python3-pyatspi is missing: apt-get install python3-pyatspi")
    home = os.environ["HOME"]
    for name, text in given["files"].items():
        path = os.path.join(home, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
    os.makedirs("/tmp/run", 0o700, exist_ok=True)
    os.environ.update(DISPLAY=":0", XDG_RUNTIME_DIR="/tmp/run", GIO_USE_VFS="local", GSETTINGS_BACKEND="keyfile")
    os.environ.update(XDG_CURRENT_DESKTOP="XFCE", GTK_MODULES="gail:atk-bridge", SHELL="/bin/bash")
    os.chdir(home)
    os.environ["DBUS_SESSION_BUS_ADDRESS"] = bus()
    pieces = {}
    for name, argv in PIECES.items():
        pieces[name] = start(*argv)
        if name == "xfsettingsd":
            settled()
    return pieces


def seen():
    """[{name, frames: [{role, name, box, widgets: [[role, name, text, box]]}]}]: all that shows, depth first."""
    import pyatspi

    out, left = [], MOST
    for app in pyatspi.Registry.getDesktop(0):
        if app is None:
            continue
        frames = []
        try:
            for frame in app:
                if frame is None or not shows(pyatspi, frame):
                    continue
                widgets = [told(pyatspi, widget) for widget in itertools.islice(below(pyatspi, frame), left)]
                left -= len(widgets)
                frames.append(
                    {"role": frame.getRoleName(), "name": frame.name, "box": box(pyatspi, frame), "widgets": widgets}
                )
            out.append({"name": app.name, "frames": frames})
        except Exception:  # it went away while it was asked
            continue
    return out


def below(pyatspi, parent):
    for child in parent:
        if child is not None and shows(pyatspi, child):
            yield child
            yield from below(pyatspi, child)


def shows(pyatspi, widget):
    states = widget.getState()
    return states.contains(pyatspi.STATE_SHOWING) and states.contains(pyatspi.STATE_VISIBLE)


def told(pyatspi, widget):
    try:
        text = widget.queryText().getText(0, 20000)
    except NotImplementedError:
        text = ""
    return [widget.getRoleName(), widget.name or "", text, box(pyatspi, widget)]


def box(pyatspi, widget):
    try:
        found = widget.queryComponent().getExtents(pyatspi.DESKTOP_COORDS)
        return [found.x, found.y, found.width, found.height]
    except NotImplementedError:
        return None


def crashes():
    """The programs that a signal ended since it was asked last; .noting writes them down."""
    try:
        with open(os.path.join(os.environ["HOME"], ".crashes")) as file:
            lines = file.read().splitlines()
        os.remove(file.name)
    except FileNotFoundError:
        return []
    return ["{} crashed (signal {})".format(*line.split()) for line in lines]


def main():
    try:
        pieces = desktop(json.loads(sys.stdin.readline()))
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
        return
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        if json.loads(line)["ask"] == "seen":
            print(json.dumps(seen()), flush=True)
        else:
            gone = [f"{name} ended" for name, piece in pieces.items() if piece.poll() is not None]
            print(json.dumps(gone + crashes()), flush=True)


if __name__ == "__main__":
    main()
