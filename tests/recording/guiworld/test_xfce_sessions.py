"""Which sessions are recorded, and in which order. No desktop is started."""

from itertools import islice
from pathlib import Path

import pytest

from neural_computer.recording.guiworld.build import is_test
from neural_computer.recording.guiworld.xfce_sessions import RecordingPlan
from neural_computer.simulators.policies import SPLITS


@pytest.mark.parametrize("split", SPLITS)
def test_two_sessions_are_enough_for_a_training_and_a_held_out_part(split):
    for seed in range(5):
        first, second = islice(RecordingPlan(1.0, seed).jobs(split), 2)
        assert not is_test(Path(f"{first.name}.mp4")) and is_test(Path(f"{second.name}.mp4"))


def test_every_session_of_a_split_comes_once_and_lasts_half_a_minute_at_most():
    jobs = list(islice(RecordingPlan(5.0, seed=3).jobs("random_slow"), 200))
    assert {job.seed for job in jobs} >= set(range(3 * 10**6, 3 * 10**6 + 190)) and len(
        {job.seed for job in jobs}
    ) == 200
    assert {job.frames for job in jobs} == {450}
    assert next(RecordingPlan(0.1).jobs("random_fast")).frames == 90


def test_a_task_lasts_as_long_as_it_takes_and_knows_its_model():
    job = next(RecordingPlan(1.0, agent="openai", model="m", trees=5).jobs("goal"))
    assert (job.frames, job.agent, job.model, job.trees, job.name) == (0, "openai", "m", 5, "goal-000000")
