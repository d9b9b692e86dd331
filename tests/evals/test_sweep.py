"""Screens of many fonts and densities."""

import numpy as np
import pytest

from neural_computer.evals import sweep
from neural_computer.evals.inputs import Instruments
from neural_computer.evals.results import Journal
from neural_computer.evals.scorer import Scorer
from neural_computer.evals.sweep import SweepPoint
from neural_computer.evals.text import GlyphReader, grid


@pytest.mark.parametrize(("pixels", "cell"), [(13, (16, 8)), (6, (7, 4)), (20, (25, 12))])
def test_cells_keep_the_proportions_of_16x8_at_13_pixels(pixels, cell):
    assert SweepPoint(pixels, 0.5).cell == cell


def test_lines_appear_one_after_the_other_and_are_as_full_as_asked():
    clip = sweep.video(SweepPoint(13, 0.5), (96, 330), 3, 0)
    cells = grid(clip.cells)
    assert clip.frames.shape == (3, 96, 330, 3) and cells.shape == (3, 6, 41)
    assert [(screen != " ").any(1).sum() for screen in cells] == [2, 4, 6]
    np.testing.assert_array_equal(cells[-1][:2], cells[0][:2])
    lengths = [len("".join(row).rstrip()) for row in cells[-1]]
    assert all(10 <= length <= 20 for length in lengths)  # 20 of 41, less at most a word
    assert clip.meta["data_info"] == {"original_size": (96, 328), "scaled_size": (96, 328), "padding": (0, 0)}
    assert not clip.frames[:, :, 328:].any() and clip.frames[0, :32].any() and not clip.frames[0, 32:].any()


def test_words_have_two_to_nine_letters():
    clip = sweep.video(SweepPoint(6, 1.0), (96, 800), 1, 0)
    lengths = {len(word) for line in clip.cells[-1].split("\n") for word in line.split()}
    assert lengths == set(range(2, 10))


def test_videos_differ_by_number_font_and_density_and_repeat():
    points = [(SweepPoint(13, 0.5), 0), (SweepPoint(13, 0.5), 1), (SweepPoint(13, 0.6), 0), (SweepPoint(14, 0.5), 0)]
    texts = [sweep.video(point, (64, 320), 1, number).cells for point, number in points]
    assert len(set(texts)) == 4 and texts[0] == sweep.video(*points[0][:1], (64, 320), 1, 0).cells


def test_a_sweep_scores_reconstructions_beside_the_true_screen_once(tmp_path):
    scorer = Scorer(("cell_acc", "char_acc_buffer"), Instruments("full", GlyphReader()))
    points, calls = [SweepPoint(13, 0.5), SweepPoint(13, 0.9)], []

    def blank(clips):
        calls.append(clips[0].id)
        return np.zeros_like(np.stack([clip.frames for clip in clips]))

    def run(reconstruct=blank):
        journal = Journal(tmp_path / "videos.jsonl")
        return list(sweep.sweep(reconstruct, scorer, points, (64, 160), 2, 2, journal, {"step": 1}))

    results = run()
    rows = sweep.table(results)
    assert (
        len(calls) == 4 and [row["font px"] for row in rows] == [13, 13] and [row["full"] for row in rows] == [0.5, 0.9]
    )
    assert all(row[sweep.UNCODED] == 1 and row["char_acc_buffer"] < 0.1 for row in rows)
    first = [clip.values["cell_acc"] for point, clip in results if point == points[0]]
    assert rows[0]["cell_acc"] == np.mean(first) and rows[0]["cell_acc"] > rows[1]["cell_acc"]
    assert sweep.table(run()) == rows and len(calls) == 4, "the journal has them"
