"""From published files to a video: diffusers' image-to-video pipeline, and ours on what was converted from its folder."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_computer.workflows import trained as trained_computer

pytestmark = [pytest.mark.parity, pytest.mark.slow]
torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("transformers")

from neural_computer import flow  # noqa: E402
from neural_computer.conditioning import normalize_pixels  # noqa: E402
from neural_computer.configs import cligen  # noqa: E402
from neural_computer.models.clip import preprocess  # noqa: E402
from neural_computer.types import Conditioning, TokenIds  # noqa: E402
from tests.conftest import program  # noqa: E402
from tests.parity import pipeline  # noqa: E402
from tests.parity.oracle import distance  # noqa: E402

FRAMES, HEIGHT, WIDTH, STEPS = 9, 32, 48, 3
PROMPT, NEGATIVE = "python 1+1 prints 2", "blurry"


def config_of(converted: Path):
    """The tiny I2V network as a config: the paper's recipe at the sizes of the pipeline."""
    config = cligen.get_config("general,wan_14b_i2v")
    config.init = str(converted)
    config.data.update(frames=FRAMES, height=HEIGHT, width=WIDTH, batch_size=2)
    config.data.captions = {"plain": 1.0}
    config.text.update(width=32, heads=4, negative_prompt=NEGATIVE)
    config.network.update(width=48, heads=2, ffn=64, layers=2, dtype="float32", attention="xla", remat="none")
    config.sampling.update(num_steps=STEPS)
    config.evaluation.update(videos=1, batch_size=1)
    return config


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    return folder, pipeline.write(folder)


@pytest.fixture(scope="module")
def converted(published, tmp_path_factory):
    output = tmp_path_factory.mktemp("converted") / "tiny"
    program("launch.convert_weights", f"--input={published[0]}", f"--output={output}")
    return output


def frame() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)


def test_a_video_is_that_of_diffusers(published, converted, monkeypatch):
    """The features of the image are transformers' own of our one rule for resizing; all else is the pipeline's."""
    theirs, key = published[1], jax.random.key(5)
    trained = trained_computer.untrained(config_of(converted), frame(), 16.0)
    computer, tokenizer = trained.computer, trained.experiment.tokenizer

    @jax.jit
    def shown(params, *booted):
        state = computer.boot(params, *booted)
        _, video = computer.render(params, computer.step(params, state, None, None, key))
        return state.image, video

    with jax.default_matmul_precision("highest"):
        prompt, negative = (TokenIds(tokenizer([text])) for text in (PROMPT, NEGATIVE))
        image, ours = shown(trained.params, frame()[None], prompt, negative)
        noise = flow.noise(key, jnp.arange(1), computer.latent_shape)
        pixels = preprocess(normalize_pixels(frame()[None]), 28)
    features = theirs.image_encoder(
        pixel_values=torch.tensor(np.moveaxis(np.asarray(pixels), -1, 1)), output_hidden_states=True
    )
    monkeypatch.setattr(theirs, "encode_image", lambda image, device: features.hidden_states[-2])
    video = theirs(
        image=torch.tensor(np.moveaxis(np.asarray(normalize_pixels(frame()[None])), -1, 1)) / 2 + 0.5,
        prompt=PROMPT,
        negative_prompt=NEGATIVE,
        height=HEIGHT,
        width=WIDTH,
        num_frames=FRAMES,
        num_inference_steps=STEPS,
        guidance_scale=5.0,
        latents=torch.tensor(np.moveaxis(np.asarray(noise), -1, 1)),
        output_type="np",
    ).frames
    assert distance(image, features.hidden_states[-2]) < 1e-5
    assert distance(ours, video * 2 - 1) <= 1e-3


def test_trained_on_and_given_back(published, converted, videos_like_it, tmp_path):
    """Three updates from the converted weights, a video, and the way back: diffusers predicts what ours does."""
    run, exported = tmp_path / "run", tmp_path / "exported"
    small = [f"--config.{name}={value}" for name, value in SMALL.items()]
    program(
        "launch.train",
        "--config=configs/cligen.py:general,wan_14b_i2v",
        f"--init={converted}",
        f"--workdir={run}",
        f"--config.data.directory={videos_like_it}",
        *small,
    )
    trained = trained_computer.load(run)
    assert trained.step == 3 and trained.rollout(prompt=PROMPT).frames.shape == (FRAMES, HEIGHT, WIDTH, 3)
    program("launch.convert_weights", f"--input={run}", f"--output={tmp_path}/trained")
    program("launch.convert_weights", f"--input={tmp_path}/trained", f"--output={exported}", "--to=diffusers")

    theirs = type(published[1].transformer).from_pretrained(exported / "transformer")
    rng = np.random.default_rng(1)
    z, text, image = (rng.standard_normal(s, np.float32) for s in ((1, 3, 4, 6, 36), (1, 512, 32), (1, 5, 80)))
    with jax.default_matmul_precision("highest"):
        conditioning = Conditioning(np.zeros((1, 3, 4, 6, 0), np.float32), text, image)
        ours = jax.jit(trained.computer.network.apply)(
            {"params": trained.params.network}, z, np.float32([[500.0]]), conditioning
        )[0].prediction
    expected = theirs(
        torch.tensor(np.moveaxis(z, -1, 1)), torch.tensor([500.0]), torch.tensor(text), torch.tensor(image)
    ).sample
    assert distance(np.moveaxis(np.asarray(ours), -1, 1), expected) < 2e-5
    before = published[1].transformer.state_dict()
    moved = [not torch.equal(tensor, before[name]) for name, tensor in theirs.state_dict().items()]
    assert np.mean(moved) > 0.9


SMALL = {
    "data.frames": FRAMES,
    "data.height": HEIGHT,
    "data.width": WIDTH,
    "data.batch_size": 2,
    "text.width": 32,
    "text.heads": 4,
    "network.width": 48,
    "network.heads": 2,
    "network.ffn": 64,
    "network.layers": 2,
    "network.dtype": "float32",
    "network.attention": "xla",
    "network.remat": "none",
    "sampling.num_steps": 2,
    "schedule.steps": 3,
}


@pytest.fixture(scope="module")
def videos_like_it(tmp_path_factory):
    """Videos of the pipeline's size, with the captions of general."""
    from neural_computer import Episode, EpisodeWriter

    folder, rng = tmp_path_factory.mktemp("videos"), np.random.default_rng(2)
    with EpisodeWriter(folder, "train", window=FRAMES) as writer:
        for i in range(4):
            video = rng.integers(0, 256, (FRAMES, HEIGHT, WIDTH, 3)).astype(np.uint8)
            captions = dict.fromkeys(("semantic", "regular", "detailed"), PROMPT)
            writer.write(Episode(f"video-{i}", video, fps=16, captions=captions))
    return folder
