import dataclasses
import hashlib
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_computer.actions import cursor
from neural_computer.computer import concat_chunks
from neural_computer.conditioning import normalize_pixels, to_uint8
from neural_computer.models.vae import WanVAE, WanVAEConfig
from neural_computer.types import Conditioning, FrozenParams, Params, State, TokenIds
from tests.builders import batch, desktop, experiment, params


def booted(computer, parameters):
    sample = batch(2)
    return computer.boot(parameters, jnp.asarray(sample.video[:, 0]), jax.tree.map(jnp.asarray, sample.text))


def digest(tree) -> str:
    """A hash of all numbers of a tree."""
    return hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree))).hexdigest()


def test_run_is_a_scan_of_steps_and_leaves_params_alone():
    computer = experiment().computer
    parameters = params(experiment())
    before = digest(parameters)
    key = jax.random.key(4)
    state, frames = jax.jit(computer.run, static_argnames="chunks")(
        parameters, booted(computer, parameters), None, key, chunks=2
    )
    assert frames.shape == (2, 2, 5, 16, 32, 3) and int(state.time) == 2
    assert concat_chunks(frames).shape == (2, 9, 16, 32, 3)
    assert digest(parameters) == before

    step = jax.jit(computer.step)
    by_hand = booted(computer, parameters)
    for chunk in range(2):
        by_hand = step(parameters, by_hand, None, None, jax.random.fold_in(key, chunk))
        by_hand, rendered = computer.render(parameters, by_hand)
        np.testing.assert_allclose(frames[chunk], rendered, atol=2e-4)
        np.testing.assert_array_equal(by_hand.frame, rendered[:, -1])


def test_a_closed_loop_begins_with_the_observed_frame():
    """`step` takes frame x in place of the rendered one, and renders nothing itself."""
    computer, parameters = experiment().computer, params(experiment())
    state, key = booted(computer, parameters), jax.random.key(0)
    observed = normalize_pixels(jnp.asarray(batch(2, seed=1).video[:, 0]))
    step = jax.jit(computer.step)
    after = step(parameters, state, observed, None, key)
    np.testing.assert_array_equal(after.frame, observed)
    same = step(parameters, state._replace(frame=observed), None, None, key)
    np.testing.assert_array_equal(after.latents, same.latents)
    assert np.abs(after.latents - step(parameters, state, None, None, key).latents).max() > 1e-3


@pytest.mark.parametrize("clean", [True, False])
def test_clean_first_frame_is_the_frame_given(clean):
    computer = experiment(network__clean_first_frame=clean).computer
    parameters = params(experiment())
    state = booted(computer, parameters)
    after = jax.jit(computer.step)(parameters, state, state.frame, None, jax.random.key(0))
    given = computer.codec.encode(parameters.frozen.codec, state.frame[:, None])
    assert np.allclose(after.latents[:, :1], given, atol=1e-5) == clean


def test_a_sample_rolls_out_the_same_in_any_batch():
    computer = experiment().computer
    parameters = params(experiment())
    state = booted(computer, parameters)
    alone = state._replace(latents=state.latents[:1], frame=state.frame[:1], text=TokenIds(state.text.ids[:1]))
    both, one = (jax.jit(computer.run)(parameters, s, None, jax.random.key(1))[1] for s in (state, alone))
    np.testing.assert_allclose(both[:, :1], one, atol=2e-4)


def test_wan_condition_is_the_frame_then_grey_with_its_mask():
    computer = experiment(network__condition_layout="wan").computer
    parameters = params(experiment())
    x = normalize_pixels(jnp.asarray(batch(2).video[:, 0]))
    cond = computer.conditioner.condition_latents(parameters.frozen, x)
    clip = jnp.concatenate([x[:, None], jnp.zeros((2, 4, 16, 32, 3))], axis=1)
    np.testing.assert_array_equal(cond[:, 0, ..., :4], 1)
    np.testing.assert_array_equal(cond[:, 1:, ..., :4], 0)
    np.testing.assert_allclose(cond[..., 4:], computer.codec.encode(parameters.frozen.codec, clip), atol=1e-5)


def test_latents_are_normalised_once_in_video_and_condition():
    """With the VAE: both are its posterior's mean, less `mean`, over `std`; and decoding undoes just that."""
    vae = WanVAE(WanVAEConfig(width=4, channels=4, multipliers=(1, 1, 1, 1), blocks=1))
    wan = experiment(network__condition_layout="wan").computer
    computer = dataclasses.replace(wan, conditioner=dataclasses.replace(wan.conditioner, codec=vae))
    shapes = jax.eval_shape(lambda: vae.init(jax.random.key(0)))
    rng = np.random.default_rng(0)
    codec = jax.tree.map(lambda x: jnp.asarray(rng.normal(0, 0.3, x.shape), jnp.float32), shapes)
    codec |= {"mean": jnp.asarray([1.0, -2.0, 0.5, 0.0]), "std": jnp.asarray([2.0, 0.5, 3.0, 1.0])}
    rows = jax.tree.map(jnp.asarray, batch(2))
    video = normalize_pixels(rows.video)
    grey = video.at[:, 1:].set(0)
    encoded = jax.jit(computer.encode)(FrozenParams(codec=codec), rows)
    for latents, clip in ((encoded.latents, video), (encoded.cond[..., 4:], grey)):
        mean, _ = jax.jit(vae.posterior)(codec, clip)
        np.testing.assert_allclose(latents, (mean - codec["mean"]) / codec["std"], atol=1e-5)
    state = State(encoded.latents, video[:, 0], rows.text, None, jnp.zeros((), jnp.int32))
    mean, _ = jax.jit(vae.posterior)(codec, video)
    shown = jax.jit(lambda s: computer.render(Params({}, FrozenParams(codec=codec)), s)[1])(state)
    np.testing.assert_allclose(shown, jnp.clip(jax.jit(vae.reconstruct)(codec, mean), -1, 1), atol=1e-5)


@pytest.mark.slow
def test_classifier_free_guidance_extrapolates_from_the_negative_prompt():
    plain, parameters = experiment().computer, params(experiment())
    z = jax.random.normal(jax.random.key(0), (2, *plain.latent_shape))
    latents = jax.random.normal(jax.random.key(1), (2, *plain.latent_shape[:3], 8))
    t, ids = jnp.full(2, 400.0), jnp.asarray(batch(4).text.ids)
    prompt, negative = TokenIds(ids[:2]), TokenIds(ids[2:])
    denoiser, network = plain.denoiser, parameters.network
    cond, uncond = (
        denoiser.predict(network, z, t, Conditioning(latents, text)).prediction for text in (prompt, negative)
    )
    guided = denoiser.guided_prediction(network, z, t, Conditioning(latents, prompt), negative, 3.0)
    np.testing.assert_allclose(guided, uncond + 3 * (cond - uncond), atol=1e-4)
    with pytest.raises(ValueError, match="guidance=3.0: needs a negative prompt"):
        denoiser.guided_prediction(network, z, t, Conditioning(latents, prompt), None, 3.0)


def test_pixels_are_scaled_once():
    with pytest.raises(ValueError, match="come as uint8"):
        normalize_pixels(jnp.zeros((2, 2, 3)))
    pixels = jnp.arange(256, dtype=jnp.uint8)[:, None].repeat(3, 1)
    np.testing.assert_array_equal(to_uint8(normalize_pixels(pixels)), pixels)


CONTINUE = """
    import sys, jax, numpy as np, orbax.checkpoint as ocp
    from tests.builders import experiment, params
    from tests.test_computer import booted
    folder, first = sys.argv[1], sys.argv[2] == "first"
    computer, parameters = experiment().computer, params(experiment())
    state = booted(computer, parameters)
    run = jax.jit(computer.run, static_argnames="chunks")
    key = jax.random.key(2)
    with ocp.StandardCheckpointer() as saver:
        if first:
            saver.save(folder + "/state", run(parameters, state, None, key, chunks=1)[0])
            whole, _ = run(parameters, state, None, key, chunks=1)
            whole, _ = run(parameters, whole, None, key, chunks=1)
            np.savez(folder + "/whole.npz", *jax.tree.leaves(whole))
        else:
            like = jax.tree.map(ocp.utils.to_shape_dtype_struct, state)
            state, _ = run(parameters, saver.restore(folder + "/state", like), None, key, chunks=1)
            with np.load(folder + "/whole.npz") as whole:
                for a, b in zip(jax.tree.leaves(state), whole.values(), strict=True):
                    assert np.array_equal(a, b)
"""


def test_a_saved_state_goes_on_bit_for_bit_in_another_process(tmp_path):
    for turn in ("first", "second"):
        subprocess.run([sys.executable, "-c", textwrap.dedent(CONTINUE), str(tmp_path), turn], check=True, timeout=300)


def test_pixels_under_the_first_cursor_are_filled_from_around_it():
    """On plain ground the references have the new cursor alone, and nothing of the old one."""
    computer = desktop().computer
    arrow = cursor.template(computer.conditioner.cursor_height)
    mouse = jnp.asarray([[[8.0, 5.0], [20.0, 8.0], [jnp.nan, jnp.nan], [8.0, 5.0], [30.0, 5.0]]])
    ground = jnp.full((1, *computer.size, 3), jnp.asarray([0.3, -0.2, 0.5]))
    drawn, masks = cursor.stamp(arrow, mouse, *computer.size)
    on_ground = drawn + ground[:, None] * (1 - masks)
    video, reference_masks = computer.conditioner.cursor_references(on_ground[:, 0], mouse)
    np.testing.assert_allclose(video, on_ground, atol=1e-5)
    np.testing.assert_allclose(reference_masks[:, 1:], masks[:, 1:], atol=1e-6)
    assert float(masks[0, 1].max()) > 0.8 and float(reference_masks[:, :1].min()) == 1.0
