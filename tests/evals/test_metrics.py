"""The table of metrics: every entry is the plain function of what it should be of; a new entry is one line."""

import numpy as np
import pytest

from neural_computer import config, evals
from neural_computer.actions import cursor
from neural_computer.evals import cursor_metrics, frames, frechet, metrics, pixels, text
from neural_computer.evals.inputs import Instruments, MetricInput
from neural_computer.evals.metrics import METRICS, Metric, SetMetric
from neural_computer.evals.pairs import VideoPair
from neural_computer.evals.scorer import Scorer
from neural_computer.screens.terminal import draw_text
from neural_computer.types import Event
from tests.builders import experiment


def pair(seed: int = 0, count: int = 12, size: tuple[int, int] = (48, 64), **records) -> VideoPair:
    rng = np.random.default_rng(seed)
    reference = rng.integers(0, 256, (count, *size, 3)).astype(np.uint8)
    generated = np.clip(reference + rng.integers(-40, 41, reference.shape), 0, 255).astype(np.uint8)
    return VideoPair(f"clip {seed}", generated, reference, 6.0, **records)


def score(names: str | tuple[str, ...], one: VideoPair, **instruments) -> dict[str, float]:
    names = (names,) if isinstance(names, str) else names
    return Scorer(names, Instruments(**instruments))([one])[0].values


# A metric of one's own


@pytest.fixture
def mean_abs(monkeypatch):
    """Adds an entry, as a notebook does by `evals.METRICS["mean_abs"] = evals.Metric(...)`."""
    metric = evals.Metric(
        "mean absolute error, of 255",
        lambda x: np.abs(x.pair.generated.astype(float) - x.pair.reference).mean(),
        lower_is_better=True,
    )
    monkeypatch.setitem(evals.METRICS, "mean_abs", metric)
    return "mean_abs"


def test_a_metric_of_ones_own_is_one_entry(mean_abs):
    one = pair()
    expected = np.abs(one.generated.astype(float) - one.reference).mean()
    assert score((mean_abs, "psnr"), one, view="full") == {
        "mean_abs": pytest.approx(expected),
        "psnr": pytest.approx(score("psnr", one, view="full")["psnr"]),
    }


def test_a_config_names_it(mean_abs):
    assert experiment(evaluation__metrics="psnr,mean_abs").evaluation.metrics == "psnr,mean_abs"


def test_a_config_cannot_name_what_is_not_in_the_table():
    with pytest.raises(config.ConfigError, match=r"config\.evaluation\.metrics='mean_abs': unknown; one of psnr, ssim"):
        experiment(evaluation__metrics="psnr,mean_abs")


def test_the_old_name_of_a_metric_says_the_new_one():
    with pytest.raises(config.ConfigError, match="metrics='cursor_acc_straight'.*'cursor_acc_constant_velocity'"):
        experiment(evaluation__metrics="cursor_acc_straight")
    assert set(metrics.RENAMED.values()) <= set(METRICS)


def test_a_needed_field_is_checked_where_the_metric_is_made():
    with pytest.raises(ValueError, match="needs='cell': unknown; one of"):
        Metric("a", lambda x: 0.0, "cell")
    with pytest.raises(ValueError, match="needs='cell': unknown; one of"):
        SetMetric("a", lambda x: x.frames, metrics._i3d, "cell")


@pytest.mark.parametrize("needs", [need for need in metrics.NEEDS if need])
def test_a_metric_is_not_called_without_what_it_needs(needs, monkeypatch):
    monkeypatch.setitem(METRICS, "needy", Metric("a", lambda x: 1.0, needs))
    there = {
        "cells": ("a",) * 12,
        "events": (Event(0.1, "press", "a"),),
        "cursor": np.zeros((12, 2)),
        "click": {"done": True},
    }
    assert score("needy", pair(**{needs: there[needs]})) == {"needy": 1}
    assert score("needy", pair(**{k: v for k, v in there.items() if k != needs})) == (
        {"needy": 1} if needs == "events" else {}
    )


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_a_value_that_is_no_number_is_no_score(value, monkeypatch):
    monkeypatch.setitem(METRICS, "odd", Metric("a", lambda x: value))
    assert score("odd", pair()) == {}


# The entries


def test_every_metric_says_what_it_measures_and_which_way_is_better():
    assert all(metric.measures for metric in METRICS.values())
    lower = {name for name, metric in METRICS.items() if metric.lower_is_better}
    assert lower == {name for name in METRICS if name.startswith(("lpips", "fvd"))}


def test_what_metrics_need():
    needs = {need: {name for name, metric in METRICS.items() if metric.needs == need} for need in metrics.NEEDS}
    after = {f"{name}+15" for name in ("psnr", "ssim", "lpips", "lpips_vgg", "fvd", "fvd_r3d18")}
    assert needs["events"] == after | {"command_echo"} and needs["click"] == {"click_state"}
    assert needs["cells"] == {
        *("psnr_text", "ssim_text", "char_acc_buffer", "exact_line_buffer", "cell_acc", "new_char_acc")
    }
    assert needs[""] == {"psnr", "ssim", "lpips", "lpips_vgg", "fvd", "fvd_r3d18", "char_acc", "exact_line"}


def test_pixels_of_every_frame_are_those_of_the_video():
    one = pair()
    values = score(("psnr", "ssim"), one, view="full")
    videos = one.generated[None], one.reference[None]
    assert values["psnr"] == pytest.approx(float(pixels.psnr(*videos)[0]), abs=1e-4)
    assert values["ssim"] == pytest.approx(float(pixels.ssim(*videos)[0]), abs=1e-6)


def test_the_papers_view_is_small_and_sparse():
    one = pair()
    seen = [frames.global_view(video, one.fps) for video in (one.generated, one.reference)]
    assert seen[0].shape == (6, 256, 256, 3)
    expected = float(pixels.ssim(seen[0][None], seen[1][None])[0])
    assert score("ssim", one)["ssim"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("view", ["full", "paper"])
def test_after_actions_only_the_frames_after_them_count(view):
    one = pair(events=(Event(0.5, "press", "a"), Event(0.1, "move", x=1, y=1)))
    videos = [video[4:] for video in (one.generated, one.reference)]
    if view == "paper":
        videos = [frames.resize(video, 256) for video in videos]
    expected = float(pixels.psnr(videos[0][None], videos[1][None])[0])
    assert score("psnr+15", one, view=view)["psnr+15"] == pytest.approx(expected, abs=1e-4)
    assert score(("psnr+15", "fvd+15"), pair(events=(Event(0.1, "move"),))) == {}


def test_masks_take_text_and_cursor_alone():
    screen = "\n".join(["ls".ljust(8), " " * 8, " " * 8])
    reference = np.stack([draw_text(screen)] * 3)
    text_off, far_off = reference.copy(), reference.copy()
    text_off[:, :16, :16] = 0
    far_off[:, 40:] = 90
    records = {"cells": (screen,) * 3, "cursor": np.full((3, 2), [60.0, 44.0])}
    scorer = Scorer(("psnr_text", "ssim_text", "psnr_cursor", "ssim_cursor"), Instruments(cursor_height=8.0))
    lost, kept = scorer(
        [VideoPair("a", text_off, reference, 5.0, **records), VideoPair("b", far_off, reference, 5.0, **records)]
    )
    assert lost.values["psnr_text"] < 15 and lost.values["ssim_text"] < 0.6
    assert lost.values["psnr_cursor"] == pytest.approx(100) and lost.values["ssim_cursor"] == pytest.approx(1)
    assert kept.values["psnr_text"] == pytest.approx(100) and kept.values["psnr_cursor"] < 20
    assert scorer([VideoPair("c", reference, reference, 5.0)])[0].values == {}


def test_frames_weigh_by_the_pixels_of_their_masks():
    """A frame without the mouse has no weight; the rest are joined as one video's masked error."""
    places = np.asarray([[5.0, 5.0], [30.0, 20.0], [np.nan, np.nan], [62.0, 46.0]])
    one = pair(count=4, cursor=places)
    mask = one.cursor_mask(cursor.template(8.0))
    assert len(set(mask.sum((1, 2)))) == 4
    videos = one.generated[None], one.reference[None], mask[None]
    values = score(("psnr_cursor", "ssim_cursor"), one, cursor_height=8.0)
    assert values["psnr_cursor"] == pytest.approx(float(pixels.psnr(*videos)[0]), abs=1e-4)
    assert values["ssim_cursor"] == pytest.approx(float(pixels.ssim(*videos)[0]), abs=1e-6)
    assert score("psnr_cursor", pair(count=4, cursor=np.full((4, 2), np.nan))) == {}


SCREENS = ["$ l".ljust(8), "$ ls".ljust(8), "$ lsx".ljust(8)]


def test_text_is_read_against_the_other_video_and_against_the_terminal():
    video = np.stack([draw_text(screen) for screen in SCREENS])
    worse = np.stack([draw_text(screen.replace("l", "i")) for screen in SCREENS])
    names = ("char_acc", "exact_line", "char_acc_buffer", "exact_line_buffer", "cell_acc", "new_char_acc")
    same, other = Scorer(names, Instruments(reader=text.GlyphReader()))(
        [VideoPair(n, generated, video, 5.0, cells=tuple(SCREENS)) for n, generated in (("a", video), ("b", worse))]
    )
    assert same.values == dict.fromkeys(names, 1.0)
    expected = np.mean([1 - 1 / 3, 1 - 1 / 4, 1 - 1 / 5])
    assert other.values["char_acc"] == other.values["char_acc_buffer"] == pytest.approx(expected)
    assert other.values["exact_line"] == 0 and other.values["cell_acc"] == 1 - 1 / 8


def test_a_video_is_read_once_for_both_accuracies():
    readings = []

    def read(video):
        readings.append(len(video))
        return ["a"] * len(video)

    score(("char_acc", "exact_line", "char_acc_buffer", "exact_line_buffer"), pair(cells=("a",) * 12), reader=read)
    assert readings == [5, 5, 5]


def test_typed_commands_are_looked_for_around_return():
    """A frame before Return is pressed, or two frames after."""
    typed = [Event(i / 5, "press", c) for i, c in enumerate("ls")] + [Event(0.6, "press", "Return")]

    def echo(*shown: int) -> dict[str, float]:
        video = np.stack([draw_text(("$ ls" if t in shown else "$").ljust(8)) for t in range(7)])
        return score("command_echo", VideoPair("a", video, video, 5.0, tuple(typed)), reader=text.GlyphReader())

    assert [echo(t)["command_echo"] for t in range(7)] == [0, 0, 1, 0, 0, 1, 0]
    assert score("command_echo", pair(events=tuple(typed[:2])), reader=text.GlyphReader()) == {}


def test_the_share_of_typed_commands():
    typed = [Event(0.0, "text", text="ls\npwd\n")]
    video = np.stack([draw_text("$ ls".ljust(8))] * 3)
    one = VideoPair("a", video, video, 5.0, tuple(typed))
    assert score("command_echo", one, reader=text.GlyphReader()) == {"command_echo": 0.5}


@pytest.fixture
def desk() -> tuple[VideoPair, VideoPair]:
    """The reference beside itself, and beside a desktop on which a click has no effect."""
    places = np.stack([np.linspace(4, 40, 20), np.full(20, 20.0)], axis=1)
    reference = np.full((20, 64, 96, 3), 60, np.uint8)
    reference[8:, 32:, 56:] = 250
    generated = reference.copy()
    generated[:, 32:, 56:] = 60
    for video in (generated, reference):
        for frame, place in zip(video, places, strict=True):
            cursor.onto(frame, cursor.template(), tuple(place))
    events = (Event(0.4, "press", "left"), Event(1.5, "press", "left"))
    return tuple(VideoPair("a", video, reference, 10.0, events, places) for video in (reference, generated))


def test_the_cursor_and_its_clicks(desk):
    names = ("cursor_acc", "cursor_acc_reference", "cursor_acc_constant_velocity", "click_response", "click_idle")
    good, bad = (score(names, one) for one in desk)
    assert good == dict.fromkeys(names, 1.0) and bad == good | {"click_response": 0}


def test_the_first_frame_is_given_and_does_not_count(desk):
    one = desk[0]
    hidden = one.generated.copy()
    hidden[0] = 60
    hidden[[4, 5]] = 60
    lost = VideoPair("a", hidden, one.reference, 10.0, one.events, one.cursor)
    values = score(("cursor_acc", "cursor_acc_reference"), lost)
    assert values == {"cursor_acc": pytest.approx(17 / 19), "cursor_acc_reference": 1}


def test_a_clips_own_click_is_judged_by_its_last_frame():
    video = np.zeros((3, 8, 8, 3), np.uint8)
    video[-1] = 200
    click = {"block": 4, "places": [[0, 0]], "with": [[200] * 3], "without": [[0] * 3]}
    states = [score("click_state", VideoPair("a", video, video, 5.0, click=click | {"done": d})) for d in (True, False)]
    assert states == [{"click_state": 1}, {"click_state": 0}]


def test_the_cursor_is_as_high_as_the_instruments_say(desk):
    x = MetricInput(desk[0], Instruments(cursor_height=11.0))
    assert x.instruments.arrow.pixels.shape == cursor.template(11.0).pixels.shape
    assert METRICS["cursor_acc"].call(x) < 1
    assert len(x.click_responses) == len(cursor_metrics.click_times(desk[0].events))


# Sets


def test_a_set_metric_is_the_frechet_distance_of_its_features():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 2, 3)).astype(np.float32)
    estimate = METRICS["fvd"].estimate(list(rows))
    assert estimate.value == frechet.distance(frechet.fit(rows[:, 0]), frechet.fit(rows[:, 1]))
    assert (estimate.low, estimate.high, estimate.clips) == (*frechet.interval(rows[:, 0], rows[:, 1]), 40)
    assert METRICS["fvd"].estimate(list(rows[:1])) is None and METRICS["fvd"].estimate(list(rows[:2])).clips == 2


def test_the_mean_of_no_clips_is_none():
    assert METRICS["psnr"].estimate([]) is None and METRICS["psnr"].estimate([1.0, 2.0]).value == 1.5
