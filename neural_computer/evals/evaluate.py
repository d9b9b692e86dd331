"""Rollouts on held-out clips, scored by prompt variant, beside a baseline and the codec's own reconstruction."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Int, UInt8

from neural_computer.computer import NeuralComputer
from neural_computer.conditioning import normalize_pixels, to_uint8
from neural_computer.data.inputs import stacked
from neural_computer.evals import pixels, results, text
from neural_computer.evals.estimates import Estimate, mean
from neural_computer.evals.pairs import VideoPair
from neural_computer.evals.scorer import Scorer
from neural_computer.evals.tasks import Arithmetic
from neural_computer.types import Actions, Clip, Params, PyTree, TokenIds, TrainState

NATIVE = "without_answer"
"""The prompt variant of arithmetic in which only a computer that computes is right"""
ClipVideos = UInt8[np.ndarray, "n t h w 3"]
"""A video per clip"""


class Variant(NamedTuple):
    """One way to obtain videos of the clips, by a prompt or without the model: the videos, and every video's scores."""

    videos: ClipVideos
    scores: list[dict[str, float]]

    def means(self) -> dict[str, float]:
        """Every score's mean over the videos that have it."""
        names = dict.fromkeys(name for score in self.scores for name in score)
        return {n: float(np.nanmean([score[n] for score in self.scores if n in score])) for n in names}


@dataclass(frozen=True)
class BatchedRollout:
    """Open-loop rollouts of one computer, `batch_size` videos at a time, compiled once."""

    computer: NeuralComputer
    tokenizer: Callable[[Sequence[str]], Int[np.ndarray, "n l"]]
    batch_size: int = 32
    negative_prompt_ids: TokenIds | None = None
    """(1, l), the negative prompt; None without guidance"""
    inputs: Callable[[Clip], Actions] | None = None
    """Features of a clip's events, for a computer with actions"""
    chunks: int = 1
    """Of a video, as many as a training clip has; further ones go on from the last frame"""

    def __call__(self, params: Params, clips: Sequence[Clip], captions: Sequence[str], seed: int = 0) -> ClipVideos:
        """A video per clip, generated from its first frame, its caption and its actions."""
        first = np.stack([clip.frames[0] for clip in clips])
        ids = self.tokenizer(captions)
        negative = self.negative_prompt_ids
        negative = None if negative is None else TokenIds(negative.ids.repeat(self.batch_size, axis=0))
        key = jax.random.key(seed)
        actions = [None if self.inputs is None else self.inputs(clip) for clip in clips]
        videos = []
        for number, start in enumerate(range(0, len(clips), self.batch_size)):
            rows = np.arange(start, start + self.batch_size) % len(clips)  # a short last batch is filled up
            u = stacked([actions[row] for row in rows])
            u = None if u is None else self.computer.split(u, self._chunks)
            frames = self._run(params, first[rows], TokenIds(ids[rows]), u, negative, jax.random.fold_in(key, number))
            videos.append(np.asarray(frames)[: len(clips) - start])
        return np.concatenate(videos)

    @property
    def _chunks(self) -> int:
        return self.chunks * self.computer.clip_chunks

    @cached_property
    def _run(self) -> Callable:
        computer = self.computer

        def run(params, x0, text, u, negative, key):
            state = computer.boot(params, x0, text, negative)
            _, frames = computer.run(params, state, u, key, chunks=self._chunks)
            return to_uint8(computer.join(state.frame, frames))

        return jax.jit(run)

    def codec_reconstruction(self, params: Params, clips: Sequence[Clip]) -> ClipVideos:
        """The reference videos, encoded and decoded: an upper bound, since no rollout is better than its codec."""
        return CodecReconstruction(self.computer.codec, self.batch_size)(params.frozen.codec, clips)


@dataclass(frozen=True)
class CodecReconstruction:
    """Videos encoded and decoded by a codec, `batch_size` at a time."""

    codec: Any
    batch_size: int = 32

    def __call__(self, params: PyTree, clips: Sequence[Clip]) -> ClipVideos:
        """A video per clip."""
        starts = range(0, len(clips), self.batch_size)
        batches = [reference_videos(clips[start : start + self.batch_size]) for start in starts]
        return np.concatenate([np.asarray(self._run(params, batch)) for batch in batches])

    def scores(self, params: PyTree, clips: Sequence[Clip], scorer: Scorer | None = None) -> dict[str, float]:
        """Every score's mean over the videos, and `metrics/NAME` of the scorer's metrics."""
        videos = self(params, clips)
        means = Variant(videos, ScreenScorer()(videos, clips)).means()
        return means | (metric_values(scorer, videos, clips) if scorer is not None else {})

    @cached_property
    def _run(self) -> Callable:
        codec = self.codec
        return jax.jit(
            lambda params, video: to_uint8(codec.decode(params, codec.encode(params, normalize_pixels(video))))
        )


def reference_videos(clips: Sequence[Clip]) -> ClipVideos:
    """The clips' own videos."""
    return np.stack([clip.frames for clip in clips])


def first_frame_baseline(clips: Sequence[Clip]) -> ClipVideos:
    """Every clip's first frame, repeated: a lower bound that needs no model."""
    return np.stack([clip.frames[:1].repeat(len(clip.frames), axis=0) for clip in clips])


@dataclass(frozen=True)
class ScreenScorer:
    """Scores videos against their clips: PSNR and SSIM always, text where a clip has cells, its task where it has one."""

    reader: text.GlyphReader = field(default_factory=text.GlyphReader)
    batch_size: int = 32

    def __call__(self, videos: ClipVideos, clips: Sequence[Clip]) -> list[dict[str, float]]:
        """Every video's scores by name."""
        pixel_scores = self._pixels(videos, reference_videos(clips))
        return [{**p, **self._text(v, clip)} for p, v, clip in zip(pixel_scores, videos, clips, strict=True)]

    def _pixels(self, videos: ClipVideos, references: ClipVideos) -> list[dict[str, float]]:
        out = []
        for start in range(0, len(videos), self.batch_size):
            pair = videos[start : start + self.batch_size], references[start : start + self.batch_size]
            values = {"psnr": _psnr(*pair), "ssim": _ssim(*pair)}
            out += [{n: float(v[i]) for n, v in values.items()} for i in range(len(pair[0]))]
        return out

    def _text(self, video: np.ndarray, clip: Clip) -> dict[str, float]:
        if clip.cells is None:
            return {}
        read = self._read(video, clip)
        scores = {
            "cell_acc": text.accuracy(read, clip.cells),
            "new_char_acc": text.new_accuracy(read, clip.cells),
            "exact_lines": text.exact_lines(read, clip.cells),
            "exact_last_screen": text.exact_screen(read[-1], clip.cells[-1]),
        }
        task = Arithmetic.of(clip)
        return scores | (task.score(read[-1]) if task else {})

    def _read(self, video: np.ndarray, clip: Clip) -> list[str]:
        """The text of a video's screens, wherever in its frames the terminal is."""
        if "original_size" not in clip.meta.get("data_info", {}):
            return self.reader(video)
        terminal = VideoPair.of(clip, video).terminal
        return terminal.reader(clip.cells or ())(terminal.crop(video))


_psnr, _ssim = jax.jit(pixels.psnr), jax.jit(pixels.ssim)


def prompts(clips: Sequence[Clip], tier: str) -> dict[str, list[str]]:
    """Captions by prompt variant: with, without and with a wrong answer if every clip is arithmetic, else one caption tier."""
    tasks = [task.prompts() for task in map(Arithmetic.of, clips) if task]
    if clips and len(tasks) == len(clips):
        return {variant: [captions[variant] for captions in tasks] for variant in tasks[0]}
    return {tier: [clip.captions[tier] for clip in clips]}


def evaluate(
    rollout: BatchedRollout,
    scorer: ScreenScorer,
    params: Params,
    clips: Sequence[Clip],
    tier: str = "plain",
    seed: int = 0,
) -> dict[str, Variant]:
    """Videos and scores of every prompt variant, of the first-frame baseline and of the codec's reconstruction."""
    videos = {name: rollout(params, clips, captions, seed) for name, captions in prompts(clips, tier).items()}
    videos["first_frame_baseline"] = first_frame_baseline(clips)
    videos["codec_reconstruction"] = rollout.codec_reconstruction(params, clips)
    return {name: Variant(video, scorer(video, clips)) for name, video in videos.items()}


def evaluate_native(
    rollout: BatchedRollout,
    scorer: ScreenScorer,
    params: Params,
    clips: Sequence[Clip],
    tier: str = "plain",
    seed: int = 0,
) -> Variant:
    """Videos and scores of one prompt variant: of arithmetic the one without the answer, else the caption tier."""
    named = prompts(clips, tier)
    captions = named.get(NATIVE, next(iter(named.values())))
    videos = rollout(params, clips, captions, seed)
    return Variant(videos, scorer(videos, clips))


def by_group(variant: Variant, clips: Sequence[Clip]) -> dict[str, dict[str, Estimate]]:
    """Share of arithmetic clips whose output is exact, by what their problems are like: {kind of group: {group: estimate}}."""
    values: dict[str, dict[str, list[float]]] = {}
    for scores, clip in zip(variant.scores, clips, strict=True):
        task = Arithmetic.of(clip)
        for kind, group in (task.groups() if task else {}).items():
            values.setdefault(kind, {}).setdefault(group, []).append(scores["output_exact"])
    return {kind: {group: mean(rows) for group, rows in sorted(groups.items())} for kind, groups in values.items()}


def headline(variants: Mapping[str, Variant]) -> dict[str, float]:
    """The main numbers of a run: for arithmetic by prompt variant, otherwise the first variant's means."""
    means = {name: variant.means() for name, variant in variants.items()}
    if "with_answer" not in means:
        return next(iter(means.values()))
    right, without, wrong = (means[name] for name in ("with_answer", "without_answer", "wrong_answer"))
    return {
        # Both true prompts, in equal parts, as in training.
        "typed_line_exact": (right["typed_line_exact"] + without["typed_line_exact"]) / 2,
        "output_exact_with_answer": right["output_exact"],
        "output_exact_without_answer": without["output_exact"],
        "wrong_answer_followed": wrong["wrong_answer_exact"],
        "new_char_acc": (right["new_char_acc"] + without["new_char_acc"]) / 2,
        "psnr_with_answer": right["psnr"],
    }


def evenly_spaced(source: Any, count: int) -> list[Clip]:
    """`count` clips of a source, evenly spaced over it, the first and the last included; all of a smaller source."""
    places = np.linspace(0, len(source) - 1, min(count, len(source))).astype(int)
    return [source[int(place)] for place in places]


@dataclass(frozen=True)
class HeldOut:
    """An evaluator for the training loop: the headline numbers of rollouts on held-out clips.

    `params` picks the parameters of a training state. `scorer`'s metrics are of the first prompt variant: of arithmetic,
    the one with the answer.
    """

    rollout: BatchedRollout
    params: Callable[[TrainState], Params]
    clips: Sequence[Clip]
    tier: str = "plain"
    scorer: Scorer | None = None

    def __call__(self, state: TrainState) -> Iterator[tuple[str, float]]:
        """Yields (name, value)."""
        params = self.params(state)
        variants = {
            name: Variant(videos, ScreenScorer()(videos, self.clips))
            for name, captions in prompts(self.clips, self.tier).items()
            for videos in [self.rollout(params, self.clips, captions)]
        }
        yield from headline(variants).items()
        if self.scorer is not None:
            first = next(iter(variants.values()))
            yield from metric_values(self.scorer, first.videos, self.clips).items()


def metric_values(scorer: Scorer, videos: ClipVideos, clips: Sequence[Clip]) -> dict[str, float]:
    """{metrics/NAME: value} of videos beside their clips."""
    return {f"metrics/{name}": e.value for name, e in with_intervals(scorer, videos, clips).items()}


def with_intervals(scorer: Scorer, videos: ClipVideos, clips: Sequence[Clip]) -> dict[str, results.Estimate]:
    """The scorer's metrics of videos beside their clips, with bootstrap intervals over clips."""
    pairs = [VideoPair.of(clip, video) for clip, video in zip(clips, videos, strict=True)]
    scored = [results.ClipResult(pair.id, scores) for pair, scores in zip(pairs, scorer(pairs), strict=True)]
    return results.estimates(scored, scorer.names)
