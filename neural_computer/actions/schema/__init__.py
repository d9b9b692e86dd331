"""The vocabulary of actions, frozen: datasets and networks store these indices. numpy only.

Raw (the paper's v1): 13 mouse and 169 keyboard flags a frame. Meta (v2): five types, SLOTS of them a frame.

A key sets the flag of its own name: "Tab" or "Return" (an X keysym, the key) the keysym's flag, "\\t" or "\\n" (a
character of a typed text) the character's. Likewise "space" and " ".
"""

import string

SLOTS = 2
"""Most actions of a frame"""

MOUSE = (
    *("left_click", "right_click", "middle_click", "double_click", "triple_click", "left_click_drag"),
    *("left_mouse_down", "left_mouse_up", "mouse_move", "scroll_up", "scroll_down", "scroll_left", "scroll_right"),
)
CHARACTERS = (*map(chr, range(32, 127)), "\t", "\n", "\r")
SIDED = ("Control", "Alt", "Shift", "Super")
MODIFIERS = {f"{name}_{side}": name for side in "LR" for name in SIDED}
"""Keysym -> the modifier that it holds."""
KEYSYMS = (
    *("Return", "Tab", "space", "BackSpace", "Delete", "Escape", "Insert", "Home", "End", "Prior", "Next"),
    *(
        "Up",
        "Down",
        "Left",
        "Right",
        *(f"F{n}" for n in range(1, 13)),
        *(f"{m}_{side}" for m in SIDED for side in "LR"),
    ),
    *("Caps_Lock", "Num_Lock", "Scroll_Lock", "Print", "Pause", "Break", *(f"KP_{n}" for n in range(10))),
    *(f"KP_{name}" for name in ("Decimal", "Divide", "Multiply", "Subtract", "Add")),
    *(f"XF86Audio{name}" for name in ("LowerVolume", "RaiseVolume", "Mute", "Play", "Next", "Prev", "Stop")),
    *("Menu", "Clear", "Help", "Select", "Separator", "Execute", "Mode_switch", "XF86Sleep"),
)
KEYS = CHARACTERS + KEYSYMS

FLAGS = {name: number for number, name in enumerate(MOUSE)} | {
    name: number for number, name in enumerate(KEYS, len(MOUSE))
}
"""Name -> index in the multi-hot vector of a frame"""

NONE, CLICK, SCROLL, TEXT, SHORTCUT = range(5)
"""Types of meta-actions"""
BUTTONS = ("left", "middle", "right")
CLICKS = 3
"""Most clicks of one action; a fourth in a row begins a new one."""
NOTCH = {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}
"""Direction of a scroll -> (dx, dy) of one notch of the wheel."""
DIRECTIONS = tuple(NOTCH)

OTHER = "other"
"""Every shortcut that the table lacks"""
SHORTCUTS = (
    OTHER,
    *KEYSYMS,
    *(f"ctrl+{letter}" for letter in string.ascii_lowercase + string.digits),
    *(
        f"ctrl+{key}"
        for key in ("-", "=", "+", "/", "Return", "Tab", "space", "BackSpace", "Delete", "Escape", "Insert")
    ),
    *(f"ctrl+{key}" for key in ("Home", "End", "Prior", "Next", "Up", "Down", "Left", "Right", "F4")),
    *(f"ctrl+shift+{key}" for key in (*"abcefinopqstvwz", "Tab", "Escape", "Left", "Right", "Home", "End")),
    *(f"shift+{key}" for key in ("Tab", "Return", "Insert", "Delete", "F10")),
    *(f"shift+{key}" for key in ("Home", "End", "Prior", "Next", "Up", "Down", "Left", "Right")),
    *(f"alt+{key}" for key in ("F1", "F2", "F4", "F7", "F8", "F10", "Tab", "space", "Return", "Escape")),
    *(f"alt+{key}" for key in ("Up", "Down", "Left", "Right", "Home", *"abdefhinopstvw")),
    *(f"alt+shift+{key}" for key in ("Tab",)),
    *(f"ctrl+alt+{key}" for key in ("t", "l", "d", "Delete", "Up", "Down", "Left", "Right")),
    *(f"super+{key}" for key in (*"abdefilmprstw", "Tab", "space", "Up", "Down", "Left", "Right")),
)
"""Named keys pressed alone, and modifiers (in the order ctrl, alt, shift, super) with a key."""

SHORTCUT_IDS = {name: number for number, name in enumerate(SHORTCUTS)}
