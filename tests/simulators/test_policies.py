from collections import Counter, defaultdict

import numpy as np
import pytest

from neural_computer.actions.schema import frames as schema
from neural_computer.actions.schema.log import read
from neural_computer.recording.guiworld.statistics import statistics
from neural_computer.simulators.desktop import Desktop, Recording, record
from neural_computer.simulators.minidesk import drawing
from neural_computer.simulators.minidesk.session import MiniDesktop, furnished
from neural_computer.simulators.minidesk.state import Desk, start
from neural_computer.simulators.minidesk.step import step
from neural_computer.simulators.policies import BUDGETS
from neural_computer.simulators.policies.goal import FAMILIES, Task
from neural_computer.simulators.policies.random import plan
from neural_computer.types import Episode

SIZE, FPS = 128, MiniDesktop.fps


def random_session(split: str, seed: int, frames: int = 150) -> tuple[Desk, Recording, Desk]:
    """(desk at the beginning, recording, desk at the end)"""
    desk = furnished(seed, SIZE)
    desktop = MiniDesktop(desk)
    recording = record(desktop, plan(split, seed, frames, desktop.size, desktop.pointer), watch=False)
    return desk, recording, desktop.desk


def goal_session(family: str, seed: int, pace: float) -> tuple[Desk, Recording, Desk, Task]:
    desk = furnished(seed, SIZE)
    desktop = MiniDesktop(desk)
    task = Task(desktop, family, seed, pace)
    return desk, record(desktop, task, watch=False), desktop.desk, task


def figures(recordings: list[Recording]) -> tuple[float, float]:
    """Speed and rate of recordings of any length, by frame."""
    paces = []
    for recording in recordings:
        video = np.broadcast_to(np.uint8(0), (len(recording.cursor), SIZE, SIZE, 3))
        where, events = np.asarray(recording.cursor, np.float32), tuple(recording.events)
        paces.append(statistics(Episode("x", video, FPS, events=events, cursor=where)))
    lengths = [len(recording.cursor) for recording in recordings]
    speed, rate = (np.average([pace[name] for pace in paces], weights=lengths) for name in ("speed", "rate"))
    return float(speed), float(rate)


@pytest.mark.parametrize("split", ["random_slow", "random_fast"])
def test_random_use_is_as_fast_as_the_papers(split):
    speed, rate = figures([random_session(split, seed)[1] for seed in range(24)])
    assert speed == pytest.approx(BUDGETS[split].speed, rel=0.1) and rate == pytest.approx(BUDGETS[split].rate, rel=0.1)


def test_purposeful_use_is_as_slow_as_the_papers():
    speed, rate = figures([goal_session(family, seed, 1.0)[1] for family in FAMILIES for seed in range(4)])
    assert speed == pytest.approx(BUDGETS["goal"].speed, rel=0.1) and rate == pytest.approx(
        BUDGETS["goal"].rate, rel=0.1
    )


def test_the_paths_are_counted_as_stated():
    """By hand: 3 pixels to the right of 128 are 24 of 1024, 4 down are 24 of 768; a double click and a word are two."""
    where = np.asarray([[0, 0], [3, 4], [3, 4], [3, 4]], np.float32)
    video = np.zeros((4, 128, 128, 3), np.uint8)
    from tests.actions.test_schema import clicks, typed

    events = (*clicks(0.0, 0.05), *typed("ab", 0.15, 0.05))
    pace = statistics(Episode("x", video, 15.0, events=events, cursor=where))
    assert pace == {"speed": pytest.approx(np.hypot(24, 24) / 4), "rate": pytest.approx(2 / 4 * 15)}


@pytest.mark.parametrize("split", ["random_slow", "random_fast"])
def test_a_seed_is_a_plan(split):
    first, again, other = (plan(split, seed, 90, (128, 128), (9.0, 9.0)) for seed in (3, 3, 4))
    assert repr(first) == repr(again) != repr(other)  # Events hold NaN, which equals nothing.
    one, two = (goal_session("compute", 3, 0.2)[1] for _ in range(2))
    assert repr(one.events) == repr(two.events) and one.cursor == two.cursor


def test_random_use_does_everything_that_the_schema_names():
    kinds: Counter[str] = Counter()
    for seed in range(12):
        _, recording, _ = random_session("random_slow", seed)
        log = read(recording.events, (SIZE, SIZE))
        assert not log.problems
        for action in log.actions:
            kinds[
                f"{action.kind} {action.button} {min(action.clicks, 2)} {action.drag} {action.direction}".strip()
            ] += 1
    assert len(kinds) >= 8, kinds


def test_plans_that_cannot_be_are_rejected():
    with pytest.raises(ValueError, match="random_slow, random_fast"):
        plan("goal", 0, 90, (128, 128), (0.0, 0.0))
    with pytest.raises(ValueError, match="30 frames"):
        plan("random_slow", 0, 5, (128, 128), (0.0, 0.0))
    with pytest.raises(ValueError, match="compute, write"):
        Task(MiniDesktop(start()), "dance", 0)


@pytest.mark.parametrize("family", FAMILIES)
def test_tasks_succeed_and_the_screen_shows_it(family, request):
    """200 seeds in all without --full, 200 of each family with it."""
    seeds = 200 if request.config.getoption("--full") else 25
    failed = {}
    for seed in range(seeds):
        *_, task = goal_session(family, seed, 0.0)
        if not task.success:
            failed[seed] = task.reason
    assert len(failed) <= 0.01 * seeds, failed


@pytest.mark.parametrize("family", FAMILIES)
def test_a_task_that_nobody_does_does_not_succeed(family):
    """Success depends on what was done: with every click and key taken away, no family succeeds."""

    class Deaf(MiniDesktop):
        def inject(self, events):
            super().inject([event for event in events if event.kind == "move"])

    desktop = Deaf(start(SIZE))
    task = Task(desktop, family, 0, 0.0)
    record(desktop, task, watch=False)
    assert not task.success and task.reason


def test_the_policies_know_a_desktop_by_its_protocol_alone():
    class Bare:
        """Nothing but the protocol."""

        def __init__(self):
            self._inner = MiniDesktop(start(SIZE))

        size, fps = property(lambda self: self._inner.size), property(lambda self: self._inner.fps)
        pointer = property(lambda self: self._inner.pointer)

        def observe(self):
            return self._inner.observe()

        def targets(self):
            return self._inner.targets()

        def inject(self, events):
            self._inner.inject(events)

    desktop = Bare()
    assert isinstance(desktop, Desktop)
    task = Task(desktop, "walk", 1, 0.0)
    video = record(desktop, task).frames
    assert task.success and video[0].shape == (SIZE, SIZE, 3)


@pytest.mark.slow
def test_meta_actions_lead_to_the_same_last_frame():
    """Two hundred sessions: log -> raw and meta -> events -> the same desk, the same picture, the same raw flags."""
    for seed in range(200):
        split = ("random_slow", "random_fast", "goal")[seed % 3]
        family = list(FAMILIES)[seed // 3 % len(FAMILIES)]
        session = goal_session(family, seed, 0.05) if split == "goal" else random_session(split, seed, 90)
        desk, recording, last = session[:3]
        count, log = len(recording.cursor), read(recording.events, (SIZE, SIZE))
        slots, texts, problems = schema.meta(log, count, FPS)
        places = schema.mouse(log, count, FPS)
        again, lost = schema.events(slots, texts, places, FPS)
        assert not (log.problems or problems or lost)
        by_frame = defaultdict(list)
        for event in again:
            by_frame[schema.frame_of(event.time, FPS)].append(event)
        for t in range(1, count):
            desk = step(desk, by_frame[t])
        assert desk == last, (split, seed)
        np.testing.assert_array_equal(drawing.render(desk), drawing.render(last))
        flags = schema.raw(log, count, FPS)
        np.testing.assert_array_equal(schema.raw(read(again, (SIZE, SIZE)), count, FPS), flags)
