"""A generated video beside its reference: what every metric is computed from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from neural_computer.actions.cursor import Template
from neural_computer.evals import pixels
from neural_computer.evals.screens import TerminalRegion
from neural_computer.media import Video
from neural_computer.types import Clip, Event


class ClipProblem(NamedTuple):
    """What is wrong with a clip; `kind` is a key of `folders.POLICY`."""

    clip: str
    kind: str
    detail: str


@dataclass(frozen=True)
class VideoPair:
    """Two videos of one size, length and rate, and the recorded truth beside them, as far as there is any."""

    id: str
    generated: Video
    reference: Video
    fps: float
    events: tuple[Event, ...] = ()
    cursor: Float[np.ndarray, "t 2"] | None = None
    """Mouse position (x, y) in pixels in every frame; NaN where unknown"""
    cells: tuple[str, ...] | None = None
    """The screen's text in every frame"""
    data_info: Mapping[str, Any] = field(default_factory=dict)
    """Where the terminal is in the frames (see `screens.TerminalRegion`)"""
    click: Mapping[str, Any] | None = None
    """Of a clip of split `clicks`: the screen with and without its click (see `cursor_metrics.click_state`)"""
    problems: tuple[ClipProblem, ...] = ()

    @classmethod
    def of(cls, clip: Clip, generated: Video) -> "VideoPair":
        """The pair of a data set's clip and the video generated for it."""
        data_info, click = clip.meta.get("data_info", {}), clip.meta.get("click")
        return cls(clip.id, generated, clip.frames, clip.fps, clip.events, clip.cursor, clip.cells, data_info, click)

    @property
    def action_times(self) -> list[float]:
        """Times in seconds of presses, scrolls and typed texts; mouse motion is no action."""
        return [event.time for event in self.events if event.kind in ("press", "scroll", "text")]

    @property
    def terminal(self) -> TerminalRegion:
        """The terminal's region. Raises ValueError without cells."""
        if self.cells is None:
            raise ValueError(f"{self.id}: has no cells, the text of its screens")
        return TerminalRegion.of(self.cells, self.reference.shape[1:3], self.data_info)

    def text_mask(self) -> Bool[np.ndarray, "t h w"]:
        """Mask of the pixels whose cells have text. Raises ValueError without cells."""
        return self.terminal.text_mask(self.cells or (), *self.reference.shape[1:3])

    def cursor_mask(self, arrow: Template) -> Bool[np.ndarray, "t h w"]:
        """Mask of the pixels within an arrow's height of the mouse. Raises ValueError without a cursor."""
        if self.cursor is None:
            raise ValueError(f"{self.id}: has no cursor, the positions of the mouse")
        _, height, width, _ = self.reference.shape
        return pixels.cursor_patch(self.cursor, height, width, arrow.pixels.shape[0] - 2)
