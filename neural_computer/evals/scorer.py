"""Metrics by name, of pairs of videos.

    psnr ssim lpips lpips_vgg            over the view's frames; of a video, the mean over frames (PSNR: of the mean error)
    psnr_text ssim_text                  of all frames, where the true screen has text (needs cells)
    psnr_cursor ssim_cursor              of all frames, around the mouse (needs events)
    fvd fvd_r3d18                        of all clips together: by I3D, as most have it; by R3D-18, as the paper (needs its file)
    char_acc exact_line                  the paper's OCR protocol, one video's reading against the other's
    char_acc_buffer exact_line_buffer    the same against what the terminal held (needs cells)
    cell_acc new_char_acc                by cell, as the exact reader of our fonts has it (needs cells)
    cursor_acc cursor_acc_reference      is the cursor where the log has it; the true video's, below 1 where it draws another
                                         arrow or none (needs events)
    cursor_acc_straight                  where it would be had it gone straight on from the first two frames (needs events)
    click_response click_idle            do clicks do what they did, or nothing where they did nothing (needs events)
    click_state                          does the screen end as the click, or having none, makes it (split clicks of recipe
                                         guiworld)
    command_echo                         does what was typed stand on the screen (needs events)

and, with +15 appended, psnr to lpips_vgg, fvd and fvd_r3d18 over the frames after actions (needs events).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from neural_computer.actions import cursor
from neural_computer.evals import cursor_metrics, frames, ocr, pixels, tasks, text
from neural_computer.evals.batched import InShares
from neural_computer.evals.features import I3D, R3D18, Extractor
from neural_computer.evals.pairs import Pair
from neural_computer.models.lpips import LPIPS
from neural_computer.types import PyTree

PIXELS = ("psnr", "ssim", "lpips", "lpips_vgg")
SETS = ("fvd", "fvd_r3d18")
MASKED = ("psnr_text", "ssim_text", "psnr_cursor", "ssim_cursor")
READ = ("char_acc", "exact_line", "char_acc_buffer", "exact_line_buffer")
CELLS = ("cell_acc", "new_char_acc")
POINTED = ("cursor_acc", "cursor_acc_reference", "cursor_acc_straight")
DONE = (*POINTED, "click_response", "click_idle", "click_state", "command_echo")
AFTER = "+15"
NAMES = (*PIXELS, *MASKED, *SETS, *(name + AFTER for name in (*PIXELS, *SETS)), *READ, *CELLS, *DONE)

NEEDS = {
    **{name: "cells" for name in NAMES if name.endswith(("_text", "_buffer")) or name in CELLS},
    **{name: "events" for name in NAMES if name.endswith((AFTER, "_cursor")) or name in DONE},
}
"""What a metric cannot do without, beside two videos."""
LESS_IS_BETTER = ("lpips", "fvd")

VIEWS = ("paper", "full")
"""paper: at most 5 s, 3 frames a second, 256x256; full: every frame as it is"""


class Scores(NamedTuple):
    """A clip's scores, those that it has; and, for metrics of sets, (made, true) rows of features."""

    values: dict[str, float]
    features: dict[str, np.ndarray]


@dataclass(frozen=True)
class Scorer:
    """Scores pairs by the metrics in `names`; weights are loaded when the first metric that needs them is asked for.

    `reader` reads frames for the metrics of text. `r3d18` are `models.r3d.params_from`'s. `arrow` is the cursor's height
    in pixels of the videos. On a mesh, frames and clips are split among its devices.
    """

    names: tuple[str, ...]
    view: str = "paper"
    reader: ocr.Reader = field(default_factory=ocr.Tesseract)
    arrow: float = 19.0
    r3d18: PyTree | None = None
    mesh: Mesh | None = None

    def __post_init__(self) -> None:
        for name in self.names:
            if name not in NAMES:
                raise ValueError(f"metric {name!r}: unknown; the metrics are {', '.join(NAMES)}")
            if name.startswith("fvd_r3d18") and self.r3d18 is None:
                raise ValueError(f"metric {name!r}: needs the network's weights; give torchvision's r3d_18 file")
        if self.view not in VIEWS:
            raise ValueError(f"view={self.view!r}: unknown; one of {', '.join(VIEWS)}")

    def __call__(self, pairs: Sequence[Pair]) -> list[Scores]:
        """Every pair's scores. What a pair cannot have, for want of actions, text or a mouse, it has not."""
        values = [self._read(pair) | self._done(pair) for pair in pairs]
        features: list[dict[str, np.ndarray]] = [{} for _ in pairs]
        for name in self.names:
            base = name.removesuffix(AFTER)
            if base not in (*PIXELS, *MASKED, *SETS):
                continue
            shown = {i: seen for i, pair in enumerate(pairs) if (seen := self._seen(pair, name)) is not None}
            if base in SETS:
                rows = self._extractors(base, [video for seen in shown.values() for video in seen[:2]])
                for number, i in enumerate(shown):
                    features[i][name] = rows[2 * number : 2 * number + 2]
            else:
                for i, seen in shown.items():
                    values[i][name] = self._compared(base, seen)
        ordered = [{name: each[name] for name in self.names if np.isfinite(each.get(name, np.nan))} for each in values]
        return [Scores(*each) for each in zip(ordered, features, strict=True)]

    # Pixels and features

    def _seen(self, pair: Pair, name: str) -> tuple[np.ndarray, ...] | None:
        """The frames of both videos that a metric judges, and its mask if it has one; None where there is nothing to judge."""
        if name in MASKED:
            if pair.cells is None if name.endswith("_text") else pair.cursor is None:
                return None
            return pair.made, pair.right, pair.text_mask() if name.endswith("_text") else pair.cursor_mask(self._arrow)
        videos = pair.made, pair.right
        if name.endswith(AFTER):
            places = frames.after_actions(pair.times, pair.fps, len(pair.right))
            if not places:
                return None
            videos = pair.made[places], pair.right[places]
            return videos if self.view == "full" else tuple(frames.resized(video, frames.SIZE) for video in videos)
        return videos if self.view == "full" else tuple(frames.whole(video, pair.fps) for video in videos)

    def _compared(self, metric: str, seen: tuple[np.ndarray, ...]) -> float:
        """A video's value: frames weigh what their masks have; PSNRs are joined as errors."""
        kind = metric.removesuffix("_text").removesuffix("_cursor")
        weights = seen[2].sum((1, 2)) if len(seen) > 2 else np.ones(len(seen[0]))
        found = np.asarray(self._runs[kind](self._weights(kind), *seen), np.float64)
        if not weights.sum():
            return float("nan")
        # A frame whose mask is empty has no value, and no weight.
        found = np.where(weights > 0, 10 ** (-found / 10) if kind == "psnr" else found, 0)
        mean = (found * weights).sum() / weights.sum()
        return float(-10 * np.log10(mean) if kind == "psnr" else mean)

    @cached_property
    def _runs(self) -> dict[str, InShares]:
        found = {kind: InShares(partial(_of_frames, function), self.mesh) for kind, function in MOMENTS.items()}
        return found | {kind: InShares(partial(_far, network), self.mesh) for kind, network in NETWORKS.items()}

    def _weights(self, kind: str) -> PyTree:
        """What a network needs, loaded when first asked for."""
        if kind in NETWORKS and kind not in self._loaded:
            self._loaded[kind] = self._runs[kind].place(NETWORKS[kind].load())
        return self._loaded.get(kind)

    def _extractors(self, name: str, videos: Sequence[np.ndarray]) -> np.ndarray:
        """The features of videos by I3D or R3D-18; none of none."""
        if name not in self._loaded:
            i3d = I3D()
            network, params = (i3d, i3d.load()) if name == "fvd" else (R3D18(), self.r3d18)
            self._loaded[name] = Extractor(network, params, self.mesh)
        return self._loaded[name].all_of(videos) if videos else np.zeros((0, 0))

    @cached_property
    def _loaded(self) -> dict[str, Any]:
        return {}

    # Text and tasks

    def _read(self, pair: Pair) -> dict[str, float]:
        """What stands on the screens."""
        found: dict[str, float] = {}
        if {"char_acc", "exact_line"} & set(self.names):
            found |= ocr.protocol(self.reader, pair.made, pair.right)
        if pair.cells is None:
            return found
        if {"char_acc_buffer", "exact_line_buffer"} & set(self.names):
            scores = ocr.against(self.reader, pair.made, pair.cells)
            found |= {f"{name}_buffer": value for name, value in scores.items()}
        if set(CELLS) & set(self.names):
            place = pair.place
            read = place.reader(pair.cells)(place.drawn(pair.made))
            found |= {"cell_acc": text.accuracy(read, pair.cells), "new_char_acc": text.new_accuracy(read, pair.cells)}
        return found

    def _done(self, pair: Pair) -> dict[str, float]:
        """What the machine did of what was done."""
        found: dict[str, float] = {}
        for name, video in (("cursor_acc", pair.made), ("cursor_acc_reference", pair.right)):
            if name in self.names and pair.cursor is not None:
                right = cursor_metrics.hits(video[1:], pair.cursor[1:], self._arrow)  # the first frame is given
                found[name] = float(right.mean()) if len(right) else float("nan")
        if "cursor_acc_straight" in self.names and pair.cursor is not None:
            near = cursor_metrics.straight(pair.cursor, pair.right.shape[1:3], self._arrow)
            found["cursor_acc_straight"] = float(near.mean()) if len(near) else float("nan")
        if {"click_response", "click_idle"} & set(self.names) and pair.cursor is not None:
            last = len(pair.right) - 1
            places = [min(max(round(time * pair.fps), 0), last) for time in cursor_metrics.clicks(pair.events)]
            judged = cursor_metrics.responses(pair.made, pair.right, places, pair.cursor, self._arrow)
            for name, responds in (("click_response", True), ("click_idle", False)):
                likewise = [same for does, same in judged if does == responds]
                found[name] = float(np.mean(likewise)) if likewise else float("nan")
        if "click_state" in self.names and pair.click is not None:
            found["click_state"] = float(cursor_metrics.obeyed(pair.made[-1], pair.click))
        if "command_echo" in self.names:
            found["command_echo"] = self._echo(pair)
        return found

    def _echo(self, pair: Pair) -> float:
        """Share of the typed commands that stand on the screen when Return is pressed, or two frames later."""
        typed, last = tasks.commands(pair.events), len(pair.made) - 1
        right = []
        for time, command in typed:
            frame = min(max(round(time * pair.fps), 0), last)
            screens = self.reader(pair.made[[max(frame - 1, 0), min(frame + 2, last)]])
            right.append(tasks.echoed(command, map(text.lines, screens)))
        return float(np.mean(right)) if right else float("nan")

    @cached_property
    def _arrow(self) -> cursor.Template:
        return cursor.template(self.arrow)


MOMENTS = {"psnr": pixels.psnr, "ssim": pixels.ssim}
NETWORKS = {"lpips": LPIPS("alexnet"), "lpips_vgg": LPIPS("vgg16")}


def _of_frames(function: Callable[..., Any], _: None, *videos: Any) -> Any:
    """A metric of videos as one of frames."""
    return function(*(video[:, None] for video in videos))


def _far(network: LPIPS, params: PyTree, x: Any, y: Any) -> Any:
    return network(params, *(video.astype(jnp.float32) / 127.5 - 1 for video in (x, y)))
