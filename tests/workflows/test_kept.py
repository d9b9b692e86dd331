"""Results are kept one by one: what was done is not done again, unless something else is asked."""

import numpy as np
import pytest
from ml_collections import ConfigDict

from neural_computer.workflows import kept
from neural_computer.workflows.kept import Progress, Result, Task

PICTURE = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


def tasks(done: list[str], fail: str = "") -> list[Task]:
    def run(name: str) -> Result:
        if name == fail:
            raise KeyboardInterrupt
        done.append(name)
        return Result({"name": name}, [0.5, 1.0], PICTURE if name == "a, b" else None)

    return [Task(name, 10, lambda name=name: run(name)) for name in ("a, b", "c", "d")]


def test_a_stopped_evaluation_goes_on_and_another_begins_anew(tmp_path):
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        kept.run(tasks(done, fail="c"), tmp_path, {"seed": 0}, Progress("test"))
    found = kept.run(tasks(done), tmp_path, {"seed": 0}, Progress("test"))
    assert done == ["a, b", "c", "d"] == list(found)
    assert found["a, b"].value == {"name": "a, b"} and found["a, b"].curve == [0.5, 1.0] and found["c"].picture is None
    np.testing.assert_array_equal(found["a, b"].picture, PICTURE)
    kept.run(tasks(done), tmp_path, {"seed": 1}, Progress("test"))
    assert done == ["a, b", "c", "d"] * 2


def test_the_bar_counts_frames_and_a_task_no_more_than_its_own(tmp_path):
    progress = Progress("test")

    def run() -> Result:
        for _ in range(3):
            progress(40)
        assert progress.bar.n == 100
        return Result(1)

    kept.run([Task("a", 100, run), Task("b", 50, lambda: Result(2))], tmp_path, {}, progress)
    assert progress.bar.n == progress.bar.total == 150


def test_a_machine_is_told_by_its_config_and_its_parameters():
    config, params = ConfigDict({"a": 1}), {"w": np.zeros(3, np.float32)}
    same = kept.digest(config, params)
    assert kept.digest(config, {"w": np.zeros(3, np.float32)}) == same
    assert kept.digest(ConfigDict({"a": 2}), params) != same
    assert kept.digest(config, {"w": np.ones(3, np.float32)}) != same
