"""A real X desktop: Xvfb and pieces of XFCE in a sandbox, with a throw-away home, seen and used from outside.

settings   what the home holds: no clock, no blinking, one plain backdrop, a menu of four programs and no log-out
inside     the program in the sandbox that starts it all and tells, by AT-SPI, what is on the screen
displays   which X display it has
desk       the `Desktop` outside: pictures by mss, mouse and keyboard by XTEST
seen       what AT-SPI tells as `Target`s
"""
