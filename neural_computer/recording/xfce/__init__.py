"""A real X desktop: Xvfb and parts of XFCE in a sandbox with a throw-away home, observed and controlled from outside.

desktop        `XfceDesktop`: the `Desktop` outside, and the life of its two sandboxes
x11            screenshots by mss, mouse and keyboard by XTEST, window titles
accessibility  the AT-SPI tree as `Target`s
guest          the program inside the sandbox: starts the parts, reports the AT-SPI tree and what crashed
settings       the files of the home: no clock, no blinking, one plain backdrop, a menu of four programs, no log-out
displays       which X display a desktop has
requirements   the Python packages and programs that a desktop needs
"""
