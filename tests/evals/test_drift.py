"""Drift: a machine that is right everywhere scores 1, and what is wrong is found where it begins and by its kind."""

import functools
from types import SimpleNamespace

import numpy as np
import pytest

from neural_computer.evals import drift
from neural_computer.evals.drift import TerminalRuns, exactness, key_table, report
from neural_computer.simulators.tty import drawing, kinds
from neural_computer.simulators.tty.machine import KEY_IDS, KEYS
from neural_computer.simulators.tty.reading import read
from neural_computer.simulators.tty.sessions import Session, session
from neural_computer.simulators.tty.typists import TYPISTS
from tests import builders
from tests.test_streaming import streaming


def sessions(count=3, frames=80) -> Session:
    played = [session(TYPISTS["sums"], number, frames) for number in range(count)]
    return Session(*map(np.stack, zip(*played, strict=True)))


def test_what_was_drawn_is_read_and_noise_does_not_matter():
    cells = sessions().cells
    frames = drawing.draw(cells).astype(int)
    noisy = np.clip(frames + np.random.default_rng(0).normal(0, 40, frames.shape), 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(read(noisy), cells)


def test_a_right_run_scores_one_and_a_wrong_cell_is_found_by_kind():
    truth = sessions()
    assert report(truth.cells, truth) == {
        "screens": 1.0,
        "glyphs": 1.0,
        "quarters": [1.0] * 4,
        "first_errors": {"none": 3},
    }
    shown = truth.cells.copy()
    frame = int(np.flatnonzero(truth.kinds[1] == kinds.ECHO)[0])
    shown[1, frame:, 0, 0] = ord("#")
    found = report(shown, truth)
    assert found["first_errors"] == {"none": 2, "echo": 1}
    wrong = 80 - frame
    assert found["screens"] == pytest.approx(1 - wrong / (3 * 79))
    assert 1 - wrong / (3 * 79) < found["glyphs"] < 1
    assert found["quarters"][-1] == pytest.approx(2 / 3)


def test_single_steps_are_scored_by_kind():
    """Of a machine that does nothing: idle frames alone are right."""
    idle = SimpleNamespace(one_step=lambda before, keys, seed: before)
    found = exactness(idle, sessions())
    assert found["idle"] == 1 and found["character"] == 0 and found["echo"] == 0 and "down" not in found


@functools.cache
def runs():
    small = streaming("internal", actions__schema="raw", data__height=32, data__width=80, network__positions=(0, 2, 5))
    params = builders.params(small)
    frozen = params.frozen._replace(
        codec=small.computer.codec.fit(drawing.draw(session(TYPISTS["sums"], 0, 9, 2, 10).cells)[None])
    )
    return TerminalRuns(small.computer, params._replace(frozen=frozen), small.tokenizer, small.inputs)


def test_a_run_is_single_steps_where_nothing_is_remembered():
    """A network that has learned nothing is wrong, yet run and step agree on the frame after the first, and keys matter."""
    truth = session(TYPISTS["sums"], 0, 5, 2, 10)
    truth = Session(*(x[None] for x in truth))
    shown = runs().open_loop(truth)
    assert shown.shape == truth.cells.shape
    np.testing.assert_array_equal(shown[:, 0], truth.cells[:, 0])
    np.testing.assert_array_equal(shown[:, 1], runs().one_step(truth.cells[:, 0], truth.keys[:, 1]))


def test_every_key_has_actions_of_its_own():
    table = key_table(runs().inputs, KEYS, (32, 80))
    assert table.raw.shape[:2] == (len(KEYS), 1)
    assert not table.raw[0].any()
    assert len(np.unique(table.raw[:, 0], axis=0)) >= len({key.lower() for key in KEYS}) - 40
    assert table.raw[KEY_IDS["a"]].any() and not np.array_equal(table.raw[KEY_IDS["a"]], table.raw[KEY_IDS["b"]])


def test_a_chunk_of_several_frames_has_no_key_of_its_own():
    small = streaming("internal", network__chunk=2)
    many = TerminalRuns(small.computer, builders.params(small), small.tokenizer, small.inputs)
    with pytest.raises(ValueError, match="a chunk has 2 frames"):
        many.actions(np.zeros((1, 4), int))
    assert drift.FPS == 15
