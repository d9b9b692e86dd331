"""Rollouts scored by prompt variant, beside a baseline and the codec's reconstruction."""

import jax
import numpy as np
import pytest

from neural_computer.evals import evaluate
from neural_computer.evals.evaluate import BatchedRollout, HeldOut, ScreenScorer, Variant
from neural_computer.evals.inputs import Instruments
from neural_computer.evals.scorer import Scorer
from neural_computer.screens.terminal import draw_text
from neural_computer.types import Clip, FrozenParams, Params, TrainState
from tests.builders import drawn, experiment


def session(expression: str, answer: str) -> Clip:
    """A clip of an arithmetic session: an empty prompt for two frames, then the expression and its answer for three."""
    rows = ([">>>", "", ""], [">>> " + expression, answer, ">>>"])
    empty, full = ("\n".join(row.ljust(16) for row in screen) for screen in rows)
    screens = [empty] * 2 + [full] * 3
    return Clip(
        id=expression,
        frames=np.stack([draw_text(screen) for screen in screens]),
        fps=5,
        captions={"plain": f"python {expression}"},
        cells=tuple(screens),
        meta={"task": "arithmetic", "expression": expression, "answer": answer},
    )


CLIPS = [session("1+2", "3"), session("10+20", "30"), session("4+4", "8")]


@pytest.fixture(scope="module")
def rollout() -> tuple[BatchedRollout, object]:
    """Rollouts of the tiny computer with random parameters, and these."""
    small = experiment(data__height=48, data__width=128, network__positions=(2, 3, 8), codec__channels=64)
    network = drawn(jax.eval_shape(lambda: small.trainer.init(0)).network)
    codec = small.computer.codec.fit(evaluate.reference_videos(CLIPS))
    return BatchedRollout(small.computer, small.tokenizer, batch_size=2), Params(network, FrozenParams(codec=codec))


def test_evaluate_has_a_lower_bound_an_upper_bound_and_the_control(rollout):
    variants = evaluate.evaluate(rollout[0], ScreenScorer(batch_size=2), rollout[1], CLIPS)
    prompts = ["with_answer", "without_answer", "wrong_answer"]
    assert list(variants) == [*prompts, "first_frame_baseline", "codec_reconstruction"]
    lower, upper = variants["first_frame_baseline"].means(), variants["codec_reconstruction"].means()
    assert lower["new_char_acc"] == 0 and upper["new_char_acc"] == 1 and upper["output_exact"] == 1
    assert upper["psnr"] > lower["psnr"] and variants["with_answer"].videos.shape == (3, 5, 48, 128, 3)
    assert set(evaluate.headline(variants)) == {
        "typed_line_exact", "output_exact_with_answer", "output_exact_without_answer", "wrong_answer_followed",
        "new_char_acc", "psnr_with_answer",
    }  # fmt: skip


def test_an_evaluator_yields_the_headline_and_the_metrics_of_the_first_variant(rollout):
    batched, parameters = rollout
    scorer = Scorer(("psnr",), Instruments("full"))
    held_out = HeldOut(batched, lambda state: parameters, CLIPS, scorer=scorer)
    values = dict(held_out(TrainState(*[None] * len(TrainState._fields))))
    variants = evaluate.evaluate(batched, ScreenScorer(), parameters, CLIPS)
    assert {name: v for name, v in values.items() if "/" not in name} == evaluate.headline(variants)
    assert (
        values["metrics/psnr"] == evaluate.metric_values(scorer, variants["with_answer"].videos, CLIPS)["metrics/psnr"]
    )
    estimate = evaluate.with_intervals(scorer, variants["with_answer"].videos, CLIPS)["psnr"]
    assert estimate.value == values["metrics/psnr"] and estimate.clips == 3


def test_perfect_videos_score_perfectly_and_wrong_ones_do_not():
    scores = ScreenScorer(batch_size=2)(evaluate.reference_videos(CLIPS), CLIPS)
    for each in scores:
        assert each.pop("psnr") == pytest.approx(100) and each.pop("ssim") == pytest.approx(1)
        assert each.pop("wrong_answer_exact") == 0 and set(each.values()) == {1}
    (score,) = ScreenScorer()(evaluate.reference_videos(CLIPS[:1]), CLIPS[1:2])
    assert score["psnr"] < 40 and score["output_exact"] == 0 and score["exact_lines"] == (2 * 3 + 3 * 1) / 15


def test_a_clip_without_cells_has_pixels_alone():
    clip = Clip("a", CLIPS[0].frames, 5.0, captions={"plain": "x"})
    (score,) = ScreenScorer()(evaluate.first_frame_baseline([clip]), [clip])
    assert set(score) == {"psnr", "ssim"}


def test_means_are_over_the_videos_that_have_a_score():
    variant = Variant(np.zeros((3, 1, 1, 1, 3), np.uint8), [{"a": 1.0}, {"a": 3.0, "b": 5.0}, {"a": float("nan")}])
    assert variant.means() == {"a": 2.0, "b": 5.0}


def test_the_headline_takes_both_true_prompts_in_equal_parts():
    def variant(**scores: float) -> Variant:
        return Variant(np.zeros((1, 1, 1, 1, 3), np.uint8), [scores])

    names = ("typed_line_exact", "output_exact", "new_char_acc", "psnr", "wrong_answer_exact")
    values = {"with_answer": (0.5, 0.6, 0.7, 30.0, 0.1), "without_answer": (0.25, 0.2, 0.5, 20.0, 0.2)}
    values["wrong_answer"] = (0.0, 0.0, 0.0, 10.0, 0.9)
    variants = {name: variant(**dict(zip(names, v, strict=True))) for name, v in values.items()}
    assert evaluate.headline(variants) == {
        "typed_line_exact": 0.375,
        "output_exact_with_answer": 0.6,
        "output_exact_without_answer": 0.2,
        "wrong_answer_followed": 0.9,
        "new_char_acc": pytest.approx(0.6),
        "psnr_with_answer": 30.0,
    }
    other = {"plain": variant(psnr=1.0), "first_frame_baseline": variant(psnr=2.0)}
    assert evaluate.headline(other) == {"psnr": 1.0}


def test_prompts_are_variants_for_arithmetic_alone():
    assert list(evaluate.prompts(CLIPS, "plain")) == ["with_answer", "without_answer", "wrong_answer"]
    assert evaluate.prompts(CLIPS, "plain")["with_answer"][0] == "python 1+2 The answer is 3"
    other = Clip("a", CLIPS[0].frames, 5.0, captions={"plain": "x", "long": "y"})
    assert evaluate.prompts([*CLIPS, other], "plain") == {"plain": [*(c.captions["plain"] for c in CLIPS), "x"]}
    assert evaluate.prompts([other], "long") == {"long": ["y"]}


def test_evenly_spaced_clips_have_the_first_and_the_last():
    source = [Clip(str(i), CLIPS[0].frames, 5.0) for i in range(10)]

    def spaced(source: list[Clip], count: int) -> str:
        return "".join(clip.id for clip in evaluate.evenly_spaced(source, count))

    assert spaced(source, 4) == "0369" and spaced(source[:3], 8) == "012" and spaced(source, 1) == "0"


def test_a_short_last_batch_is_cut(rollout):
    batched, parameters = rollout
    videos = batched(parameters, CLIPS, ["x"] * 3)
    assert videos.shape == (3, 5, 48, 128, 3) and videos.dtype == np.uint8
    np.testing.assert_array_equal(videos[:2], batched(parameters, CLIPS[:2], ["x"] * 2))
    assert (videos != batched(parameters, CLIPS, ["x"] * 3, seed=1)).any()
