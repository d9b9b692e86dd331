"""The table of metrics: what each one measures, what it needs, how it is computed.

A metric is one entry of `METRICS`. Add your own and name it, in `config.evaluation.metrics` or in --metrics:

    METRICS["mean_abs"] = Metric(
        "mean absolute error, of 255",
        lambda x: np.abs(x.pair.generated.astype(float) - x.pair.reference).mean(),
        lower_is_better=True,
    )
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from neural_computer import errors
from neural_computer.evals import cursor_metrics, estimates, frames, frechet, pixels, tasks, text
from neural_computer.evals.batched import BatchedOverMesh
from neural_computer.evals.estimates import Estimate
from neural_computer.evals.features import I3D, R3D18, Extractor
from neural_computer.evals.inputs import Frames, Instruments, MetricInput
from neural_computer.models.lpips import LPIPS

NEEDS = ("", "cells", "events", "cursor", "click")
"""What a metric may need of a pair beside its two videos: nothing, or this field"""


@dataclass(frozen=True)
class Metric:
    """A number per clip; over clips, its mean.

    Attributes:
        measures: what the number is, in one line.
        call: the number of one clip; None or NaN where it has none.
        needs: the field of a pair without which a clip has no value, one of `NEEDS`.
        lower_is_better: whether a lower number is better.
    """

    measures: str
    call: Callable[[MetricInput], float | None]
    needs: str = ""
    lower_is_better: bool = False

    def __post_init__(self) -> None:
        errors.one_of("needs", self.needs, NEEDS)

    def estimate(self, values: Sequence[float]) -> Estimate | None:
        """The mean over clips; None for no clips."""
        return estimates.mean(values) if len(values) else None


@dataclass(frozen=True)
class SetMetric:
    """The Frechet distance of all generated videos from all references, by features of each video.

    Attributes:
        measures, needs: as of `Metric`.
        call: the frames of both videos that features are extracted from; None where a clip has none.
        extractor: makes the extractor of features.
        weights: the field of `Instruments` that the extractor's weights come from; "" if it brings its own.
    """

    measures: str
    call: Callable[[MetricInput], Frames | None]
    extractor: Callable[[Instruments], Extractor]
    needs: str = ""
    weights: str = ""
    lower_is_better: bool = True

    def __post_init__(self) -> None:
        errors.one_of("needs", self.needs, NEEDS)

    def estimate(self, features: Sequence[np.ndarray]) -> Estimate | None:
        """The distance over clips, of (generated, reference) rows of features; None for fewer than two clips."""
        if len(features) < 2:
            return None
        generated, reference = (np.stack([rows[side] for rows in features]) for side in (0, 1))
        value = frechet.distance(frechet.fit(generated), frechet.fit(reference))
        return Estimate(value, *frechet.interval(generated, reference), len(features))


# Frames


FrameFunction = Callable[[Frames], np.ndarray]


def _batched(run: Callable[..., Any], load: Callable[[], Any] = lambda: None) -> Callable[[Instruments], FrameFunction]:
    """Makes, of `run(params, generated, reference[, mask])`, a function of frames to a value per frame."""

    def make(instruments: Instruments) -> FrameFunction:
        batched = BatchedOverMesh(run, instruments.mesh)
        params = batched.place(load())
        return lambda x: batched(params, *(part for part in x if part is not None))

    return make


def _of_frames(metric: Callable[..., Any]) -> Callable[..., Any]:
    """A metric of videos as one of frames, without parameters."""
    return lambda _, *videos: metric(*(video[:, None] for video in videos))


def _lpips(network: str) -> Callable[[Instruments], FrameFunction]:
    lpips = LPIPS(network)

    def run(params: Any, x: Any, y: Any) -> Any:
        return lpips(params, *(video.astype(jnp.float32) / 127.5 - 1 for video in (x, y)))

    return _batched(run, lambda: lpips.load())


FRAME_FUNCTIONS: dict[str, Callable[[Instruments], FrameFunction]] = {
    "psnr": _batched(_of_frames(pixels.psnr)),
    "ssim": _batched(_of_frames(pixels.ssim)),
    "lpips": _lpips("alexnet"),
    "lpips_vgg": _lpips("vgg16"),
}


def over_frames(name: str, select: Callable[[MetricInput], Frames | None]) -> Callable[[MetricInput], float | None]:
    """A clip's value of one of `FRAME_FUNCTIONS`: its mean over the selected frames, of PSNR that of the mean error.

    Frames weigh by the number of pixels in their masks.
    """

    def call(x: MetricInput) -> float | None:
        selected = select(x)
        if selected is None:
            return None
        mask = selected.mask
        weights = np.ones(len(selected.generated)) if mask is None else mask.sum((1, 2))
        if not weights.sum():
            return None
        values = np.asarray(x.instruments.once(FRAME_FUNCTIONS[name])(selected), np.float64)
        # A frame whose mask is empty has no value, and no weight.
        values = np.where(weights > 0, 10 ** (-values / 10) if name == "psnr" else values, 0)
        mean = (values * weights).sum() / weights.sum()
        return float(-10 * np.log10(mean) if name == "psnr" else mean)

    return call


def _view(x: MetricInput) -> Frames | None:
    return x.frames


def _after_actions(x: MetricInput) -> Frames | None:
    return x.frames_after_actions


def _text(x: MetricInput) -> Frames | None:
    return x.text_frames


def _cursor(x: MetricInput) -> Frames | None:
    return x.cursor_frames


def _i3d(instruments: Instruments) -> Extractor:
    network = I3D()
    return Extractor(network, network.load(), instruments.mesh)


def _r3d18(instruments: Instruments) -> Extractor:
    return Extractor(R3D18(), instruments.r3d18, instruments.mesh)


# Text


def over_screens(
    accuracy: Callable[[Sequence[str], Sequence[str]], float],
    screens: Callable[[MetricInput], list[tuple[list[str], list[str]]]],
) -> Callable[[MetricInput], float]:
    """A clip's mean of an accuracy of (generated, reference) lines over the screens that are read."""
    return lambda x: float(np.mean([accuracy(*pair) for pair in screens(x)]))


def _command_echo(x: MetricInput) -> float | None:
    """Share of typed commands that stand on the screen a frame before Return is pressed, or two frames after."""
    pair, count = x.pair, len(x.pair.generated)
    echoes = []
    for time, command in tasks.typed_commands(pair.events):
        frame = frames.frame_at(time, pair.fps, count)
        screens = x.instruments.reader(pair.generated[[max(frame - 1, 0), min(frame + 2, count - 1)]])
        echoes.append(tasks.is_echoed(command, map(text.lines, screens)))
    return _share(echoes)


# Mouse


def _share(hits: Any) -> float | None:
    return float(np.mean(hits)) if len(hits) else None


def _cursor_accuracy(x: MetricInput, video: np.ndarray) -> float | None:
    """Share of frames with the cursor near the logged position; the first frame is given and does not count."""
    cursor = x.pair.cursor
    if cursor is None:
        return None
    return _share(cursor_metrics.cursor_accuracy(video[1:], cursor[1:], x.instruments.arrow))


def _constant_velocity(x: MetricInput) -> float | None:
    cursor, size = x.pair.cursor, x.pair.reference.shape[1:3]
    if cursor is None:
        return None
    return _share(cursor_metrics.constant_velocity_baseline(cursor, size, x.instruments.arrow))


def _responses(responds: bool) -> Callable[[MetricInput], float | None]:
    return lambda x: _share([same for changes, same in x.click_responses if changes == responds])


# The table

AFTER = "+15"
"""Ends the name of a metric over the frames after actions"""

_FRAME_METRICS = {
    "psnr": "peak signal-to-noise ratio, dB",
    "ssim": "structural similarity",
    "lpips": "LPIPS by AlexNet",
    "lpips_vgg": "LPIPS by VGG16",
}
_FVD = {
    "fvd": ("Frechet video distance by I3D's logits, as most papers compute it", _i3d, ""),
    "fvd_r3d18": ("Frechet video distance by R3D-18's features, as the paper computes it", _r3d18, "r3d18"),
}

METRICS: dict[str, Metric | SetMetric] = {
    **{
        name + ending: Metric(measures + where, over_frames(name, select), needs, name.startswith("lpips"))
        for ending, where, select, needs in (
            ("", ", over the view's frames", _view, ""),
            (AFTER, ", over the 15 frames after every action", _after_actions, "events"),
        )
        for name, measures in _FRAME_METRICS.items()
    },
    "psnr_text": Metric("PSNR of the cells that have text, over all frames", over_frames("psnr", _text), "cells"),
    "ssim_text": Metric("SSIM of the cells that have text, over all frames", over_frames("ssim", _text), "cells"),
    "psnr_cursor": Metric("PSNR around the cursor, over all frames", over_frames("psnr", _cursor), "cursor"),
    "ssim_cursor": Metric("SSIM around the cursor, over all frames", over_frames("ssim", _cursor), "cursor"),
    **{
        name + ending: SetMetric(measures + where, select, extractor, needs, weights)
        for ending, where, select, needs in (
            ("", "", _view, ""),
            (AFTER, ", over the 15 frames after every action", _after_actions, "events"),
        )
        for name, (measures, extractor, weights) in _FVD.items()
    },
    "char_acc": Metric(
        "character accuracy of OCR against OCR of the reference, the paper's protocol",
        over_screens(text.char_acc, lambda x: x.ocr),
    ),
    "exact_line": Metric(
        "share of exact lines of OCR against OCR of the reference, the paper's protocol",
        over_screens(text.exact_line, lambda x: x.ocr),
    ),
    "char_acc_buffer": Metric(
        "character accuracy of OCR against the terminal's buffer",
        over_screens(text.char_acc, lambda x: x.ocr_buffer),
        "cells",
    ),
    "exact_line_buffer": Metric(
        "share of exact lines of OCR against the terminal's buffer",
        over_screens(text.exact_line, lambda x: x.ocr_buffer),
        "cells",
    ),
    "cell_acc": Metric(
        "share of right cells by the exact reader of our fonts",
        lambda x: text.accuracy(x.screens, x.pair.cells or ()),
        "cells",
    ),
    "new_char_acc": Metric(
        "share of right characters among those that the first screen has not",
        lambda x: text.new_accuracy(x.screens, x.pair.cells or ()),
        "cells",
    ),
    "cursor_acc": Metric(
        "share of frames with the cursor where the log has it",
        lambda x: _cursor_accuracy(x, x.pair.generated),
        "cursor",
    ),
    "cursor_acc_reference": Metric(
        "the same of the reference video; below 1 where it draws another cursor or none",
        lambda x: _cursor_accuracy(x, x.pair.reference),
        "cursor",
    ),
    "cursor_acc_constant_velocity": Metric(
        "the same of a cursor that keeps the velocity of the first two frames: a baseline", _constant_velocity, "cursor"
    ),
    "click_response": Metric(
        "share of the effective clicks that change the screen where the reference changes", _responses(True), "cursor"
    ),
    "click_idle": Metric("share of the ineffective clicks that change nothing", _responses(False), "cursor"),
    "click_state": Metric(
        "share of clips (split clicks of recipe guiworld) that end as with their click, or without one",
        lambda x: float(cursor_metrics.click_state(x.pair.generated[-1], x.pair.click or {})),
        "click",
    ),
    "command_echo": Metric("share of typed commands that stand on the screen", _command_echo, "events"),
}


RENAMED = {"cursor_acc_straight": "cursor_acc_constant_velocity"}


def check(name: str, field: str = "metric") -> None:
    """Raises ValueError, "field=name: ...", for a name that no entry of `METRICS` has."""
    if name in RENAMED:
        raise ValueError(f"{field}={name!r}: renamed to {RENAMED[name]!r}")
    errors.one_of(field, name, METRICS)
