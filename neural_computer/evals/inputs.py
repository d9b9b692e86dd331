"""Inputs of a metric: a pair of videos, the frames that protocols take of them, what is read on them.

`Instruments` are shared by all clips, a `MetricInput` by all metrics of one clip: nothing is computed twice.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np
from jax.sharding import Mesh
from jaxtyping import Bool

from neural_computer import errors
from neural_computer.actions import cursor
from neural_computer.evals import cursor_metrics, frames, ocr
from neural_computer.evals.ocr import Lines
from neural_computer.evals.pairs import VideoPair
from neural_computer.media import Video
from neural_computer.types import PyTree

T = TypeVar("T")

VIEWS = ("paper", "full")
"""paper: at most 5 s, 3 frames per second, 256x256; full: every frame as it is"""


class Frames(NamedTuple):
    """Frames of both videos that a metric compares, and the mask of the pixels that count; None for all."""

    generated: Video
    reference: Video
    mask: Bool[np.ndarray, "t h w"] | None = None


@dataclass(frozen=True)
class Instruments:
    """What metrics measure with.

    Attributes:
        view: which frames are compared, one of `VIEWS`.
        reader: reads frames for text metrics.
        cursor_height: height of the videos' cursor in pixels.
        r3d18: parameters of R3D-18, of `models.r3d.params_from`; None without its file.
        mesh: devices that frames and clips are split over; None for one device.
    """

    view: str = "paper"
    reader: ocr.Reader = field(default_factory=ocr.Tesseract)
    cursor_height: float = 19.0
    r3d18: PyTree | None = None
    mesh: Mesh | None = None

    def __post_init__(self) -> None:
        errors.one_of("view", self.view, VIEWS)

    @cached_property
    def arrow(self) -> cursor.Template:
        return cursor.template(self.cursor_height)

    def once(self, make: Callable[["Instruments"], T]) -> T:
        """`make(self)`, called on first use and kept: a network loads its weights only if a metric needs it."""
        if make not in self._made:
            self._made[make] = make(self)
        return self._made[make]

    @cached_property
    def _made(self) -> dict[Callable, Any]:
        return {}


@dataclass(frozen=True)
class MetricInput:
    """One pair of videos as metrics use it; frames and readings are computed on first use and shared."""

    pair: VideoPair
    instruments: Instruments

    @cached_property
    def frames(self) -> Frames:
        """The view's frames."""
        pair = self.pair
        if self.instruments.view == "full":
            return Frames(pair.generated, pair.reference)
        return Frames(*(frames.global_view(video, pair.fps) for video in (pair.generated, pair.reference)))

    @cached_property
    def frames_after_actions(self) -> Frames | None:
        """The "+15" frames (see `frames.after_actions`), squashed in the paper's view; None where there are none."""
        pair = self.pair
        places = frames.after_actions(pair.action_times, pair.fps, len(pair.reference))
        if not places:
            return None
        videos = pair.generated[places], pair.reference[places]
        if self.instruments.view == "full":
            return Frames(*videos)
        return Frames(*(frames.resize(video, frames.SIZE) for video in videos))

    @cached_property
    def text_frames(self) -> Frames:
        """All frames, with the mask of the cells that have text. Raises ValueError without cells."""
        return Frames(self.pair.generated, self.pair.reference, self.pair.text_mask())

    @cached_property
    def cursor_frames(self) -> Frames:
        """All frames, with the mask of the pixels around the mouse. Raises ValueError without a cursor."""
        return Frames(self.pair.generated, self.pair.reference, self.pair.cursor_mask(self.instruments.arrow))

    @cached_property
    def ocr(self) -> list[tuple[Lines, Lines]]:
        """(generated, reference) lines that the reader reads on both videos."""
        return ocr.line_pairs(self.instruments.reader, self.pair.generated, self.pair.reference)

    @cached_property
    def ocr_buffer(self) -> list[tuple[Lines, Lines]]:
        """(generated, reference) lines, the reference's from the terminal's buffer."""
        return ocr.line_pairs(self.instruments.reader, self.pair.generated, self.pair.cells or ())

    @cached_property
    def screens(self) -> list[str]:
        """Text of the generated screens by the exact reader of glyphs. Raises ValueError without cells."""
        terminal = self.pair.terminal
        return terminal.reader(self.pair.cells or ())(terminal.crop(self.pair.generated))

    @cached_property
    def click_responses(self) -> list[tuple[bool, bool]]:
        """(the reference responds, the generated video does likewise) of every click; needs a cursor."""
        pair = self.pair
        if pair.cursor is None:
            return []
        clicks = [frames.frame_at(t, pair.fps, len(pair.reference)) for t in cursor_metrics.click_times(pair.events)]
        return cursor_metrics.click_responses(
            pair.generated, pair.reference, clicks, pair.cursor, self.instruments.arrow
        )
