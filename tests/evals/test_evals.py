import jax.numpy as jnp
import numpy as np
import pytest

from neural_computer.evals import evaluate, pixels, text
from neural_computer.evals.tasks import Arithmetic
from neural_computer.screens.terminal import draw_text
from neural_computer.types import Clip
from tests.builders import experiment, params

READER = text.GlyphReader()
PRINTABLE = "".join(map(chr, range(32, 127)))


def noise(seed, shape=(2, 3, 16, 24, 3)):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def test_psnr_is_its_formula_and_bounded():
    x, y = noise(0), noise(1)
    error = np.square(x / 255 - y / 255).mean((1, 2, 3, 4))
    np.testing.assert_allclose(pixels.psnr(x, y), -10 * np.log10(error), rtol=1e-5)
    np.testing.assert_allclose(pixels.psnr(x, x), 100, rtol=1e-5)


def test_ssim_by_hand_with_mirrored_borders():
    """The formula with weighted moments of every place's window, in float64."""
    x, y = noise(0, (1, 1, 12, 9, 3)), noise(1, (1, 1, 12, 9, 3))
    at = np.exp(-(np.arange(-5, 6) ** 2) / 4.5)
    w = np.outer(at, at)[..., None] / at.sum() ** 2
    padded = [np.pad(video[0, 0] / 255, ((5, 5), (5, 5), (0, 0)), mode="reflect") for video in (x, y)]
    values = []
    for i, j in np.ndindex(12, 9):
        a, b = (video[i : i + 11, j : j + 11] for video in padded)
        ma, mb = (w * a).sum((0, 1)), (w * b).sum((0, 1))
        va, vb, c = (w * a * a).sum((0, 1)) - ma**2, (w * b * b).sum((0, 1)) - mb**2, (w * a * b).sum((0, 1)) - ma * mb
        values.append((2 * ma * mb + 1e-4) * (2 * c + 9e-4) / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4)))
    np.testing.assert_allclose(pixels.ssim(x, y), np.mean(values), atol=1e-6)
    np.testing.assert_allclose(pixels.ssim(x, x), 1, rtol=1e-6)


def test_floats_are_not_compared():
    with pytest.raises(ValueError, match="compared as uint8"):
        pixels.psnr(jnp.zeros((1, 1, 16, 16, 3)), jnp.zeros((1, 1, 16, 16, 3)))


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("sigma", [0, 25])
def test_every_glyph_is_read_even_through_noise(inverse, sigma):
    frame = draw_text(PRINTABLE)
    frame = 255 - frame if inverse else frame
    rough = frame + np.random.default_rng(0).normal(0, sigma, frame.shape)
    assert READER(np.clip(rough, 0, 255).astype(np.uint8)[None]) == [PRINTABLE]


def test_accuracies_against_hand_counts():
    truth, read = [">>> ", ">>>5"], [">>> ", ">>>6"]
    assert text.accuracy(read, truth) == 7 / 8 and text.new_accuracy(read, truth) == 0
    assert text.new_accuracy(truth, truth) == 1 and text.exact_lines(read, truth) == 0.5
    assert text.exact_screen("a \nb", "a\nb") == 1 and text.exact_screen("a\nb", "a\nc") == 0
    assert np.isnan(text.new_accuracy(truth[:1], truth[:1]))


def test_the_task_tells_right_from_obeyed():
    task = Arithmetic("12+7", "19")
    assert task.prompts()["wrong_answer"] == "python 12+7 The answer is 26"
    assert task.score(">>> 12+7 \n19\n>>> ") == {"typed_line_exact": 1, "output_exact": 1, "wrong_obeyed": 0}
    assert task.score(">>> 12+8\n26\n>>> ") == {"typed_line_exact": 0, "output_exact": 0, "wrong_obeyed": 1}


def session(expression: str, answer: str) -> Clip:
    screens = [
        "\n".join(row.ljust(16) for row in rows) for rows in ([">>>", "", ""], [">>> " + expression, answer, ">>>"])
    ]
    screens = [screens[0]] * 2 + [screens[1]] * 3
    return Clip(
        id=expression,
        frames=np.stack([draw_text(screen) for screen in screens]),
        fps=5,
        captions={"plain": f"python {expression}"},
        cells=tuple(screens),
        meta={"task": "arithmetic", "expression": expression, "answer": answer},
    )


def test_evaluate_has_a_floor_a_ceiling_and_the_control():
    windows = [session("1+2", "3"), session("10+20", "30"), session("4+4", "8")]
    small = experiment(data__height=48, data__width=128, network__positions=(2, 3, 8), codec__channels=64)
    parameters = params(small)
    parameters = parameters._replace(frozen={"codec": small.computer.codec.fit(evaluate.truth(windows))})
    rollout = evaluate.Rollout(small.computer, small.tokenizer, batch_size=2)
    arms = evaluate.evaluate(rollout, evaluate.Judge(batch_size=2), parameters, windows)
    assert list(arms) == ["with_answer", "without_answer", "wrong_answer", "copy of frame 0", "codec alone"]
    floor, ceiling = arms["copy of frame 0"].means(), arms["codec alone"].means()
    assert floor["new_char_acc"] == 0 and ceiling["new_char_acc"] == 1 and ceiling["output_exact"] == 1
    assert ceiling["psnr"] > floor["psnr"] and arms["with_answer"].videos.shape == (3, 5, 48, 128, 3)
    figures = evaluate.headline(arms)
    assert set(figures) == {
        "typed_line_exact", "output_exact_with_answer", "output_exact_without_answer", "wrong_answer_obeyed",
        "new_char_acc", "psnr_with_answer",
    }  # fmt: skip


def test_perfect_videos_score_perfectly():
    windows = [session("1+2", "3")]
    (scores,) = evaluate.Judge()(evaluate.truth(windows), windows)
    assert scores["cell_acc"] == scores["new_char_acc"] == scores["exact_lines"] == scores["output_exact"] == 1
