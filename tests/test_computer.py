import dataclasses
import functools
import hashlib
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from neural_computer.actions import cursor
from neural_computer.computer import concat_chunks
from neural_computer.conditioning import normalize_pixels, to_uint8
from neural_computer.models.vae import WanVAE, WanVAEConfig
from neural_computer.types import Conditioning, FrozenParams, Params, State, TokenIds
from tests.builders import batch, desktop, experiment, params

# A computer's functions, compiled once for all tests

boot, step, render, encode = (
    jax.jit(lambda computer, *args, name=name: getattr(computer, name)(*args), static_argnums=0)
    for name in ("boot", "step", "render", "encode")
)
run = jax.jit(lambda computer, chunks, *args: computer.run(*args, chunks=chunks), static_argnums=(0, 1))
encoded = jax.jit(lambda codec, *args: codec.encode(*args), static_argnums=0)


@functools.cache
def booted():
    """The tiny computer, its parameters and its state before the first step."""
    computer, parameters, sample = experiment().computer, params(experiment()), batch(2)
    return computer, parameters, boot(computer, parameters, sample.video[:, 0], sample.text)


def digest(tree) -> str:
    """A hash of all numbers of a tree."""
    return hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree))).hexdigest()


def test_run_is_a_scan_of_steps_and_leaves_params_alone():
    computer, parameters, by_hand = booted()
    before = digest(parameters)
    key = jax.random.key(4)
    state, frames = run(computer, 2, parameters, by_hand, None, key)
    assert frames.shape == (2, 2, 5, 16, 32, 3) and int(state.time) == 2
    assert concat_chunks(frames).shape == (2, 9, 16, 32, 3)
    assert digest(parameters) == before

    for chunk in range(2):
        by_hand = step(computer, parameters, by_hand, None, None, jax.random.fold_in(key, chunk))
        by_hand, rendered = render(computer, parameters, by_hand)
        np.testing.assert_allclose(frames[chunk], rendered, atol=2e-4)
        np.testing.assert_array_equal(by_hand.frame, rendered[:, -1])


def test_a_closed_loop_begins_with_the_observed_frame():
    """`step` takes frame x in place of the rendered one, and renders nothing itself."""
    (computer, parameters, state), key = booted(), jax.random.key(0)
    observed = np.asarray(normalize_pixels(batch(2, seed=1).video[:, 0]))
    after = step(computer, parameters, state, observed, None, key)
    np.testing.assert_array_equal(after.frame, observed)
    same = step(computer, parameters, state._replace(frame=observed), None, None, key)
    np.testing.assert_array_equal(after.latents, same.latents)
    assert np.abs(after.latents - step(computer, parameters, state, None, None, key).latents).max() > 1e-3


@pytest.mark.parametrize("clean", [True, False])
def test_clean_first_frame_is_the_frame_given(clean):
    _, parameters, state = booted()
    computer = experiment(network__clean_first_frame=clean).computer
    after = step(computer, parameters, state, state.frame, None, jax.random.key(0))
    given = encoded(computer.codec, parameters.frozen.codec, np.asarray(state.frame)[:, None])
    assert np.allclose(after.latents[:, :1], given, atol=1e-5) == clean


def test_a_sample_rolls_out_the_same_in_any_batch():
    computer, parameters, state = booted()
    alone = state._replace(latents=state.latents[:1], frame=state.frame[:1], text=TokenIds(state.text.ids[:1]))
    both, one = (run(computer, 1, parameters, s, None, jax.random.key(1))[1] for s in (state, alone))
    np.testing.assert_allclose(both[:, :1], one, atol=2e-4)


def test_wan_condition_is_the_frame_then_grey_with_its_mask():
    conditioner, frozen = experiment(network__condition_layout="wan").computer.conditioner, params(experiment()).frozen
    x = np.asarray(normalize_pixels(batch(2).video[:, 0]))
    cond = jax.jit(conditioner.condition_latents)(frozen, x)
    clip = np.concatenate([x[:, None], np.zeros((2, 4, 16, 32, 3), np.float32)], axis=1)
    np.testing.assert_array_equal(cond[:, 0, ..., :4], 1)
    np.testing.assert_array_equal(cond[:, 1:, ..., :4], 0)
    np.testing.assert_allclose(cond[..., 4:], encoded(conditioner.codec, frozen.codec, clip), atol=1e-5)


def test_latents_are_normalised_once_in_video_and_condition():
    """With the VAE: both are its posterior's mean, less `mean`, over `std`; and decoding undoes just that."""
    vae = WanVAE(WanVAEConfig(width=4, channels=4, multipliers=(1, 1, 1, 1), blocks=1))
    wan = experiment(network__condition_layout="wan").computer
    computer = dataclasses.replace(wan, conditioner=dataclasses.replace(wan.conditioner, codec=vae))
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(vae.init, jax.random.key(0))
    codec = jax.tree.map(lambda x: rng.normal(0, 0.3, x.shape).astype(np.float32), shapes)
    codec |= {"mean": np.float32([1.0, -2.0, 0.5, 0.0]), "std": np.float32([2.0, 0.5, 3.0, 1.0])}
    rows = batch(2)
    video = np.asarray(normalize_pixels(rows.video))
    grey = np.concatenate([video[:, :1], 0 * video[:, 1:]], axis=1)
    ours = encode(computer, FrozenParams(codec=codec), rows)
    mean, _ = jax.jit(vae.posterior)(codec, np.concatenate([video, grey]))
    latents = np.concatenate([ours.latents, ours.cond[..., 4:]])
    np.testing.assert_allclose(latents, (mean - codec["mean"]) / codec["std"], atol=1e-5)
    state = State(ours.latents, video[:, 0], rows.text, None, np.zeros((), np.int32))
    _, shown = render(computer, Params({}, FrozenParams(codec=codec)), state)
    np.testing.assert_allclose(shown, np.clip(jax.jit(vae.reconstruct)(codec, mean[:2]), -1, 1), atol=1e-5)


@pytest.mark.slow
def test_classifier_free_guidance_extrapolates_from_the_negative_prompt():
    computer, parameters, _ = booted()
    denoiser, network, (*size, channels) = computer.denoiser, parameters.network, computer.latent_shape
    rng = np.random.default_rng(0)
    z, latents = (rng.normal(size=(2, *size, n)).astype(np.float32) for n in (channels, 8))
    t, ids = np.full(2, 400.0, np.float32), batch(4).text.ids
    prompt, negative = TokenIds(ids[:2]), TokenIds(ids[2:])
    predict = jax.jit(lambda *args: denoiser.predict(network, *args).prediction)
    guide = jax.jit(functools.partial(denoiser.guided_prediction, network, scale=3.0))
    cond, uncond = (predict(z, t, Conditioning(latents, text)) for text in (prompt, negative))
    guided = guide(z, t, Conditioning(latents, prompt), negative)
    np.testing.assert_allclose(guided, uncond + 3 * (cond - uncond), atol=1e-4)
    with pytest.raises(ValueError, match="guidance=3.0: needs a negative prompt"):
        guide(z, t, Conditioning(latents, prompt), None)


def test_pixels_are_scaled_once():
    with pytest.raises(ValueError, match="come as uint8"):
        normalize_pixels(jnp.zeros((2, 2, 3)))
    pixels = np.arange(256, dtype=np.uint8)[:, None].repeat(3, 1)
    np.testing.assert_array_equal(to_uint8(normalize_pixels(pixels)), pixels)


CONTINUE = """
    import sys, jax, numpy as np, orbax.checkpoint as ocp
    from tests.test_computer import booted, run
    computer, parameters, state = booted()
    with ocp.StandardCheckpointer() as saver:
        state = saver.restore(sys.argv[1] + "/state", jax.tree.map(ocp.utils.to_shape_dtype_struct, state))
    state, _ = run(computer, 1, parameters, state, None, jax.random.key(2))
    np.savez(sys.argv[1] + "/state.npz", *jax.tree.leaves(state))
"""


def test_a_saved_state_goes_on_bit_for_bit_in_another_process(tmp_path):
    (computer, parameters, state), key = booted(), jax.random.key(2)
    state, _ = run(computer, 1, parameters, state, None, key)
    with ocp.StandardCheckpointer() as saver:
        saver.save(tmp_path / "state", state)
    whole, _ = run(computer, 1, parameters, state, None, key)
    subprocess.run([sys.executable, "-c", textwrap.dedent(CONTINUE), str(tmp_path)], check=True, timeout=300)
    with np.load(tmp_path / "state.npz") as other:
        for a, b in zip(jax.tree.leaves(whole), other.values(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_pixels_under_the_first_cursor_are_filled_from_around_it():
    """On plain ground the references have the new cursor alone, and nothing of the old one."""
    computer = desktop().computer
    arrow = cursor.template(computer.conditioner.cursor_height)
    mouse = np.float32([[[8, 5], [20, 8], [np.nan, np.nan], [8, 5], [30, 5]]])
    ground = np.broadcast_to(np.float32([0.3, -0.2, 0.5]), (1, *computer.size, 3))

    @jax.jit
    def references(mouse):
        drawn, masks = cursor.stamp(arrow, mouse, *computer.size)
        on_ground = drawn + ground[:, None] * (1 - masks)
        return on_ground, masks, *computer.conditioner.cursor_references(on_ground[:, 0], mouse)

    on_ground, masks, video, reference_masks = references(mouse)
    np.testing.assert_allclose(video, on_ground, atol=1e-5)
    np.testing.assert_allclose(reference_masks[:, 1:], masks[:, 1:], atol=1e-6)
    assert float(masks[0, 1].max()) > 0.8 and float(reference_masks[:, :1].min()) == 1.0
