"""An agent's actions: their events, frame by frame, and which are rejected."""

import pytest

from neural_computer.recording.agents.actions import ACTIONS, steps
from neural_computer.recording.agents.openai import translate
from neural_computer.simulators.desktop import record
from neural_computer.simulators.minidesk.session import MiniDesktop
from neural_computer.simulators.minidesk.state import start

SIZES = (1024, 768), (256, 192)


def events_of(action):
    """(kind, key) of all its events, places as numbers."""
    events = [e for frame in steps(action, *SIZES) for e in frame]
    return [(e.kind, e.key or ((e.x, e.y) if e.kind == "move" else (e.dx, e.dy))) for e in events]


CLICK = {"coordinate": [512, 384]}
LEFT, MOVED = [("press", "left"), ("release", "left")], ("move", (128.0, 96.0))
CTRL = ("press", "Control_L"), ("release", "Control_L")
TRUTH = [
    ({"action": "left_click", **CLICK}, [MOVED, *LEFT]),
    ({"action": "left_click"}, LEFT),
    ({"action": "left_click", **CLICK, "text": "ctrl"}, [MOVED, CTRL[0], *LEFT, CTRL[1]]),
    ({"action": "left_click", **CLICK, "text": ""}, [MOVED, *LEFT]),
    ({"action": "right_click", **CLICK}, [MOVED, ("press", "right"), ("release", "right")]),
    ({"action": "middle_click", **CLICK}, [MOVED, ("press", "middle"), ("release", "middle")]),
    ({"action": "double_click", **CLICK}, [MOVED, *LEFT, *LEFT]),
    ({"action": "triple_click", **CLICK}, [MOVED, *LEFT, *LEFT, *LEFT]),
    ({"action": "mouse_move", **CLICK}, [MOVED]),
    (
        {"action": "left_click_drag", "start_coordinate": [0, 0], "coordinate": [4, 8]},
        [("move", (0.0, 0.0)), LEFT[0], ("move", (1.0, 2.0)), LEFT[1]],
    ),
    ({"action": "left_mouse_down"}, LEFT[:1]),
    ({"action": "left_mouse_up", **CLICK}, [MOVED, LEFT[1]]),
    (
        {"action": "scroll", **CLICK, "scroll_direction": "up", "scroll_amount": 2},
        [MOVED, ("scroll", (0.0, -1.0)), ("scroll", (0.0, -1.0))],
    ),
    ({"action": "key", "text": "ctrl+s"}, [CTRL[0], ("press", "s"), ("release", "s"), CTRL[1]]),
    ({"action": "key", "text": "ctrl++"}, [CTRL[0], ("press", "+"), ("release", "+"), CTRL[1]]),
    ({"action": "key", "text": "+"}, [("press", "+"), ("release", "+")]),
    ({"action": "key", "text": "Page_Down"}, [("press", "Next"), ("release", "Next")]),
    ({"action": "key", "text": "CMD"}, [("press", "Super_L"), ("release", "Super_L")]),
    ({"action": "hold_key", "text": "a", "duration": 1}, [("press", "a"), ("release", "a")]),
    ({"action": "type", "text": "A\n"}, [("press", "A"), ("release", "A"), ("press", "Return"), ("release", "Return")]),
    ({"action": "wait", "duration": 2}, []),
    ({"action": "screenshot"}, []),
    ({"action": "cursor_position"}, []),
]


@pytest.mark.parametrize(
    ("action", "events"), TRUTH, ids=lambda value: value.get("action") if dict is type(value) else ""
)
def test_every_action_is_these_events(action, events):
    assert events_of(action) == events


def test_the_table_above_has_every_action():
    assert {action["action"] for action, _ in TRUTH} == set(ACTIONS)


def test_a_press_has_a_frame_of_its_own_and_time_is_frames():
    assert [len(frame) for frame in steps({"action": "left_click", **CLICK}, *SIZES)] == [1, 1, 1]
    assert len(list(steps({"action": "wait", "duration": 2}, *SIZES, fps=15))) == 30
    assert len(list(steps({"action": "hold_key", "text": "a", "duration": 1}, *SIZES, fps=15))) == 17
    assert list(steps({"action": "screenshot"}, *SIZES)) == []


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ({"action": "fly"}, "message 3: action = 'fly': one of left_click"),
        ({"action": None}, "message 3: action = None"),
        ({"action": "mouse_move"}, "message 3: coordinate = None"),
        ({"action": "left_click", "coordinate": [1024, 0]}, "inside 1024 x 768"),
        ({"action": "left_click", "coordinate": [True, 0]}, "coordinate = [True, 0]"),
        ({"action": "left_click", "coordinate": [float("nan"), 0]}, "coordinate = [nan, 0]"),
        ({"action": "left_click_drag", "start_coordinate": [1, 1]}, "coordinate = None"),
        ({"action": "type", "text": "é"}, "message 3: text = 'é'"),
        ({"action": "type", "text": ""}, "text = '': a string that is not empty"),
        ({"action": "key", "text": "ctrl+hyper"}, "text = 'hyper'"),
        ({"action": "wait", "duration": 1e9}, "duration = 1000000000.0: seconds, from 0 to 100"),
        ({"action": "wait"}, "duration = None"),
        ({"action": "scroll", "coordinate": [1, 1], "scroll_direction": "in"}, "scroll_direction = 'in'"),
        ({"action": "scroll", "scroll_direction": "up", "scroll_amount": 1.5}, "scroll_amount = 1.5"),
    ],
)
def test_an_action_outside_the_vocabulary_is_rejected_before_its_first_frame(action, words):
    with pytest.raises(ValueError) as error:
        steps(action, *SIZES, place="message 3")
    assert words in str(error.value)


# OpenAI's

AT = {"x": 512, "y": 384}


@pytest.mark.parametrize(
    ("action", "events"),
    [
        ({"type": "click", "button": "left", **AT}, [MOVED, *LEFT]),
        ({"type": "click", "button": "left", **AT, "keys": ["CTRL"]}, [MOVED, CTRL[0], *LEFT, CTRL[1]]),
        ({"type": "click", "button": "wheel", **AT}, [MOVED, ("press", "middle"), ("release", "middle")]),
        (
            {"type": "click", "button": "back", **AT},
            [MOVED, ("press", "Alt_L"), ("press", "Left"), ("release", "Left"), ("release", "Alt_L")],
        ),
        ({"type": "double_click", **AT}, [MOVED, *LEFT, *LEFT]),
        ({"type": "move", **AT}, [MOVED]),
        (
            {"type": "drag", "path": [{"x": 0, "y": 0}, {"x": 4, "y": 8}, AT]},
            [("move", (0.0, 0.0)), LEFT[0], ("move", (1.0, 2.0)), MOVED, LEFT[1]],
        ),
        (
            {"type": "scroll", **AT, "scroll_x": -20, "scroll_y": 250},
            [MOVED, ("scroll", (0.0, 1.0)), ("scroll", (0.0, 1.0)), MOVED, ("scroll", (-1.0, 0.0))],
        ),
        ({"type": "type", "text": "a"}, [("press", "a"), ("release", "a")]),
        ({"type": "keypress", "keys": ["CTRL", "S"]}, [CTRL[0], ("press", "s"), ("release", "s"), CTRL[1]]),
        ({"type": "wait"}, []),
        ({"type": "screenshot"}, []),
    ],
)
def test_openais_actions_are_translate(action, events):
    assert [event for each in translate(action) for event in events_of(each)] == events


@pytest.mark.parametrize(
    "action",
    [
        {"type": "fly"},
        {},
        {"type": "click"},
        {"type": "click", "button": "side", **AT},
        {"type": "drag", "path": []},
        {"type": "drag", "path": [[1]]},
        {"type": "scroll", **AT, "scroll_y": float("nan")},
        {"type": "keypress", "keys": "s"},
        {"type": "keypress", "keys": []},
    ],
)
def test_what_is_none_of_openais_actions_is_rejected_by_the_vocabulary(action):
    with pytest.raises(ValueError, match="^action: "):
        for each in translate(action):
            steps(each, *SIZES)


@pytest.mark.parametrize("vendor", ["anthropic", "openai"])
def test_a_double_click_of_either_vendor_opens_an_app_of_the_synthetic_desktop(vendor):
    desktop = MiniDesktop(start(128))
    icon = next(t for t in desktop.targets() if t.app == "desk" and t.role == "icon" and t.clear)
    x, y = (8 * v for v in icon.middle)
    action = {"action": "double_click", "coordinate": [x, y]}
    if vendor == "openai":
        (action,) = translate({"type": "double_click", "x": x, "y": y})
    record(desktop, steps(action, (1024, 1024), desktop.size), watch=False)
    for _ in range(30):
        desktop.inject([])
    assert {t.app for t in desktop.targets()} - {"desk"}
