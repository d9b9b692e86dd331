"""The DiT against diffusers', key names of the release, and folders that go to Orbax and back."""

import functools
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")
transformers = pytest.importorskip("transformers")

from safetensors.numpy import load_file, save_file  # noqa: E402

from neural_computer import load_pretrained  # noqa: E402
from neural_computer.convert import export_diffusers, import_weights, sources  # noqa: E402
from neural_computer.models import dit as dit_net  # noqa: E402
from neural_computer.models import layers, weights  # noqa: E402
from tests.parity.oracle import distance, loaded, predict, randomised, tensors  # noqa: E402

CLOSE = 2e-5


def network(image: bool, seed: int = 0):
    """A small DiT of diffusers."""
    more = {"in_channels": 36, "image_dim": 1280, "added_kv_proj_dim": 48} if image else {"in_channels": 16}
    small = diffusers.WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=24, text_dim=32, ffn_dim=64, num_layers=2, **more
    )
    return randomised(small, seed, 0.1)


@pytest.fixture(scope="module")
def text_to_video():
    return network(image=False)


@pytest.fixture(scope="module")
def image_to_video():
    return network(image=True)


@pytest.fixture(params=["text_to_video", "image_to_video"])
def theirs(request):
    return request.getfixturevalue(request.param)


def inputs(model, size=(3, 6, 10), seed=0):
    """Latents, a time a row, text and image features, as ours takes them. diffusers splits text from images at 512."""
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return rng.standard_normal((2, *shape), np.float32)

    image = draw(257, 1280) if model.config.image_dim else None
    return draw(*size, model.config.in_channels), np.float32([[999.0], [250.0]]), draw(512, 32), image


def their_prediction(model, z, t, text, image):
    """diffusers' prediction, channels last; times (b, f) are spread over the tokens of a frame."""
    time = t[:, 0] if t.shape[1] == 1 else np.repeat(t, z.shape[2] * z.shape[3] // 4, axis=1)
    with torch.no_grad():
        out = model(
            torch.tensor(np.moveaxis(z, -1, 1)),
            torch.tensor(time),
            torch.tensor(text),
            None if image is None else torch.tensor(image),
            return_dict=False,
        )
    return np.moveaxis(out[0].numpy(), 1, -1)


@functools.partial(jax.jit, static_argnums=0)
def forward(module, variables, *args):
    return module.apply(variables, *args).prediction


def exact(module, variables, *args):
    """Our prediction in full float32."""
    with jax.default_matmul_precision("highest"):
        return forward(module, variables, *args)


@pytest.mark.parametrize(
    ("theirs", "size"),
    [("text_to_video", (1, 2, 2)), ("image_to_video", (3, 6, 10)), ("text_to_video", (5, 4, 14))],
    indirect=["theirs"],
)
def test_forward(theirs, size):
    _, module, variables = loaded(tensors(theirs), heads=2)
    args = inputs(theirs, size)
    assert distance(exact(module, variables, *args), their_prediction(theirs, *args)) <= CLOSE


def test_forward_with_a_time_a_frame(theirs):
    _, module, variables = loaded(tensors(theirs), heads=2)
    z, _, text, image = inputs(theirs)
    t = np.float32([[0.0, 500.0, 900.0], [40.0, 40.0, 999.0]])
    assert distance(exact(module, variables, z, t, text, image), their_prediction(theirs, z, t, text, image)) <= CLOSE


def test_the_query_norm_serves_the_image_too(image_to_video):
    """With the values of the text at zero only the image is read, and then the query's norm must still be felt."""
    found = tensors(image_to_video)
    for key in found:
        if ".attn2.to_v." in key:
            found[key] = np.zeros_like(found[key])
    turned = found | {key: found[key][::-1] ** 3 for key in found if key.endswith("attn2.norm_q.weight")}
    args, predictions = inputs(image_to_video), []
    for state in (found, turned):
        model = network(image=True)
        model.load_state_dict({key: torch.tensor(np.array(x)) for key, x in state.items()})
        predictions.append(their_prediction(model, *args))
        _, module, variables = loaded(state, heads=2)
        assert distance(exact(module, variables, *args), predictions[-1]) <= CLOSE
    assert distance(*predictions) > 100 * CLOSE


def test_the_image_norms_take_the_larger_epsilon(image_to_video, monkeypatch):
    """1e-5: features whose variance is less than that tell it from the 1e-6 of the blocks."""
    _, module, variables = loaded(tensors(image_to_video), heads=2)
    z, t, text, image = inputs(image_to_video)
    args = (z, t, text, image * np.float32(1e-3))
    truth = their_prediction(image_to_video, *args)
    assert distance(exact(module, variables, *args), truth) <= CLOSE
    made = layers.layer_norm
    monkeypatch.setattr(dit_net.layers, "layer_norm", lambda name, affine=False, eps=1e-6: made(name, affine))
    assert distance(predict(module, variables, *args), truth) > 100 * CLOSE


# The release's names


def in_release(found: dict[str, np.ndarray], heads: int | None = None) -> dict[str, np.ndarray]:
    """A diffusers network's tensors as the release holds them."""
    _, table = weights.detect({key: x.shape for key, x in found.items()}, heads)
    parts: dict[str, list[np.ndarray]] = {}
    for rule in table.rules:
        for block in range(table.depth if "{}" in rule.original else 1):
            x = found[rule.diffusers.format(block)]
            if rule.original in ("visual.cls_embedding", "visual.pos_embedding"):
                x = x.reshape((1,) * (3 - x.ndim) + x.shape)
            parts.setdefault(rule.original.format(block), []).append(x)
    return {key: np.concatenate(xs) if len(xs) > 1 else xs[0] for key, xs in parts.items()}


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_original_names_are_the_same_network(theirs, prefix):
    state = {prefix + key: x for key, x in in_release(tensors(theirs), heads=2).items()}
    assert f"{prefix}blocks.1.self_attn.norm_q.weight" in state and f"{prefix}head.modulation" in state
    keys = weights.strip_prefixes(state)
    fmt, *released = loaded({short: state[key] for short, key in keys.items()}, heads=2)
    _, *ours = loaded(tensors(theirs), heads=2)
    assert fmt == "original" and released[0] == ours[0]
    jax.tree.map(np.testing.assert_array_equal, released[1], ours[1])


# Whole folders


def convert(source: Path, output: Path) -> Path:
    output.mkdir(exist_ok=True)
    found, tokenizer = sources.find(source)
    import_weights.write(import_weights.plan(found, None, 2), tokenizer, output)
    return output


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory, image_to_video):
    """A diffusers folder of four small networks and a tokenizer, converted and written back."""
    folder = tmp_path_factory.mktemp("pipeline")
    modules = {
        "transformer": image_to_video,
        "vae": diffusers.AutoencoderKLWan(base_dim=16, z_dim=4, num_res_blocks=1, dim_mult=[1, 2, 2, 2]),
        "text_encoder": transformers.UMT5EncoderModel(
            transformers.UMT5Config(vocab_size=60, d_model=24, d_kv=6, d_ff=40, num_layers=2, num_heads=4)
        ).to(torch.bfloat16),
        "image_encoder": transformers.CLIPVisionModel(
            transformers.CLIPVisionConfig(
                hidden_size=160, intermediate_size=64, num_hidden_layers=3, num_attention_heads=2, image_size=56,
                patch_size=14, hidden_act="gelu",
            )
        ),
    }  # fmt: skip
    for name, module in modules.items():
        module.save_pretrained(folder / "theirs" / name)
    # Older files carry the numbers of the positions, which are no parameters.
    file = folder / "theirs" / "image_encoder" / "model.safetensors"
    save_file(load_file(file) | {"embeddings.position_ids": np.arange(17)[None]}, file, {"format": "pt"})
    (folder / "theirs" / "tokenizer").mkdir()
    (folder / "theirs" / "tokenizer" / "spiece.model").write_text("pieces")
    convert(folder / "theirs", folder / "ours")
    (folder / "back").mkdir()
    export_diffusers.write(folder / "ours", folder / "back", None)
    return folder, modules


def test_there_and_back_is_bitwise(pipeline):
    folder, modules = pipeline
    used = json.loads((folder / "ours" / "keys.json").read_text())
    for network, target in export_diffusers.FOLDERS.items():
        name = f"{target.folder}/{target.stem}.safetensors"
        before, after = load_file(folder / "theirs" / name), load_file(folder / "back" / name)
        assert used[network]["used"] and not used[network]["missing"]
        for key in used[network]["used"]:
            assert before[key].dtype == after[key].dtype and before[key].tobytes() == after[key].tobytes(), key
    assert (folder / "back" / "tokenizer" / "spiece.model").read_text() == "pieces"


def test_what_is_written_back_computes_the_same(pipeline):
    folder, modules = pipeline
    ids, pixels = torch.arange(1, 9)[None], torch.randn(1, 3, 56, 56)
    video, args = torch.randn(1, 3, 5, 16, 16), inputs(modules["transformer"])
    asks = {
        "transformer": lambda m: torch.tensor(their_prediction(m, *args)),
        "vae": lambda m: m.decode(m.encode(video).latent_dist.mode()).sample,
        "text_encoder": lambda m: m(ids).last_hidden_state,
        # Wan2.1 reads what leaves the last block but one; the last and its norm are not kept.
        "image_encoder": lambda m: m(pixels, output_hidden_states=True).hidden_states[-2],
    }
    for name, ask in asks.items():
        again = type(modules[name]).from_pretrained(folder / "back" / name)
        with torch.no_grad():
            torch.testing.assert_close(ask(again.eval()), ask(modules[name].eval()), rtol=0, atol=0)


def test_finished_networks_are_not_made_again(pipeline):
    folder, _ = pipeline
    notes = {network: folder / "ours" / network / import_weights.NOTE for network in export_diffusers.FOLDERS}
    written = {network: note.stat().st_mtime_ns for network, note in notes.items()}
    (folder / "ours" / "preset.json").unlink()
    shutil.rmtree(notes["vae"].parent)
    convert(folder / "theirs", folder / "ours")
    again = {network: note.stat().st_mtime_ns for network, note in notes.items()}
    assert {network for network in notes if again[network] != written[network]} == {"vae"}
    assert set(json.loads((folder / "ours" / "preset.json").read_text())) == set(export_diffusers.FOLDERS)


def test_a_release_folder_is_the_same_networks(pipeline, tmp_path):
    folder, _ = pipeline
    release = tmp_path / "release"
    (release / "google" / "umt5-xxl").mkdir(parents=True)
    (release / "google" / "umt5-xxl" / "spiece.model").write_text("pieces")
    for network, target in export_diffusers.FOLDERS.items():
        there = load_file(folder / "theirs" / f"{target.folder}/{target.stem}.safetensors")
        state = {key: np.ascontiguousarray(x) for key, x in in_release(there, 2).items()}
        if network == "dit":
            save_file(state, release / "diffusion_pytorch_model.safetensors")
        else:
            half = network == "umt5"
            as_torch = {key: torch.tensor(x.astype(np.float32)) for key, x in state.items()}
            torch.save({k: x.bfloat16() if half else x for k, x in as_torch.items()}, release / f"models_{network}.pth")
    convert(release, tmp_path / "ours")
    presets = [json.loads((place / "preset.json").read_text()) for place in (folder / "ours", tmp_path / "ours")]
    assert {preset["format"] for preset in presets[1].values()} == {"original"}
    for network in export_diffusers.FOLDERS:
        assert presets[0][network]["config"] == presets[1][network]["config"]
        (_, one), (_, other) = (load_pretrained(place, network) for place in (folder / "ours", tmp_path / "ours"))
        jax.tree.map(np.testing.assert_array_equal, one, other)
    files = [json.loads((place / "keys.json").read_text()) for place in (folder / "ours", tmp_path / "ours")]
    for network in export_diffusers.FOLDERS:
        # transformers 5 writes CLIP's keys without the prefix that published files have.
        one, other = ({k.removeprefix("vision_model."): s for k, s in f[network]["diffusers"].items()} for f in files)
        assert one == other
    assert (tmp_path / "ours" / "tokenizer" / "spiece.model").exists()


def test_what_torch_cannot_give_is_named(tmp_path):
    whole, cut, odd = (tmp_path / f"{name}.pth" for name in ("whole", "cut", "odd"))
    torch.save({"head.modulation": torch.zeros(1, 2, 8)}, whole)
    cut.write_bytes(whole.read_bytes()[:-100])
    torch.save({"steps": 3, "state": {}}, odd)
    with pytest.raises(ValueError, match=r"cut.pth: cannot be read .*cut short"):
        sources.find(cut)
    with pytest.raises(ValueError, match=r"odd.pth: is no flat table of tensors"):
        sources.find(odd)
