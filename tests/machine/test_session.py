"""Sessions as values: together as alone, back and forward, stored and restored, and nothing advances where a step fails."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural_computer.data.events import typed
from neural_computer.machine import controls, engine, host, session, values
from neural_computer.machine.engine import Engine, StepError
from neural_computer.machine.host import FullError
from neural_computer.machine.session import QUEUE
from neural_computer.machine.store import Store, StoreError
from neural_computer.machine.worlds import MiniDesk, Terminal, Unknown, of
from neural_computer.types import Event
from tests.machine import machines

LINE = "1+2<Return>ab<BackSpace><Up>"


def equal(a, b) -> None:
    jax.tree.map(np.testing.assert_array_equal, a, b)


def run(some, count: int) -> dict[str, list]:
    """The pictures of `count` ticks, by session."""
    shown: dict[str, list] = {}
    for _ in range(count):
        for id, pictures in some.tick().items():
            shown.setdefault(id, []).extend(pictures)
    return shown


def screens(pictures) -> np.ndarray:
    return np.stack([picture.screen for picture in pictures])


def test_a_session_is_the_rollout_of_its_keys():
    one, trained = machines.host(), machines.trained()
    one.join("a", seed=5).offer(machines.keys("1+2<Return>"))
    rollout = trained.rollout(keys="1+2<Return>", seed=5)
    np.testing.assert_array_equal(screens(run(one, 4)["a"]), rollout.frames[1:])


@pytest.mark.parametrize(("name", "at_once"), [("terminal", False), ("desktop", False), ("terminal", True)])
def test_together_is_alone_bit_for_bit(name, at_once):
    events = {"terminal": machines.keys(LINE), "desktop": machines.clicks()}[name]
    alone, many = machines.host(name, at_once=at_once), machines.host(name, at_once=at_once)
    alone.join("a", seed=3).offer(events)
    wanted = screens(run(alone, 12)["a"])
    many.join("other", seed=1).offer(machines.keys("zzz"))
    run(many, 2)
    many.join("a", seed=3).offer(events)
    first = run(many, 5)["a"]
    many.leave(many.sessions["other"])
    many.join("third", seed=2)
    np.testing.assert_array_equal(screens(first + run(many, 7)["a"]), wanted)
    equal(many.state(many.sessions["a"]), alone.state(alone.sessions["a"]))


@pytest.mark.parametrize("name", ["terminal", "desktop"])
def test_going_back_is_having_been_there(name):
    some = machines.host(name)
    one = some.join("a", seed=3)
    one.offer({"terminal": machines.keys(LINE), "desktop": machines.clicks()}[name])
    seen = [some.point(one)]
    for _ in range(40):
        some.tick()
        seen.append(some.point(one))
    for target in (38, 31, 15, 4, 0):
        assert some.go_back(one, one.moment.frame - target) and one.moment.frame == target
        equal(some.state(one), seen[target].state)
        assert one.moment == seen[target].moment
        assert one.picture.frame == target
    one.offer({"terminal": machines.keys(LINE), "desktop": machines.clicks()}[name])
    for number in range(1, 41):
        some.tick()
        equal(some.state(one), seen[number].state)
    assert some.go_back(one, 10_000) == 40, "as far as there is"


def test_points_are_few_however_long_it_runs(monkeypatch):
    monkeypatch.setattr(session, "POINTS", 2)
    monkeypatch.setattr(host, "EVERY", 4)
    some = machines.host()
    one = some.join("a")
    for number in range(30):
        one.offer(machines.keys("x", number))
        some.tick()
    assert [point.moment.frame for point in one.points] == [24, 28] and sorted(one.log) == list(range(25, 31))
    assert some.go_back(one, 30) == 6


def test_a_stored_session_goes_on_bit_for_bit_from_its_last_key(tmp_path):
    some = machines.host()
    one = some.join("0" * 16, seed=3)
    store = Store(tmp_path, "v1", some.blank)
    one.offer(machines.keys(LINE))
    for number in range(8):
        for picture in some.tick()[one.id]:
            if picture.frame in one.log:
                store.note(one.id, picture.frame, one.log[picture.frame])
        if number == 2:
            store.snapshot(one.id, one.seed, some.point(one))
    state, moment, screen = some.state(one), one.moment, one.picture.screen
    # Another process, after a kill: half a line was written.
    with (tmp_path / "open" / f"{one.id}.journal").open("a") as file:
        file.write('{"frame": 9, "eve')
    other, stored = machines.host(), Store(tmp_path, "v1", some.blank).resume(one.id)
    again = other.join(one.id, stored.seed, point=stored.point, log=stored.log)
    assert again.moment == moment
    equal(other.state(again), state)
    np.testing.assert_array_equal(again.picture.screen, screen)
    np.testing.assert_array_equal(screens(run(other, 3)[one.id]), screens(run(some, 3)[one.id]))
    assert Store(tmp_path, "another machine", some.blank).resume(one.id) is None
    store.end(one.id)
    assert store.resume(one.id) is None and not list((tmp_path / "open").iterdir())


@pytest.mark.parametrize("name", ["terminal", "desktop"])
def test_a_saved_session_is_opened_again(name, tmp_path):
    some = machines.host(name)
    one, two = some.join("a", seed=4), some.join("b", seed=9)
    one.offer(machines.keys("ab"))
    run(some, 5)
    store = Store(tmp_path, "v1", some.blank)
    store.save("after ab", one.seed, some.point(one))
    assert store.names() == ["after ab"]
    some.open(two, *store.open("after ab"))
    equal(some.state(two), some.state(one))
    assert two.moment == one.moment and two.seed == one.seed
    after = run(some, 3)
    np.testing.assert_array_equal(screens(after["b"]), screens(after["a"]))
    with pytest.raises(StoreError, match="no session is saved as 'x'; there are after ab"):
        store.open("x")
    for name in ("", "../x", "a/b", "x" * 41, ".hidden"):
        with pytest.raises(StoreError, match="up to 40 letters"):
            store.save(name, 0, some.point(one))


def test_a_step_that_fails_advances_nothing_and_the_next_one_does(monkeypatch):
    some = machines.host()
    one = some.join("a", seed=3)
    one.offer(machines.keys("abc"))
    some.tick()
    before, state, queue = one.moment, some.state(one), list(one.queue)

    def broken(*_):
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch, pytest.raises(StepError, match="out of memory"):
        patch.setattr(engine, "_advance", broken)
        some.tick()
    assert one.moment == before and list(one.queue) == queue and not one.error
    equal(some.state(one), state)
    unbroken = machines.host()
    unbroken.join("a", seed=3).offer(machines.keys("abc"))
    np.testing.assert_array_equal(some.tick()["a"][0].screen, run(unbroken, 2)["a"][1].screen)
    with monkeypatch.context() as patch:
        patch.setattr(engine, "_advance", broken)
        for _ in range(host.RETRIES):
            with pytest.raises(StepError):
                some.tick()
    assert "out of memory" in one.error and not some.tick()
    some.reset(one, 3)
    assert some.tick()["a"][0].frame == 1


def test_a_session_that_is_not_finite_stops_alone():
    some = machines.host()
    good, bad = some.join("good", seed=1), some.join("bad", seed=1)
    some.tick()
    before, state = bad.moment, some.state(bad)
    some._states = some.engine.put(
        some._states, bad.row, jax.tree.map(lambda x: x * np.float32("nan") if x.dtype == np.float32 else x, state)
    )
    assert list(some.tick()) == ["good"] and "not finite" in bad.error and bad.moment == before and not good.error
    assert list(some.tick()) == ["good"]
    some.go_back(bad, 1)
    assert not bad.error and set(some.tick()) == {"good", "bad"}


def test_places_are_bounded_and_every_session_gets_the_same_number_of_frames():
    some = machines.host()
    for name in "abc":
        some.join(name)
    with pytest.raises(FullError, match="all 3 places are taken"):
        some.join("d")
    some.sessions["b"].offer(machines.keys("x" * 50))
    run(some, 4)
    assert {one.moment.frame for one in some.sessions.values()} == {4}
    some.leave(some.sessions["a"])
    assert some.join("d").row == 0


def test_a_paused_session_steps_when_asked():
    some = machines.host()
    one = some.join("a")
    one.paused = True
    assert not some.tick() and not some.tick(stepping=True)
    one.owed = 2
    assert len(run(some, 5)["a"]) == 2
    one.offer(machines.keys("abc"))
    one.drain = True
    while one.stepping:
        some.tick(stepping=True)
    assert one.moment.frame == 5 and not one.queue


def test_a_queue_that_is_full_takes_all_or_nothing():
    some = machines.host()
    one = some.join("a")
    assert (
        one.offer(machines.keys("x" * (QUEUE - 1)))
        and not one.offer(machines.keys("yy"))
        and one.offer(machines.keys("y"))
    )
    assert len(one.queue) == QUEUE


# What is pressed


EVENTS = st.sampled_from([*machines.CLICKS, Event(0, "press", "b"), Event(0, "text", text="hi")])


@given(st.lists(EVENTS, max_size=20), st.sampled_from(list(machines.WORLDS.values())), st.integers(1, 4))
def test_every_event_is_taken_once_and_in_order(events, world, frames):
    queue = list(enumerate(events))
    seen, taken = [], []
    while queue:
        now, numbers = controls.take(queue, world, frames)
        seen += [number for frame in numbers for number in frame]
        taken += [event for frame in now for event in frame]
        queue = queue[sum(map(len, numbers)) :]
    assert seen == list(range(len(events)))
    lasting = [event for n, event in enumerate(events) if event.kind != "move" or events[n + 1 : n + 2] != [event]]
    assert [event for event in taken if event.kind != "move"] == [event for event in lasting if event.kind != "move"]


def test_a_key_of_a_terminal_has_a_frame_of_its_own_and_moves_of_a_frame_are_one():
    now, _ = controls.take(machines.keys("ab"), Terminal(2, 10), 3)
    assert [[event.key for event in frame] for frame in now] == [["a"], ["b"], []]
    now, numbers = controls.take(machines.clicks(), MiniDesk(64), 2)
    assert [event.kind for event in now[0]] == ["move", "press"] and now[0][0].x == 12 and numbers[0] == (1, 2, 3)
    assert [event.kind for event in now[1]] == ["release"]


@pytest.mark.parametrize("name", ["terminal", "desktop"])
def test_actions_as_they_come_are_those_of_the_whole_log(name):
    """Of keys, moves and single clicks: what training sees of a clip is what a run is given."""
    world, inputs, size = machines.WORLDS[name], machines.engine(name).inputs, machines.engine(name).size
    queue = {"terminal": machines.keys(LINE), "desktop": machines.clicks()}[name]
    recent, log, rows, frame = (), [], [], 0
    while queue:
        frame += 1
        (now,), (numbers,) = controls.take(queue, world, 1)
        queue = queue[len(numbers) :]
        rows.append(controls.actions(inputs, recent, (now,), frame, 15.0, size))
        recent = controls.remember(recent, frame, now)
        log += [event._replace(time=(frame - 1 + n / (len(now) + 1)) / 15) for n, event in enumerate(now, 1)]
    whole = inputs.of("log", log, None, frame + 1, 15.0, size)
    np.testing.assert_array_equal(np.concatenate([row.raw[0] for row in rows]), whole.raw[1:])
    np.testing.assert_array_equal(np.concatenate([row.mouse[0] for row in rows]), whole.mouse[1:])
    np.testing.assert_array_equal(np.concatenate([row.meta.kind[0] for row in rows]), whole.meta.kind[1:])


def test_what_is_remembered_is_bounded():
    recent = ()
    for frame in range(200):
        recent = controls.remember(recent, frame, [Event(0, "move", x=frame % 60, y=1.0), Event(0, "press", "a")])
    assert len(recent) <= controls.CONTEXT + 1
    recent = controls.remember(recent, 200, [Event(0, "press", "Control_L")])
    for frame in range(201, 240):
        recent = controls.remember(recent, frame, [])
    assert [event.key for _, event in recent] == ["", "Control_L"], "the mouse's place, and what is still down"


# The true machine


def test_a_world_is_recognized_by_its_first_frame():
    assert of(machines.trained("terminal").first_frame) == Terminal(2, 10)
    assert of(machines.trained("desktop").first_frame) == MiniDesk(64)
    noise = np.random.default_rng(0).integers(0, 256, (48, 128, 3)).astype(np.uint8)
    assert of(noise) == Unknown() and of(noise, "terminal") == Terminal(3, 16)
    with pytest.raises(ValueError, match="truth=minidesk: has no screen of 48x128"):
        of(noise, "minidesk")
    with pytest.raises(ValueError, match="truth='x': unknown"):
        of(noise, "x")


@pytest.mark.parametrize("name", ["terminal", "desktop"])
def test_a_planted_error_is_found_in_its_cell(name):
    world = machines.WORLDS[name]
    truth = world.start(0)
    screen = world.render(truth).copy()
    assert not len(world.compare(screen, truth))
    (tall, wide), (row, column) = world.cell, (1, 3)
    screen[row * tall : (row + 1) * tall, column * wide : (column + 1) * wide] ^= 255
    np.testing.assert_array_equal(world.compare(screen, truth), [[row, column]])


def test_sums_are_scored_and_what_a_world_lacks_is_named():
    world, some = Terminal(2, 10), session.first(Terminal(2, 10), 0)
    for key, right in (
        *((key, True) for key in "1+2"),
        ("Return", True),
        *((key, False) for key in "1+2"),
        ("Return", False),
    ):
        events = ((Event(0, "press", key),),)
        screen = world.render(world.step(some.truth, events[0]))
        some, (picture,) = session.advance(world, some, events, (screen if right else screen ^ 255)[None])
    assert picture.key.line == "1+2" and some.score[:5] == (8, 4, 8, 2, 1)
    assert world.ignored(Event(0, "press", "F1")) and world.ignored(Event(0, "move", x=1.0, y=1.0))
    assert not world.ignored(Event(0, "press", "space")) and not MiniDesk(64).ignored(Event(0, "press", "F1"))


@pytest.mark.parametrize("name", ["terminal", "desktop"])
def test_values_are_json_and_back(name):
    some = machines.host(name)
    one = some.join("a", seed=6)
    one.offer({"terminal": machines.keys(LINE), "desktop": machines.clicks()}[name])
    run(some, 10)
    assert repr(values.decode(values.encode(one.moment))) == repr(one.moment)
    for wrong in ({"type": "os:system", "values": []}, {"type": "neural_computer.types:Episode", "values": []}, {}):
        with pytest.raises(values.ValueFormatError):
            values.decode(wrong)


def test_a_machine_that_does_not_stream_is_named():
    from dataclasses import replace

    from tests import builders

    with pytest.raises(ValueError, match="makes whole clips; a live one streams"):
        Engine(replace(machines.trained(), experiment=builders.experiment()))


def test_typed_names_are_those_of_events():
    assert [event.key for _, event in machines.keys("a<Return>")] == [
        event.key for event in typed("a<Return>", 15.0)[0]
    ]
