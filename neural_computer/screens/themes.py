"""Colour themes of terminals: text, background, the sixteen named colours, the cursor."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import UInt8

RGB = tuple[int, int, int]


def rgb(text: Any) -> RGB:
    """Colour of a text such as "#1e1e2e". Raises ValueError for another form."""
    if not isinstance(text, str) or not re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        raise ValueError(f"{str(text)[:40]!r} must be a colour such as #1e1e2e")
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:], 16)


@dataclass(frozen=True)
class Theme:
    """Colours of plain text, its background, the sixteen named colours, and the cursor; None swaps the cell's colours."""

    fg: RGB
    bg: RGB
    named: tuple[RGB, ...]
    cursor: RGB | None = None

    @classmethod
    def of(cls, header: Any) -> "Theme":
        """Theme of a recording's header: fg, bg, and a palette of 8 or 16 colours joined by colons. Raises ValueError."""
        if not isinstance(header, Mapping) or not isinstance(header.get("palette"), str):
            raise ValueError("must have fg, bg and palette")
        named = tuple(rgb(part) for part in header["palette"].split(":"))
        if len(named) not in (8, 16):
            raise ValueError(f"palette has {len(named)} colours; it must have 8 or 16")
        cursor = rgb(header["cursor"]) if header.get("cursor") else None
        return cls(rgb(header.get("fg")), rgb(header.get("bg")), named * (16 // len(named)), cursor)

    @cached_property
    def table(self) -> UInt8[np.ndarray, "256 3"]:
        """xterm's 256 colours: the sixteen named ones, a 6x6x6 cube, 24 greys."""
        steps = (0, 95, 135, 175, 215, 255)
        cube = [(r, g, b) for r in steps for g in steps for b in steps]
        return np.asarray([*self.named, *cube, *((8 + 10 * n,) * 3 for n in range(24))], np.uint8)


def _of(fg: str, bg: str, named: str, cursor: str | None = None) -> Theme:
    palette = ":".join(f"#{colour}" for colour in named.split())
    return Theme.of({"fg": fg, "bg": bg, "palette": palette, "cursor": cursor})


DEFAULT = _of(
    "#ffffff",
    "#000000",
    "000000 cd3131 0dbc79 e5e510 2472c8 bc3fbc 11a8cd e5e5e5 666666 f14c4c 23d18b f5f543 3b8eea d670d6 29b8db ffffff",
)
MOCHA = _of(
    "#ffffff",
    "#1e1e2e",
    "45475a f38ba8 a6e3a1 f9e2af 89b4fa cba6f7 94e2d5 ffffff 585b70 f38ba8 a6e3a1 f9e2af 89b4fa cba6f7 89dceb ffffff",
    "#f5c2e7",
)
"""Catppuccin Mocha, as the paper's scripted recordings use it"""

THEMES: Mapping[str, Theme] = {"default": DEFAULT, "mocha": MOCHA}
