"""Sessions of a streaming desktop: what a frame shows follows from the frame before and its own events, and has a kind."""

from collections import Counter

import numpy as np
import pytest

from neural_computer.data.kinds import of_meta
from neural_computer.simulators.minidesk import kinds, sessions
from neural_computer.simulators.minidesk.state import start
from neural_computer.simulators.minidesk.step import schedule_open, step
from neural_computer.simulators.policies.brisk import USERS
from neural_computer.types import Event

BRISK = USERS["brisk"]


@pytest.fixture(scope="module")
def used() -> list[sessions.Session]:
    return [sessions.session(BRISK, (3, number), 400) for number in range(8)]


def test_a_session_is_a_function_of_its_arguments_and_a_longer_one_goes_on():
    short, long = sessions.session(BRISK, 1, 50), sessions.session(BRISK, 1, 80)
    assert short.desks == long.desks[:50] and short.events == long.events[:50]
    np.testing.assert_array_equal(short.kinds, long.kinds[:50])
    assert sessions.session(BRISK, 2, 50).desks != short.desks
    with pytest.raises(ValueError, match="frames=0: must be at least 1"):
        sessions.session(BRISK, 1, 0)


def test_a_frame_follows_from_the_picture_before_and_its_events(used):
    after: dict[object, bytes] = {}
    same = []
    for session in used:
        pictures = [picture.tobytes() for picture in session.draw()]
        for t in range(1, len(pictures)):
            cause = pictures[t - 1], tuple(str(event._replace(time=0.0)) for event in session.events[t])
            if cause in after:
                same.append(after[cause] == pictures[t])
            after[cause] = pictures[t]
    assert len(same) > 100 and np.mean(same) > 0.99


def test_every_kind_happens_and_at_most_one_window_is_open(used):
    found = Counter(kinds.KINDS[kind] for session in used for kind in session.kinds)
    assert set(found) == set(kinds.KINDS) == set(kinds.SHARES)
    assert sum(kinds.SHARES.values()) == pytest.approx(1)
    assert {len(desk.windows) for session in used for desk in session.desks} == {0, 1}
    refused = {"/", "*", "-", "+", "="}
    apps = [window.app for session in used for desk in session.desks for window in desk.windows]
    assert not refused & {app.operator for app in apps if app.name == "Calc"}


@pytest.mark.parametrize(
    ("events", "kind"),
    [
        ([], "idle"),
        ([Event(0, "move", x=60.0, y=40.0)], "move"),
        ([Event(0, "move", x=10.0, y=10.0)], "hover"),
        ([Event(0, "move", x=10.0, y=10.0), Event(0, "press", "left")], "choose"),
        ([Event(0, "move", x=10.0, y=10.0), *[Event(0, k, "left") for k in ("press", "release", "press")]], "open"),
        ([Event(0, "press", "left")], "nothing"),
        ([Event(0, "release", "left")], "release"),
        ([Event(0, "move", x=9.0, y=60.0), Event(0, "press", "left")], "press"),
        ([Event(0, "press", "right")], "menu"),
        ([Event(0, "press", "5")], "nothing"),
    ],
)
def test_a_frames_kind_is_what_it_shows(events, kind):
    desk = start(64, (55, 45), open_delay=1)
    assert kinds.KINDS[kinds.of(desk, events, step(desk, events))] == kind


def test_kinds_of_a_desk_with_a_window():
    desk = step(schedule_open(start(64, (32, 23), open_delay=1), "Calc"))
    assert len(desk.windows) == 1

    def kind(desk, *events):
        after = step(desk, events)
        return kinds.KINDS[kinds.of(desk, events, after)], after

    down, up = Event(0, "press", "left"), Event(0, "release", "left")
    assert kind(desk, Event(0, "press", "7"))[0] == "key"
    pressed, after = kind(desk, down)
    assert (pressed, kind(after, up)[0]) == ("press", "button")
    assert kind(desk, Event(0, "move", x=3.0, y=45.0), down)[0] == "focus"
    _, held = kind(desk, Event(0, "move", x=30.0, y=3.0), down)
    assert kind(held, Event(0, "move", x=40.0, y=20.0))[0] == "drag"
    _, closing = kind(desk, Event(0, "move", x=60.0, y=3.0), down)
    assert kind(closing, up)[0] == "close"


def test_a_session_is_an_episode_with_the_kinds_of_its_frames():
    episode = sessions.simulated(BRISK, (1, 2), "desk/1/2", 40)
    names, labels = of_meta(episode.meta)
    again = sessions.session(BRISK, (1, 2), 40)
    assert names == kinds.KINDS and episode.frames.shape == (40, 64, 64, 3)
    np.testing.assert_array_equal(labels, again.kinds)
    np.testing.assert_array_equal(episode.cursor, again.cursor)
    assert [event.time for event in episode.events] == sorted(event.time for event in episode.events)
