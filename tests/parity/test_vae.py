import dataclasses

import jax
import numpy as np
import pytest

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from neural_computer.models import weights  # noqa: E402
from neural_computer.models.vae import WanVAEConfig, statistics  # noqa: E402
from neural_computer.models.weights import vae as names  # noqa: E402
from tests.parity.oracle import distance, loaded, randomised, tensors  # noqa: E402

WIDE, DEEP = (8, 4, 1), (4, 16, 2)
"""(width, channels, blocks)"""
CASES = [(WIDE, (1, 16, 24)), (DEEP, (5, 24, 40)), (WIDE, (9, 8, 8))]
"""A VAE and a video's frames, height, width"""
of_every_size = pytest.mark.parametrize(("pair", "size"), CASES, indirect=["pair"], ids=str)
DECODED = 4e-5
"""What float32 allows: with these weights PyTorch's own videos are up to 8e-6 off float64, ours up to 5e-6."""


@pytest.fixture(scope="module", params=[WIDE, DEEP], ids=str)
def pair(request):
    """diffusers' VAE of some width, channels and blocks, and ours with its tensors and its latents' mean and std."""
    width, channels, blocks = request.param
    generator = np.random.default_rng(0)
    mean, std = generator.normal(size=channels), generator.uniform(0.5, 3, channels)
    own = {} if channels == 16 else {"latents_mean": mean.tolist(), "latents_std": std.tolist()}
    theirs = diffusers.AutoencoderKLWan(base_dim=width, z_dim=channels, num_res_blocks=blocks, **own)
    theirs = randomised(theirs, scale=0.05)
    fmt, ours, variables = loaded(tensors(theirs))
    assert (fmt, ours.shape) == ("diffusers", WanVAEConfig(width, channels, blocks=blocks))
    params = variables["params"] | statistics(channels)
    if channels != 16:
        params |= {"mean": np.float32(mean), "std": np.float32(std)}
    return theirs, ours, params


def video(t, h, w):
    return np.random.default_rng(t).uniform(-1, 1, (2, t, h, w, 3)).astype(np.float32)


def latents(t, h, w, channels):
    return np.random.default_rng(t).normal(size=(2, 1 + t // 4, h // 8, w // 8, channels)).astype(np.float32)


def run(function, *args):
    with jax.default_matmul_precision("highest"):
        return jax.jit(function)(*args)


def back(x):
    """torch's (b, c, t, h, w), channels last."""
    return x.permute(0, 2, 3, 4, 1).numpy()


def encoded(theirs, x):
    with torch.no_grad():
        return theirs.encode(torch.tensor(x).permute(0, 4, 1, 2, 3)).latent_dist


def decoded(theirs, z):
    """The video of normalised latents, as diffusers' pipelines make it."""
    with torch.no_grad():
        z = torch.tensor(z * np.float32(theirs.config.latents_std) + np.float32(theirs.config.latents_mean))
        return back(theirs.decode(z.permute(0, 4, 1, 2, 3)).sample)


@of_every_size
def test_latents_of_a_video(pair, size):
    """Mean and log variance, and the condition: the normalised mode, which no sample is."""
    theirs, ours, params = pair
    posterior = encoded(theirs, video(*size))
    (mean, logvar), z = run(lambda *args: (ours.posterior(*args), ours.encode(*args)), params, video(*size))
    assert distance(mean, back(posterior.mean)) <= 1e-5
    assert distance(logvar, back(posterior.logvar)) <= 1e-5
    mode, sample = (
        (back(x) - theirs.config.latents_mean) / theirs.config.latents_std
        for x in (posterior.mode(), posterior.sample())
    )
    assert distance(z, mode) <= 1e-5 < 1e-2 < distance(z, sample)


@of_every_size
def test_video_of_latents(pair, size):
    theirs, ours, params = pair
    z = latents(*size, ours.channels)
    expected = decoded(theirs, z)
    assert (np.abs(expected) < 1).mean() > 0.5
    assert distance(run(ours.decode, params, z), expected) <= DECODED


@pytest.mark.parametrize("pair", [WIDE], indirect=True, ids=str)
@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_in_chunks(pair, chunk):
    """Four latent frames, in both directions, against their one latent frame at a time."""
    theirs, ours, params = pair
    parts, x, z = dataclasses.replace(ours, chunk=chunk), video(13, 8, 16), latents(13, 8, 16, 4)
    (mean, _), out = run(lambda p, x, z: (parts.posterior(p, x), parts.decode(p, z)), params, x, z)
    assert distance(mean, back(encoded(theirs, x).mean)) <= 1e-5
    assert distance(out, decoded(theirs, z)) <= DECODED


def published(**change):
    """The shapes of the published VAE's tensors by diffusers' names."""
    with torch.device("meta"):
        model = diffusers.AutoencoderKLWan(**change)
    return {key: tuple(x.shape) for key, x in model.state_dict().items()}


def test_every_published_name():
    """diffusers converts the release's names of all our rules to diffusers' names, and its VAE has these and no other."""
    from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

    rules = list(names.rules(WanVAEConfig()))
    converted = convert_wan_vae_to_diffusers({rule.original: rule.path for rule in rules})
    assert converted == {rule.diffusers: rule.path for rule in rules}
    shapes = published()
    for fmt in weights.FORMATS:
        file = {getattr(rule, fmt): shapes[rule.diffusers] for rule in rules}
        found, table = names.recognise(file)
        assert (found, table.config) == (fmt, dataclasses.asdict(WanVAEConfig()))
        weights.check(table, fmt, file).require_complete()
    assert set(shapes) == {rule.diffusers for rule in rules}


def test_the_release_s_names_are_the_same_network(pair):
    theirs, ours, params = pair
    found = tensors(theirs)
    fmt, again, variables = loaded({rule.original: found[rule.diffusers] for rule in names.rules(ours.shape)})
    assert (fmt, again) == ("original", ours)
    jax.tree.map(
        np.testing.assert_array_equal, variables["params"], {name: params[name] for name in ("encoder", "decoder")}
    )


def test_another_vae_is_not_taken_for_this():
    """Wan2.2's, whose decoder has the same names."""
    sizes = {"base_dim": 8, "z_dim": 4, "is_residual": True, "in_channels": 12, "out_channels": 12, "patch_size": 2}
    assert names.recognise(published(**sizes)) is None
