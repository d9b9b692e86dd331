import hashlib
import math
import time
from collections.abc import Iterator

import numpy as np
import pytest

from neural_computer.simulators.desktop import Target
from neural_computer.simulators.minidesk import disk, drawing, font, state
from neural_computer.simulators.minidesk.apps import START
from neural_computer.simulators.minidesk.apps.calculator import Calculator
from neural_computer.simulators.minidesk.apps.editor import Editor
from neural_computer.simulators.minidesk.apps.terminal import run
from neural_computer.simulators.minidesk.session import furnished
from neural_computer.simulators.minidesk.state import Desk
from neural_computer.simulators.minidesk.step import step
from neural_computer.simulators.minidesk.truth import changes, effect, targets, truth, under
from neural_computer.types import Event


def press(key: str, **at) -> Event:
    return Event(0.0, "press", key=key, **at)


def release(key: str, **at) -> Event:
    return Event(0.0, "release", key=key, **at)


def chord(*keys: str) -> list[Event]:
    return [press(key) for key in keys] + [release(key) for key in reversed(keys)]


def target(desk: Desk, role: str, text: str | None = None, app: str | None = None) -> Target:
    matches = [t for t in targets(desk) if t.role == role and text in (None, t.text) and app in (None, t.app)]
    assert matches, (role, text, app)
    return matches[-1]


def click(
    desk: Desk, role: str, text: str | None = None, app: str | None = None, count: int = 1, button="left"
) -> Desk:
    x, y = map(float, target(desk, role, text, app).middle)
    return step(desk, [press(button, x=x, y=y), release(button)] * count)


def wait(desk: Desk, frames: int = 4) -> Desk:
    for _ in range(frames):
        desk = step(desk)
    return desk


def type_(desk: Desk, text: str) -> Desk:
    for char in text:
        desk = step(desk, [press(char), release(char)])
    return desk


def opened(app: str, size: int = 128) -> Desk:
    return wait(click(state.start(size), "icon", app, count=2))


def texts(desk: Desk, role: str, app: str) -> list[str]:
    return [t.text for t in targets(desk) if (t.role, t.app) == (role, app)]


# Looks


def test_the_font_has_every_printable_character_and_no_two_alike():
    assert font.GLYPHS.shape == (95, font.HIGH, font.WIDE) and not font.GLYPHS[:, :, -1].any()
    assert len(np.unique(font.GLYPHS.reshape(95, -1), axis=0)) == 95
    np.testing.assert_array_equal(font.ink("é"), font.ink("?"))


@pytest.mark.parametrize("size", [63, 257, 0])
def test_sizes_that_the_desk_does_not_have_are_rejected(size):
    with pytest.raises(ValueError, match="64 to 256"):
        state.start(size)


SESSION = [
    [press("left", x=13.0, y=10.0), release("left"), press("left"), release("left")],
    *([[]] * 4),
    *([press(c)] for c in "12+7="),
    [press("left", x=13.0, y=30.0), release("left"), press("left"), release("left")],
    *([[]] * 4),
    *([press(c)] for c in "The quick\n{brown} fox"),
    [press("right", x=20.0, y=100.0)],
    [Event(0.0, "move", x=25.0, y=104.0)],
]
GOLDEN = {64: "d1f43a949fd72431", 128: "47261f00007582fc", 256: "812b2cd95d9e4700"}


@pytest.mark.parametrize("size", GOLDEN)
def test_a_session_looks_as_it_always_did(size):
    # The cursor, which is interpolated, is left out: whole numbers alone are the same everywhere.
    desk, digest = state.start(size), hashlib.sha256()
    for events in SESSION:
        desk = step(desk, events)
        digest.update(drawing.scene(desk).tobytes())
    assert digest.hexdigest()[:16] == GOLDEN[size]


def test_a_picture_depends_on_the_desk_alone():
    desk = opened("Edit")
    before = drawing.render(desk)
    for other in (type_(desk, "abc"), opened("Term"), opened("Edit", 64)):
        drawing.render(other)[:] = 0
    for cached in (drawing.compose, drawing.draw_layer):
        cached.cache_clear()
    np.testing.assert_array_equal(drawing.render(desk), before)


def test_the_widget_under_the_pointer_is_lit_and_darker_while_pressed():
    desk = opened("Calc")
    button = target(desk, "button", "7", "Calc")
    x, y = map(float, button.middle)
    box = slice(button.y, button.y + button.h), slice(button.x, button.x + button.w)
    away = drawing.scene(desk)[box].mean()
    over = step(desk, [Event(0.0, "move", x=x, y=y)])
    assert drawing.scene(over)[box].mean() > away > drawing.scene(step(over, [press("left")]))[box].mean()


# What happens


def test_an_icon_opens_at_the_second_press_some_frames_later():
    desk = click(state.start(), "icon", "Calc")
    assert desk.chosen == "Calc" and not desk.due
    desk = step(click(wait(desk, state.DOUBLE_CLICK), "icon", "Calc"))
    assert not desk.due  # too late for a double click
    desk = click(wait(desk), "icon", "Calc", count=2)
    assert len(desk.due) == 1 and not desk.windows
    # The click is in the first of these frames.
    assert len(wait(desk, state.OPEN_DELAY - 1).windows) == 1 and not wait(desk, state.OPEN_DELAY - 2).windows


def test_the_topmost_window_gets_the_keys_and_a_press_raises_another():
    desk = wait(click(opened("Edit"), "icon", "Calc", count=2))
    assert [window.app.name for window in desk.windows] == ["Edit", "Calc"]
    assert texts(type_(desk, "5"), "field", "Calc") == ["5"]
    desk = type_(click(desk, "task", "Edit"), "5")
    assert [window.app.name for window in desk.windows] == ["Calc", "Edit"]
    assert texts(desk, "field", "Calc") == ["0"] and texts(desk, "line", "Edit") == ["5"]
    assert desk.focus == desk.windows[-1].id and truth(desk).focus == "*new"
    assert step(desk, chord("Alt_L", "Tab")).windows[-1].app.name == "Calc"


def test_a_title_bar_moves_its_window_and_the_corner_resizes_it():
    desk = opened("Edit")
    window, bar = desk.windows[0], target(desk, "title", app="Edit")
    x, y = map(float, bar.middle)
    desk = step(desk, [press("left", x=x, y=y)])
    desk = step(step(desk, [Event(0.0, "move", x=x + 11, y=y + 7)]), [release("left")])
    moved = desk.windows[0]
    assert (moved.x - window.x, moved.y - window.y) == (11, 7)
    x, y = map(float, target(desk, "resize").middle)
    desk = step(desk, [press("left", x=x, y=y), Event(0.0, "move", x=x - 9, y=y + 5), release("left")])
    assert (desk.windows[0].w - moved.w, desk.windows[0].h - moved.h) == (-9, 5)
    desk = step(desk, [press("left", x=x - 9, y=y + 5), Event(0.0, "move", x=0.0, y=0.0), release("left")])
    assert (desk.windows[0].w, desk.windows[0].h) == state.MIN_SIZE


def test_a_button_acts_when_released_on_it_and_not_elsewhere():
    desk = opened("Calc")
    x, y = map(float, target(desk, "button", "7", "Calc").middle)
    down = step(desk, [press("left", x=x, y=y)])
    assert texts(down, "field", "Calc") == ["0"]
    assert texts(step(down, [release("left")]), "field", "Calc") == ["7"]
    assert texts(step(down, [release("left", x=1.0, y=100.0)]), "field", "Calc") == ["0"]


def test_windows_close_by_their_box_and_by_a_shortcut():
    assert not click(opened("Term"), "close").windows
    assert not step(opened("Term"), chord("Alt_L", "F4")).windows
    desk = type_(opened("Term"), "exit\n")
    assert len(desk.windows) == 1 and not wait(desk).windows


def test_menus_open_and_a_press_elsewhere_only_closes_them():
    for desk in (click(state.start(), "button", "Menu"), step(state.start(), [press("right", x=60.0, y=60.0)])):
        assert [t.text for t in targets(desk) if t.role == "item"] == list(START)
        assert wait(click(desk, "item", "Term")).windows[0].app.name == "Term"
        away = step(desk, [press("left", x=120.0, y=5.0), release("left")])
        assert away.menu is None and not away.due and not away.windows
        assert step(desk, [press("Escape")]).menu is None


@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        ("12+7=", "19"),
        ("9*9*9=", "729"),
        ("7/0=", "error"),
        ("1/4=", "0.25"),
        ("5-8=", "-3"),
        ("2+3=4", "4"),
        ("5C", "0"),
    ],
)
def test_the_calculator_computes(keys, shown):
    app = Calculator()
    for symbol in keys:
        app = app.enter(symbol)
    assert app.shown == shown


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ("ab", "ab"),
        (["a", "b", "Left", "c"], "acb"),
        (["a", "Return", "b", "Up", "End", "BackSpace"], "\nb"),
        (["a", "Return", "b", "Home", "BackSpace"], "ab"),
        (["a", "b", "Home", "Delete", "space"], " b"),
    ],
)
def test_the_editor_edits(keys, text):
    app = Editor()
    for key in keys:
        app = app.press_key(key)
    assert "\n".join(app.lines) == text


def test_what_the_editor_saves_is_in_the_files_and_opens_again():
    desk = step(type_(opened("Edit"), "hello"), chord("Control_L", "s"))
    assert disk.read(desk.disk, "note") == "hello" and texts(desk, "title", "Edit") == ["note"]
    desk = wait(click(click(desk, "close"), "icon", "Files", count=2))
    desk = wait(click(desk, "row", "note", count=2))
    assert texts(desk, "line", "Edit") == ["hello"]
    desk = click(click(click(desk, "close", app="Edit"), "row", "note", button="right"), "item", "Delete")
    assert not disk.exists(desk.disk, "note")


@pytest.mark.parametrize(
    ("command", "folder", "printed"),
    [
        ("ls", "", ["docs/ music/ readme"]),
        ("ls", "docs", ["plan"]),
        ("pwd", "docs", ["/docs"]),
        ("cat plan", "docs", ["buy milk", "call bob"]),
        ("cat nothing", "", ["no nothing"]),
        ("echo a b", "", ["a b"]),
        ("echo a > readme/x", "", ["no readme/x"]),
        ("frob", "", ["frob?"]),
    ],
)
def test_the_shell_prints(command, folder, printed):
    name, *words = command.split()
    output, after = run(name, words, folder, disk.START)
    assert list(output) == printed and after == disk.START


def test_a_command_responds_after_a_while_and_keys_meanwhile_are_kept():
    desk = type_(opened("Term"), "mkdir a\ncd a\npwd\n")
    assert "/a" not in texts(desk, "line", "Term")
    assert texts(wait(desk, 8), "line", "Term")[-2:] == ["/a", "a$ "]
    assert disk.is_folder(wait(desk, 8).disk, "a")


def test_the_wheel_scrolls_what_is_under_the_pointer():
    desk = type_(opened("Edit"), "\n".join("abcdefghij"))
    last = texts(desk, "line", "Edit")
    x, y = map(float, target(desk, "page").middle)
    desk = step(desk, [Event(0.0, "scroll", x=x, y=y, dy=-2.0)])
    assert texts(desk, "line", "Edit")[2:] == last[:-2]


# Ground truth


def test_the_truth_is_what_the_picture_shows():
    desk = step(wait(click(opened("Edit"), "icon", "Calc", count=2)), [Event(0.0, "move", x=70.25, y=40.5)])
    facts, picture, bare = truth(desk), drawing.render(desk), drawing.scene(desk)
    assert facts.cursor == (70.25, 40.5)
    assert not (np.abs(picture.astype(int) - bare).max(axis=-1) > 1)[facts.mask[..., 0] == 0].any()
    assert (np.abs(picture.astype(int) - bare).max(axis=-1) > 0)[facts.mask[..., 0] > 0.5].mean() > 0.8
    for widget in facts.widgets:
        if widget.clear:
            x, y = map(float, widget.middle)
            assert under(step(desk, [Event(0.0, "move", x=x, y=y)])) == widget
    field = target(desk, "field", app="Calc")
    ink = font.ink("0")
    area = bare[field.y + 2 : field.y + 2 + font.HIGH, field.x + 2 : field.x + 2 + font.WIDE]
    np.testing.assert_array_equal((area == drawing.INK).all(axis=-1), ink)
    assert "0" in facts.texts and facts.focus == "Calc"


@pytest.mark.parametrize(
    ("what", "effects"),
    [
        ([press("left", x=13.0, y=30.0), release("left")], ("focuses the desk", "chooses Edit")),
        ([press("a"), release("a")], ()),
        ([press("4")], ("Calc shown: '0' -> '4'", "Calc fresh: True -> False")),
        (chord("Alt_L", "F4"), ("closes Calc", "focuses the desk")),
        ([press("left", x=5.0, y=124.0), release("left")], ("opens menu Calc Edit Term Files",)),
        ([Event(0.0, "move", x=3.0, y=3.0)], ()),
    ],
)
def test_the_effect_of_an_action_is_predicted_before_it_is_done(what, effects):
    desk = opened("Calc")
    assert effect(desk, what) == effects == changes(desk, step(desk, what))


# Whatever happens


def noise(rng: np.random.Generator, size: int) -> Iterator[list[Event]]:
    """Random events, sensible and senseless."""
    keys = [
        "left",
        "right",
        "middle",
        "Control_L",
        "Alt_L",
        "Super_L",
        "Shift_R",
        "Return",
        "BackSpace",
        "Escape",
        "Tab",
    ]
    keys += ["Up", "Down", "Left", "Right", "Home", "End", "Prior", "Delete", "F4", "Menu", "nonsense", "é", ""]
    keys += list("abcls 0123456789+-*/=.\n\t>~nsexit")
    kinds = ["press", "release", "move", "scroll", "text", "pinch"]
    while True:
        now = []
        for _ in range(int(rng.integers(0, 4))):
            kind = str(rng.choice(kinds, p=[0.4, 0.25, 0.25, 0.06, 0.03, 0.01]))
            near = rng.uniform() < 0.97
            x, y = rng.uniform(0, size, 2) if near else rng.choice([-1e9, -1.0, math.nan, math.inf, size, 1e9], 2)
            key = "left" if rng.uniform() < 0.3 else str(rng.choice(keys))
            dy = float(rng.choice([-1.0, 1.0, 0.0, 40.0, math.nan]))
            place = {"x": float(x), "y": float(y)} if kind == "move" or rng.uniform() < 0.3 else {}
            now.append(Event(0.0, kind, key=key, text="ab\né", dy=dy, **place))
        yield now


@pytest.mark.slow
def test_nothing_that_is_injected_breaks_the_desk(request):
    """A million steps with --full, as many as fit in --fuzz seconds without."""
    full, seconds = request.config.getoption("--full"), request.config.getoption("--fuzz")
    begin, steps = time.monotonic(), 0
    for seed in range(10**6):
        size = (64, 100, 128, 256)[seed % 4]
        desk = furnished(seed, size)
        for number, events in zip(range(500), noise(np.random.default_rng(seed), size), strict=False):
            desk = step(desk, events)
            assert 0 <= desk.x <= size - 1 and 0 <= desk.y <= size - 1
            assert len(desk.windows) + len(desk.due) <= state.MAX_WINDOWS and len(desk.disk) <= disk.LIMIT
            assert desk.focus in (-1, *(window.id for window in desk.windows))
            if number % 25 == 0:
                assert drawing.render(desk).shape == (size, size, 3) and truth(desk).mask.shape == (size, size, 1)
        steps += 500
        if steps >= 10**6 if full else time.monotonic() - begin > seconds:
            break
    assert steps >= (10**6 if full else 2000)
