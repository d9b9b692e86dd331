"""Drift: a machine that is right everywhere scores 1, and what is wrong is found where it begins and by its kind."""

import functools

import numpy as np
import pytest

from neural_computer.evals.drift import Played, TerminalRuns, exactness, key_table, report
from neural_computer.evals.recall import probes, recall
from neural_computer.simulators.tty import drawing, kinds
from neural_computer.simulators.tty.machine import KEY_IDS, KEYS
from neural_computer.simulators.tty.reading import read
from neural_computer.simulators.tty.sessions import Session, session
from neural_computer.simulators.tty.typists import TYPISTS
from tests import builders
from tests.test_streaming import streaming

ROWS, COLS = 2, 16


def sessions(count=3, frames=80) -> Session:
    played = [session(TYPISTS["sums"], number, frames) for number in range(count)]
    return Session(*map(np.stack, zip(*played, strict=True)))


def as_played(cells) -> Played:
    return Played(cells, np.full(cells.shape[:2], 100.0, np.float32))


@functools.cache
def runs(window=2) -> TerminalRuns:
    """Of a network that has learned nothing."""
    sizes = {"data__height": 16 * ROWS, "data__width": 8 * COLS, "network__positions": (0, ROWS, COLS // 2)}
    small = streaming("internal", actions__schema="raw", network__window=window, **sizes)
    params, pictures = builders.params(small), drawing.draw(session(TYPISTS["sums"], 0, 9, ROWS, COLS).cells)[None]
    params = params._replace(frozen=params.frozen._replace(codec=small.computer.codec.fit(pictures)))
    return TerminalRuns(small.computer, params, small.tokenizer, small.inputs)


def test_what_was_drawn_is_read_and_noise_does_not_matter():
    cells = sessions().cells
    frames = drawing.draw(cells).astype(int)
    noisy = np.clip(frames + np.random.default_rng(0).normal(0, 40, frames.shape), 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(read(noisy), cells)


def test_a_right_run_scores_one_and_a_wrong_cell_is_found_by_kind():
    truth = sessions()
    right = report(as_played(truth.cells), truth)
    assert right["horizons"] == {"50": {"screens": 1.0, "psnr": 100.0}}
    assert (right["screens"], right["glyphs"], right["quarters"]) == (1.0, 1.0, [1.0] * 4)
    assert right["first_errors"] == {"none": 3}
    shown = truth.cells.copy()
    frame = int(np.flatnonzero(truth.kinds[1] == kinds.ECHO)[0])
    shown[1, frame:, 0, 0] = ord("#")
    found = report(as_played(shown), truth)
    assert found["first_errors"] == {"none": 2, "echo": 1}
    wrong = 80 - frame
    assert found["screens"] == pytest.approx(1 - wrong / (3 * 79))
    assert 1 - wrong / (3 * 79) < found["glyphs"] < 1
    assert found["quarters"][-1] == pytest.approx(2 / 3)


class Still(TerminalRuns):
    """A machine that does nothing."""

    def one_step(self, before, keys, seed=0):
        return before


def test_single_steps_are_scored_by_kind():
    mine = runs()
    still = Still(mine.computer, mine.params, mine.tokenizer, mine.inputs)
    found = exactness(still, sessions())
    assert found["idle"] == 1 and found["character"] == 0 and found["echo"] == 0 and "down" not in found


def test_a_run_begins_as_a_single_step_and_a_closed_loop_is_single_steps_without_a_window():
    mine = runs(window=0)
    truth = Session(*(x[None] for x in session(TYPISTS["bursts"], 0, 5, ROWS, COLS)))
    played = mine.play(truth)
    assert played.cells.shape == truth.cells.shape and played.psnr.shape == (1, 5) and played.psnr[0, 0] == 100
    np.testing.assert_array_equal(played.cells[:, 0], truth.cells[:, 0])
    single = mine.one_step(truth.cells[:, 0], truth.keys[:, 1])
    np.testing.assert_array_equal(played.cells[:, 1], single)
    closed = mine.play(truth, closed=True)
    for frame in range(1, 5):
        single = mine.one_step(truth.cells[:, frame - 1], truth.keys[:, frame])
        np.testing.assert_array_equal(closed.cells[:, frame], single)


def test_every_key_has_actions_of_its_own():
    table = key_table(runs().inputs, (32, 128))
    assert table.raw.shape[:2] == (len(KEYS), 1)
    assert not table.raw[0].any()
    assert len(np.unique(table.raw[:, 0], axis=0)) >= len({key.lower() for key in KEYS}) - 40
    assert table.raw[KEY_IDS["a"]].any() and not np.array_equal(table.raw[KEY_IDS["a"]], table.raw[KEY_IDS["b"]])


def test_a_chunk_of_several_frames_has_no_key_of_its_own():
    small = streaming("internal", network__chunk=2)
    with pytest.raises(ValueError, match="a chunk has 2 frames"):
        TerminalRuns(small.computer, builders.params(small), small.tokenizer, small.inputs)


def test_a_probe_of_the_memory_ends_with_a_line_that_nothing_on_the_screen_says():
    found = probes(2, 5, 3, 0, 3, 16)
    shown = [bytes(row & 127).decode() for row in found.cells.reshape(*found.cells.shape[:2], -1)[0]]
    assert found.keys.shape[1] == 1 + 8 + 1 + 6 + 3 * (1 + 3) and (found.keys[:, -1] == KEY_IDS["Up"]).all()
    assert (found.keys[:, -4:-1] == 0).all()
    word = shown[-1].removeprefix(">>> ").strip()
    assert 3 <= len(word) <= 7 and not any(word in screen for screen in shown[-13:-1])
    assert len({row.tobytes() for row in found.cells[:, -1]}) == 5


def test_probes_of_a_machine_that_has_learned_nothing_bring_nothing_back():
    assert recall(runs(), 0, count=4, idle=1) == dict.fromkeys(
        ("recalled", "true frame", "window emptied", "emptied, true frame", "another's frame", "another's window"), 0.0
    )
