"""Rolling out on held-out videos and scoring, arm by arm, beside what costs nothing and what the codec allows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import jax
import numpy as np

from neural_computer.computer import NeuralComputer, concat_chunks
from neural_computer.conditioning import normalize_pixels, to_uint8
from neural_computer.data.inputs import ActionFeaturizer, stacked
from neural_computer.evals import pixels, results, text
from neural_computer.evals.pairs import Pair
from neural_computer.evals.scorer import Scorer
from neural_computer.evals.tasks import Arithmetic
from neural_computer.types import Clip, Params, PyTree, TokenIds, TrainState

Tokenizer = Callable[[Sequence[str]], np.ndarray]
Videos = np.ndarray
"""uint8 (n, t, h, w, 3)"""


class Arm(NamedTuple):
    """One way of being asked: the videos that came of it, and every video's scores."""

    videos: Videos
    scores: list[dict[str, float]]

    def means(self) -> dict[str, float]:
        """Every score's mean over the videos that have it."""
        names = dict.fromkeys(name for score in self.scores for name in score)
        return {n: float(np.nanmean([score[n] for score in self.scores if n in score])) for n in names}


@dataclass(frozen=True)
class Rollout:
    """Open-loop rollouts of one computer, `batch_size` videos at a time; compiled once."""

    computer: NeuralComputer
    tokenizer: Tokenizer
    batch_size: int = 32
    away: TokenIds | None = None
    """Token ids (1, l) of the prompt that guidance leads away from; None where there is no guidance"""
    inputs: ActionFeaturizer | None = None
    """What makes actions of a window's events, for a computer that is told of some"""

    def __call__(self, params: Params, windows: Sequence[Clip], captions: Sequence[str], seed: int = 0) -> Videos:
        """One video a window, from its first frame, a caption and what was done in it."""
        first = np.stack([window.frames[0] for window in windows])
        ids = self.tokenizer(captions)
        away = None if self.away is None else TokenIds(self.away.ids.repeat(self.batch_size, axis=0))
        key = jax.random.key(seed)
        done = [None if self.inputs is None else self.inputs(window) for window in windows]
        made = []
        for number, start in enumerate(range(0, len(windows), self.batch_size)):
            rows = np.arange(start, start + self.batch_size) % len(windows)  # a short last batch is filled up
            actions = stacked([done[row] for row in rows])
            frames = self._run(params, first[rows], TokenIds(ids[rows]), actions, away, jax.random.fold_in(key, number))
            made.append(np.asarray(frames)[: len(windows) - start])
        return np.concatenate(made)

    @cached_property
    def _run(self) -> Callable:
        computer = self.computer

        def run(params, x0, text, actions, away, key):
            u = jax.tree.map(lambda x: x[None], actions)
            _, frames = computer.run(params, computer.boot(params, x0, text, away), u, key)
            return to_uint8(concat_chunks(frames))

        return jax.jit(run)

    def ceiling(self, params: Params, windows: Sequence[Clip]) -> Videos:
        """The true videos, encoded and decoded: no rollout can be better than its codec."""
        return Coded(self.computer.codec, self.batch_size)(params.frozen.codec, windows)


@dataclass(frozen=True)
class Coded:
    """Videos through a codec, `batch_size` at a time."""

    codec: Any
    batch_size: int = 32

    def __call__(self, params: PyTree, windows: Sequence[Clip]) -> Videos:
        """One video a window, encoded and decoded."""
        starts = range(0, len(windows), self.batch_size)
        parts = [truth(windows[start : start + self.batch_size]) for start in starts]
        return np.concatenate([np.asarray(self._run(params, part)) for part in parts])

    def scores(self, params: PyTree, windows: Sequence[Clip], scorer: Scorer | None = None) -> dict[str, float]:
        """Every score's mean over videos, and the further metrics."""
        videos = self(params, windows)
        means = Arm(videos, Judge()(videos, windows)).means()
        return means | (measured(scorer, videos, windows) if scorer is not None else {})

    @cached_property
    def _run(self) -> Callable:
        codec = self.codec
        return jax.jit(
            lambda params, video: to_uint8(codec.decode(params, codec.encode(params, normalize_pixels(video))))
        )


def truth(windows: Sequence[Clip]) -> Videos:
    """The videos as they were recorded."""
    return np.stack([window.frames for window in windows])


def copies(windows: Sequence[Clip]) -> Videos:
    """The first frame for ever: what costs nothing."""
    return np.stack([window.frames[:1].repeat(len(window.frames), axis=0) for window in windows])


@dataclass(frozen=True)
class Judge:
    """Scores videos against their windows: pixels always, text where the windows have it, a task where they have one."""

    reader: text.GlyphReader = field(default_factory=text.GlyphReader)
    batch_size: int = 32

    def __call__(self, videos: Videos, windows: Sequence[Clip]) -> list[dict[str, float]]:
        seen = self._pixels(videos, truth(windows))
        return [{**p, **self._text(f, w)} for p, f, w in zip(seen, videos, windows, strict=True)]

    def _pixels(self, videos: Videos, right: Videos) -> list[dict[str, float]]:
        out = []
        for start in range(0, len(videos), self.batch_size):
            pair = videos[start : start + self.batch_size], right[start : start + self.batch_size]
            values = {"psnr": _psnr(*pair), "ssim": _ssim(*pair)}
            out += [{n: float(v[i]) for n, v in values.items()} for i in range(len(pair[0]))]
        return out

    def _text(self, made: np.ndarray, window: Clip) -> dict[str, float]:
        if window.cells is None:
            return {}
        read = self._read(made, window)
        scores = {
            "cell_acc": text.accuracy(read, window.cells),
            "new_char_acc": text.new_accuracy(read, window.cells),
            "exact_lines": text.exact_lines(read, window.cells),
            "exact_last_screen": text.exact_screen(read[-1], window.cells[-1]),
        }
        task = Arithmetic.of(window)
        return scores | (task.score(read[-1]) if task else {})

    def _read(self, made: np.ndarray, window: Clip) -> list[str]:
        """What stands on a video's screens, wherever in its frames the terminal is."""
        if "original_size" not in window.meta.get("data_info", {}):
            return self.reader(made)
        pair = Pair.of(window, made)
        return pair.place.reader(pair.cells or ())(pair.place.drawn(made))


_psnr, _ssim = jax.jit(pixels.psnr), jax.jit(pixels.ssim)


def prompts(windows: Sequence[Clip], tier: str) -> dict[str, list[str]]:
    """Captions by arm: the three of the reprompting table where every video is arithmetic, else the tier's own."""
    tasks = [Arithmetic.of(window) for window in windows]
    asked = [task.prompts() for task in tasks if task]
    if windows and len(asked) == len(windows):
        return {arm: [captions[arm] for captions in asked] for arm in asked[0]}
    return {tier: [window.captions[tier] for window in windows]}


def evaluate(
    rollout: Rollout, judge: Judge, params: Params, windows: Sequence[Clip], tier: str = "plain", seed: int = 0
) -> dict[str, Arm]:
    """Every arm's videos and scores, then those of the copied first frame and of the codec alone."""
    videos = {arm: rollout(params, windows, captions, seed) for arm, captions in prompts(windows, tier).items()}
    videos |= {"copy of frame 0": copies(windows), "codec alone": rollout.ceiling(params, windows)}
    return {name: Arm(made, judge(made, windows)) for name, made in videos.items()}


def headline(arms: Mapping[str, Arm]) -> dict[str, float]:
    """The figures by which a run is known. Without arithmetic: the means of the one arm."""
    means = {name: arm.means() for name, arm in arms.items()}
    if "with_answer" not in means:
        return next(iter(means.values()))
    told, asked, misled = (means[arm] for arm in ("with_answer", "without_answer", "wrong_answer"))
    return {
        # Both true prompts, in equal parts, as in training.
        "typed_line_exact": (told["typed_line_exact"] + asked["typed_line_exact"]) / 2,
        "output_exact_with_answer": told["output_exact"],
        "output_exact_without_answer": asked["output_exact"],
        "wrong_answer_obeyed": misled["wrong_obeyed"],
        "new_char_acc": (told["new_char_acc"] + asked["new_char_acc"]) / 2,
        "psnr_with_answer": told["psnr"],
    }


def spread(source: Any, count: int) -> list[Clip]:
    """`count` windows, evenly spread over a source."""
    places = np.linspace(0, len(source) - 1, min(count, len(source))).astype(int)
    return [source[int(place)] for place in places]


@dataclass(frozen=True)
class HeldOut:
    """An evaluator for the training loop: the headline figures of some held-out videos, by `params` of a state."""

    rollout: Rollout
    params: Callable[[TrainState], Params]
    windows: Sequence[Clip]
    tier: str = "plain"
    scorer: Scorer | None = None
    """Further metrics, of the first arm: where the videos are arithmetic, the one with the answer"""

    def __call__(self, state: TrainState) -> Iterator[tuple[str, float]]:
        params = self.params(state)
        arms = {
            arm: Arm(videos, Judge()(videos, self.windows))
            for arm, captions in prompts(self.windows, self.tier).items()
            for videos in [self.rollout(params, self.windows, captions)]
        }
        yield from headline(arms).items()
        if self.scorer is not None:
            first = next(iter(arms.values()))
            yield from measured(self.scorer, first.videos, self.windows).items()


def measured(scorer: Scorer, videos: Videos, windows: Sequence[Clip]) -> dict[str, float]:
    """{metrics/NAME: value} of videos beside their windows."""
    found = results.figures(scored(scorer, videos, windows), scorer.names)
    return {f"metrics/{name}": figure.value for name, figure in found.items()}


def scored(scorer: Scorer, videos: Videos, windows: Sequence[Clip]) -> list[results.ClipResult]:
    """Every video's scores, all videos at once: a mesh's devices share them."""
    pairs = [Pair.of(window, video) for window, video in zip(windows, videos, strict=True)]
    return [results.ClipResult(pair.id, scores) for pair, scores in zip(pairs, scorer(pairs), strict=True)]
