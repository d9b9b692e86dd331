"""The DiT and the modules of the injection modes against their formulas, written out in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from neural_computer.models.dit import DiT, DiTConfig
from neural_computer.models.injection import MODES, ActionAttention, ActionBranch, LatentBranch
from tests.builders import drawn

H = np.random.default_rng(0).normal(size=(2, 3, 4, 12)).astype(np.float32)
U = np.random.default_rng(1).normal(size=(2, 3, 2, 5)).astype(np.float32)


def run(module, *args):
    """(output, {path: parameter}), every parameter drawn."""
    params = drawn(jax.eval_shape(module.init, jax.random.key(0), *args)["params"])
    flat = {path: np.asarray(leaf) for path, leaf in flatten_dict(params, sep="/").items()}
    return jax.tree.map(np.asarray, jax.jit(module.apply)({"params": params}, *args)), flat


def linear(p, name, x):
    return x @ p[f"{name}/kernel"] + p[f"{name}/bias"]


def standardised(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)


def rms(p, name, x):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * p[f"{name}/scale"]


def attention(q, k, v):
    """softmax(q k^T / sqrt(d)) v over the last axes but the heads': (..., n, k, d)."""
    scores = np.einsum("...nkd,...mkd->...knm", q, k) / np.sqrt(q.shape[-1])
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return np.einsum("...knm,...mkd->...nkd", weights / weights.sum(-1, keepdims=True), v)


def action_attention(p, h, u, heads):
    def split(x):
        return x.reshape(*x.shape[:-1], heads, -1)

    q = rms(p, "norm_q", split(linear(p, "q", standardised(h))))
    k, v = rms(p, "norm_k", split(linear(p, "k", u))), split(linear(p, "v", u))
    y = attention(q, k, v)
    return linear(p, "o", y.reshape(*y.shape[:-2], -1))


def gelu(x):
    return np.asarray(jax.nn.gelu(jnp.asarray(x), approximate=True))


def test_action_attention_is_attention_to_the_own_frames_actions():
    out, p = run(ActionAttention(3, jnp.float32), H, U)
    np.testing.assert_allclose(out, action_attention(p, H, U, 3), atol=2e-5)


def test_an_action_branch_is_an_mlp_modulated_by_the_actions():
    """dh = W gelu(M (silu(x) (1 + a) + a)) of the normed tokens x and of the frame's actions a."""
    out, p = run(ActionBranch(7, jnp.float32), H, U)
    x, a = linear(p, "in", standardised(H)), linear(p, "actions", U.reshape(2, 3, 1, -1))
    x = gelu(linear(p, "mix", x / (1 + np.exp(-x)) * (1 + a) + a))
    np.testing.assert_allclose(out, linear(p, "out", x), atol=2e-5)


def test_a_latent_branch_attends_to_its_patchs_past_then_to_the_frames_actions():
    z = np.random.default_rng(2).normal(size=(2, 3, 4, 6, 2)).astype(np.float32)
    out, p = run(LatentBranch(6, 2, (1, 2, 3)), z, U)
    # Patches of 2x3: (b, f, 2 x 2, 12), rows in h, w, c order.
    x = z.reshape(2, 3, 2, 2, 2, 3, 2).transpose(0, 1, 2, 4, 3, 5, 6).reshape(2, 3, 4, 12)
    x = linear(p, "in", x)
    q, k, v = (linear(p, name, standardised(x)).reshape(2, 3, 4, 2, 3) for name in "qkv")
    past = np.stack(
        [
            attention(*(np.moveaxis(y, 1, 2) for y in (q[:, t : t + 1], k[:, : t + 1], v[:, : t + 1])))[:, :, 0]
            for t in range(3)
        ],
        axis=1,
    )
    x = x + linear(p, "o", past.reshape(2, 3, 4, 6))
    own = {path.removeprefix("action_attn/"): leaf for path, leaf in p.items() if path.startswith("action_attn/")}
    x = x + action_attention(own, x, U, 2)
    x = linear(p, "out", linear(p, "mlp/out", gelu(linear(p, "mlp/in", standardised(x)))))
    assert p["mlp/in/kernel"].shape == (6, 12)
    expected = x.reshape(2, 3, 2, 2, 2, 3, 2).transpose(0, 1, 2, 4, 3, 5, 6).reshape(2, 3, 4, 6, 2)
    np.testing.assert_allclose(out, expected, atol=5e-5)


@pytest.mark.parametrize(
    ("mode", "sizes"),
    [("none", {}), ("internal", {}), ("residual", {"width": 256}), ("external", {"width": 128, "heads": 4}),
     ("contextual", {"window": 0, "lag": 0})],
)  # fmt: skip
def test_the_modes_sizes_are_part_of_trained_checkpoints(mode, sizes):
    """No config sets them: a change would make checkpoints of earlier configs unreadable."""
    assert vars(MODES[mode]()) == {"every": 1} | sizes


def rotated(x, positions, sides):
    """RoPE as the product of complex numbers: x (b, n, k, e), positions (n, 3), `sides` dimensions an axis."""
    angles = np.concatenate(
        [p[:, None] * 10000.0 ** (-np.arange(0, d, 2) / d) for p, d in zip(positions.T, sides, strict=True)], axis=1
    )
    turned = (x[..., 0::2] + 1j * x[..., 1::2]) * np.exp(1j * angles)[:, None]
    return np.stack([turned.real, turned.imag], axis=-1).reshape(x.shape)


def dit_by_hand(p, z, t, text, image):
    """Prediction and features of a DiT of two blocks, width 16, two heads, patches of 2x2; one timestep a latent frame."""
    (b, f, i, j, c), d, heads = z.shape, 16, 2
    grid = np.stack(np.meshgrid(np.arange(f), np.arange(i // 2), np.arange(j // 2), indexing="ij"), -1).reshape(-1, 3)

    def split(x):
        return x.reshape(*x.shape[:-1], heads, -1)

    def merge(x):
        return x.reshape(*x.shape[:-2], -1)

    def own(block, path):
        return {n.removeprefix(f"{path}/"): leaf[block] for n, leaf in p.items() if n.startswith(f"{path}/")}

    def affine(q, name, x, eps=1e-6):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps)
        return x * q[f"{name}/scale"] + q[f"{name}/bias"]

    def silu(x):
        return x / (1 + np.exp(-x))

    patches = z.reshape(b, f, i // 2, 2, j // 2, 2, c).transpose(0, 1, 2, 4, 3, 5, 6).reshape(b, len(grid), 4 * c)
    learned = sum(p[f"position_{axis}"][grid[:, n]] for n, axis in enumerate("thw"))
    h = linear(p, "patch_embed", patches) + learned

    angle = t[..., None] * 10000.0 ** (-np.arange(4) / 4)
    e = linear(p, "time_in", np.concatenate([np.cos(angle), np.sin(angle)], -1))
    e = linear(p, "time_out", silu(e))
    modulation = linear(p, "time_proj", silu(e)).reshape(b, f, 6, d)
    text = linear(p, "text_embed/out", gelu(linear(p, "text_embed/in", text)))
    x = linear(p, "image_embed/in", affine(p, "image_embed/norm_in", image, 1e-5))
    x = np.asarray(jax.nn.gelu(jnp.asarray(x), approximate=False))
    image = affine(p, "image_embed/norm_out", linear(p, "image_embed/out", x), 1e-5)

    def per_token(x):
        return np.repeat(x, len(grid) // f, axis=1)

    for block in range(2):
        q = own(block, "blocks/block_0")
        shift1, scale1, gate1, shift2, scale2, gate2 = (
            per_token((modulation + q["modulation"])[:, :, n]) for n in range(6)
        )
        a = own(block, "blocks/block_0/self_attn")
        x = standardised(h) * (1 + scale1) + shift1
        query, key = (rotated(split(rms(a, f"norm_{n}", linear(a, n, x))), grid, (4, 2, 2)) for n in "qk")
        h = h + gate1 * linear(a, "o", merge(attention(query, key, split(linear(a, "v", x)))))
        a = own(block, "blocks/block_0/cross_attn")
        query = split(rms(a, "norm_q", linear(a, "q", affine(q, "norm_cross", h))))
        y = 0
        for context, suffix in ((text, ""), (image, "_img")):
            key = split(rms(a, f"norm_k{suffix}", linear(a, f"k{suffix}", context)))
            y = y + merge(attention(query, key, split(linear(a, f"v{suffix}", context))))
        h = h + linear(a, "o", y)
        x = standardised(h) * (1 + scale2) + shift2
        h = h + gate2 * linear(q, "ffn/out", gelu(linear(q, "ffn/in", x)))
    shift, scale = (per_token((p["head_modulation"] + e[:, :, None])[:, :, n]) for n in range(2))
    out = linear(p, "head", standardised(h) * (1 + scale) + shift)
    out = out.reshape(b, f, i // 2, j // 2, 2, 2, -1).transpose(0, 1, 2, 4, 3, 5, 6).reshape(b, f, i, j, -1)
    return out, h.reshape(b, f, -1, d).mean(axis=2)


def test_a_dit_is_its_formula():
    """Wan2.1's, image branch and all, with learned positions beside RoPE."""
    sizes = {"heads": 2, "layers": 2, "in_channels": 5, "out_channels": 3, "text_width": 6, "time_width": 8}
    dit = DiT(DiTConfig(16, 24, **sizes, image_width=7, positions=(4, 3, 3)))
    rng = np.random.default_rng(3)
    z, text, image = (rng.normal(size=s).astype(np.float32) for s in ((2, 3, 4, 6, 5), (2, 4, 6), (2, 5, 7)))
    t = rng.uniform(0, 1000, (2, 3)).astype(np.float32)
    out, flat = run(dit, z, t, text, image)
    prediction, features = dit_by_hand(flat, z, t, text, image)
    np.testing.assert_allclose(out.prediction, prediction, atol=2e-4 * np.abs(prediction).max())
    np.testing.assert_allclose(out.features, features, atol=2e-4 * np.abs(features).max())
    assert out.own is None
