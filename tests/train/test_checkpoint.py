import subprocess
import sys
import textwrap

import jax.numpy as jnp
import numpy as np
import pytest

from neural_computer.train.checkpoint import CheckpointError, Checkpoints, load_arrays, save_arrays
from neural_computer.types import TrainState
from tests.conftest import ROOT


def tree(value: float, size: int = 8):
    return {"a": jnp.full((size, 4), float(value)), "step": jnp.asarray(int(value), jnp.int32)}


def saved(folder, *steps: int, keep: int = 3) -> Checkpoints:
    checkpoints = Checkpoints(folder, keep)
    for step in steps:
        checkpoints.save(step, tree(step), {"seconds": float(step)})
    return checkpoints


def damage(folder):
    """Zeroes the larger files below a folder, as a disk that lost its blocks."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size > 64]
    for path in files:
        path.write_bytes(bytes(path.stat().st_size))
    assert files


def test_the_newest_is_restored_and_the_oldest_retired(tmp_path):
    checkpoints = saved(tmp_path, 1, 2, 3, keep=2)
    assert checkpoints.steps() == [2, 3]
    step, state, note = checkpoints.restore(tree(0))
    assert step == 3 and note["seconds"] == 3
    np.testing.assert_array_equal(state["a"], tree(3)["a"])


def test_one_part_alone_is_read(tmp_path):
    state = TrainState(jnp.asarray(7, jnp.int32), tree(1), tree(2), (tree(3),))
    with_all = Checkpoints(tmp_path)
    with_all.save(7, state, {})
    step, average, _ = with_all.restore(state, only="ema")
    assert step == 7 and set(average) == {"a", "step"}
    np.testing.assert_array_equal(average["a"], tree(2)["a"])


def test_nothing_there_is_none(tmp_path):
    assert Checkpoints(tmp_path).restore(tree(0)) is None


def test_a_damaged_one_is_named_and_the_next_older_used(tmp_path, caplog):
    saved(tmp_path / "c", 1, 2).close()
    damage(tmp_path / "c" / "2")
    step, state, _ = Checkpoints(tmp_path / "c").restore(tree(0))
    assert step == 1 and state["a"][0, 0] == 1
    assert "c/2: damaged" in caplog.text
    assert (tmp_path / "c_damaged" / "2").exists(), "nothing is deleted"


def test_if_all_are_damaged_the_way_out_is_told(tmp_path):
    saved(tmp_path / "c", 1, 2).close()
    damage(tmp_path / "c" / "1"), damage(tmp_path / "c" / "2")
    with pytest.raises(CheckpointError, match="none of its checkpoints \\(1, 2\\) restores.*c_damaged"):
        Checkpoints(tmp_path / "c").restore(tree(0))


def test_another_architecture_is_told_and_left_alone(tmp_path):
    checkpoints = saved(tmp_path, 1)
    with pytest.raises(
        CheckpointError, match=r"another architecture: a is float32\[8, 4\] there and float32\[9, 4\] in this"
    ):
        checkpoints.restore(tree(0, size=9))
    assert checkpoints.restore(tree(0))[0] == 1


FULL = """
    import resource, sys
    import numpy as np
    from neural_computer.train.checkpoint import CheckpointError, Checkpoints
    checkpoints = Checkpoints(sys.argv[1])
    state = {"a": np.random.default_rng(0).normal(size=(1000, 100)).astype(np.float32)}
    checkpoints.save(1, state, {})
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        checkpoints.save(2, state, {})
        sys.exit("saved all the same")
    except CheckpointError as error:
        told = str(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert "/2: could not be saved" in told and "MiB free" in told and "make room" in told, told
    step, back, _ = Checkpoints(sys.argv[1]).restore(state)
    assert step == 1 and np.array_equal(back["a"], state["a"])
"""


def test_a_disk_that_takes_no_more_leaves_the_earlier_ones(tmp_path):
    """The kernel refuses to let files grow: what a full disk or quota does."""
    script = textwrap.dedent(FULL)
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_arrays_come_back_and_garbage_is_named(tmp_path):
    save_arrays(tmp_path / "a.npz", {"x": np.arange(3)})
    np.testing.assert_array_equal(load_arrays(tmp_path / "a.npz")["x"], np.arange(3))
    (tmp_path / "a.npz").write_bytes(b"garbage")
    with pytest.raises(CheckpointError, match="a.npz: does not hold arrays.*delete it"):
        load_arrays(tmp_path / "a.npz")
