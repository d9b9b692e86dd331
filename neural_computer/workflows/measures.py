"""What is measured of a trained arm of a finding: metrics with intervals over clips, and a strip of frames to look at.

`MEASURES` is an open table; a measure is a function of a `Setting`.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from neural_computer import media
from neural_computer.data import encoded
from neural_computer.data.windows import ClipSource
from neural_computer.evals import estimates, results, sweep
from neural_computer.evals import evaluate as evals
from neural_computer.evals.estimates import Estimate
from neural_computer.evals.evaluate import BatchedRollout, ClipVideos, CodecReconstruction, ScreenScorer
from neural_computer.evals.inputs import Instruments
from neural_computer.evals.pairs import VideoPair
from neural_computer.evals.results import ClipResult
from neural_computer.evals.scorer import Scorer
from neural_computer.evals.sweep import SweepPoint
from neural_computer.evals.tasks import Arithmetic
from neural_computer.models.linear_codec import LinearCodec
from neural_computer.types import Actions, Clip, Params
from neural_computer.workflows.metrics import config_options, read_with
from neural_computer.workflows.trained import Trained, load

OPEN, CLOSED, UNTRAINED, COPY, CODEC = "open", "closed", "untrained", "copy", "codec"
"""Of a video: an open-loop rollout; a closed loop, every chunk from the true last frame; an open loop of a computer before
training; the first frame repeated; the truth through the codec"""
WITHHELD = "withheld"
"""The pointer's reference withheld in the last half of every clip"""


@dataclass(frozen=True)
class Setting:
    """Where an arm was trained, with which seed, and where what is read on the way may be kept."""

    workdir: Path
    seed: int


class Measured(NamedTuple):
    """Metrics by name, VARIANT/METRIC; and a strip."""

    metrics: dict[str, Estimate]
    strip: UInt8[np.ndarray, "h w 3"] | None = None


@dataclass(frozen=True)
class Videos:
    """Clips, and videos of them by variant; `scorer` has the metrics beside those of screens."""

    clips: Sequence[Clip]
    scorer: Scorer | None = None
    by_variant: dict[str, ClipVideos] = field(default_factory=dict)

    def metrics(self) -> Iterable[tuple[str, Estimate]]:
        """Every variant's metrics, by VARIANT/METRIC."""
        for variant, videos in self.by_variant.items():
            for name, estimate in scored(videos, self.clips, self.scorer).items():
                yield f"{variant}/{name}", estimate

    def strip(self, clip: int = 0) -> UInt8[np.ndarray, "h w 3"]:
        """A clip's frames, a row a variant."""
        rows = {"truth": self.clips[clip].frames} | {n.replace("_", " "): v[clip] for n, v in self.by_variant.items()}
        return media.strip(rows, scale=1)


def scored(videos: ClipVideos, clips: Sequence[Clip], scorer: Scorer | None = None) -> dict[str, Estimate]:
    """Every metric of some videos, with intervals over clips."""
    rows = ScreenScorer()(videos, clips)
    names = dict.fromkeys(name for row in rows for name in row)
    values = {name: [row[name] for row in rows if np.isfinite(row.get(name, np.nan))] for name in names}
    found = {name: estimates.mean(each) for name, each in values.items() if each}
    if scorer is None:
        return found
    pairs = [VideoPair.of(clip, video) for clip, video in zip(clips, videos, strict=True)]
    more = [ClipResult(pair.id, scores) for pair, scores in zip(pairs, scorer(pairs), strict=True)]
    return found | {name: e for name, e in results.estimates(more, scorer.names).items() if e is not None}


def rollouts(setting: Setting) -> Measured:
    """Open and closed loop on held-out clips, beside an untrained computer, a copy of the first frame and the codec's ceiling.

    Of arithmetic, the variants of an open loop are its prompts: with, without and with a wrong answer.
    """
    trained = load(setting.workdir)
    rollout, options = rollout_of(trained), config_options(trained.experiment)
    scorer = options.scorer() if options else None
    split, params, seed = trained.experiment.evaluation.split, trained.params, setting.seed
    videos = Videos(held_out(trained, split), scorer)
    clips, by_variant = videos.clips, videos.by_variant
    prompts = evals.prompts(clips, tier(trained))
    arithmetic = evals.NATIVE in prompts
    for name, captions in prompts.items():
        by_variant[name if arithmetic else OPEN] = rollout(params, clips, captions, seed)
    captions = prompts.get(evals.NATIVE, next(iter(prompts.values())))
    if rollout.chunks > 1:
        by_variant[CLOSED] = closed_loop(rollout, params, clips, captions, seed)
    fresh = Params(trained.experiment.trainer.network(setting.seed), params.frozen)
    by_variant[UNTRAINED] = rollout(fresh, clips, captions, seed)
    by_variant[COPY] = evals.first_frame_baseline(clips)
    by_variant[CODEC] = rollout.codec_reconstruction(params, clips)
    metrics = dict(videos.metrics())
    if arithmetic:
        metrics |= sums(trained, clips)
    for other in filter(None, trained.experiment.evaluation.further_splits.split(",")):
        metrics |= {f"{other}/{name}": e for name, e in on_split(trained, rollout, other, scorer, seed).items()}
    return Measured(metrics, videos.strip())


def withheld(setting: Setting) -> Measured:
    """`rollouts`, and the last halves of the clips beside those of rollouts whose pointer's reference ends at the middle."""
    measured = rollouts(setting)
    trained = load(setting.workdir)
    options = config_options(trained.experiment)
    scorer = options.scorer() if options else None
    clips = held_out(trained, trained.experiment.evaluation.split)
    captions = [clip.captions[tier(trained)] for clip in clips]
    metrics = dict(measured.metrics)
    for name, hide in ((f"{OPEN}, last half", False), (WITHHELD, True)):
        rollout = rollout_of(trained)
        if hide and rollout.inputs is not None:
            rollout = dataclasses.replace(rollout, inputs=partial(without_pointer, rollout.inputs))
        videos = rollout(trained.params, clips, captions, setting.seed)
        half = len(clips[0].frames) // 2
        ends = [part(clip, half, len(clip.frames) - half) for clip in clips]
        metrics |= {f"{name}/{m}": e for m, e in scored(videos[:, half:], ends, scorer).items()}
    return Measured(metrics, measured.strip)


def codec(setting: Setting) -> Measured:
    """What is left of text after the codec of a workdir, by the font's height: metrics of the variants "PX px"."""
    trained = load_codec(setting)
    scorer = Scorer(sweep.METRICS, Instruments("full", read_with("tesseract", setting.workdir / "read")))
    metrics: dict[str, Estimate] = {}
    rows = {}
    for pixels in FONTS:
        clips = [sweep.video(SweepPoint(pixels, 0.4), SCREEN, 5, 1000 * setting.seed + n) for n in range(SCREENS)]
        videos = trained(clips)
        pairs = [VideoPair.of(clip, video) for clip, video in zip(clips, videos, strict=True)]
        scores = [ClipResult(pair.id, each) for pair, each in zip(pairs, scorer(pairs), strict=True)]
        found = results.estimates(scores, scorer.names)
        metrics |= {f"{pixels} px/{name}": e for name, e in found.items() if e is not None}
        rows[f"{pixels} px"] = np.concatenate([clips[0].frames[-1:, :48, :160], videos[0][-1:, :48, :160]])
    return Measured(metrics, media.strip(rows, scale=2))


FONTS, SCREEN, SCREENS = (6, 8, 10, 13, 16, 20), (128, 256), 12
"""Font sizes in pixels; size of the screens; screens of each font"""


MEASURES: dict[str, Callable[[Setting], Measured]] = {"rollouts": rollouts, "withheld": withheld, "codec": codec}


# Parts


def tier(trained: Trained) -> str:
    """The caption tier that rollouts are given: the first that the computer was trained on."""
    return next(iter(trained.experiment.data.captions))


def rollout_of(trained: Trained) -> BatchedRollout:
    experiment = trained.experiment
    return BatchedRollout(
        experiment.computer,
        experiment.tokenizer,
        experiment.evaluation.batch_size,
        experiment.negative_prompt_ids(),
        experiment.inputs,
        experiment.evaluation.chunks,
    )


def held_out(trained: Trained, split: str) -> list[Clip]:
    """Clips of a split, as long as the rollouts, evenly spaced. Raises ValueError for a split that is not there."""
    data, wanted = trained.experiment.data, trained.experiment.evaluation
    frames = trained.computer.video_frames(wanted.chunks)
    source = ClipSource(encoded.videos(data.directory), split, frames, data.stride)
    return evals.evenly_spaced(source, wanted.videos)


def on_split(
    trained: Trained, rollout: BatchedRollout, split: str, scorer: Scorer | None, seed: int
) -> dict[str, Estimate]:
    """Metrics of open-loop rollouts on another split, of arithmetic without the answer."""
    clips = held_out(trained, split)
    named = evals.prompts(clips, tier(trained))
    captions = named.get(evals.NATIVE, next(iter(named.values())))
    return scored(rollout(trained.params, clips, captions, seed), clips, scorer)


def closed_loop(
    rollout: BatchedRollout, params: Params, clips: Sequence[Clip], captions: Sequence[str], seed: int
) -> ClipVideos:
    """Videos whose every chunk begins with the true last frame of the chunk before."""
    frames = rollout.computer.frames
    one = dataclasses.replace(rollout, chunks=1)
    chunks = [
        one(params, [part(clip, k * (frames - 1), frames) for clip in clips], captions, seed + k)
        for k in range(rollout.chunks)
    ]
    return np.concatenate([chunks[0], *(chunk[:, 1:] for chunk in chunks[1:])], axis=1)


def part(clip: Clip, start: int, length: int) -> Clip:
    """`length` frames of a clip from frame `start` on."""
    begin, end, span = start / clip.fps, (start + length) / clip.fps, slice(start, start + length)
    return dataclasses.replace(
        clip,
        frames=clip.frames[span],
        cells=None if clip.cells is None else clip.cells[span],
        cursor=None if clip.cursor is None else clip.cursor[span],
        events=tuple(e._replace(time=e.time - begin) for e in clip.events if begin <= e.time < end),
        start=clip.start + start,
        logged=clip.logged or bool(clip.events),
    )


def without_pointer(inputs: Callable[[Clip], Actions], clip: Clip) -> Actions:
    """The actions of a clip without the pointer's position in its last half."""
    actions = inputs(clip)
    mouse = np.array(actions.mouse)
    mouse[len(mouse) // 2 :] = np.nan
    return actions._replace(mouse=mouse)


def sums(trained: Trained, clips: Sequence[Clip]) -> dict[str, Estimate]:
    """What needs no video: the answer of the nearest trained pair, and of another held-out problem (chance)."""
    tasks = [task for task in map(Arithmetic.of, clips) if task]
    data = trained.experiment.data
    source = ClipSource(encoded.videos(data.directory), data.split, data.frames, data.stride)
    known = [task for task in (Arithmetic.of(source[i]) for i in range(len(source))) if task]
    places = np.asarray([operands(task.expression) for task in known], float)
    nearest = []
    for task in tasks:
        order = np.abs(places - operands(task.expression)).sum(1).argsort(kind="stable")
        nearest.append(float(known[int(order[0])].answer == task.answer))
    answers = [task.answer for task in tasks]
    chance = [
        float(np.mean([other == answer for other in answers[:i] + answers[i + 1 :]]))
        for i, answer in enumerate(answers)
    ]
    return {"nearest_pair/output_exact": estimates.mean(nearest), "chance/output_exact": estimates.mean(chance)}


def operands(expression: str) -> tuple[int, int]:
    """The two numbers of an expression."""
    a, b = (int(part) for part in "".join(c if c.isdigit() else " " for c in expression).split())
    return a, b


def load_codec(setting: Setting) -> Callable[[Sequence[Clip]], np.ndarray]:
    """A VAE trained in the workdir, or the linear codec of its computer fitted to screens like those that are measured."""
    from neural_computer.workflows import reconstruct
    from neural_computer.workflows import workdir as workdirs

    if workdirs.trains_codec(setting.workdir):
        return reconstruct.load_codec(setting.workdir)
    linear: Any = load(setting.workdir).computer.codec
    screens = [
        sweep.video(SweepPoint(pixels, 0.4), SCREEN, 5, 10**6 + 1000 * setting.seed + n)
        for pixels in FONTS
        for n in range(SCREENS)
    ]
    params = LinearCodec.fit(linear, [clip.frames for clip in screens])
    one = CodecReconstruction(linear)
    return partial(one, params)


def training_curves(lines: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    """{name: [(step, value)]} of what was measured on held-out clips during training."""
    curves: dict[str, list[tuple[int, float]]] = {}
    for line in lines:
        for name, value in line.items():
            if name.startswith("held_out/") and value is not None:
                curves.setdefault(name.removeprefix("held_out/"), []).append((int(line["step"]), float(value)))
    return curves
