"""Client of an X display: screenshots by mss, mouse and keyboard by XTEST, window titles."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import UInt8

from neural_computer.actions.schema import BUTTONS
from neural_computer.recording.guiworld.logs import NOTCHES, NUMBERS
from neural_computer.recording.xfce.displays import quietly
from neural_computer.recording.xfce.errors import DesktopError
from neural_computer.types import Event

KEYSYMS = {"\n": "Return", "\r": "Return", "\t": "Tab", " ": "space", "\b": "BackSpace", "\x1b": "Escape"}


class XClient:
    """Connections to X display `display`, opened on first use. A client is for one thread.

    `log` has every injected event as a row of a recording's log: `t` and `t_done` are CLOCK_MONOTONIC nanoseconds before the
    event was sent and after the server acknowledged it.
    """

    def __init__(self, display: int):
        self.display = display
        self.log: list[dict[str, Any]] = []

    def __enter__(self) -> "XClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for name in ("_screen", "_x"):
            if (connection := self.__dict__.pop(name, None)) is not None:
                quietly(connection.close)

    # The screen

    @property
    def pointer(self) -> tuple[float, float]:
        with self._errors():
            place = self._x.screen().root.query_pointer()
        return float(place.root_x), float(place.root_y)

    def grab(self) -> UInt8[np.ndarray, "h w 4"]:
        """The screen with the pointer, BGRA as the server sends it; `rgb` converts. Raises DesktopError."""
        try:
            return np.asarray(self._screen.grab(self._screen.monitors[0]))
        except Exception as error:
            raise DesktopError(f"display :{self.display} cannot be read ({error}); has the X server ended?") from error

    def window_titles(self) -> list[str]:
        """Titles of the window manager's windows, from the lowest to the topmost."""
        from Xlib.error import BadWindow

        def text(window: Any) -> str:
            try:
                name = window.get_full_property(self._x.intern_atom("_NET_WM_NAME"), 0)
            except BadWindow:
                return ""
            return name.value.decode() if name else ""

        with self._errors():
            root = self._x.screen().root
            ids = root.get_full_property(self._x.intern_atom("_NET_CLIENT_LIST_STACKING"), 0)
            return [text(self._x.create_resource_object("window", id)) for id in ids.value] if ids else []

    # Mouse and keyboard

    def inject(self, event: Event) -> None:
        """Injects one event, waits for the server's acknowledgement and logs it. Raises ValueError for an unknown key."""
        from Xlib import X

        if event.kind == "move":
            self._fake("move", X.MotionNotify, x=round(event.x), y=round(event.y))
        elif event.kind == "scroll":
            for button, (dx, dy) in NOTCHES.items():
                for _ in range(round(max(0.0, dx * event.dx + dy * event.dy))):
                    self._fake("down", X.ButtonPress, button)
                    self._fake("up", X.ButtonRelease, button)
        elif event.kind == "text":
            for char in event.text:
                self.inject(Event(event.time, "press", key=char))
                self.inject(Event(event.time, "release", key=char))
        elif event.key in BUTTONS:
            kinds = {"press": ("down", X.ButtonPress), "release": ("up", X.ButtonRelease)}
            self._fake(*kinds[event.kind], NUMBERS[event.key])
        else:
            self._inject_key(event)

    def check_keys(self, events: Sequence[Event]) -> None:
        """Raises ValueError if the keyboard lacks a key of these events."""
        for event in events:
            keys = event.text if event.kind == "text" else [event.key] if event.kind in ("press", "release") else []
            for key in keys:
                if key not in BUTTONS:
                    self._keycode(key)

    def _inject_key(self, event: Event) -> None:
        """A key; a character that needs Shift is wrapped in one unless Shift is down already."""
        from Xlib import X

        code, shifted = self._keycode(event.key)
        shift = self._keycode("Shift_L")[0]
        with self._errors():
            wrapped = shifted and event.kind == "press" and not self._x.query_keymap()[shift // 8] & 1 << shift % 8
        if wrapped:
            self._fake("", X.KeyPress, shift)
        kinds = {"press": ("key_down", X.KeyPress), "release": ("key_up", X.KeyRelease)}
        self._fake(*kinds[event.kind], code, key=event.key)
        if wrapped:
            self._fake("", X.KeyRelease, shift)

    def _keycode(self, key: str) -> tuple[int, bool]:
        """(keycode, does it need Shift) of a keysym's name or a character."""
        from Xlib import XK

        name = KEYSYMS.get(key, key)
        symbol = ord(name) if len(name) == 1 else XK.string_to_keysym(name)
        code = self._x.keysym_to_keycode(symbol) if symbol else 0
        if not code:
            raise ValueError(f"key {key!r}: the rig's keyboard has none")
        return code, self._x.keycode_to_keysym(code, 0) != symbol

    def _fake(self, kind: str, what: int, detail: int = 0, key: str = "", **place: int) -> None:
        """An XTEST event, logged as `kind`; an empty kind (a Shift added for a character) is not logged."""
        from Xlib.ext import xtest

        begin = time.monotonic_ns()
        with self._errors():
            xtest.fake_input(self._x, what, detail, **place)
            self._x.sync()
        if kind:
            row: dict[str, Any] = {"kind": kind, "t": begin, "t_done": time.monotonic_ns(), **place}
            self.log.append(row | ({"key": key} if key else {} if place else {"button": detail}))

    # The connections

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Turns a lost connection into a DesktopError."""
        from Xlib import error

        try:
            yield
        except (error.ConnectionClosedError, error.DisplayConnectionError, OSError) as lost:
            raise DesktopError(f"display :{self.display} does not respond ({lost}); has the X server ended?") from lost

    @cached_property
    def _x(self) -> Any:
        from Xlib import XK, display

        XK.load_keysym_group("xf86")
        return display.Display(f":{self.display}")

    @cached_property
    def _screen(self) -> Any:
        import mss

        return mss.MSS(display=f":{self.display}", with_cursor=True)


def rgb(grabbed: UInt8[np.ndarray, "h w 4"]) -> UInt8[np.ndarray, "h w 3"]:
    """The picture of a grab: BGRA to RGB."""
    return np.ascontiguousarray(grabbed[..., 2::-1])
