"""The files of a real desktop's home: its idle frames are the same bytes in every session."""

from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import quoteattr

from neural_computer.recording.sandbox import HOME
from neural_computer.recording.xfce.guest import CRASHES

MENU = {
    "Calc": "galculator",
    "Edit": f"mousepad {HOME}/note",
    "Term": "xfce4-terminal --disable-server --hide-menubar --hide-scrollbar --geometry=64x18",
    "Files": f"thunar {HOME}",
}
"""The menu's programs: the synthetic desktop's name -> command."""
LAUNCHER = f"""#!/bin/sh
"$@"
code=$?
[ $code -le 128 ] || echo "$1 $((code - 128))" >>{HOME}/{CRASHES}
"""
"""Runs a program; notes its name and the signal if one ends it."""
PANEL = 28
"""Height of the panel at the bottom of the screen, in pixels."""

CHANNELS: dict[str, dict[str, Any]] = {
    "xsettings": {
        "Net": {"ThemeName": "Adwaita", "IconThemeName": "Adwaita", "CursorBlink": False, "EnableEventSounds": False},
        "Gtk": {"FontName": "DejaVu Sans 10", "MonospaceFontName": "DejaVu Sans Mono 10", "CursorThemeName": "Adwaita"},
        "Xft": {"Antialias": 1, "Hinting": 1, "HintStyle": "hintslight", "RGBA": "none", "DPI": 96},
    },
    "xfwm4": {
        "general": {
            "use_compositing": False,
            "workspace_count": 1,
            "theme": "Default",
            "title_font": "DejaVu Sans Bold 9",
            "easy_click": "None",
            "snap_to_border": False,
            "snap_to_windows": False,
            "wrap_windows": False,
            "scroll_workspaces": False,
            "tile_on_move": False,
            "mousewheel_rollup": False,
            "double_click_action": "none",
        }
    },
    "xfce4-desktop": {
        "backdrop": {
            "screen0": {
                f"monitor{name}": {
                    "workspace0": {"image-style": 0, "color-style": 0, "rgba1": [0.16, 0.29, 0.33, 1.0]},
                }
                for name in ("0", "screen")
            }
        },
        "desktop-icons": {"style": 0},
        "desktop-menu": {"show": False},
        "windowlist-menu": {"show": False},
    },
    "xfce4-panel": {
        "panels": [1],
        "panels/panel-1": {
            "position-locked": True,
            "length": 100,
            "size": PANEL,
            "plugin-ids": [1, 2],
        },
        "plugins": {
            "plugin-1": (
                "applicationsmenu",
                {
                    "button-title": "Menu",
                    "show-button-title": True,
                    "show-tooltips": False,
                    "custom-menu": True,
                    "custom-menu-file": f"{HOME}/.config/desk.menu",
                },
            ),
            "plugin-2": ("tasklist", {"grouping": 0, "show-handle": False}),
        },
    },
    "xfce4-keyboard-shortcuts": {
        "commands": {"custom": {"override": True}},
        "xfwm4": {"custom": {"override": True, "<Alt>Tab": "cycle_windows_key", "<Alt>F4": "close_window_key"}},
    },
    "xfce4-terminal": {"misc-cursor-blinks": "TERMINAL_CURSOR_BLINK_MODE_OFF"},
}


def files(size: tuple[int, int]) -> dict[str, str]:
    """{path in the home: text}, for a screen of `size` (width, height) in pixels."""
    panel, place = CHANNELS["xfce4-panel"], f"p=8;x={size[0] // 2};y={size[1] - PANEL // 2}"
    channels = CHANNELS | {"xfce4-panel": panel | {"panels/panel-1": panel["panels/panel-1"] | {"position": place}}}
    texts = {
        f".config/xfce4/xfconf/xfce-perchannel-xml/{name}.xml": channel(name, tree) for name, tree in channels.items()
    }
    entries = "".join(f"<Filename>{name}.desktop</Filename>" for name in MENU)
    texts[".config/desk.menu"] = (
        f"<Menu><Name>Desk</Name><AppDir>{HOME}/.local/share/applications</AppDir>"
        f"<Include>{entries}</Include><Layout>{entries}</Layout></Menu>"
    )
    for name, command in MENU.items():
        texts[f".local/share/applications/{name}.desktop"] = (
            f"[Desktop Entry]\nType=Application\nName={name}\nExec=sh {HOME}/.launcher {command}\nTerminal=false\n"
        )
    return texts | {
        # The same as xsettings: a program that starts before these are published looks the same.
        ".config/gtk-3.0/settings.ini": "[Settings]\ngtk-theme-name=Adwaita\ngtk-icon-theme-name=Adwaita\n"
        "gtk-font-name=DejaVu Sans 10\ngtk-cursor-blink=0\ngtk-xft-antialias=1\ngtk-xft-hinting=1\n"
        "gtk-xft-hintstyle=hintslight\ngtk-xft-rgba=none\ngtk-xft-dpi=98304\ngtk-enable-animations=0\n",
        ".config/xfce4/terminal/terminalrc": "[Configuration]\nMiscCursorBlinks=FALSE\nMiscConfirmClose=FALSE\n",
        # The goal policies click the tool bar's save button.
        ".config/glib-2.0/settings/keyfile": "[org/xfce/mousepad/preferences/window]\ntoolbar-visible=true\n",
        ".config/mimeapps.list": "[Default Applications]\ntext/plain=Edit.desktop\n",
        ".launcher": LAUNCHER,
        ".bashrc": "PS1='$ '\nHISTFILE=\n",
        "docs/plan": "buy milk\n",
        "readme": "a desktop to use\n",
        "music/song": "la la la\n",
    }


def channel(name: str, tree: Mapping[str, Any]) -> str:
    """The XML of a channel of xfconf. Keys with slashes are paths, lists are arrays, (value, tree) has properties below it."""
    return f'<?xml version="1.0"?><channel name={quoteattr(name)} version="1.0">{_below(_nested(tree))}</channel>'


def _nested(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The tree with a level for each part of a path; a value with others below it becomes (value, tree)."""
    out: dict[str, Any] = {}
    for key, value in tree.items():
        first, slash, rest = key.partition("/")
        if slash and not key.startswith("<"):
            out[first] = (out.get(first), {rest: value})
        else:
            out[key] = value
    return out


def _below(tree: Mapping[str, Any]) -> str:
    return "".join(_property(name, value) for name, value in tree.items())


def _property(name: str, value: Any) -> str:
    below = ""
    if isinstance(value, tuple):
        value, below = value[0], _below(value[1])
    start = f"<property name={quoteattr(name)}"
    if isinstance(value, Mapping):
        return f'{start} type="empty">{_below(value)}</property>'
    if isinstance(value, list):
        values = "".join(f'<value type="{_type(x)}" value={quoteattr(_text(x))}/>' for x in value)
        return f'{start} type="array">{values}{below}</property>'
    return f'{start} type="{_type(value)}" value={quoteattr(_text(value))}>{below}</property>'


def _type(value: Any) -> str:
    return {bool: "bool", int: "int", float: "double", str: "string"}[type(value)]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
