"""A made video beside the true one: what every metric is given."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from neural_computer.actions.cursor import Template
from neural_computer.evals import pixels
from neural_computer.evals.screens import Place
from neural_computer.media import Video
from neural_computer.types import Clip, Event


class Fault(NamedTuple):
    """What is wrong with a clip; `kind` is one of `folders.POLICY`."""

    clip: str
    kind: str
    what: str


@dataclass(frozen=True)
class Pair:
    """Two videos of one size, length and rate, and what is known beside them."""

    id: str
    made: Video
    right: Video
    fps: float
    events: tuple[Event, ...] = ()
    cursor: Float[np.ndarray, "t 2"] | None = None
    """Where the mouse is in every frame, (x, y) in pixels; NaN where unknown"""
    cells: tuple[str, ...] | None = None
    """What stands on every screen"""
    info: Mapping[str, Any] = field(default_factory=dict)
    """Where in its frames the terminal is (see `screens.Place`)"""
    click: Mapping[str, Any] | None = None
    """Of a clip of split `clicks`: what its click, or having none, makes of the screen"""
    faults: tuple[Fault, ...] = ()

    @classmethod
    def of(cls, window: Clip, made: Video) -> "Pair":
        """A window of a dataset and what was made of it."""
        info, click = window.meta.get("data_info", {}), window.meta.get("click")
        return cls(window.id, made, window.frames, window.fps, window.events, window.cursor, window.cells, info, click)

    @property
    def times(self) -> list[float]:
        """When something was done, in seconds: a press, a scroll, a text; moving the mouse is nothing done."""
        return [event.time for event in self.events if event.kind in ("press", "scroll", "text")]

    @property
    def place(self) -> Place:
        """Where the terminal is. Raises ValueError without cells."""
        if self.cells is None:
            raise ValueError(f"{self.id}: has no cells; what stands on its screens is not known")
        return Place.of(self.cells, self.right.shape[1:3], self.info)

    def text_mask(self) -> Bool[np.ndarray, "t h w"]:
        """The pixels of the cells that have text."""
        return self.place.mask(self.cells or (), *self.right.shape[1:3])

    def cursor_mask(self, arrow: Template) -> Bool[np.ndarray, "t h w"]:
        """The pixels around the mouse, as far as the arrow is high. Raises ValueError without a mouse."""
        if self.cursor is None:
            raise ValueError(f"{self.id}: has no cursor; where the mouse was is not known")
        _, height, width, _ = self.right.shape
        return pixels.cursor_patch(self.cursor, height, width, arrow.pixels.shape[0] - 2)
